//! Which attributes lie in the JSON of a flush, so that a reader knows which files it must search.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};

use super::lift::members;
use super::texts;
use crate::batch::{self, SpanBatch, Values};
use crate::file::chunk::value::Values as _;
use crate::schema::{AttributeScope, column};

/// Attributes with a value outside a column of their type, sorted.
///
/// Decoders count values of the four column types; lists, maps, bytes and non-finite numbers are looked up in the
/// JSON, which is only searched where a cheap test says that it holds any.
pub(crate) fn keys(batches: &[Arc<SpanBatch>]) -> Vec<(AttributeScope, String)> {
    let mut keys = Keys::new();
    for rest in batches.iter().flat_map(|batch| batch.rest()) {
        let of_scope = keys.entry(rest.scope).or_default();
        if !of_scope.contains(&rest.key) {
            of_scope.insert(rest.key.clone());
        }
    }
    for part in batch::parts(batches, column::ATTRIBUTES) {
        let Some(Values::Array(array)) = part.values else { continue };
        let json = array.as_string::<i32>();
        if may_nest(json) {
            json.iter()
                .flatten()
                .for_each(|json| add_nested(AttributeScope::Span, json, &mut keys));
        }
    }
    let resources = batch::parts(batches, column::RESOURCE);
    texts::with_texts(&resources, None, &mut Vec::new(), |rows, texts| {
        for key in texts::distinct(rows, texts.count()) {
            let json = std::str::from_utf8(texts.get(key)).unwrap_or_default();
            add_nested(AttributeScope::Resource, json, &mut keys);
        }
    });
    let of_scope = |(scope, keys): (AttributeScope, BTreeSet<String>)| {
        keys.into_iter().map(move |key| (scope, key))
    };
    keys.into_iter().flat_map(of_scope).collect()
}

/// By scope.
type Keys = BTreeMap<AttributeScope, BTreeSet<String>>;

/// False where there are no more brackets than the objects' own.
fn may_nest(json: &StringArray) -> bool {
    let opening = json.values().iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    opening > json.len() - json.null_count()
}

fn add_nested(scope: AttributeScope, json: &str, keys: &mut Keys) {
    let known = keys.entry(scope).or_default();
    if nests_nothing_new(json.as_bytes(), known) {
        return;
    }
    for (key, value) in members(json) {
        if value.starts_with(['{', '[']) {
            known.insert(serde_json::from_str(key).unwrap_or_default());
        }
    }
}

/// True where every list or object in `json` is the value of one of the `known` keys, as far as can be seen without reading all
/// of it. Braces and brackets within strings count too; keys with escapes are not known.
fn nests_nothing_new(json: &[u8], known: &BTreeSet<String>) -> bool {
    // The object's own brace comes first.
    let mut from = 1;
    while let Some(place) = next_opening(json, from) {
        if !key_before(json, place).is_some_and(|key| known.contains(key)) {
            return false;
        }
        from = place + 1;
    }
    true
}

/// Where the next brace or bracket opens.
fn next_opening(json: &[u8], from: usize) -> Option<usize> {
    const STEP: usize = 32;
    let is_opening = |byte: &u8| matches!(byte, b'{' | b'[');
    let mut from = from;
    // Without a branch in between, so that the processor looks at many bytes at once.
    while let Some(step) = json.get(from..from + STEP) {
        if step.iter().fold(false, |found, byte| found | is_opening(byte)) {
            break;
        }
        from += STEP;
    }
    Some(from + json.get(from..)?.iter().position(is_opening)?)
}

/// The key whose value begins at `place`, where it is written without escapes.
fn key_before(json: &[u8], place: usize) -> Option<&str> {
    let before = json[..place].strip_suffix(b"\":")?;
    let start = before.iter().rposition(|byte| matches!(byte, b'"' | b'\\'))?;
    let is_key = before[start] == b'"' && start > 0 && matches!(before[start - 1], b'{' | b',');
    let key = is_key.then(|| &before[start + 1..])?;
    std::str::from_utf8(key).ok()
}

#[cfg(test)]
mod tests;
