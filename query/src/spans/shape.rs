//! Who stands right above whom in one file, for all of its spans at once.
//!
//! Made of three columns, the ids of trace, span and parent, in about 50 ns a span; 8 bytes of memory a span and 17 a
//! trace. What stays in memory is bounded ([`Shapes`]): the newest spans are asked for most.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, FixedSizeBinaryArray};
use datafusion::common::Result;
use futures::TryStreamExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::ParquetMetaData;
use storage::schema::column as c;

use super::pages;
use super::pick::Open;
use crate::cache::{Account, SHAPES};

/// No row.
const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// By row of the file, its trace.
    traces: Vec<u32>,
    /// By row, that of the span right above it, or [`NONE`].
    above: Vec<u32>,
    ids: Vec<[u8; 16]>,
    /// By trace: ids alone do not tell who stands above whom. A parent is missing, or two spans have one id, or some stand
    /// in a circle.
    odd: Vec<bool>,
}

/// The ids of a file, by row.
#[derive(Debug, Default)]
struct Ids {
    traces: Vec<u32>,
    ids: Vec<[u8; 16]>,
    spans: Vec<u64>,
    /// 0 for none.
    parents: Vec<u64>,
}

impl Shape {
    /// Reads that of a file; `None` where its trace ids are not as we write them.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read.
    pub(crate) async fn read(
        open: &Open<'_>,
        metadata: &Arc<ParquetMetaData>,
    ) -> Result<Option<Self>> {
        let mut ids = Ids::default();
        let mut known = HashMap::new();
        for group in 0..metadata.num_row_groups() {
            if !ids.read_traces(open, (metadata, group), &mut known).await? {
                return Ok(None);
            }
            ids.read_spans(open, (metadata, group)).await?;
        }
        let rows = ids.traces.len();
        let is_read = ids.spans.len() == rows && ids.parents.len() == rows && rows < NONE as usize;
        Ok(is_read.then(|| Self::of(ids)))
    }

    fn of(ids: Ids) -> Self {
        let Ids { traces, ids, spans, parents } = ids;
        let (members, ends) = group(&traces, ids.len());
        let mut above = vec![NONE; traces.len()];
        let mut odd = Vec::with_capacity(ids.len());
        let mut family = Family::default();
        let mut from = 0;
        for until in &ends {
            let rows = &members[from as usize..*until as usize];
            from = *until;
            odd.push(!family.resolve(rows, (&spans, &parents), &mut above));
        }
        Self { traces, above, ids, odd }
    }

    /// The id of the trace of the span at `row`.
    pub(crate) fn trace(&self, row: usize) -> Option<&[u8; 16]> {
        self.ids.get(*self.traces.get(row)? as usize)
    }

    /// Whether the rows above the one at `row` are those of [`Self::above`]: whether the file alone tells them.
    pub(crate) fn is_told(&self, row: usize) -> bool {
        let trace = self.traces.get(row).and_then(|trace| self.odd.get(*trace as usize));
        trace.is_some_and(|odd| !odd)
    }

    /// The rows above the one at `row`, the nearest first.
    pub(crate) fn above(&self, row: usize) -> impl Iterator<Item = usize> {
        let next = |row: &usize| {
            let above = *self.above.get(*row)?;
            (above != NONE).then_some(above as usize)
        };
        std::iter::successors(Some(row), next).skip(1)
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        (self.traces.capacity() + self.above.capacity()) * 4 + self.ids.capacity() * 17
    }
}

impl Ids {
    /// Adds the traces of a row group; `known` are those of the ones before. `false` where they are no dictionary.
    async fn read_traces(
        &mut self,
        open: &Open<'_>,
        (metadata, group): (&ParquetMetaData, usize),
        known: &mut HashMap<[u8; 16], u32>,
    ) -> Result<bool> {
        let row_group = metadata.row_group(group);
        let rows = usize::try_from(row_group.num_rows()).unwrap_or(usize::MAX);
        let mut chunks = row_group.columns().iter();
        let Some(chunk) = chunks.find(|chunk| chunk.column_path().string() == c::TRACE_ID) else {
            return Ok(false);
        };
        if chunk.dictionary_page_offset().is_none() {
            return Ok(false);
        }
        let (start, length) = chunk.byte_range();
        let bytes = open()?.get_bytes(start..start.saturating_add(length)).await?;
        let Some((values, keys)) = pages::keys(bytes, chunk, rows)? else { return Ok(false) };
        let Some(values) = values.as_fixed_size_binary_opt() else { return Ok(false) };
        let mut numbers = Vec::with_capacity(values.len());
        for value in values.iter().flatten() {
            let Ok(id) = <[u8; 16]>::try_from(value) else { return Ok(false) };
            let next = u32::try_from(self.ids.len()).unwrap_or(NONE);
            let number = *known.entry(id).or_insert(next);
            if number == next {
                self.ids.push(id);
            }
            numbers.push(number);
        }
        self.traces.reserve_exact(rows);
        self.traces.extend(keys.into_iter().map(|key| numbers[key as usize]));
        Ok(true)
    }

