//! One column of many batches in the order of the files: each value goes straight to its place.
//!
//! Nothing is merged in the order of arrival first, and the memory for keys serves one column after the other. What
//! rows share (strings of a batch, a run of equal rows) is looked at once.
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{AsArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float64Type, Int32Type, Int64Type};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use parquet::errors::Result;

use super::heads::times;
use super::texts;
use crate::batch::{self, Part, SpanBatch, Spots, Values as Stored};
use crate::file::chunk::NULL;
use crate::file::chunk::value::{Value, Values};
use crate::file::writer::ColumnWriter;

/// Memory used again for one column after the other.
#[derive(Default)]
pub(crate) struct Memory {
    keys: Vec<u32>,
    table: HashTable<u32>,
    hasher: RandomState,
}

/// All batches, and where their rows go.
pub(crate) struct Gather<'a> {
    pub(crate) batches: &'a [Arc<SpanBatch>],
    /// By row in the order of arrival: its place.
    pub(crate) places: &'a [u32],
    /// By place: the row.
    pub(crate) rows: &'a [u32],
}

impl Gather<'_> {
    /// Writes `column` as the batches have it.
    pub(crate) fn write(&self, column: &mut ColumnWriter<'_>, memory: &mut Memory) -> Result<()> {
        let field = column.field();
        let parts = batch::parts(self.batches, field.name());
        match field.data_type() {
            DataType::Dictionary(_, _) => {
                texts::with_texts(&parts, Some(self.places), &mut memory.keys, |keys, texts| {
                    column.write_keys(keys, texts)
                })
            }
            DataType::Int64 => self.write_numbers::<Int64Type>(column, &parts, memory),
            DataType::Int32 => self.write_numbers::<Int32Type>(column, &parts, memory),
            DataType::Float64 => self.write_numbers::<Float64Type>(column, &parts, memory),
            DataType::Utf8 => self.write_objects(column, &parts, memory),
            _ => self.write_other(column, field),
        }
    }

    /// Writes keys that are known in the order of arrival.
    pub(crate) fn write_keys<V: Values + ?Sized>(
        &self,
        column: &mut ColumnWriter<'_>,
        memory: &mut Memory,
        key: impl Fn(u32) -> u32,
        values: &V,
    ) -> Result<()> {
        memory.keys.clear();
        memory.keys.extend(self.rows.iter().map(|row| key(*row)));
        column.write_keys(&memory.keys, values)
    }

    /// A column of times in the order of the files.
    pub(crate) fn times(&self, name: &str) -> Vec<i64> {
        let arrived = times(self.batches, name);
        self.rows.iter().map(|row| arrived[*row as usize]).collect()
    }

    fn write_numbers<P: Number>(
        &self,
        column: &mut ColumnWriter<'_>,
        parts: &[Part<'_>],
        memory: &mut Memory,
    ) -> Result<()>
    where
        P::Native: Value,
    {
        let Memory { keys, table, hasher } = memory;
        keys.clear();
        keys.resize(self.places.len(), NULL);
        let mut numbers = Numbers::<P>::new(table, hasher);
        let mut first = 0;
        for part in parts {
            let places = &self.places[first..first + part.rows];
            first += part.rows;
            match part.values {
                Some(Stored::Array(array)) => {
                    let array: &PrimitiveArray<P> = array.as_primitive();
                    for (row, value) in array.iter().enumerate() {
                        if let Some(value) = value {
                            keys[places[row] as usize] = numbers.key(value);
                        }
                    }
                }
                Some(stored) => {
                    if let Some(spots) = P::spots(stored) {
                        scatter(spots, places, keys, |value| numbers.key(value));
                    }
                }
                None => {}
            }
        }
        column.write_keys(keys, numbers.values.as_slice())
    }

    /// JSON, hardly two rows of it equal.
    fn write_objects(
        &self,
        column: &mut ColumnWriter<'_>,
        parts: &[Part<'_>],
        memory: &mut Memory,
    ) -> Result<()> {
        let keys = &mut memory.keys;
        keys.clear();
        keys.resize(self.places.len(), NULL);
        let mut objects: Vec<&[u8]> = Vec::new();
        let mut first = 0;
        for part in parts {
            let places = &self.places[first..first + part.rows];
            first += part.rows;
            let Some(Stored::Array(array)) = part.values else { continue };
            for (place, object) in places.iter().zip(array.as_string::<i32>()) {
                if let Some(object) = object {
                    keys[*place as usize] = number(objects.len());
                    objects.push(object.as_bytes());
                }
            }
        }
        column.write_keys(keys, objects.as_slice())
    }

    /// What the stock writer makes of an array.
    fn write_other(&self, column: &mut ColumnWriter<'_>, field: &Field) -> Result<()> {
        let array = batch::merge(self.batches, field.name(), field.data_type())?;
        column.write_array(&array, self.rows)
    }
}

/// Gives the rows at `places` the keys of `spots`.
pub(super) fn scatter<T: Copy>(
    spots: &Spots<T>,
    places: &[u32],
    keys: &mut [u32],
    mut key: impl FnMut(T) -> u32,
) {
    match spots {
        Spots::Every(values) => {
            for (place, value) in places.iter().zip(values.iter()) {
                keys[*place as usize] = key(*value);
            }
        }
        Spots::Rows(rows, values) => {
            for (row, value) in rows.iter().zip(values.iter()) {
                keys[places[*row as usize] as usize] = key(*value);
            }
        }
        Spots::Runs(runs) => {
            for &(from, until, value) in runs.iter() {
                let key = key(value);
                for place in &places[from as usize..until as usize] {
                    keys[*place as usize] = key;
                }
            }
        }
    }
}

/// Keys are fewer than rows.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NULL)
}

