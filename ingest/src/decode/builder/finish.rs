//! The builder's buffers become the columns of the physical schema.
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Schema, SchemaRef};
use storage::SpanBatch;
use storage::batch::{Columns, Interner, Spots, Values};

use super::buffers::{fixed, times};
use super::state::{Buffers, State};

impl State {
    /// The batch of `rows` rows: all fixed columns, then the attribute columns that occurred.
    pub(crate) fn finish(&mut self, rows: u32, interner: &mut Interner) -> SpanBatch {
        let rest = self.span_keys.rest().chain(self.resource_keys.rest()).collect();
        let mut values = self.buffers.fixed_values(rows);
        let mut present = Vec::with_capacity(self.buffers.data.len());
        for (position, data) in self.buffers.data.iter().enumerate() {
            if let Some(data) = data.values(rows) {
                present.push(position);
                values.push(data);
            }
        }
        let columns = Columns {
            schema: self.schema(present),
            values,
            strings_bytes: interner.publish(),
            strings: Arc::clone(interner.strings()),
            rows: rows as usize,
        };
        SpanBatch::of_columns(columns, rest)
    }

    /// The schema with the attribute columns at these positions: mostly that of the last batch.
    fn schema(&mut self, present: Vec<usize>) -> SchemaRef {
        if let Some((last, schema)) = &self.schema
            && *last == present
        {
            return Arc::clone(schema);
        }
        let (fixed, listed) = self.fields.split_at(self.fields.len() - self.buffers.data.len());
        let listed = present.iter().map(|position| &listed[*position]);
        let fields: Vec<_> = fixed.iter().chain(listed).map(Arc::clone).collect();
        let schema = Arc::new(Schema::new(fields));
        self.schema = Some((present, Arc::clone(&schema)));
        schema
    }
}

impl Buffers {
    /// In the order of [`storage::schema::fixed_fields`].
    fn fixed_values(&self, rows: u32) -> Vec<Values> {
        let parents = NullBuffer::from(self.has_parent.as_slice());
        let parents = (parents.null_count() > 0).then_some(parents);
        let every = |numbers: &[u32]| Values::Text(Spots::Every(numbers.into()));
        let mut values = Vec::with_capacity(32 + self.data.len());
        values.extend([
            Values::Array(fixed(16, &self.trace_ids, None)),
            Values::Array(fixed(8, &self.span_ids, None)),
            Values::Array(fixed(8, &self.parents, parents)),
            Values::Array(times(&self.starts)),
            Values::Array(times(&self.durations)),
            Values::Text(self.services.spots(rows)),
            self.names.values(rows),
            every(&self.kinds),
            every(&self.statuses),
            self.status_messages.values(rows),
            self.trace_states.values(rows),
            self.scope_names.values(rows),
            self.scope_versions.values(rows),
            self.scope_attributes.values(rows),
            Values::Int32(self.flags.spots(rows)),
            // `caller_*` and `root_*`, which only the flush can know.
            Values::Null,
            Values::Null,
            Values::Null,
            Values::Null,
            array_or_null(self.events.array()),
            array_or_null(self.links.array()),
            Values::Double(self.weights.spots(rows)),
            Values::Int64(self.received.spots(rows)),
            Values::Int32(self.dropped_attributes.spots(rows)),
            Values::Int32(self.dropped_events.spots(rows)),
            Values::Int32(self.dropped_links.spots(rows)),
            array_or_null(self.attributes.array()),
            Values::Text(self.resources.spots(rows)),
        ]);
        values
    }
}

fn array_or_null(array: Option<ArrayRef>) -> Values {
    array.map_or(Values::Null, Values::Array)
}
