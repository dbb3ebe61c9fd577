//! The spans of a batch that a filter wants, column by column: a text is compared once for each distinct value.
use std::cell::RefCell;
use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use storage::SpanBatch;
use storage::schema::{AttributeScope, META_KEY, META_SCOPE, column as c};

use super::filter::Filter;
use crate::api::trace::attributes::{Members, Value};

/// A batch whose columns are made into arrays once, however many filters ask for them.
pub(super) struct Sought<'a> {
    batch: &'a SpanBatch,
    made: RefCell<HashMap<String, Option<ArrayRef>>>,
}

impl<'a> Sought<'a> {
    /// Nothing is made yet.
    pub(super) fn new(batch: &'a SpanBatch) -> Self {
        Self { batch, made: RefCell::default() }
    }

    fn rows(&self) -> usize {
        self.batch.rows()
    }

    fn column(&self, name: &str) -> Option<ArrayRef> {
        if let Some(made) = self.made.borrow().get(name) {
            return made.clone();
        }
        let made = self.batch.column(name);
        self.made.borrow_mut().insert(name.to_owned(), made.clone());
        made
    }
}

/// One bit a row: whether `filter` wants it.
pub(super) fn select(filter: &Filter, batch: &Sought<'_>) -> BooleanBuffer {
    let mut rows = BooleanBuffer::new_set(batch.rows());
    let texts = [
        (c::SERVICE, &filter.service),
        (c::STATUS, &filter.status),
        (c::KIND, &filter.kind),
        (c::NAME, &filter.name),
    ];
    for (column, wanted) in texts {
        if let (Some(wanted), Some(column)) = (wanted, batch.column(column)) {
            rows = &rows & &equal_text(&column, wanted);
            if rows.count_set_bits() == 0 {
                return rows;
            }
        }
    }
    if filter.duration_min.is_some() || filter.duration_max.is_some() {
        let (min, max) = (filter.duration_min.unwrap_or(0), filter.duration_max);
        rows = &rows & &within(batch, min..=max.unwrap_or(i64::MAX));
    }
    if filter.is_root
        && let Some(parents) = batch.column(c::PARENT_SPAN_ID)
    {
        let with_parent = parents.nulls().map(|nulls| nulls.inner().clone());
        rows = &rows & &with_parent.map_or(BooleanBuffer::new_unset(rows.len()), |set| !&set);
    }
    for (key, value) in &filter.attributes {
        if rows.count_set_bits() == 0 {
            break;
        }
        rows = &rows & &has_attribute(batch, key, value, &rows);
    }
    rows
}

fn within(batch: &Sought<'_>, range: std::ops::RangeInclusive<i64>) -> BooleanBuffer {
    let column = batch.column(c::DURATION);
    let Some(durations) = column.as_ref().and_then(|column| column.as_primitive_opt::<Int64Type>())
    else {
        return BooleanBuffer::new_unset(batch.rows());
    };
    let values = durations.values();
    BooleanBuffer::collect_bool(values.len(), |row| range.contains(&values[row]))
}

/// Rows of a text column that are `wanted`; null is not.
fn equal_text(column: &dyn Array, wanted: &str) -> BooleanBuffer {
    let found = match column.data_type() {
        DataType::Dictionary(_, _) => equal_in_dictionary(column, wanted),
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            BooleanBuffer::collect_bool(texts.len(), |row| texts.value(row) == wanted)
        }
        _ => BooleanBuffer::new_unset(column.len()),
    };
    valid(column, found)
}

