//! Which rows of a column chunk have one of some values: by the keys of its dictionary, without making the values.
//!
//! A condition on one column is decided once for each value of the dictionary; then the keys of the pages tell the rows.
//! Columns of few values cost nearly nothing so, and a trace id costs its keys: 700,000 rows in about a millisecond.
pub(super) mod runs;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeBinaryArray, StringViewArray};
use arrow::buffer::Buffer;
use bytes::{Buf, Bytes};
use datafusion::common::Result;
use parquet::basic::{Encoding, PageType, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

use runs::each_run;

/// Which values are wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// By key of the dictionary.
    pub(super) by_key: Vec<bool>,
    /// Rows without a value.
    pub(super) null: bool,
}

/// The bytes of one column chunk, at their place in the file.
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) start: u64,
}

impl Chunk {
    fn behind(&self, offset: u64) -> ParquetResult<Bytes> {
        let outside = || ParquetError::EOF("a page lies outside of its column".into());
        let at = offset.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let at = at.filter(|at| *at <= self.bytes.len()).ok_or_else(outside)?;
        Ok(self.bytes.slice(at..))
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Chunk {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.behind(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let rest = self.behind(start)?;
        if length > rest.len() {
            return Err(ParquetError::EOF("a page lies outside of its column".into()));
        }
        Ok(rest.slice(..length))
    }
}

/// The rows of a chunk (`bytes` are all of it, `rows` as many as its row group has) that `decide` wants, as ranges that
/// rise. `None` where keys do not tell it: some page holds values, or the column is nested, or of another type.
///
/// # Errors
/// The chunk is damaged, or `decide` failed.
pub(super) fn rows(
    bytes: Bytes,
    chunk: &ColumnChunkMetaData,
    rows: usize,
    decide: impl FnOnce(&ArrayRef) -> Result<Wanted>,
) -> Result<Option<Vec<Range<usize>>>> {
    let Some((mut pages, values)) = open(bytes, chunk, rows)? else { return Ok(None) };
    let wanted = decide(&values)?;
    if !wanted.null && !wanted.by_key.contains(&true) && has_only_keys(chunk) {
        return Ok(Some(Vec::new()));
    }
    let mut found = Found::default();
    while let Some(page) = pages.get_next_page()? {
        let keys = Keys::of(&page, chunk.column_descr());
        let read = keys.and_then(|keys| keys.read(&wanted, &mut found));
        if read.is_none() {
            return Ok(None);
        }
    }
    Ok((found.next == rows).then_some(found.ranges))
}

/// True where the dictionary has certainly all values: a writer whose dictionary grows too large goes on without.
pub(super) fn has_only_keys(chunk: &ColumnChunkMetaData) -> bool {
    let is_keys =
        |it: Encoding| matches!(it, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    if let Some(pages) = chunk.page_encoding_stats() {
        let of_data = [PageType::DATA_PAGE, PageType::DATA_PAGE_V2];
        let mut pages = pages.iter().filter(|pages| of_data.contains(&pages.page_type));
        return pages.all(|pages| pages.count == 0 || is_keys(pages.encoding));
    }
    chunk.page_encoding_stats_mask().is_some_and(|mask| mask.encodings().all(is_keys))
}

/// How many rows of a chunk have which value.
#[derive(Debug)]
pub(super) struct Counts {
    /// Those of the dictionary.
    pub(super) values: ArrayRef,
    /// By key of the dictionary.
    pub(super) by_key: Vec<i64>,
    /// Rows without a value.
    pub(super) nulls: i64,
}

/// Counts the rows of a chunk by value; `None` as for [`rows`].
///
/// # Errors
/// The chunk is damaged.
pub(super) fn counts(
    bytes: Bytes,
    chunk: &ColumnChunkMetaData,
    rows: usize,
) -> Result<Option<Counts>> {
    let Some((mut pages, values)) = open(bytes, chunk, rows)? else { return Ok(None) };
    let (mut by_key, mut counted, mut all) = (vec![0; values.len()], 0, 0);
    while let Some(page) = pages.get_next_page()? {
        let keys = Keys::of(&page, chunk.column_descr());
        let read = keys.and_then(|keys| {
            all += keys.rows;
            keys.each(keys.present()?, |key, rows| {
                *by_key.get_mut(key as usize)? += i64::try_from(rows).ok()?;
                counted += rows;
                Some(())
            })
        });
        if read.is_none() {
            return Ok(None);
        }
    }
    let nulls = i64::try_from(rows - counted.min(rows)).unwrap_or(i64::MAX);
    Ok((all == rows).then_some(Counts { values, by_key, nulls }))
}

/// The value of each row of a chunk without nulls, as a key of its dictionary; `None` as for [`rows`].
///
/// # Errors
/// The chunk is damaged.
pub(super) fn keys(
    bytes: Bytes,
    chunk: &ColumnChunkMetaData,
    rows: usize,
) -> Result<Option<(ArrayRef, Vec<u32>)>> {
    let Some((mut pages, values)) = open(bytes, chunk, rows)? else { return Ok(None) };
    let known = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let mut by_row = Vec::with_capacity(rows);
    while let Some(page) = pages.get_next_page()? {
        let keys = Keys::of(&page, chunk.column_descr()).filter(|keys| keys.levels.is_none());
        let read = keys.and_then(|keys| {
            keys.each(keys.rows, |key, rows| {
                by_row.resize(by_row.len() + rows, key);
                (key < known).then_some(())
            })
        });
        if read.is_none() {
            return Ok(None);
        }
    }
    Ok((by_row.len() == rows).then_some((values, by_row)))
}

/// The values of a chunk by runs of rows.
#[derive(Debug)]
pub(super) struct KeyRuns {
    /// Those of the dictionary.
    pub(super) values: ArrayRef,
    /// By run its key, which is the number of values where rows have none, and the row behind its last.
    pub(super) runs: Vec<(u32, usize)>,
}

impl KeyRuns {
    /// Appends rows of one key.
    #[inline]
    fn push(&mut self, key: u32, rows: usize) {
        match self.runs.last_mut() {
            Some((last, end)) if *last == key => *end += rows,
            _ => self.runs.push((key, self.rows() + rows)),
        }
    }

    fn rows(&self) -> usize {
        self.runs.last().map_or(0, |(_, end)| *end)
    }

    /// Appends those of a page; `None` where the bytes are no such page.
    fn read(&mut self, page: &Keys) -> Option<()> {
        let null = u32::try_from(self.values.len()).ok()?;
        let Some(levels) = page.levels else {
            return page.each(page.rows, |key, rows| {
                self.push(key, rows);
                (key < null).then_some(())
            });
        };
        let present = page.present()?;
        let mut keys = Vec::with_capacity(present);
        page.each(present, |key, rows| {
            keys.resize(keys.len() + rows, key);
            (key < null).then_some(())
        })?;
        let mut keys = keys.into_iter();
        each_run(levels, 1, page.rows, |level, rows| {
            if level == 0 {
                self.push(null, rows);
                return Some(());
            }
            for _ in 0..rows {
                self.push(keys.next()?, 1);
            }
            Some(())
        })
    }
}

/// The values of a chunk by runs of rows; `None` as for [`rows`].
///
/// # Errors
/// The chunk is damaged.
pub(super) fn key_runs(
    bytes: Bytes,
    chunk: &ColumnChunkMetaData,
    rows: usize,
) -> Result<Option<KeyRuns>> {
    let Some((mut pages, values)) = open(bytes, chunk, rows)? else { return Ok(None) };
    let mut all = KeyRuns { values, runs: Vec::new() };
    while let Some(page) = pages.get_next_page()? {
        let keys = Keys::of(&page, chunk.column_descr());
        if keys.and_then(|keys| all.read(&keys)).is_none() {
            return Ok(None);
        }
    }
    Ok((all.rows() == rows).then_some(all))
}

/// The pages of keys, and the dictionary before them.
type Opened = (SerializedPageReader<Chunk>, ArrayRef);

fn open(bytes: Bytes, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Option<Opened>> {
    let descriptor = chunk.column_descr();
    if descriptor.max_rep_level() > 0 || descriptor.max_def_level() > 1 {
        return Ok(None);
    }
    let (start, _) = chunk.byte_range();
    let mut pages = SerializedPageReader::new(Arc::new(Chunk { bytes, start }), chunk, rows, None)?;
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else {
        return Ok(None);
    };
    Ok(values(descriptor, buf, num_values as usize).map(|values| (pages, values)))
}

/// The values of a dictionary, with the type that readers see.
fn values(descriptor: &ColumnDescriptor, buffer: Bytes, count: usize) -> Option<ArrayRef> {
    match (descriptor.physical_type(), descriptor.type_length()) {
        (Type::FIXED_LEN_BYTE_ARRAY, 16) if buffer.len() == count * 16 => {
            let values = FixedSizeBinaryArray::try_new(16, Buffer::from(buffer), None);
            Some(Arc::new(values.ok()?))
        }
        (Type::BYTE_ARRAY, _) => {
            let mut texts = Vec::new();
            let mut rest = &buffer[..];
            for _ in 0..count {
                let (length, behind) = rest.split_first_chunk()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
                let (text, behind) = behind.split_at_checked(length)?;
                texts.push(std::str::from_utf8(text).ok()?);
                rest = behind;
            }
            Some(Arc::new(StringViewArray::from_iter_values(texts)))
        }
        _ => None,
    }
}

/// Ranges of rows found so far.
#[derive(Debug, Default)]
struct Found {
    ranges: Vec<Range<usize>>,
    /// The next row.
    next: usize,
}

impl Found {
    #[inline]
    fn push(&mut self, rows: usize, is_wanted: bool) {
        let from = self.next;
        self.next += rows;
        if !is_wanted || rows == 0 {
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if last.end == from => last.end = self.next,
            _ => self.ranges.push(from..self.next),
        }
    }
}

/// The parts of a page of keys.
struct Keys<'a> {
    rows: usize,
    /// Runs of 1 for rows with a value, 0 for the others; `None` where all have one.
    levels: Option<&'a [u8]>,
    /// Bits of a key, then runs of keys.
    keys: &'a [u8],
}

impl<'a> Keys<'a> {
    /// `None` where the page holds something else.
    fn of(page: &'a Page, descriptor: &ColumnDescriptor) -> Option<Self> {
        // Writers of version 1 name the same encoding otherwise.
        let names = [Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY];
        let is_keys = |encoding: Encoding| names.contains(&encoding);
        let has_levels = descriptor.max_def_level() > 0;
        match page {
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                num_nulls,
                def_levels_byte_len,
                rep_levels_byte_len: 0,
                ..
            } => {
                let (levels, keys) = buf.split_at_checked(*def_levels_byte_len as usize)?;
                let is_known = is_keys(*encoding) || num_nulls == num_values;
                let levels = (has_levels && *num_nulls > 0).then_some(levels);
                is_known.then_some(Self { rows: *num_values as usize, levels, keys })
            }
            Page::DataPage { buf, num_values, encoding, .. } if is_keys(*encoding) => {
                let rows = *num_values as usize;
                if !has_levels {
                    return Some(Self { rows, levels: None, keys: buf });
                }
                let (length, behind) = buf.split_first_chunk()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
                let (levels, keys) = behind.split_at_checked(length)?;
                Some(Self { rows, levels: Some(levels), keys })
            }
            _ => None,
        }
    }

    /// Adds the wanted rows; `None` where the bytes are no such page.
    fn read(&self, wanted: &Wanted, found: &mut Found) -> Option<()> {
        let is_wanted = |key: u32| wanted.by_key.get(key as usize).copied();
        let Some(levels) = self.levels else {
            return self.each(self.rows, |key, rows| {
                found.push(rows, is_wanted(key)?);
                Some(())
            });
        };
        let present = self.present()?;
        let mut values = Vec::with_capacity(present);
        self.each(present, |key, rows| {
            values.resize(values.len() + rows, is_wanted(key)?);
            Some(())
        })?;
        let mut values = values.into_iter();
        each_run(levels, 1, self.rows, |level, rows| {
            if level == 0 {
                found.push(rows, wanted.null);
                return Some(());
            }
            for _ in 0..rows {
                found.push(1, values.next()?);
            }
            Some(())
        })
    }

    /// Rows with a value.
    fn present(&self) -> Option<usize> {
        let Some(levels) = self.levels else { return Some(self.rows) };
        let mut present = 0;
        each_run(levels, 1, self.rows, |level, rows| {
            present += if level == 1 { rows } else { 0 };
            Some(())
        })?;
        Some(present)
    }

    fn each(&self, count: usize, visit: impl FnMut(u32, usize) -> Option<()>) -> Option<()> {
        if count == 0 {
            return Some(());
        }
        let (width, runs) = self.keys.split_first()?;
        each_run(runs, *width, count, visit)
    }
}

#[cfg(test)]
mod tests;