    async fn read_spans(
        &mut self,
        open: &Open<'_>,
        (metadata, group): (&Arc<ParquetMetaData>, usize),
    ) -> Result<()> {
        let schema = metadata.file_metadata().schema_descr();
        let roots = schema.root_schema().get_fields().iter().enumerate();
        let wanted =
            roots.filter(|(_, field)| [c::SPAN_ID, c::PARENT_SPAN_ID].contains(&field.name()));
        let mask = ProjectionMask::roots(schema, wanted.map(|(root, _)| root));
        let read = ArrowReaderMetadata::try_new(Arc::clone(metadata), ArrowReaderOptions::new())?;
        let reader: Box<dyn AsyncFileReader> = open()?;
        let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, read)
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(1 << 16)
            .build()?;
        while let Some(batch) = batches.try_next().await? {
            let ids = |name: &str| {
                let column = batch.column_by_name(name)?;
                column.as_fixed_size_binary_opt().filter(|ids| ids.value_length() == 8)
            };
            if let Some(spans) = ids(c::SPAN_ID) {
                self.spans.extend(numbers(spans));
            }
            match ids(c::PARENT_SPAN_ID) {
                Some(parents) => self.parents.extend(numbers(parents)),
                // A file of roots only lacks the column.
                None => self.parents.resize(self.spans.len(), 0),
            }
        }
        Ok(())
    }
}

/// Ids as numbers, 0 where there is none.
fn numbers(ids: &FixedSizeBinaryArray) -> impl Iterator<Item = u64> {
    ids.iter().map(|id| id.and_then(|id| id.first_chunk()).map_or(0, |id| u64::from_be_bytes(*id)))
}

/// All rows by trace, and where each trace ends.
fn group(traces: &[u32], count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut ends = vec![0u32; count];
    traces.iter().for_each(|trace| ends[*trace as usize] += 1);
    let mut place = 0;
    for end in &mut ends {
        place += std::mem::replace(end, place);
    }
    let mut rows = vec![0; traces.len()];
    for (row, trace) in (0u32..).zip(traces) {
        let end = &mut ends[*trace as usize];
        rows[*end as usize] = row;
        *end += 1;
    }
    (rows, ends)
}

/// The spans of one trace; its memory serves one after the other.
#[derive(Default)]
struct Family {
    /// Span ids with their places in the trace, sorted.
    by_id: Vec<(u64, u32)>,
    /// By place that of the parent, or [`NONE`].
    above: Vec<u32>,
    /// By place whether its way up was gone to the top.
    seen: Vec<bool>,
    way: Vec<u32>,
}

impl Family {
    /// Finds who stands above the spans at `rows`; `false` where that is not told.
    fn resolve(
        &mut self,
        rows: &[u32],
        (spans, parents): (&[u64], &[u64]),
        above: &mut [u32],
    ) -> bool {
        self.by_id.clear();
        self.by_id.extend(rows.iter().zip(0u32..).map(|(row, own)| (spans[*row as usize], own)));
        self.by_id.sort_unstable();
        if self.by_id.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return false;
        }
        self.above.clear();
        for row in rows {
            let parent = parents[*row as usize];
            if parent == 0 {
                self.above.push(NONE);
                continue;
            }
            let Ok(place) = self.by_id.binary_search_by_key(&parent, |(id, _)| *id) else {
                return false;
            };
            self.above.push(self.by_id[place].1);
        }
        if self.has_circle() {
            return false;
        }
        for (row, own) in rows.iter().zip(&self.above) {
            above[*row as usize] = rows.get(*own as usize).copied().unwrap_or(NONE);
        }
        true
    }

    fn has_circle(&mut self) -> bool {
        self.seen.clear();
        self.seen.resize(self.above.len(), false);
        for start in 0u32.. {
            if start as usize >= self.above.len() {
                break;
            }
            self.way.clear();
            let mut at = start;
            while at != NONE && !self.seen[at as usize] {
                self.way.push(at);
                if self.way.len() > self.above.len() {
                    return true;
                }
                at = self.above[at as usize];
            }
            self.way.iter().for_each(|at| self.seen[*at as usize] = true);
        }
        false
    }
}

/// Shapes of the files that were asked last, by path, in bounded memory.
#[derive(Debug)]
pub(crate) struct Shapes {
    held: Mutex<Vec<(String, Arc<Shape>)>>,
    pub(crate) account: Account,
}

impl Default for Shapes {
    fn default() -> Self {
        Self { held: Mutex::default(), account: Account::of("shapes", SHAPES) }
    }
}

impl Shapes {
    /// That of the file at `path`.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<Shape>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.account.count(held.iter().position(|(own, _)| own == path))?;
        let found = held.remove(place);
        let shape = Arc::clone(&found.1);
        held.push(found);
        Some(shape)
    }

    /// Keeps it, and lets go of what was not asked for longest.
    pub(crate) fn put(&self, path: &str, shape: &Arc<Shape>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(own, _)| own != path);
        held.push((path.to_owned(), Arc::clone(shape)));
        let mut bytes: usize = held.iter().map(|(_, shape)| shape.bytes()).sum();
        while bytes > self.account.bytes_max() {
            bytes -= held.remove(0).1.bytes();
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(_, shape)| shape.bytes()).sum()
    }
}

#[cfg(test)]
mod tests;
