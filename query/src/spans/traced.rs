//! Which rows of a row group are of some traces.
//!
//! The dictionary of trace ids is looked at first, and stays in memory: a row group without the traces (one of many in a
//! compacted file) costs no more than that. Otherwise the keys of all rows tell the rows, a few of a million.
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use parquet::basic::Type;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use storage::TraceId;
use storage::schema::column as c;

use super::pages::{has_only_keys, runs};
use super::pick::dictionaries::Dictionaries;
use super::pick::dictionary;
use super::pick::page::{Memory, Page, Values, with_memory};
use super::reader::Reader;
use super::select::chunk_of;

const ID_BYTES: usize = 16;

/// The rows of `traces` in a row group of the file at the path, rising; `None` where keys do not tell them.
///
/// # Errors
/// The file is damaged, or cannot be read.
pub(super) async fn rows(
    reader: &mut Reader,
    row_group: &RowGroupMetaData,
    (path, dictionaries): (&Arc<str>, &Dictionaries),
    traces: &[TraceId],
) -> Result<Option<Vec<usize>>> {
    let Some((_, chunk)) = chunk_of(row_group, c::TRACE_ID) else { return Ok(Some(Vec::new())) };
    let Some(place) = dictionary(chunk).filter(|_| is_of_ids(chunk)) else { return Ok(None) };
    let ids = match dictionaries.find(path, place.start) {
        Some(ids) => ids,
        None => {
            let Some(ids) = read_ids(reader, chunk, place.clone()).await? else { return Ok(None) };
            dictionaries.put(path, place.start, &ids);
            ids
        }
    };
    let wanted = keys_of(&ids, traces);
    if wanted.is_empty() && has_only_keys(chunk) {
        return Ok(Some(Vec::new()));
    }
    let (start, length) = chunk.byte_range();
    let pages = reader.get_bytes(place.end..start.saturating_add(length)).await?;
    let found = with_memory(|memory| rows_of(&pages, chunk, &wanted, memory))?;
    let all = usize::try_from(row_group.num_rows()).unwrap_or(usize::MAX);
    Ok(found.filter(|(_, count)| *count == all).map(|(rows, _)| rows))
}

fn is_of_ids(chunk: &ColumnChunkMetaData) -> bool {
    let column = chunk.column_descr();
    column.physical_type() == Type::FIXED_LEN_BYTE_ARRAY
        && usize::try_from(column.type_length()) == Ok(ID_BYTES)
        && column.max_rep_level() == 0
}

/// The ids of a dictionary, one behind the other.
async fn read_ids(
    reader: &mut Reader,
    chunk: &ColumnChunkMetaData,
    place: Range<u64>,
) -> Result<Option<Bytes>> {
    let page = reader.get_bytes(place).await?;
    let Some(page) = Page::of(&page).filter(|page| page.data.is_none()) else { return Ok(None) };
    with_memory(|memory| {
        Ok(Some(Bytes::copy_from_slice(page.values(chunk.compression(), memory)?)))
    })
}

/// The keys of `traces`, rising.
fn keys_of(ids: &[u8], traces: &[TraceId]) -> Vec<u32> {
    let keys = (0..).zip(ids.chunks_exact(ID_BYTES));
    match traces {
        [trace] => keys.filter(|(_, id)| *id == trace.0).map(|(key, _)| key).collect(),
        _ => {
            let traces: HashSet<&[u8]> = traces.iter().map(|trace| trace.0.as_slice()).collect();
            keys.filter(|(_, id)| traces.contains(id)).map(|(key, _)| key).collect()
        }
    }
}

/// The rows with one of the keys `wanted`, and how many rows the pages have.
fn rows_of(
    mut pages: &[u8],
    chunk: &ColumnChunkMetaData,
    wanted: &[u32],
    memory: &mut Memory,
) -> Result<Option<(Vec<usize>, usize)>> {
    let (mut found, mut first) = (Vec::new(), 0);
    while !pages.is_empty() {
        let Some(page) = Page::of(pages) else { return Ok(None) };
        pages = pages.get(page.bytes..).unwrap_or_default();
        let Some(data) = page.data.filter(|it| it.values == Values::Keys && it.nulls == 0) else {
            return Ok(None);
        };
        let keys = page.values(chunk.compression(), memory)?;
        let Some((width, keys)) = keys.split_first() else { return Ok(None) };
        let (count, add) = (data.entries, |row| found.push(first + row));
        let read = match wanted {
            [wanted] => runs::matching(keys, *width, count, |key| key == *wanted, add),
            _ => {
                let is_wanted = |key: u32| wanted.binary_search(&key).is_ok();
                runs::matching(keys, *width, count, is_wanted, add)
            }
        };
        if read.is_none() {
            return Ok(None);
        }
        first += count;
    }
    Ok(Some((found, first)))
}

#[cfg(test)]
mod tests;
