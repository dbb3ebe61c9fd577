//! Which spans of a batch meet a condition. Works on batches from decoders and from files.
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};

use crate::batch::SpanBatch;
use crate::flush::members;
use crate::schema::{AttributeColumns, AttributeScope, column};

/// The columns of one batch, by name.
pub(crate) trait HasColumns {
    /// The column, where the batch has it.
    fn array(&self, name: &str) -> Option<ArrayRef>;
    /// Number of spans.
    fn rows(&self) -> usize;
}

impl HasColumns for SpanBatch {
    fn array(&self, name: &str) -> Option<ArrayRef> {
        self.column(name)
    }

    fn rows(&self) -> usize {
        Self::rows(self)
    }
}

impl HasColumns for arrow::array::RecordBatch {
    fn array(&self, name: &str) -> Option<ArrayRef> {
        self.column_by_name(name).cloned()
    }

    fn rows(&self) -> usize {
        self.num_rows()
    }
}

/// Sets those of `rows` whose text in the column `name` passes `test`, which is asked once for each distinct text of
/// a dictionary.
pub(crate) fn mark_texts(
    batch: &dyn HasColumns,
    name: &str,
    rows: &mut [bool],
    test: &dyn Fn(&str) -> bool,
) {
    let Some(array) = batch.array(name) else { return };
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let Some(values) = dictionary.values().as_string_opt::<i32>() else { return };
        let passed: Vec<bool> = values.iter().map(|text| text.is_some_and(test)).collect();
        for (row, key) in rows.iter_mut().zip(dictionary.keys()) {
            *row |= key.and_then(|key| passed.get(usize::try_from(key).ok()?)).is_some_and(|p| *p);
        }
    } else if let Some(texts) = array.as_string_opt::<i32>() {
        for (row, text) in rows.iter_mut().zip(texts) {
            *row |= text.is_some_and(test);
        }
    }
}

/// An attribute and the value that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    pub(crate) scope: AttributeScope,
    pub(crate) key: &'a str,
    /// Text as it is; numbers and truths as JSON writes them.
    pub(crate) value: &'a str,
}

impl Wanted<'_> {
    /// The columns that the value may lie in, `None` where the attribute has no column of its own.
    pub(crate) fn columns<'a>(
        &self,
        columns: &'a AttributeColumns,
    ) -> (&'static str, Option<&'a str>) {
        let rest = match self.scope {
            AttributeScope::Span => column::ATTRIBUTES,
            AttributeScope::Resource => column::RESOURCE,
        };
        (rest, columns.find(self.scope, self.key).map(|(_, column)| column.column.as_str()))
    }

    /// Sets those of `rows` whose span carries it.
    pub(crate) fn mark(
        &self,
        batch: &dyn HasColumns,
        columns: &AttributeColumns,
        rows: &mut [bool],
    ) {
        let (rest, own) = self.columns(columns);
        mark_texts(batch, rest, rows, &|json| self.is_in(json));
        let Some((own, array)) = own.and_then(|own| Some((own, batch.array(own)?))) else { return };
        match array.data_type() {
            DataType::Int64 => mark_equal(self.value.parse().ok(), rows, |row| {
                array.is_valid(row).then(|| array.as_primitive::<Int64Type>().value(row))
            }),
            DataType::Float64 => mark_equal(self.value.parse::<f64>().ok(), rows, |row| {
                array.is_valid(row).then(|| array.as_primitive::<Float64Type>().value(row))
            }),
            DataType::Boolean => mark_equal(self.value.parse().ok(), rows, |row| {
                array.is_valid(row).then(|| array.as_boolean().value(row))
            }),
            _ => mark_texts(batch, own, rows, &|text| text == self.value),
        }
    }

    /// Whether a JSON object has it.
    pub(crate) fn is_in(&self, json: &str) -> bool {
        if !json.contains(self.key) && !json.contains('\\') {
            return false;
        }
        members(json).into_iter().any(|(key, value)| {
            let same = |json: &str, text: &str| {
                serde_json::from_str::<String>(json).is_ok_and(|unquoted| unquoted == text)
            };
            same(key, self.key)
                && if value.starts_with('"') {
                    same(value, self.value)
                } else {
                    value == self.value
                }
        })
    }
}

fn mark_equal<T: PartialEq>(
    wanted: Option<T>,
    rows: &mut [bool],
    value: impl Fn(usize) -> Option<T>,
) {
    let Some(wanted) = wanted else { return };
    for (place, row) in rows.iter_mut().enumerate() {
        *row |= value(place).is_some_and(|value| value == wanted);
    }
}