fn equal_in_dictionary(column: &dyn Array, wanted: &str) -> BooleanBuffer {
    let nothing = BooleanBuffer::new_unset(column.len());
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else { return nothing };
    let Some(values) = dictionary.values().as_string_opt::<i32>() else { return nothing };
    let hits: Vec<bool> = (0..values.len()).map(|index| values.value(index) == wanted).collect();
    let mut keys_of_hits = hits.iter().enumerate().filter(|(_, hit)| **hit).map(|(key, _)| key);
    let keys = dictionary.keys().values();
    match (keys_of_hits.next(), keys_of_hits.next()) {
        (None, _) => nothing,
        (Some(only), None) => {
            let only = i32::try_from(only).unwrap_or(-1);
            BooleanBuffer::collect_bool(keys.len(), |row| keys[row] == only)
        }
        _ => {
            let hit = |key: i32| usize::try_from(key).ok().and_then(|key| hits.get(key));
            BooleanBuffer::collect_bool(keys.len(), |row| hit(keys[row]) == Some(&true))
        }
    }
}

/// Without the rows that are null: what stands under them has no meaning.
fn valid(column: &dyn Array, found: BooleanBuffer) -> BooleanBuffer {
    match column.nulls() {
        Some(nulls) => &found & nulls.inner(),
        None => found,
    }
}

/// Among `rows`, those whose attribute `key` has this value: in its column, or in the JSON of the others.
fn has_attribute(
    batch: &Sought<'_>,
    key: &str,
    value: &str,
    rows: &BooleanBuffer,
) -> BooleanBuffer {
    let is_own = |metadata: &HashMap<String, String>| {
        metadata.get(META_KEY).is_some_and(|name| name == key)
            && metadata.get(META_SCOPE).is_some_and(|scope| scope == "span")
    };
    let own = batch.batch.schema().fields().iter().find(|field| is_own(field.metadata()));
    let in_column = match own.and_then(|field| batch.column(field.name())) {
        Some(column) => equal_value(&column, value),
        None => BooleanBuffer::new_unset(rows.len()),
    };
    let in_rest =
        |count: &storage::batch::RestCount| count.scope == AttributeScope::Span && count.key == key;
    if !batch.batch.rest().iter().any(in_rest) {
        return in_column;
    }
    let rest = batch.column(c::ATTRIBUTES);
    let rest = rest.as_ref().and_then(|column| column.as_string_opt::<i32>());
    let Some(rest) = rest else { return in_column };
    BooleanBuffer::collect_bool(rows.len(), |row| {
        let is_open = rows.value(row) && !in_column.value(row) && rest.is_valid(row);
        in_column.value(row) || (is_open && json_has(rest.value(row), key, value))
    })
}

fn equal_value(column: &dyn Array, value: &str) -> BooleanBuffer {
    let nothing = || BooleanBuffer::new_unset(column.len());
    let found = match column.data_type() {
        DataType::Int64 => value.parse().map_or_else(
            |_| nothing(),
            |number: i64| {
                let values = column.as_primitive::<Int64Type>().values();
                BooleanBuffer::collect_bool(values.len(), |row| values[row] == number)
            },
        ),
        DataType::Float64 => value.parse().map_or_else(
            |_| nothing(),
            |number: f64| {
                let values = column.as_primitive::<Float64Type>().values();
                BooleanBuffer::collect_bool(values.len(), |row| values[row] == number)
            },
        ),
        DataType::Boolean => match value {
            "true" => column.as_boolean().values().clone(),
            "false" => !column.as_boolean().values(),
            _ => nothing(),
        },
        _ => return equal_text(column, value),
    };
    valid(column, found)
}

/// True where the JSON object `text` has a member `key` that reads `value`.
fn json_has(text: &str, key: &str, value: &str) -> bool {
    let members = Members::of(text);
    match members.raw(key).map(Value::of) {
        Some(Value::Text(raw)) => {
            serde_json::from_str::<String>(raw).is_ok_and(|found| found == value)
        }
        Some(Value::Bool(raw) | Value::Integer(raw)) => raw == value,
        Some(Value::Double(raw)) => {
            raw == value
                || matches!((raw.parse::<f64>(), value.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
        }
        Some(Value::Special(found)) => found == value,
        _ => false,
    }
}
