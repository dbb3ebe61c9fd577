//! Single values of a column chunk, and the Arrow column that they make.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryBuilder, Float64Array, Int32Array, Int64Array,
    StringViewBuilder,
};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use parquet::basic::{Compression, Type};
use parquet::schema::types::ColumnDescriptor;

use super::dictionaries::{Dictionary, TEXTS_A_START};
use super::page::{Memory, Page, Values, damaged, places};
use crate::spans::pages::runs::{self, Mark};

/// How a column's values lie in pages of plain ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// So many bytes each.
    Bytes(usize),
    /// Each after its length.
    Text,
    /// Bits.
    Truth,
}

impl Width {
    /// That of a column that becomes `data_type`; `None` where the two do not fit.
    pub(super) fn of(column: &ColumnDescriptor, data_type: &DataType) -> Option<Self> {
        match (column.physical_type(), data_type) {
            (Type::INT32, DataType::Int32) => Some(Self::Bytes(4)),
            (Type::INT64, DataType::Int64) | (Type::DOUBLE, DataType::Float64) => {
                Some(Self::Bytes(8))
            }
            (Type::BOOLEAN, DataType::Boolean) => Some(Self::Truth),
            (Type::BYTE_ARRAY, DataType::Utf8View) => Some(Self::Text),
            (Type::FIXED_LEN_BYTE_ARRAY, DataType::FixedSizeBinary(bytes)) => {
                let own = column.type_length() == *bytes;
                usize::try_from(*bytes).ok().filter(|_| own).map(Self::Bytes)
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Null,
    /// In [`Cells::bytes`].
    Here(Range<usize>),
    /// In the dictionary.
    Key(u32),
}

/// The values of some rows, in their order.
#[derive(Debug)]
pub(super) struct Cells {
    width: Width,
    bytes: Vec<u8>,
    cells: Vec<Cell>,
}

impl Cells {
    pub(super) fn new(width: Width) -> Self {
        Self { width, bytes: Vec::new(), cells: Vec::new() }
    }

    /// Adds rows without a value.
    pub(super) fn push_nulls(&mut self, count: usize) {
        self.cells.resize(self.cells.len() + count, Cell::Null);
    }

    /// Adds those of the rows at `wanted`, which rise, of a data page; hands its values without compression to `keep`, or
    /// nothing where they were not looked at. `Ok(None)` where it is of a kind not known here.
    pub(super) fn push_page(
        &mut self,
        page: &Page<'_>,
        (wanted, nullable): (&[usize], bool),
        (compression, memory): (Compression, &mut Memory),
        keep: impl FnOnce(Option<&[u8]>),
    ) -> parquet::errors::Result<Option<()>> {
        let Some(data) = page.data else { return Ok(None) };
        let Some(places) = places(page, nullable, wanted) else { return Ok(None) };
        let present: Vec<usize> = places.iter().flatten().copied().collect();
        if present.is_empty() {
            keep(None);
            self.push_nulls(wanted.len());
            return Ok(Some(()));
        }
        let values = page.values(compression, memory)?;
        keep(Some(values));
        let count = data.entries.saturating_sub(data.nulls);
        let found = match (data.values, self.width) {
            (Values::Keys, _) => keys(values, count, (&present, page.marks.values)),
            (Values::Plain, Width::Bytes(width)) => self.fixed(values, width, &present),
            (Values::Plain, Width::Text) => self.texts((values, &[]), &present),
            (Values::Plain, Width::Truth) => self.truths(&present, |at| {
                values.get(at / 8).map(|byte| u32::from(byte >> (at % 8) & 1))
            }),
            (Values::Runs, Width::Truth) => {
                let runs = values
                    .get(4..)
                    .and_then(|runs| runs::numbers(runs, (1, count), (&present, &[])));
                let Some(runs) = runs else { return Err(damaged("a page of truths")) };
                let mut runs = runs.into_iter();
                self.truths(&present, |_| runs.next())
            }
            (Values::Deltas, Width::Bytes(width)) if width <= 8 => {
                self.deltas(values, width, &present)
            }
            _ => return Ok(None),
        };
        let mut found = found.ok_or_else(|| damaged("a page"))?.into_iter();
        let cells = places.iter().map(|place| match place {
            Some(_) => found.next().unwrap_or(Cell::Null),
            None => Cell::Null,
        });
        self.cells.extend(cells);
        Ok(Some(()))
    }

    /// True where the dictionary is needed.
    pub(super) fn has_keys(&self) -> bool {
        self.cells.iter().any(|cell| matches!(cell, Cell::Key(_)))
    }

    /// Puts the values of keys in their place.
    pub(super) fn resolve(&mut self, dictionary: &Dictionary) -> parquet::errors::Result<()> {
        let values = dictionary.values();
        let key = |cell: &Cell| match cell {
            Cell::Key(key) => Some(*key as usize),
            Cell::Null | Cell::Here(_) => None,
        };
        let mut keys: Vec<usize> = self.cells.iter().filter_map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let found = match self.width {
            Width::Bytes(width) => self.fixed(values, width, &keys),
            Width::Text => self.texts((values, dictionary.starts()), &keys),
            Width::Truth => None,
        };
        let found = found.ok_or_else(|| damaged("a dictionary"))?;
        for cell in &mut self.cells {
            if let Some(key) = key(cell)
                && let Ok(place) = keys.binary_search(&key)
            {
                *cell = found[place].clone();
            }
        }
        Ok(())
    }

    fn fixed(&mut self, values: &[u8], width: usize, wanted: &[usize]) -> Option<Vec<Cell>> {
        let value = |at: &usize| {
            let from = at.checked_mul(width)?;
            Some(self.push(values.get(from..from.checked_add(width)?)?))
        };
        wanted.iter().map(value).collect()
    }

    /// The texts at `wanted`, which rise; `starts` says where every [`TEXTS_A_START`]th of them begins.
    fn texts(&mut self, (values, starts): (&[u8], &[u32]), wanted: &[usize]) -> Option<Vec<Cell>> {
        let (mut rest, mut next) = (values, 0);
        let mut found = Vec::with_capacity(wanted.len());
        for at in wanted {
            let part = (at / TEXTS_A_START).min(starts.len().saturating_sub(1));
            if part * TEXTS_A_START > next {
                rest = values.get(*starts.get(part)? as usize..)?;
                next = part * TEXTS_A_START;
            }
            let text = loop {
                let (length, behind) = rest.split_first_chunk()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
                let (text, behind) = behind.split_at_checked(length)?;
                rest = behind;
                next += 1;
                if next > *at {
                    break text;
                }
            };
            found.push(self.push(text));
        }
        Some(found)
    }

    fn truths(
        &mut self,
        wanted: &[usize],
        mut bit: impl FnMut(usize) -> Option<u32>,
    ) -> Option<Vec<Cell>> {
        wanted.iter().map(|at| Some(self.push(&[u8::from(bit(*at)? == 1)]))).collect()
    }

    fn deltas(&mut self, values: &[u8], width: usize, wanted: &[usize]) -> Option<Vec<Cell>> {
        let mut found = Vec::with_capacity(wanted.len());
        super::deltas::each(values, wanted, |value| {
            found.push(self.push(&value.to_le_bytes()[..width]));
        })?;
        Some(found)
    }

    fn push(&mut self, value: &[u8]) -> Cell {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(value);
        Cell::Here(from..self.bytes.len())
    }

    fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.cells.iter().map(|cell| match cell {
            Cell::Here(range) => self.bytes.get(range.clone()),
            Cell::Null | Cell::Key(_) => None,
        })
    }

    /// As a column of `data_type`.
    pub(super) fn array(&self, data_type: &DataType) -> Result<ArrayRef> {
        let eight = |value: &[u8]| value.first_chunk().map(|value| i64::from_le_bytes(*value));
        Ok(match data_type {
            DataType::Int64 => {
                Arc::new(self.values().map(|value| value.and_then(eight)).collect::<Int64Array>())
            }
            DataType::Float64 => {
                let double = |value: &[u8]| value.first_chunk().map(|v| f64::from_le_bytes(*v));
                Arc::new(
                    self.values().map(|value| value.and_then(double)).collect::<Float64Array>(),
                )
            }
            DataType::Int32 => {
                let four = |value: &[u8]| value.first_chunk().map(|v| i32::from_le_bytes(*v));
                Arc::new(self.values().map(|value| value.and_then(four)).collect::<Int32Array>())
            }
            DataType::Boolean => {
                let truth = |value: &[u8]| value.first().map(|value| *value == 1);
                Arc::new(self.values().map(|value| value.and_then(truth)).collect::<BooleanArray>())
            }
            DataType::FixedSizeBinary(width) => {
                let mut builder = FixedSizeBinaryBuilder::with_capacity(self.cells.len(), *width);
                for value in self.values() {
                    match value {
                        Some(value) => builder.append_value(value)?,
                        None => builder.append_null(),
                    }
                }
                Arc::new(builder.finish())
            }
            _ => {
                let mut builder = StringViewBuilder::with_capacity(self.cells.len());
                for value in self.values() {
                    let text = value.map(std::str::from_utf8).transpose();
                    builder.append_option(text.map_err(|_| damaged("a text"))?);
                }
                Arc::new(builder.finish())
            }
        })
    }
}

fn keys(values: &[u8], count: usize, wanted: (&[usize], &[Mark])) -> Option<Vec<Cell>> {
    let (width, runs) = values.split_first()?;
    let keys = runs::numbers(runs, (*width, count), wanted)?;
    Some(keys.into_iter().map(Cell::Key).collect())
}
