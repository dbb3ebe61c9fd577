//! The builder's buffers become the columns of the physical schema.
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, Schema};
use storage::SpanBatch;
use storage::schema::fixed_fields;

use super::Builder;
use super::data::Data;
use super::nested::fixed;

/// Span kinds by their OTLP number.
const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
/// Status codes by their OTLP number.
const STATUSES: [&str; 3] = ["UNSET", "OK", "ERROR"];

impl Builder<'_> {
    /// The batch: all fixed columns, then the attribute columns that occurred.
    pub(crate) fn finish(mut self) -> SpanBatch {
        let rows = self.rows as usize;
        let rest = self.span_keys.rest().chain(self.resource_keys.rest()).collect();
        let data = std::mem::take(&mut self.data);
        let listed = self.columns.as_slice();
        let mut fields = fixed_fields();
        let mut arrays = self.fixed_arrays();
        for (column, data) in listed.iter().zip(data) {
            if let Some(data) = data {
                fields.push(Arc::new(column.field()));
                arrays.push(data.into_array(rows));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(Schema::new(fields));
        match RecordBatch::try_new_with_options(schema, arrays, &options) {
            Ok(records) => SpanBatch::new(records, rest),
            Err(error) => unreachable!("columns of {rows} rows as the schema has them: {error}"),
        }
    }

    /// In the order of [`fixed_fields`].
    fn fixed_arrays(self) -> Vec<ArrayRef> {
        let rows = self.rows as usize;
        let parents = NullBuffer::from(self.has_parent);
        let unknown = unknown_texts(rows);
        vec![
            fixed(16, self.trace_ids, None),
            fixed(8, self.span_ids, None),
            fixed(8, self.parents, (parents.null_count() > 0).then_some(parents)),
            Arc::new(Int64Array::from(self.starts)),
            Arc::new(Int64Array::from(self.durations)),
            self.services.into_array(rows),
            self.names.into_array(self.name_keys, None),
            words(&KINDS, self.kinds),
            words(&STATUSES, self.statuses),
            self.status_messages.into_array(rows),
            self.trace_states.into_array(rows),
            self.scope_names.into_array(rows),
            self.scope_versions.into_array(rows),
            self.scope_attributes.into_array(rows),
            Arc::new(Int32Array::from(self.flags)),
            Arc::clone(&unknown),
            Arc::clone(&unknown),
            Arc::clone(&unknown),
            unknown,
            self.events.finish(),
            self.links.finish(),
            Arc::new(Float64Array::from(self.weights)),
            self.received.into_primitive::<Int64Type>(rows),
            self.dropped_attributes.into_primitive::<Int32Type>(rows),
            self.dropped_events.into_primitive::<Int32Type>(rows),
            self.dropped_links.into_primitive::<Int32Type>(rows),
            Arc::new(self.attributes.finish()),
            self.resources.into_array(rows),
        ]
    }
}

impl Data {
    fn into_array(self, rows: usize) -> ArrayRef {
        match self {
            Self::Text(column) => column.into_array(rows),
            Self::Int(column) => column.into_primitive::<Int64Type>(rows),
            Self::Double(column) => column.into_primitive::<Float64Type>(rows),
            Self::Bool(column) => column.into_boolean(rows),
        }
    }
}

/// A dictionary column over fixed words.
fn words(words: &[&str], keys: Vec<i32>) -> ArrayRef {
    let keys = Int32Array::new(ScalarBuffer::from(keys), None);
    let values = StringArray::from_iter_values(words);
    Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(values)))
}

/// `caller_*` and `root_*`, which only the flush can know.
fn unknown_texts(rows: usize) -> ArrayRef {
    let values = StringArray::from_iter_values(std::iter::empty::<&str>());
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::new_null(rows), Arc::new(values)))
}
