//! Numbers of a column chunk at some of its rows; pages without such rows are passed over.
use std::ops::Range;
use std::sync::Arc;

use datafusion::common::Result;
use parquet::basic::Type;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::Int64Type;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::pages::Chunk;
use super::reader::Reader;

/// Between rows that are nearer than this, the numbers are decoded and let go: to skip them costs more.
const GAP_ROWS_MAX: usize = 1_024;

/// The numbers at `ranges`, which rise, of the chunk `column` of a row group. `None` where it has nulls or other values.
///
/// # Errors
/// The chunk is damaged, or cannot be read.
pub(super) async fn read(
    reader: &mut Reader,
    metadata: &ParquetMetaData,
    (row_group, column): (usize, usize),
    ranges: &[Range<usize>],
) -> Result<Option<Vec<i64>>> {
    let chunk = metadata.row_group(row_group).column(column);
    if !is_plain(chunk) {
        return Ok(None);
    }
    if ranges.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let Ok(rows) = usize::try_from(metadata.row_group(row_group).num_rows()) else {
        return Ok(None);
    };
    let runs: Vec<Range<usize>> = runs(ranges).map(extent).collect();
    let needed = places(metadata, (row_group, column)).and_then(|all| needed(all, chunk, &runs));
    let (bytes, places) = match needed {
        Some((bytes, places)) => (bytes, Some(places)),
        None => {
            let (start, length) = chunk.byte_range();
            (start..start.saturating_add(length), None)
        }
    };
    let start = bytes.start;
    let bytes = Chunk { bytes: reader.get_bytes(bytes).await?, start };
    let pages = SerializedPageReader::new(Arc::new(bytes), chunk, rows, places)?;
    let pages = ColumnReaderImpl::new(chunk.column_descr_ptr(), Box::new(pages));
    decode(pages, ranges)
}

/// Ranges that are decoded in one go.
fn runs(ranges: &[Range<usize>]) -> impl Iterator<Item = &[Range<usize>]> {
    ranges.chunk_by(|a, b| b.start.saturating_sub(a.end) < GAP_ROWS_MAX)
}

/// From the first row of `near` to its last.
fn extent(near: &[Range<usize>]) -> Range<usize> {
    let ends = near.first().zip(near.last());
    ends.map_or(0..0, |(first, last)| first.start..last.end)
}

fn decode(
    mut pages: ColumnReaderImpl<Int64Type>,
    ranges: &[Range<usize>],
) -> Result<Option<Vec<i64>>> {
    let wanted: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    let (mut values, mut run, mut at) = (Vec::with_capacity(wanted), Vec::new(), 0);
    for near in runs(ranges) {
        let Range { start, end } = extent(near);
        pages.skip_records(start.saturating_sub(at))?;
        run.clear();
        // One call reads no further than to the end of a page.
        while run.len() < end - start {
            if pages.read_records(end - start - run.len(), None, None, &mut run)?.0 == 0 {
                return Ok(None);
            }
        }
        let own = near.iter().map(|range| &run[range.start - start..range.end - start]);
        own.for_each(|own| values.extend_from_slice(own));
        at = end;
    }
    Ok(Some(values))
}

fn places(
    metadata: &ParquetMetaData,
    (row_group, column): (usize, usize),
) -> Option<&[PageLocation]> {
    let places = metadata.offset_index()?.get(row_group)?.get(column)?.page_locations();
    Some(places.as_slice())
}

/// Where the pages with some of `ranges` lie, and the places of pages for a reader: of others that follow one another, the
/// first stands for all. It is passed over and never read.
fn needed(
    all: &[PageLocation],
    chunk: &ColumnChunkMetaData,
    ranges: &[Range<usize>],
) -> Option<(Range<u64>, Vec<PageLocation>)> {
    let (start, length) = chunk.byte_range();
    // Otherwise the reader takes what lies before for a dictionary.
    if u64::try_from(all.first()?.offset) != Ok(start) {
        return None;
    }
    let (mut bytes, mut places) = (None::<Range<u64>>, Vec::new());
    let mut was_needed = true;
    for (number, place) in all.iter().enumerate() {
        let next = all.get(number + 1);
        let first = usize::try_from(place.first_row_index).ok()?;
        let end = match next {
            Some(next) => usize::try_from(next.first_row_index).ok()?,
            None => usize::MAX,
        };
        let after = ranges.partition_point(|range| range.end <= first);
        let is_needed = ranges.get(after).is_some_and(|range| range.start < end);
        if is_needed {
            let from = u64::try_from(place.offset).ok()?;
            let until = match next {
                Some(next) => u64::try_from(next.offset).ok()?,
                None => start.saturating_add(length),
            };
            bytes = Some(bytes.map_or(from, |bytes| bytes.start)..until);
        }
        if is_needed || was_needed {
            places.push(place.clone());
        }
        was_needed = is_needed;
    }
    Some((bytes?, places))
}

fn is_plain(chunk: &ColumnChunkMetaData) -> bool {
    let descriptor = chunk.column_descr();
    descriptor.physical_type() == Type::INT64
        && descriptor.max_rep_level() == 0
        && descriptor.max_def_level() == 0
}

/// Rows of a page, and bounds of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) rows: Range<usize>,
    pub(super) low: i64,
    pub(super) high: i64,
}

/// The pages of a chunk of numbers, by what the page index says; `None` where it says nothing.
pub(super) fn pages(
    metadata: &ParquetMetaData,
    (row_group, column): (usize, usize),
) -> Option<Vec<Page>> {
    let ColumnIndexMetaData::INT64(bounds) =
        metadata.column_index()?.get(row_group)?.get(column)?
    else {
        return None;
    };
    let rows = usize::try_from(metadata.row_group(row_group).num_rows()).ok()?;
    let places = places(metadata, (row_group, column))?;
    let firsts: Option<Vec<usize>> =
        places.iter().map(|place| usize::try_from(place.first_row_index).ok()).collect();
    let firsts = firsts?;
    let ends = firsts.iter().skip(1).copied().chain([rows]);
    let bounds = bounds.min_values().iter().zip(bounds.max_values());
    let pages: Vec<Page> = firsts
        .iter()
        .zip(ends)
        .zip(bounds)
        .map(|((first, end), (low, high))| Page { rows: *first..end, low: *low, high: *high })
        .collect();
    (pages.len() == firsts.len()).then_some(pages)
}

#[cfg(test)]
mod tests;
