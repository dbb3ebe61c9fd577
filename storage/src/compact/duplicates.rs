//! Finds spans that are stored twice: a request that was sent again after its window of recognition, or to another node.
//!
//! Two spans are one where everything that the sender sent is equal. When they were received, and what was found out
//! about their callers and roots, may differ; the one received first stays.
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::error::ArrowError;
use xxhash_rust::xxh3::Xxh3Default;

use crate::batch::SpanBatch;
use crate::schema::column;

/// Columns that the sender did not send.
const OURS: [&str; 5] = [
    column::RECEIVED,
    column::CALLER_SERVICE,
    column::CALLER_NAME,
    column::ROOT_SERVICE,
    column::ROOT_NAME,
];

/// `batches` without the later of equal spans, and how many those were.
///
/// # Errors
/// Arrow cannot filter a batch.
pub(crate) fn drop_duplicates(
    batches: Vec<Arc<SpanBatch>>,
) -> Result<(Vec<Arc<SpanBatch>>, u64), ArrowError> {
    let mut doubled = doubled(&batches);
    if doubled.is_empty() {
        return Ok((batches, 0));
    }
    doubled.sort_unstable();
    doubled.dedup();
    let mut kept = Vec::with_capacity(batches.len());
    for (number, batch) in batches.into_iter().enumerate() {
        let rows: Vec<usize> =
            doubled.iter().filter(|(of, _)| *of == number).map(|(_, row)| *row).collect();
        if rows.is_empty() {
            kept.push(batch);
            continue;
        }
        let mut keep = vec![true; batch.rows()];
        rows.iter().for_each(|row| keep[*row] = false);
        let records = filter_record_batch(batch.records(), &BooleanArray::from(keep))?;
        kept.push(Arc::new(SpanBatch::new(records, batch.rest().to_vec())));
    }
    Ok((kept, doubled.len() as u64))
}

/// Batch and row of every span that an earlier received one equals.
fn doubled(batches: &[Arc<SpanBatch>]) -> Vec<(usize, usize)> {
    let mut spans: Vec<(u64, usize, usize)> = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        spans.extend(hashes(batch).into_iter().enumerate().map(|(row, hash)| (hash, number, row)));
    }
    spans.sort_unstable();
    let mut doubled = Vec::new();
    for alike in spans.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
        let mut places: Vec<(usize, usize)> = alike.iter().map(|(_, b, row)| (*b, *row)).collect();
        places.sort_by_key(|(batch, row)| received(&batches[*batch], *row));
        let mut stay: Vec<(usize, usize)> = Vec::new();
        for place in places {
            if stay.iter().any(|other| are_equal(batches, *other, place)) {
                doubled.push(place);
            } else {
                stay.push(place);
            }
        }
    }
    doubled
}

/// For each row a number that equal spans share.
fn hashes(batch: &SpanBatch) -> Vec<u64> {
    let records = batch.records();
    let ids = |name| records.column_by_name(name).map(|ids| ids.as_fixed_size_binary());
    let numbers = |name| records.column_by_name(name).map(|n| n.as_primitive::<Int64Type>());
    let (Some(trace), Some(span), Some(start), Some(duration)) = (
        ids(column::TRACE_ID),
        ids(column::SPAN_ID),
        numbers(column::START),
        numbers(column::DURATION),
    ) else {
        return Vec::new();
    };
    (0..batch.rows())
        .map(|row| {
            let mut hash = Xxh3Default::new();
            hash.update(trace.value(row));
            hash.update(span.value(row));
            hash.update(&start.value(row).to_le_bytes());
            hash.update(&duration.value(row).to_le_bytes());
            hash.digest()
        })
        .collect()
}

fn received(batch: &SpanBatch, row: usize) -> i64 {
    let column = batch.records().column_by_name(column::RECEIVED);
    column.map_or(0, |received| received.as_primitive::<Int64Type>().value(row))
}

fn are_equal(batches: &[Arc<SpanBatch>], a: (usize, usize), b: (usize, usize)) -> bool {
    let (left, right) = (batches[a.0].records(), batches[b.0].records());
    let sent = |name: &&String| !OURS.contains(&name.as_str());
    let (left_schema, right_schema) = (left.schema(), right.schema());
    let names = left_schema.fields().iter().map(|field| field.name());
    let only_right = right_schema
        .fields()
        .iter()
        .map(|field| field.name())
        .filter(|name| left_schema.field_with_name(name).is_err());
    names.chain(only_right).filter(sent).all(|name| {
        match (left.column_by_name(name), right.column_by_name(name)) {
            (Some(left), Some(right)) => is_same(left, a.1, right, b.1),
            (Some(array), None) => is_null(array, a.1),
            (None, Some(array)) => is_null(array, b.1),
            (None, None) => true,
        }
    })
}

fn is_same(left: &ArrayRef, row: usize, right: &ArrayRef, other: usize) -> bool {
    match (is_null(left, row), is_null(right, other)) {
        (true, true) => true,
        (false, false) => match (text(left, row), text(right, other)) {
            (Some(left), Some(right)) => left == right,
            _ => left.slice(row, 1) == right.slice(other, 1),
        },
        _ => false,
    }
}

/// The text of a dictionary's row.
fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    let dictionary = array.as_dictionary_opt::<Int32Type>()?;
    let key = usize::try_from(dictionary.keys().value(row)).ok()?;
    Some(dictionary.values().as_string_opt::<i32>()?.value(key))
}

fn is_null(array: &ArrayRef, row: usize) -> bool {
    match array.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => dictionary.key(row).is_none_or(|key| dictionary.values().is_null(key)),
        None => array.is_null(row),
    }
}
