//! Counts the attributes that lie in the JSON of a batch that came from a file, as decoders count them for new spans.
use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;

use crate::batch::RestCount;
use crate::flush::members;
use crate::schema::{AttributeColumns, AttributeScope, AttributeType, column};

type Counts = BTreeMap<(AttributeScope, String, AttributeType), u64>;

/// Attributes outside a column of their type. `columns` are the table's; a column that `batch` lacks does not count.
pub(crate) fn count(batch: &RecordBatch, columns: &AttributeColumns) -> Vec<RestCount> {
    let mut counts = Counts::new();
    if let Some(json) = batch.column_by_name(column::ATTRIBUTES) {
        for json in json.as_string::<i32>().iter().flatten() {
            add(&mut counts, AttributeScope::Span, json, 1);
        }
    }
    if let Some(resources) = batch.column_by_name(column::RESOURCE) {
        let resources = resources.as_dictionary::<Int32Type>();
        let json: &StringArray = resources.values().as_string::<i32>();
        let mut spans = vec![0u64; json.len()];
        for key in resources.keys().iter().flatten() {
            spans[usize::try_from(key).unwrap_or(0)] += 1;
        }
        for (json, spans) in json.iter().zip(spans).filter(|(_, spans)| *spans > 0) {
            add(&mut counts, AttributeScope::Resource, json.unwrap_or("{}"), spans);
        }
    }
    let in_column = |scope, key: &str, kind| {
        columns.find(scope, key).is_some_and(|(_, column)| {
            column.kind == kind && batch.column_by_name(&column.column).is_some()
        })
    };
    counts
        .into_iter()
        // The JSON of a resource is complete: it repeats what columns hold.
        .filter(|((scope, key, kind), _)| {
            *scope == AttributeScope::Span || !in_column(*scope, key, *kind)
        })
        .map(|((scope, key, kind), spans)| RestCount { scope, key, kind, spans })
        .collect()
}

fn add(counts: &mut Counts, scope: AttributeScope, json: &str, spans: u64) {
    for (key, value) in members(json) {
        let Some(kind) = kind_of(value) else { continue };
        // A key that cannot be read names nothing that anybody could ask for.
        let Ok(key) = serde_json::from_str::<String>(key) else { continue };
        *counts.entry((scope, key, kind)).or_default() += spans;
    }
}

/// The column type of a JSON value, as decoders write them; `None` for what has no column.
fn kind_of(value: &str) -> Option<AttributeType> {
    match value.bytes().next()? {
        b'"' => Some(AttributeType::String),
        b't' | b'f' => Some(AttributeType::Bool),
        b'-' | b'0'..=b'9' if value.contains(['.', 'e', 'E']) => Some(AttributeType::Double),
        b'-' | b'0'..=b'9' => Some(AttributeType::Int),
        _ => None,
    }
}
