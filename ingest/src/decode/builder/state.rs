//! What a session keeps from group to group: known keys and resources, and the buffers that columns grow in.
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use storage::batch::Interner;
use storage::schema::{AttributeColumns, AttributeScope, fixed_fields};

use super::buffers::{Objects, Sparse, Text};
use super::data::Data;
use super::keys::Keys;
use super::nested::{Events, Links};
use super::resources::Resources;

/// Span kinds by their OTLP number.
const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
/// Status codes by their OTLP number.
const STATUSES: [&str; 3] = ["UNSET", "OK", "ERROR"];
/// The service of a resource that names none.
const SERVICE_UNKNOWN: &str = "unknown";

/// Numbers of words that every batch needs.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) kinds: [u32; 6],
    pub(super) statuses: [u32; 3],
    pub(super) unknown: u32,
}

impl Words {
    fn new(interner: &mut Interner) -> Self {
        let mut strings = interner.open();
        Self {
            kinds: KINDS.map(|word| strings.intern(word.as_bytes())),
            statuses: STATUSES.map(|word| strings.intern(word.as_bytes())),
            unknown: strings.intern(SERVICE_UNKNOWN.as_bytes()),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) columns: Arc<AttributeColumns>,
    pub(super) words: Words,
    /// Counts spans, resources, events, ...: what a key's holder is compared with.
    pub(super) holder: u64,
    pub(super) resource_holder: u64,
    pub(super) span_keys: Keys,
    pub(super) resource_keys: Keys,
    pub(super) nested_keys: Keys,
    pub(super) resources: Resources,
    pub(super) buffers: Buffers,
    /// Fields of the fixed columns, then of all listed columns.
    pub(super) fields: Vec<FieldRef>,
    /// The schema of the last batch, with the positions of its attribute columns.
    pub(super) schema: Option<(Vec<usize>, SchemaRef)>,
}

impl State {
    /// For a session that interns with `interner`.
    pub(crate) fn new(interner: &mut Interner) -> Self {
        Self {
            columns: Arc::default(),
            words: Words::new(interner),
            holder: 0,
            resource_holder: 0,
            span_keys: Keys::new(Some(AttributeScope::Span)),
            resource_keys: Keys::new(Some(AttributeScope::Resource)),
            nested_keys: Keys::new(None),
            resources: Resources::default(),
            buffers: Buffers::default(),
            fields: fixed_fields(),
            schema: None,
        }
    }

    /// Makes ready for a group whose attributes listed in `columns` get columns of their own.
    pub(crate) fn begin(&mut self, columns: &Arc<AttributeColumns>) {
        if !Arc::ptr_eq(&self.columns, columns) {
            self.columns = Arc::clone(columns);
            // Keys know their columns, resources know their keys.
            self.span_keys = Keys::new(Some(AttributeScope::Span));
            self.resource_keys = Keys::new(Some(AttributeScope::Resource));
            self.resources.clear();
            let listed = columns.as_slice();
            self.buffers.data = listed.iter().map(|column| Data::new(column.kind)).collect();
            self.fields = fixed_fields();
            self.fields.extend(listed.iter().map(|column| Arc::new(column.field())));
            self.schema = None;
        }
        self.span_keys.clear_counts();
        self.resource_keys.clear_counts();
        self.buffers.clear();
    }

    /// Memory held beside the buffers, which are as large as the largest batch.
    pub(crate) fn bytes(&self) -> usize {
        let keys = [&self.span_keys, &self.resource_keys, &self.nested_keys];
        keys.map(Keys::bytes).iter().sum::<usize>() + self.resources.bytes()
    }
}

/// The columns of the batch under construction.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Attribute columns, by position in the list of columns.
    pub(super) data: Vec<Data>,
    pub(super) trace_ids: Vec<u8>,
    pub(super) span_ids: Vec<u8>,
    pub(super) parents: Vec<u8>,
    pub(super) has_parent: Vec<bool>,
    pub(super) starts: Vec<i64>,
    pub(super) durations: Vec<i64>,
    pub(super) services: Sparse<u32>,
    pub(super) names: Text,
    pub(super) kinds: Vec<u32>,
    pub(super) statuses: Vec<u32>,
    pub(super) status_messages: Text,
    pub(super) trace_states: Text,
    pub(super) scope_names: Text,
    pub(super) scope_versions: Text,
    pub(super) scope_attributes: Text,
    pub(super) flags: Sparse<i32>,
    pub(super) weights: Sparse<f64>,
    pub(super) received: Sparse<i64>,
    pub(super) dropped_attributes: Sparse<i32>,
    pub(super) dropped_events: Sparse<i32>,
    pub(super) dropped_links: Sparse<i32>,
    pub(super) attributes: Objects,
    pub(super) events: Events,
    pub(super) links: Links,
    pub(super) resources: Sparse<u32>,
}

impl Buffers {
    fn clear(&mut self) {
        for data in &mut self.data {
            data.clear();
        }
        for bytes in [&mut self.trace_ids, &mut self.span_ids, &mut self.parents] {
            bytes.clear();
        }
        self.has_parent.clear();
        self.starts.clear();
        self.durations.clear();
        self.services.clear();
        self.kinds.clear();
        self.statuses.clear();
        for text in [
            &mut self.names,
            &mut self.status_messages,
            &mut self.trace_states,
            &mut self.scope_names,
            &mut self.scope_versions,
            &mut self.scope_attributes,
        ] {
            text.spots.clear();
        }
        for counts in [
            &mut self.flags,
            &mut self.dropped_attributes,
            &mut self.dropped_events,
            &mut self.dropped_links,
        ] {
            counts.clear();
        }
        self.weights.clear();
        self.received.clear();
        self.attributes.clear();
        self.events.clear();
        self.links.clear();
        self.resources.clear();
    }
}
