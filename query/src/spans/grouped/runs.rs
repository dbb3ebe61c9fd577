//! Adds up groups of rows of a row group.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
    new_null_array,
};
use arrow::compute::{concat, filter_record_batch, take};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::physical_expr::PhysicalExpr;
use futures::FutureExt;
use futures::future::BoxFuture;
use hashbrown::HashMap;

use super::{Grouped, TEXTS_MAX};
use crate::spans::halves::Shorter;
use crate::spans::integers;
use crate::spans::pages::{self, KeyRuns};
use crate::spans::parts::RowGroup;
use crate::spans::select::{self, length};
use crate::spans::source::SelectiveSource;

/// With fewer rows than this a group on average, groups are made as before.
const GROUP_ROWS_MIN: usize = 16;

impl Shorter for Grouped {
    fn name(&self) -> &'static str {
        "GroupRunsExec"
    }

    fn detail(&self) -> String {
        format!(", gby=[{}]", self.by.join(", "))
    }

    fn scan(&self) -> (&FileScanConfig, &SelectiveSource) {
        (&self.scan, &self.source)
    }

    fn of_row_group<'a>(
        &'a self,
        row_group: &'a mut RowGroup,
        schema: &'a SchemaRef,
    ) -> BoxFuture<'a, Result<Option<RecordBatch>>> {
        self.groups(row_group, schema).boxed()
    }
}

