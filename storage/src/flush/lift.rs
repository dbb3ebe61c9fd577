//! Moves attribute values out of the JSON into columns, for batches that were decoded before the column existed.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, DictionaryArray, Float64Builder, Int32Array,
    Int64Builder, StringBuilder, StringDictionaryBuilder,
};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;

use crate::batch::SpanBatch;
use crate::schema::{AttributeColumn, AttributeColumns, AttributeScope, AttributeType, column};

/// `batches`, where those whose JSON holds an attribute of `columns` have it in its column instead.
pub(crate) fn lift(
    batches: &[Arc<SpanBatch>],
    columns: &AttributeColumns,
) -> Result<Arc<[Arc<SpanBatch>]>, ArrowError> {
    batches
        .iter()
        .map(|batch| {
            let missing = missing_columns(batch, columns);
            if missing.is_empty() {
                return Ok(Arc::clone(batch));
            }
            lift_batch(batch, &missing).map(Arc::new)
        })
        .collect()
}

/// Columns whose values lie in the batch's JSON.
fn missing_columns<'a>(
    batch: &SpanBatch,
    columns: &'a AttributeColumns,
) -> Vec<&'a AttributeColumn> {
    let in_json = batch.rest().iter();
    let wanted = in_json.filter_map(|rest| {
        let (_, column) = columns.find(rest.scope, &rest.key)?;
        let absent = !batch.has_column(&column.column);
        (column.kind == rest.kind && absent).then_some(column)
    });
    wanted.collect()
}

fn lift_batch(batch: &SpanBatch, columns: &[&AttributeColumn]) -> Result<SpanBatch, ArrowError> {
    let of_scope = |scope| columns.iter().copied().filter(move |column| column.scope == scope);
    let whole = |name: &str| {
        batch.column(name).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))
    };
    let mut further = Vec::new();
    let mut attributes = whole(column::ATTRIBUTES)?;
    let span_columns: Vec<&AttributeColumn> = of_scope(AttributeScope::Span).collect();
    if !span_columns.is_empty() {
        let (rest, lifted) = lift_spans(&attributes, &span_columns);
        attributes = rest;
        further.extend(span_columns.iter().map(|column| Arc::new(column.field())).zip(lifted));
    }
    for column in of_scope(AttributeScope::Resource) {
        let lifted = lift_resource(&whole(column::RESOURCE)?, column)?;
        further.push((Arc::new(column.field()), lifted));
    }
    let is_lifted = |scope, key: &str, kind| {
        columns
            .iter()
            .any(|column| (column.scope, column.key.as_str(), column.kind) == (scope, key, kind))
    };
    let rest = batch.rest().iter().filter(|rest| !is_lifted(rest.scope, &rest.key, rest.kind));
    Ok(batch.with_columns(attributes, further, rest.cloned().collect()))
}

/// The JSON without the lifted members (null where none is left), and the columns.
fn lift_spans(json: &ArrayRef, columns: &[&AttributeColumn]) -> (ArrayRef, Vec<ArrayRef>) {
    let json = json.as_string::<i32>();
    let mut rest = StringBuilder::with_capacity(json.len(), json.values().len());
    let mut builders: Vec<ValueBuilder> =
        columns.iter().map(|column| ValueBuilder::new(column.kind)).collect();
    let mut text = String::new();
    for row in 0..json.len() {
        text.clear();
        let mut filled = vec![false; columns.len()];
        let members = if json.is_valid(row) { members(json.value(row)) } else { Vec::new() };
        for (key, value) in members {
            let place = columns.iter().position(|column| is_key(key, &column.key));
            let free = place.filter(|place| !filled[*place]);
            match free {
                Some(place) if builders[place].append(value) => filled[place] = true,
                _ => push_member(&mut text, key, value),
            }
        }
        builders
            .iter_mut()
            .zip(filled)
            .filter(|(_, filled)| !filled)
            .for_each(|(b, _)| b.append_null());
        if text.is_empty() {
            rest.append_null();
        } else {
            text.push('}');
            rest.append_value(&text);
        }
    }
    (Arc::new(rest.finish()), builders.into_iter().map(ValueBuilder::finish).collect())
}

