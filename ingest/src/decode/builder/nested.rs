//! Events and links: lists of structs, one list a row, null where a span has none.
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListArray, StructArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use storage::schema::{event_fields, link_fields};

use super::buffers::{Objects, fixed, length, offsets, strings, times};
use super::count_i32;
use super::mark::Mark;
use crate::decode::sink::{Event, Link};
use crate::decode::text;

/// What events and links have in common: attributes, counts, and where each row's list ends.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) objects: Objects,
    /// Attributes of the current one.
    pub(super) attributes: usize,
    /// Dropped attributes of the current one.
    pub(super) dropped: u32,
    /// What was cut from the current one.
    pub(super) mark: Mark,
    dropped_counts: Vec<Option<i32>>,
    count: u32,
    ends: Vec<i32>,
}

impl Part {
    fn clear(&mut self) {
        self.objects.clear();
        self.dropped_counts.clear();
        self.count = 0;
        self.ends.clear();
    }

    fn begin(&mut self, dropped: u32) {
        self.attributes = 0;
        self.dropped = dropped;
        self.mark.clear();
    }

    pub(super) fn end(&mut self) {
        self.objects.end();
        self.dropped_counts.push((self.dropped > 0).then(|| count_i32(self.dropped)));
        self.count += 1;
    }

    /// The span has no further part.
    #[inline]
    pub(super) fn end_row(&mut self) {
        self.ends.push(length(self.count as usize));
    }

    /// `(attributes, dropped_attributes_count)`
    fn arrays(&self) -> (ArrayRef, ArrayRef) {
        let attributes = self.objects.array();
        let none = || new_null_array(&DataType::Utf8, self.count as usize);
        let dropped: Int32Array = self.dropped_counts.iter().copied().collect();
        (attributes.unwrap_or_else(none), Arc::new(dropped))
    }

    /// The lists of all rows; a row without parts has none.
    fn lists(&self, fields: Fields, columns: Vec<ArrayRef>) -> ArrayRef {
        let offsets = offsets(&self.ends);
        let nulls: NullBuffer = offsets.windows(2).map(|pair| pair[0] < pair[1]).collect();
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let element = Field::new("element", DataType::Struct(fields.clone()), false);
        let structs = StructArray::new(fields, columns, None);
        Arc::new(ListArray::new(Arc::new(element), offsets, Arc::new(structs), nulls))
    }
}

/// All events of the batch.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) part: Part,
    times: Vec<i64>,
    names: Vec<u8>,
    name_ends: Vec<i32>,
}

impl Events {
    pub(super) fn begin(&mut self, event: &Event<'_>, name_bytes_max: usize) {
        self.part.begin(event.dropped_attributes);
        self.times.push(i64::try_from(event.time).unwrap_or(i64::MAX));
        self.names.extend_from_slice(&text::fit(event.name, name_bytes_max));
        self.name_ends.push(length(self.names.len()));
    }

    pub(super) fn clear(&mut self) {
        self.part.clear();
        self.times.clear();
        self.names.clear();
        self.name_ends.clear();
    }

    /// The column; `None` where no span has an event.
    pub(super) fn array(&self) -> Option<ArrayRef> {
        if self.part.count == 0 {
            return None;
        }
        let (attributes, dropped) = self.part.arrays();
        let names = Arc::new(strings(&self.names, &self.name_ends, None));
        let columns = vec![times(&self.times), names, attributes, dropped];
        Some(self.part.lists(event_fields(), columns))
    }
}

/// All links of the batch.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) part: Part,
    trace_ids: Vec<u8>,
    span_ids: Vec<u8>,
    trace_states: Vec<u8>,
    trace_state_ends: Vec<i32>,
    flags: Vec<Option<i32>>,
}

impl Links {
    pub(super) fn begin(&mut self, link: &Link<'_>, (trace_id, span_id): ([u8; 16], [u8; 8])) {
        self.part.begin(link.dropped_attributes);
        self.trace_ids.extend_from_slice(&trace_id);
        self.span_ids.extend_from_slice(&span_id);
        self.trace_states.extend_from_slice(link.trace_state);
        self.trace_state_ends.push(length(self.trace_states.len()));
        self.flags.push((link.flags != 0).then_some(link.flags.cast_signed()));
    }

    pub(super) fn clear(&mut self) {
        self.part.clear();
        self.trace_ids.clear();
        self.span_ids.clear();
        self.trace_states.clear();
        self.trace_state_ends.clear();
        self.flags.clear();
    }

    /// The column; `None` where no span has a link.
    pub(super) fn array(&self) -> Option<ArrayRef> {
        if self.part.count == 0 {
            return None;
        }
        let (attributes, dropped) = self.part.arrays();
        let flags: Int32Array = self.flags.iter().copied().collect();
        let columns = vec![
            fixed(16, &self.trace_ids, None),
            fixed(8, &self.span_ids, None),
            self.trace_states(),
            attributes,
            dropped,
            Arc::new(flags),
        ];
        Some(self.part.lists(link_fields(), columns))
    }

    /// Empty trace states are null.
    fn trace_states(&self) -> ArrayRef {
        let offsets = offsets(&self.trace_state_ends);
        let filled: NullBuffer = offsets.windows(2).map(|pair| pair[0] < pair[1]).collect();
        Arc::new(strings(&self.trace_states, &self.trace_state_ends, Some(filled)))
    }
}