impl Grouped {
    /// A row a group; `None` where the row group has to be read otherwise.
    async fn groups(
        &self,
        row_group: &mut RowGroup,
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>> {
        let metadata = Arc::clone(&row_group.metadata);
        let of = metadata.row_group(row_group.number);
        let place = (row_group.file.object_meta.location.as_ref(), &self.source.known().chosen);
        let reader = &mut row_group.reader;
        let ranges = select::exactly(place, (reader, of), &self.texts).await?;
        let Some(ranges) = ranges else { return Ok(None) };
        let Some(by) = self.keys(row_group).await? else { return Ok(None) };
        let Some((rows, ranges)) = self.numbers(row_group, ranges).await? else { return Ok(None) };
        let all = rows.num_rows();
        let Some(groups) = groups(&by, &ranges, all) else { return Ok(None) };
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (place, own) in by.iter().enumerate() {
            let keys: UInt32Array = groups.iter().map(|group| group.keys[place]).collect();
            let null = new_null_array(&DataType::Utf8View, 1);
            let values = concat(&[own.values.as_ref(), null.as_ref()])?;
            columns.push(take(&values, &keys, None)?);
        }
        columns.extend(self.states(&rows, &groups, schema)?);
        Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
    }

    /// By column that rows are grouped by, its runs.
    async fn keys(&self, row_group: &mut RowGroup) -> Result<Option<Vec<KeyRuns>>> {
        let metadata = Arc::clone(&row_group.metadata);
        let of = metadata.row_group(row_group.number);
        let rows = usize::try_from(of.num_rows()).unwrap_or(usize::MAX);
        let mut by = Vec::with_capacity(self.by.len());
        for name in self.by.iter() {
            let Some((_, chunk)) = select::chunk_of(of, name) else {
                let values = new_null_array(&DataType::Utf8View, 0);
                by.push(KeyRuns { values, runs: vec![(0, rows)] });
                continue;
            };
            if chunk.dictionary_page_offset().is_none() {
                return Ok(None);
            }
            let (start, length) = chunk.byte_range();
            let bytes = row_group.reader.get_bytes(start..start.saturating_add(length)).await?;
            let Some(runs) = pages::key_runs(bytes, chunk, rows)? else { return Ok(None) };
            by.push(runs);
        }
        Ok(Some(by))
    }

    /// What calls see of the rows for which all conditions hold, and where these rows lie.
    async fn numbers(
        &self,
        row_group: &mut RowGroup,
        mut ranges: Vec<Range<usize>>,
    ) -> Result<Option<(RecordBatch, Vec<Range<usize>>)>> {
        let metadata = Arc::clone(&row_group.metadata);
        let of = metadata.row_group(row_group.number);
        let mut places = Vec::with_capacity(self.columns.fields().len());
        for field in self.columns.fields() {
            let Some((place, _)) = select::chunk_of(of, field.name()) else { return Ok(None) };
            places.push(place);
        }
        let place = (row_group.number, places.as_slice());
        let read = integers::read_all(&mut row_group.reader, &metadata, place, &ranges).await?;
        let Some(read) = read else { return Ok(None) };
        let columns = read.into_iter().map(|values| Arc::new(Int64Array::from(values)) as ArrayRef);
        let mut batch = batch(&self.columns, columns.collect(), length(&ranges))?;
        for condition in self.numbers.iter() {
            let column = self.columns.index_of(condition.column())?;
            let held = condition.holds(Arc::clone(batch.column(column)))?;
            ranges = kept(&ranges, &held);
            batch = filter_record_batch(&batch, &BooleanArray::from(held))?;
        }
        let rows = batch.num_rows();
        let shown = evaluated(&self.shown, &batch)?;
        Ok(Some((self::batch(&self.seen, shown, rows)?, ranges)))
    }

    /// By column of what calls keep, its value for each group.
    fn states(
        &self,
        rows: &RecordBatch,
        groups: &[Group],
        schema: &SchemaRef,
    ) -> Result<Vec<ArrayRef>> {
        let indices: Vec<Option<UInt32Array>> = groups.iter().map(Group::indices).collect();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (call, arguments) in self.calls.iter() {
            let arguments = evaluated(arguments, rows)?;
            let mut states: Vec<Vec<ScalarValue>> = Vec::new();
            for (group, indices) in groups.iter().zip(&indices) {
                let own: Result<Vec<ArrayRef>> = arguments
                    .iter()
                    .map(|column| match (indices, group.pieces.first()) {
                        (None, Some(piece)) => Ok(column.slice(piece.start, piece.len())),
                        (Some(indices), _) => Ok(take(column, indices, None)?),
                        (None, None) => Ok(column.slice(0, 0)),
                    })
                    .collect();
                let mut accumulator = call.create_accumulator()?;
                accumulator.update_batch(&own?)?;
                let state = accumulator.state()?;
                states.resize_with(state.len(), Vec::new);
                states.iter_mut().zip(state).for_each(|(column, value)| column.push(value));
            }
            if groups.is_empty() {
                states.resize_with(call.state_fields()?.len(), Vec::new);
            }
            for column in states {
                let place = self.by.len() + columns.len();
                columns.push(if column.is_empty() {
                    new_null_array(schema.field(place).data_type(), 0)
                } else {
                    ScalarValue::iter_to_array(column)?
                });
            }
        }
        Ok(columns)
    }
}

/// Rows of one group, among those that were read.
#[derive(Debug)]
pub(super) struct Group {
    /// By column that rows are grouped by.
    pub(super) keys: [u32; TEXTS_MAX],
    pub(super) pieces: Vec<Range<usize>>,
}

impl Group {
    /// Its rows, one by one; `None` where they lie together.
    pub(super) fn indices(&self) -> Option<UInt32Array> {
        if self.pieces.len() == 1 {
            return None;
        }
        let rows = self.pieces.iter().cloned().flatten();
        Some(rows.map(|row| u32::try_from(row).unwrap_or(u32::MAX)).collect())
    }
}

/// The groups of the rows at `ranges`, which are so many; `None` where there are too many groups.
pub(super) fn groups(by: &[KeyRuns], ranges: &[Range<usize>], rows: usize) -> Option<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<[u32; TEXTS_MAX], usize> = HashMap::new();
    let mut runs: Vec<_> = by.iter().map(|own| own.runs.iter().peekable()).collect();
    let (mut next, mut last) = (0, None);
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let (mut keys, mut until) = ([0; TEXTS_MAX], range.end);
            for (runs, own) in runs.iter_mut().zip(&mut keys) {
                while runs.next_if(|(_, end)| *end <= at).is_some() {}
                let (key, end) = runs.peek()?;
                (*own, until) = (*key, until.min(*end));
            }
            let piece = next..next + (until - at);
            (next, at) = (piece.end, until);
            let place = match last {
                Some((known, place)) if known == keys => place,
                _ => *places.entry(keys).or_insert_with(|| {
                    groups.push(Group { keys, pieces: Vec::new() });
                    groups.len() - 1
                }),
            };
            last = Some((keys, place));
            let pieces = &mut groups[place].pieces;
            match pieces.last_mut() {
                Some(before) if before.end == piece.start => before.end = piece.end,
                _ => pieces.push(piece),
            }
        }
    }
    (groups.len() <= (rows / GROUP_ROWS_MIN).max(GROUP_ROWS_MIN)).then_some(groups)
}

/// Of the rows at `ranges` those that `held` says it of.
fn kept(ranges: &[Range<usize>], held: &[bool]) -> Vec<Range<usize>> {
    let mut kept: Vec<Range<usize>> = Vec::new();
    let rows = ranges.iter().cloned().flatten();
    for (row, _) in rows.zip(held).filter(|(_, held)| **held) {
        match kept.last_mut() {
            Some(last) if last.end == row => last.end = row + 1,
            _ => kept.push(row..row + 1),
        }
    }
    kept
}

fn evaluated(exprs: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
    exprs.iter().map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows())).collect()
}

/// A batch that may have no columns.
fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
