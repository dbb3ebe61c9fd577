//! Numbers of a column chunk at some of its rows; pages without such rows are passed over.
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use parquet::basic::{Compression, Type};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::Int64Type;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::pages::Chunk;
use super::pick::deltas;
use super::pick::page::{self, Memory, Values};
use super::reader::Reader;
use super::select::{common, length};

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
    let read = read_all(reader, metadata, (row_group, &[column]), ranges).await?;
    Ok(read.and_then(|columns| columns.into_iter().next()))
}

/// The same of several chunks, which are fetched together.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_all(
    reader: &mut Reader,
    metadata: &ParquetMetaData,
    (row_group, columns): (usize, &[usize]),
    ranges: &[Range<usize>],
) -> Result<Option<Vec<Vec<i64>>>> {
    let (mut needed, mut fetched) = (Vec::new(), Vec::new());
    for column in columns {
        let place = (row_group, *column);
        if !is_plain(metadata.row_group(row_group).column(*column)) {
            return Ok(None);
        }
        let own = Needed::of(metadata, place, ranges);
        if let Some(own) = own.as_ref().filter(|own| !own.pages.is_empty()) {
            fetched.push(own.bytes.clone());
        }
        needed.push((place, own));
    }
    let fetched =
        if fetched.is_empty() { Vec::new() } else { reader.get_byte_ranges(fetched).await? };
    let mut fetched = fetched.into_iter();
    let mut read = Vec::with_capacity(needed.len());
    for (place, own) in needed {
        let decoded = match own {
            None => None,
            Some(own) => {
                let bytes = if own.pages.is_empty() { None } else { fetched.next() };
                let bytes = bytes.unwrap_or_default();
                page::with_memory(|memory| own.decode(&bytes, ranges, memory))?
            }
        };
        let decoded = match decoded {
            Some(numbers) => Some(numbers),
            None => otherwise(reader, metadata, place, ranges).await?,
        };
        match decoded {
            Some(numbers) => read.push(numbers),
            None => return Ok(None),
        }
    }
    Ok(Some(read))
}

/// The same by the stock reader, which knows all encodings.
async fn otherwise(
    reader: &mut Reader,
    metadata: &ParquetMetaData,
    (row_group, column): (usize, usize),
    ranges: &[Range<usize>],
) -> Result<Option<Vec<i64>>> {
    let chunk = metadata.row_group(row_group).column(column);
    let Ok(rows) = usize::try_from(metadata.row_group(row_group).num_rows()) else {
        return Ok(None);
    };
    let (start, length) = chunk.byte_range();
    let bytes = reader.get_bytes(start..start.saturating_add(length)).await?;
    let pages = SerializedPageReader::new(Arc::new(Chunk { bytes, start }), chunk, rows, None)?;
    let mut pages = ColumnReaderImpl::<Int64Type>::new(chunk.column_descr_ptr(), Box::new(pages));
    let (mut numbers, mut at) = (Vec::new(), 0);
    for range in ranges {
        pages.skip_records(range.start.saturating_sub(at))?;
        let mut left = range.len();
        // One call reads no further than to the end of a page.
        while left > 0 {
            match pages.read_records(left, None, None, &mut numbers)?.0 {
                0 => return Ok(None),
                read => left = left.saturating_sub(read),
            }
        }
        at = range.end;
    }
    Ok(Some(numbers))
}

/// The pages of a chunk that have some of the wanted rows.
#[derive(Debug, PartialEq, Eq)]
struct Needed {
    /// Where they lie, from the first to the last.
    bytes: Range<u64>,
    /// By page, where it lies within these, and its rows.
    pages: Vec<(Range<usize>, Range<usize>)>,
    compression: Compression,
}

impl Needed {
    /// `None` where the chunk has nulls or other values, or its pages are not known.
    fn of(
        metadata: &ParquetMetaData,
        place: (usize, usize),
        ranges: &[Range<usize>],
    ) -> Option<Self> {
        let row_group = metadata.row_group(place.0);
        let chunk = row_group.column(place.1);
        let compression = chunk.compression();
        let is_known = matches!(compression, Compression::ZSTD(_) | Compression::UNCOMPRESSED);
        if !is_known {
            return None;
        }
        let all = places(metadata, place)?;
        let mut found: Vec<(Range<u64>, Range<usize>)> = Vec::new();
        for (number, page) in all.iter().enumerate() {
            let first = usize::try_from(page.first_row_index).ok()?;
            let next =
                all.get(number + 1).map_or(row_group.num_rows(), |next| next.first_row_index);
            let end = usize::try_from(next).ok()?;
            let after = ranges.partition_point(|range| range.end <= first);
            if ranges.get(after).is_some_and(|range| range.start < end) {
                let from = u64::try_from(page.offset).ok()?;
                let until = from.checked_add(u64::try_from(page.compressed_page_size).ok()?)?;
                found.push((from..until, first..end));
            }
        }
        let begin = found.first().map_or(0, |(bytes, _)| bytes.start);
        let end = found.last().map_or(0, |(bytes, _)| bytes.end);
        let within = |bytes: &Range<u64>| {
            let at = |offset: u64| usize::try_from(offset.checked_sub(begin)?).ok();
            Some(at(bytes.start)?..at(bytes.end)?)
        };
        let pages: Option<Vec<_>> =
            found.into_iter().map(|(bytes, rows)| Some((within(&bytes)?, rows))).collect();
        Some(Self { bytes: begin..end, pages: pages?, compression })
    }

