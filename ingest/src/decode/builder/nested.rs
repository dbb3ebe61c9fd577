//! Events and links: lists of structs, one list a row, null where a span has none.
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, ListArray, StringArray, StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use storage::schema::{event_fields, link_fields};

use super::column::{Objects, Sparse, length, strings};
use super::count_i32;
use super::mark::Mark;
use crate::decode::sink::{Event, Link};
use crate::decode::text;

/// What events and links have in common: attributes, counts, and where each row's list ends.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) objects: Objects,
    /// Attributes of the current one.
    pub(super) attributes: usize,
    /// Dropped attributes of the current one.
    pub(super) dropped: u32,
    /// What was cut from the current one.
    pub(super) mark: Mark,
    dropped_counts: Sparse<i32>,
    count: u32,
    ends: Vec<i32>,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            objects: Objects::default(),
            attributes: 0,
            dropped: 0,
            mark: Mark::default(),
            dropped_counts: Sparse::default(),
            count: 0,
            ends: vec![0],
        }
    }
}

impl Part {
    fn begin(&mut self, dropped: u32) {
        self.attributes = 0;
        self.dropped = dropped;
        self.mark.clear();
    }

    pub(super) fn end(&mut self) {
        self.objects.end();
        if self.dropped > 0 {
            self.dropped_counts.push(self.count, self.count + 1, count_i32(self.dropped));
        }
        self.count += 1;
    }

    /// The span has no further part.
    #[inline]
    pub(super) fn end_row(&mut self) {
        self.ends.push(length(self.count as usize));
    }

    /// `(attributes, dropped_attributes_count)`, and the list offsets with their nulls.
    fn finish(self) -> (ArrayRef, ArrayRef, Lists) {
        let count = self.count as usize;
        let filled: Vec<bool> = self.ends.windows(2).map(|pair| pair[0] < pair[1]).collect();
        let nulls = NullBuffer::from(filled);
        let lists = Lists {
            offsets: OffsetBuffer::new(ScalarBuffer::from(self.ends)),
            nulls: (nulls.null_count() > 0).then_some(nulls),
        };
        let dropped = self.dropped_counts.into_primitive::<Int32Type>(count);
        (Arc::new(self.objects.finish()), dropped, lists)
    }
}

struct Lists {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
}

impl Lists {
    fn into_array(self, fields: Fields, columns: Vec<ArrayRef>) -> ArrayRef {
        let element = Field::new("element", DataType::Struct(fields.clone()), false);
        let structs = StructArray::new(fields, columns, None);
        Arc::new(ListArray::new(Arc::new(element), self.offsets, Arc::new(structs), self.nulls))
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

    pub(super) fn finish(self) -> ArrayRef {
        let (attributes, dropped, lists) = self.part.finish();
        let mut ends = self.name_ends;
        ends.insert(0, 0);
        let columns = vec![
            Arc::new(Int64Array::from(self.times)) as ArrayRef,
            Arc::new(strings(self.names, ends, None)),
            attributes,
            dropped,
        ];
        lists.into_array(event_fields(), columns)
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
    flags: Sparse<i32>,
}

impl Links {
    pub(super) fn begin(&mut self, link: &Link<'_>, (trace_id, span_id): ([u8; 16], [u8; 8])) {
        let index = self.part.count;
        self.part.begin(link.dropped_attributes);
        self.trace_ids.extend_from_slice(&trace_id);
        self.span_ids.extend_from_slice(&span_id);
        self.trace_states.extend_from_slice(link.trace_state);
        self.trace_state_ends.push(length(self.trace_states.len()));
        if link.flags != 0 {
            self.flags.push(index, index + 1, link.flags.cast_signed());
        }
    }

    pub(super) fn finish(self) -> ArrayRef {
        let count = self.part.count as usize;
        let (attributes, dropped, lists) = self.part.finish();
        let columns = vec![
            fixed(16, self.trace_ids, None),
            fixed(8, self.span_ids, None),
            Arc::new(trace_states(self.trace_states, self.trace_state_ends)),
            attributes,
            dropped,
            self.flags.into_primitive::<Int32Type>(count),
        ];
        lists.into_array(link_fields(), columns)
    }
}

/// Empty trace states are null.
fn trace_states(bytes: Vec<u8>, mut ends: Vec<i32>) -> StringArray {
    ends.insert(0, 0);
    let filled: Vec<bool> = ends.windows(2).map(|pair| pair[0] < pair[1]).collect();
    strings(bytes, ends, Some(NullBuffer::from(filled)))
}

/// A column of ids.
pub(super) fn fixed(size: i32, bytes: Vec<u8>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::new(size, Buffer::from_vec(bytes), nulls))
}
