//! Lists of single rows: whether a row has elements is told by the levels of one leaf; only such rows are read.
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array, new_empty_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use futures::TryStreamExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelectionPolicy,
};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};

use super::Pick;
use super::page::Page;
use crate::spans::pages::runs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Null,
    Empty,
    Filled,
}

/// Which rows have lists.
#[derive(Debug)]
pub(super) struct Lists {
    nullable: bool,
    lists: Vec<List>,
}

impl Lists {
    pub(super) fn new(nullable: bool) -> Self {
        Self { nullable, lists: Vec::new() }
    }

    /// Adds the rows at `wanted`, which rise, of a page of some leaf; `None` where it is of a kind not known here.
    pub(super) fn push_page(&mut self, bytes: &[u8], wanted: &[usize], levels: i16) -> Option<()> {
        let page = Page::of(bytes)?;
        let data = page.data?;
        let entries = match page.repetitions() {
            Some(repetitions) if data.entries != data.rows => {
                first_entries(repetitions, data.entries, wanted)?
            }
            _ => wanted.to_vec(),
        };
        let width = u8::try_from(i16::BITS - levels.leading_zeros()).ok()?;
        let found = runs::numbers(page.definitions()?, (width, data.entries), (&entries, &[]))?;
        let list = |level: u32| match (level, self.nullable) {
            (0, true) => List::Null,
            (0, false) | (1, true) => List::Empty,
            _ => List::Filled,
        };
        self.lists.extend(found.into_iter().map(list));
        Some(())
    }

    /// Those of `rows` that have elements.
    pub(super) fn filled(&self, rows: &[usize]) -> Vec<usize> {
        let filled = rows.iter().zip(&self.lists).filter(|(_, list)| **list == List::Filled);
        filled.map(|(row, _)| *row).collect()
    }

    /// As a column; `filled` has the lists with elements.
    pub(super) fn array(&self, field: &FieldRef, filled: Option<ArrayRef>) -> Result<ArrayRef> {
        let filled = match filled {
            Some(filled) if filled.data_type() == field.data_type() => filled,
            Some(filled) => cast(&filled, field.data_type())?,
            None => new_empty_array(field.data_type()),
        };
        let count = filled.len() as u64;
        let all = concat(&[filled.as_ref(), empty(field.data_type())?.as_ref()])?;
        let mut next = 0..count;
        let place = |list: &List| match list {
            List::Null => None,
            List::Empty => Some(count),
            List::Filled => next.next(),
        };
        let places: UInt64Array = self.lists.iter().map(place).collect();
        Ok(take(&all, &places, None)?)
    }
}

/// One list without elements.
fn empty(data_type: &DataType) -> Result<ArrayRef> {
    use arrow::array::ListArray;
    use arrow::buffer::OffsetBuffer;
    let DataType::List(element) = data_type else { return Ok(new_empty_array(data_type)) };
    let elements = new_empty_array(element.data_type());
    let offsets = OffsetBuffer::from_lengths([0]);
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, elements, None)?))
}

/// By wanted row its first entry: the one whose repetition level is 0.
fn first_entries(repetitions: &[u8], entries: usize, wanted: &[usize]) -> Option<Vec<usize>> {
    let mut first = Vec::with_capacity(wanted.len());
    let (mut row, mut entry) = (0, 0);
    runs::each_run(repetitions, 1, entries, |level, count| {
        if level == 0 {
            while let Some(at) = wanted.get(first.len()).filter(|at| **at < row + count) {
                first.push(entry + at.checked_sub(row)?);
            }
            row += count;
        }
        entry += count;
        Some(())
    })?;
    (first.len() == wanted.len()).then_some(first)
}

/// The column `name` of some rows, by the stock reader.
pub(super) async fn read(pick: &Pick<'_>, name: &str, rows: Vec<usize>) -> Result<ArrayRef> {
    let schema = pick.metadata.file_metadata().schema_descr();
    let root = schema.root_schema().get_fields().iter().position(|field| field.name() == name);
    let mask = ProjectionMask::roots(schema, root);
    let all = usize::try_from(pick.metadata.row_group(pick.group).num_rows()).unwrap_or(0);
    let ranges = rows.into_iter().map(|row| row..row + 1);
    let metadata =
        ArrowReaderMetadata::try_new(Arc::clone(pick.metadata), ArrowReaderOptions::new())?;
    let reader: Box<dyn AsyncFileReader> = (pick.open)()?;
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_projection(mask)
        .with_row_groups(vec![pick.group])
        .with_row_selection_policy(RowSelectionPolicy::Selectors)
        .with_row_selection(RowSelection::from_consecutive_ranges(ranges, all))
        .build()?;
    let batches: Vec<_> = stream.try_collect().await?;
    let columns: Vec<&dyn Array> =
        batches.iter().filter_map(|batch| batch.columns().first()).map(AsRef::as_ref).collect();
    Ok(concat(&columns)?)
}
