//! Which rows of a row group are of some traces.
//!
//! The dictionary of trace ids is looked at first, and stays in memory: a row group without the traces (one of many in a
//! compacted file) costs no more than that. Otherwise the keys of all rows tell the rows, a few of a million; they stay in
//! memory, too, as far as there is room.
pub(super) mod keys;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use parquet::basic::Type;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use storage::TraceId;
use storage::schema::column as c;

use self::keys::RowKeys;
use super::pages::{has_only_keys, runs};
use super::pick::dictionaries::Dictionaries;
use super::pick::dictionary;
use super::pick::page::{Memory, Page, Values, with_memory};
use super::reader::Reader;
use super::select::chunk_of;

const ID_BYTES: usize = 16;
/// We write row groups of a quarter of that at most; keys of more rows would take too much memory.
const ROWS_MAX: usize = 1 << 22;

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
            dictionaries.put((path, place.start), ids, false)
        }
    };
    let wanted = keys_of(ids.values(), traces);
    if wanted.is_empty() && has_only_keys(chunk) {
        return Ok(Some(Vec::new()));
    }
    let all = usize::try_from(row_group.num_rows()).unwrap_or(usize::MAX);
    let keys = match dictionaries.find_traces(path, place.end) {
        Some(keys) => keys,
        None if all > ROWS_MAX => return Ok(None),
        None => {
            let (start, length) = chunk.byte_range();
            let pages = reader.get_bytes(place.end..start.saturating_add(length)).await?;
            let read = with_memory(|memory| read_keys(&pages, chunk, (ids.values(), all), memory))?;
            let Some(keys) = read else { return Ok(None) };
            let keys = Arc::new(keys);
            dictionaries.put_traces(path, place.end, &keys);
            keys
        }
    };
    Ok(Some(keys.rows_with(&wanted)))
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

/// The keys of `all` rows, where the pages have them and nothing else.
fn read_keys(
    mut pages: &[u8],
    chunk: &ColumnChunkMetaData,
    (ids, all): (&[u8], usize),
    memory: &mut Memory,
) -> Result<Option<RowKeys>> {
    let mut found = RowKeys::new(all, ids.len() / ID_BYTES);
    while !pages.is_empty() {
        let Some(page) = Page::of(pages) else { return Ok(None) };
        pages = pages.get(page.bytes..).unwrap_or_default();
        let Some(data) = page.data.filter(|it| it.values == Values::Keys && it.nulls == 0) else {
            return Ok(None);
        };
        let keys = page.values(chunk.compression(), memory)?;
        let Some((width, keys)) = keys.split_first() else { return Ok(None) };
        let is_too_many = data.entries > all.saturating_sub(found.rows());
        let add = |key, rows| found.push(key, rows);
        if is_too_many || runs::each_run(keys, *width, data.entries, add).is_none() {
            return Ok(None);
        }
    }
    Ok((found.rows() == all).then_some(found))
}

#[cfg(test)]
mod tests;
