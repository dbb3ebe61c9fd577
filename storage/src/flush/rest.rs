//! Which attributes lie in the JSON of a flush, so that a reader knows which files it must search.
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::Int32Type;

use super::lift::members;
use crate::batch::SpanBatch;
use crate::schema::{AttributeScope, column};

/// Attributes with a value outside a column of their type, sorted.
///
/// Decoders count values of the four column types; lists, maps, bytes and non-finite numbers are looked up in the
/// JSON, which is only searched where a cheap test says that it holds any.
pub(crate) fn keys(batches: &[Arc<SpanBatch>]) -> Vec<(AttributeScope, String)> {
    let mut keys = BTreeSet::new();
    for batch in batches {
        keys.extend(batch.rest().iter().map(|rest| (rest.scope, rest.key.clone())));
        if let Some(json) = batch.column(column::ATTRIBUTES) {
            add_nested(AttributeScope::Span, json.as_string::<i32>(), &mut keys);
        }
        if let Some(json) = batch.column(column::RESOURCE) {
            let resources = json.as_dictionary::<Int32Type>().values();
            add_nested(AttributeScope::Resource, resources.as_string::<i32>(), &mut keys);
        }
    }
    keys.into_iter().collect()
}

fn add_nested(
    scope: AttributeScope,
    json: &StringArray,
    keys: &mut BTreeSet<(AttributeScope, String)>,
) {
    for json in json.iter().flatten() {
        // The object's own brace comes first; another brace or a bracket is a nested value, or within a string.
        if !json.get(1..).is_some_and(|inner| inner.contains(['{', '['])) {
            continue;
        }
        for (key, value) in members(json) {
            if value.starts_with(['{', '[']) {
                let key = serde_json::from_str(key).unwrap_or_default();
                keys.insert((scope, key));
            }
        }
    }
}