/// The value of a resource attribute in each distinct resource; the JSON of resources stays complete.
fn lift_resource(resources: &ArrayRef, column: &AttributeColumn) -> Result<ArrayRef, ArrowError> {
    let resources = resources.as_dictionary::<Int32Type>();
    let json = resources.values().as_string::<i32>();
    let mut builder = ValueBuilder::new(column.kind);
    for resource in json {
        let members = resource.map(members).unwrap_or_default();
        let value = members.into_iter().find(|(key, _)| is_key(key, &column.key));
        if !value.is_some_and(|(_, value)| builder.append(value)) {
            builder.append_null();
        }
    }
    let by_resource = builder.finish();
    let keys: &Int32Array = resources.keys();
    if let Some(text) = by_resource.as_any().downcast_ref::<DictionaryArray<Int32Type>>() {
        let keys = arrow::compute::take(text.keys(), keys, None)?;
        let keys = keys.as_primitive::<Int32Type>().clone();
        return Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(text.values()))?));
    }
    arrow::compute::take(&by_resource, keys, None)
}

fn push_member(text: &mut String, key: &str, value: &str) {
    text.push(if text.is_empty() { '{' } else { ',' });
    text.push_str(key);
    text.push(':');
    text.push_str(value);
}

/// True where the JSON string `quoted` is `key`.
pub(super) fn is_key(quoted: &str, key: &str) -> bool {
    let plain = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if plain.contains('\\') {
        return serde_json::from_str::<String>(quoted).is_ok_and(|unescaped| unescaped == key);
    }
    plain == key
}

/// The members of a JSON object as they are written: key (with quotes) and value. Nothing where `json` is no object.
pub(crate) fn members(json: &str) -> Vec<(&str, &str)> {
    let mut members = Vec::new();
    let Some(mut rest) = json.trim_start().strip_prefix('{').map(str::trim_start) else {
        return members;
    };
    while rest.starts_with('"') {
        let key_end = value_end(rest);
        let Some((key, after)) = rest.split_at_checked(key_end) else { break };
        let Some(after) = after.trim_start().strip_prefix(':') else { break };
        let after = after.trim_start();
        let Some((value, after)) = after.split_at_checked(value_end(after)) else { break };
        members.push((key, value.trim_end()));
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    members
}

/// Length of the JSON value that `text` begins with.
fn value_end(text: &str) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (place, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_string = false;
                    if depth == 0 {
                        return place + 1;
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return if depth == 0 { place } else { place + 1 },
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return place,
            _ => {}
        }
    }
    text.len()
}

enum ValueBuilder {
    String(StringDictionaryBuilder<Int32Type>),
    Int(Int64Builder),
    Double(Float64Builder),
    Bool(BooleanBuilder),
}

impl ValueBuilder {
    fn new(kind: AttributeType) -> Self {
        match kind {
            AttributeType::String => Self::String(StringDictionaryBuilder::new()),
            AttributeType::Int => Self::Int(Int64Builder::new()),
            AttributeType::Double => Self::Double(Float64Builder::new()),
            AttributeType::Bool => Self::Bool(BooleanBuilder::new()),
        }
    }

    /// Appends the JSON `value` where it has the builder's type; else appends nothing.
    fn append(&mut self, value: &str) -> bool {
        match self {
            Self::String(builder) => match serde_json::from_str::<String>(value) {
                Ok(text) => builder.append(text).is_ok(),
                Err(_) => false,
            },
            Self::Int(builder) => value.parse().map(|number| builder.append_value(number)).is_ok(),
            Self::Double(builder) if value.contains(['.', 'e', 'E']) && !value.starts_with('"') => {
                value.parse().map(|number| builder.append_value(number)).is_ok()
            }
            Self::Double(_) => false,
            Self::Bool(builder) => value.parse().map(|flag| builder.append_value(flag)).is_ok(),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::String(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::String(mut builder) => Arc::new(builder.finish()),
            Self::Int(mut builder) => Arc::new(builder.finish()),
            Self::Double(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests;