    /// Hands the numbers at `ranges` to `visit`, page by page; `bytes` are those of the pages. `None` where a page holds
    /// something else.
    fn each(
        &self,
        bytes: &Bytes,
        ranges: &[Range<usize>],
        memory: &mut Memory,
        mut visit: impl FnMut(&[i64]),
    ) -> Result<Option<()>> {
        let mut numbers = Vec::new();
        for (place, rows) in &self.pages {
            let own = common(ranges, std::slice::from_ref(rows));
            let Some(last) = own.last().map(|range| range.end - rows.start) else { continue };
            let page = bytes.get(place.clone()).ok_or_else(|| page::damaged("a column"))?;
            let Some(page) = page::Page::of(page) else { return Ok(None) };
            let Some(data) = page.data.filter(|data| data.nulls == 0 && data.entries >= last)
            else {
                return Ok(None);
            };
            let values = page.values(self.compression, memory)?;
            numbers.clear();
            if first(data.values, values, last, &mut numbers).is_none() {
                return Ok(None);
            }
            let own = own.iter().map(|own| own.start - rows.start..own.end - rows.start);
            for own in own {
                match numbers.get(own) {
                    Some(own) => visit(own),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(()))
    }

    /// The numbers at `ranges`; `None` as for [`Self::each`].
    fn decode(
        &self,
        bytes: &Bytes,
        ranges: &[Range<usize>],
        memory: &mut Memory,
    ) -> Result<Option<Vec<i64>>> {
        let wanted = length(ranges);
        let mut numbers = Vec::with_capacity(wanted);
        let read = self.each(bytes, ranges, memory, |own| numbers.extend_from_slice(own))?;
        Ok(read.filter(|()| numbers.len() == wanted).map(|()| numbers))
    }
}

/// How many of the numbers at `ranges` of a chunk lie `within`; `None` as for [`read`].
///
/// # Errors
/// As [`read`].
pub(super) async fn count(
    reader: &mut Reader,
    metadata: &ParquetMetaData,
    place: (usize, usize),
    (ranges, within): (&[Range<usize>], &RangeInclusive<i64>),
) -> Result<Option<usize>> {
    let (low, high) = (*within.start(), *within.end());
    let count = |numbers: &[i64]| {
        numbers.iter().filter(|number| (low <= **number) & (**number <= high)).count()
    };
    if let Some(own) = Needed::of(metadata, place, ranges).filter(|own| !own.pages.is_empty()) {
        let bytes = reader.get_bytes(own.bytes.clone()).await?;
        let (mut found, mut seen) = (0, 0);
        let read = page::with_memory(|memory| {
            own.each(&bytes, ranges, memory, |numbers| {
                found += count(numbers);
                seen += numbers.len();
            })
        })?;
        if read.is_some() && seen == length(ranges) {
            return Ok(Some(found));
        }
    }
    Ok(read(reader, metadata, place, ranges).await?.map(|numbers| count(&numbers)))
}

/// Appends the first `count` values of a page to `numbers`.
fn first(kind: Values, bytes: &[u8], count: usize, numbers: &mut Vec<i64>) -> Option<()> {
    match kind {
        Values::Deltas => deltas::first(bytes, count, numbers),
        Values::Plain => {
            let (values, _) = bytes.as_chunks();
            numbers.extend(values.get(..count)?.iter().map(|value| i64::from_le_bytes(*value)));
            Some(())
        }
        Values::Keys | Values::Runs => None,
    }
}

fn places(
    metadata: &ParquetMetaData,
    (row_group, column): (usize, usize),
) -> Option<&[PageLocation]> {
    let places = metadata.offset_index()?.get(row_group)?.get(column)?.page_locations();
    Some(places.as_slice())
}

/// True of whole numbers without nulls.
pub(super) fn is_plain(chunk: &ColumnChunkMetaData) -> bool {
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