/// Arrow's types of numbers.
trait Number: ArrowPrimitiveType {
    /// The values of a batch.
    fn spots(stored: &Stored) -> Option<&Spots<Self::Native>>;
    /// Equal for the same value only; not a number is itself.
    fn bits(value: Self::Native) -> u64;
}

impl Number for Int64Type {
    fn spots(stored: &Stored) -> Option<&Spots<i64>> {
        if let Stored::Int64(spots) = stored { Some(spots) } else { None }
    }

    fn bits(value: i64) -> u64 {
        value.cast_unsigned()
    }
}

impl Number for Int32Type {
    fn spots(stored: &Stored) -> Option<&Spots<i32>> {
        if let Stored::Int32(spots) = stored { Some(spots) } else { None }
    }

    fn bits(value: i32) -> u64 {
        u64::from(value.cast_unsigned())
    }
}

impl Number for Float64Type {
    fn spots(stored: &Stored) -> Option<&Spots<f64>> {
        if let Stored::Double(spots) = stored { Some(spots) } else { None }
    }

    fn bits(value: f64) -> u64 {
        value.to_bits()
    }
}

/// Distinct numbers, by the order of their first use.
struct Numbers<'a, P: Number> {
    table: &'a mut HashTable<u32>,
    hasher: &'a RandomState,
    values: Vec<P::Native>,
    last: u32,
}

impl<'a, P: Number> Numbers<'a, P> {
    fn new(table: &'a mut HashTable<u32>, hasher: &'a RandomState) -> Self {
        table.clear();
        Self { table, hasher, values: Vec::new(), last: 0 }
    }

    #[inline]
    fn key(&mut self, value: P::Native) -> u32 {
        let bits = P::bits(value);
        let Self { table, hasher, values, last } = self;
        let is_same = |key: &u32| values.get(*key as usize).is_some_and(|v| P::bits(*v) == bits);
        if is_same(last) {
            return *last;
        }
        let hash = |bits: u64| hasher.hash_one(bits);
        *last = match table.find(hash(bits), is_same) {
            Some(key) => *key,
            None => {
                let key = number(values.len());
                table.insert_unique(hash(bits), key, |key| hash(P::bits(values[*key as usize])));
                values.push(value);
                key
            }
        };
        *last
    }
}
