//! Builds one [`storage::SpanBatch`] from the spans of many requests: no copy of a span, strings that repeat stored once.
//!
//! What a whole resource or scope shares (service, resource JSON, scope name) is kept as ranges of rows; what few spans
//! have as pairs of row and value. All becomes plain Arrow columns in [`Builder::finish`].
mod column;
mod data;
mod finish;
mod keys;
mod mark;
mod nested;

use storage::schema::{AttributeColumns, AttributeScope, AttributeType};

use self::column::{Interner, Objects, Sparse, SparseText};
use self::data::{Data, Scalar, column_type, rest_type};
use self::keys::{Keys, Role, Slot, type_index};
use self::mark::Loss;
use self::nested::{Events, Links};
use super::cut::{Cut, CutCounts};
use super::sink::{Admitted, Event, Head, Link, Place, Refusal, Sink, Value};
use super::text;
use super::weight::Hints;
use crate::Config;

/// Beyond this size of one text buffer further attributes are dropped (and counted as dropped), so that no offset
/// overflows. A group of requests stays far below it.
const BUFFER_BYTES_MAX: usize = 1 << 30;
/// The service of a resource that names none.
const SERVICE_UNKNOWN: &[u8] = b"unknown";

/// The resource being read.
#[derive(Debug, Default)]
struct Resource {
    json: Vec<u8>,
    attributes: usize,
    loss: Loss,
    service: i32,
    first_row: u32,
    /// Values of its attribute columns, by position in the list of columns.
    values: Vec<(usize, Scalar)>,
    /// Its attributes without a column: number of the key, type.
    rest: Vec<(usize, AttributeType)>,
}

/// The scope being read.
#[derive(Debug, Default)]
struct Scope {
    json: Vec<u8>,
    attributes: usize,
    loss: Loss,
    name: Option<i32>,
    version: Option<i32>,
    key: Option<i32>,
    first_row: u32,
}

/// The span being read.
#[derive(Debug, Default)]
struct Current {
    holder: u64,
    attributes: usize,
    /// Of attributes, events and links, as far as they are kept.
    bytes: usize,
    loss: Loss,
    sampling: Hints,
}

/// Receives spans of any format (it is a [`Sink`]) and becomes one batch.
#[derive(Debug)]
pub(crate) struct Builder<'c> {
    config: &'c Config,
    columns: &'c AttributeColumns,
    rows: u32,
    cut_counts: CutCounts,
    /// Counts spans, resources, events, ...: what [`Slot::holder`] compares.
    holder: u64,
    resource_holder: u64,
    resource: Resource,
    scope: Scope,
    span: Current,
    span_keys: Keys,
    resource_keys: Keys,
    nested_keys: Keys,
    data: Vec<Option<Data>>,
    trace_ids: Vec<u8>,
    span_ids: Vec<u8>,
    parents: Vec<u8>,
    has_parent: Vec<bool>,
    starts: Vec<i64>,
    durations: Vec<i64>,
    services: SparseText,
    names: Interner,
    name_keys: Vec<i32>,
    kinds: Vec<i32>,
    statuses: Vec<i32>,
    status_messages: SparseText,
    trace_states: SparseText,
    scope_names: SparseText,
    scope_versions: SparseText,
    scope_attributes: SparseText,
    flags: Vec<i32>,
    weights: Vec<f64>,
    invalid_weights: u64,
    received: Sparse<i64>,
    dropped_attributes: Sparse<i32>,
    dropped_events: Sparse<i32>,
    dropped_links: Sparse<i32>,
    attributes: Objects,
    events: Events,
    links: Links,
    resources: SparseText,
}

impl<'c> Builder<'c> {
    /// An empty batch whose attributes listed in `columns` get columns of their own.
    pub(crate) fn new(config: &'c Config, columns: &'c AttributeColumns) -> Self {
        Self {
            config,
            columns,
            rows: 0,
            cut_counts: CutCounts::default(),
            holder: 0,
            resource_holder: 0,
            resource: Resource::default(),
            scope: Scope::default(),
            span: Current::default(),
            span_keys: Keys::new(Some(AttributeScope::Span)),
            resource_keys: Keys::new(Some(AttributeScope::Resource)),
            nested_keys: Keys::new(None),
            data: columns.as_slice().iter().map(|_| None).collect(),
            trace_ids: Vec::new(),
            span_ids: Vec::new(),
            parents: Vec::new(),
            has_parent: Vec::new(),
            starts: Vec::new(),
            durations: Vec::new(),
            services: SparseText::default(),
            names: Interner::default(),
            name_keys: Vec::new(),
            kinds: Vec::new(),
            statuses: Vec::new(),
            status_messages: SparseText::default(),
            trace_states: SparseText::default(),
            scope_names: SparseText::default(),
            scope_versions: SparseText::default(),
            scope_attributes: SparseText::default(),
            flags: Vec::new(),
            weights: Vec::new(),
            invalid_weights: 0,
            received: Sparse::default(),
            dropped_attributes: Sparse::default(),
            dropped_events: Sparse::default(),
            dropped_links: Sparse::default(),
            attributes: Objects::default(),
            events: Events::default(),
            links: Links::default(),
            resources: SparseText::default(),
        }
    }

    /// Number of spans so far.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// Spans so far that named a weight which is none.
    pub(crate) fn invalid_weights(&self) -> u64 {
        self.invalid_weights
    }

    /// Says when the spans from row `first` on were received.
    pub(crate) fn received_since(&mut self, first: u32, unix_nano: i64) {
        self.received.push(first, self.rows, unix_nano);
    }

    fn next_holder(&mut self) -> u64 {
        self.holder += 1;
        self.holder
    }

    /// Spans that lost something to a limit.
    pub(crate) fn cut_counts(&self) -> &CutCounts {
        &self.cut_counts
    }

    /// Why an attribute is left out whose holder has `attributes` already, and with it would have `bytes`.
    #[inline]
    fn excess(&self, key: &[u8], attributes: usize, bytes: usize) -> Option<Cut> {
        if attributes >= self.config.attributes_max {
            return Some(Cut::Attributes);
        }
        if key.len() > self.config.key_bytes_max {
            return Some(Cut::Key);
        }
        (bytes > self.config.span_bytes_max).then_some(Cut::Bytes)
    }

    #[inline]
    fn span_attribute(&mut self, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.span.bytes + key.len() + value.bytes_kept(limit);
        let excess = self.excess(key, self.span.attributes, bytes);
        if let Some(cut) = excess.or_else(|| overflow(&self.attributes.json)) {
            return self.span.loss.left_out(cut);
        }
        let index = self.span_keys.find(key, self.columns);
        let slot = self.span_keys.slot(index);
        if slot.holder == self.holder {
            return; // the first of equal keys wins
        }
        slot.holder = self.holder;
        self.span.attributes += 1;
        self.span.bytes = bytes;
        self.span.loss.note(slot, value, limit);
        if let Role::Weight(hint) = slot.role {
            self.span.sampling.add(hint, value);
        }
        if let Some((position, kind)) = slot.column {
            let data = self.data[position].get_or_insert_with(|| Data::new(kind));
            if data.push(self.rows, value, limit) {
                return;
            }
        }
        count_rest(slot, value);
        let json = self.attributes.separated();
        json.extend_from_slice(&slot.json);
        text::value(json, value, limit);
    }

    fn resource_attribute(&mut self, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.resource.json.len() + key.len() + value.bytes_kept(limit);
        if let Some(cut) = self.excess(key, self.resource.attributes, bytes) {
            return self.resource.loss.left_out(cut);
        }
        let index = self.resource_keys.find(key, self.columns);
        let slot = self.resource_keys.slot(index);
        if slot.holder == self.resource_holder {
            return;
        }
        slot.holder = self.resource_holder;
        self.resource.attributes += 1;
        self.resource.loss.note(slot, value, limit);
        write_pair(&mut self.resource.json, &slot.json, value, limit);
        if let (Role::Service, Value::Text(name)) = (slot.role, value) {
            // It has a fixed column, so it never asks for one among the attributes.
            if !name.is_empty() {
                self.resource.service = self.services.interner.intern(&text::fit(name, limit));
            }
            return;
        }
        let Some((position, kind)) = slot.column else {
            if let Some(kind) = column_type(value) {
                self.resource.rest.push((index, kind));
            }
            return;
        };
        let data = self.data[position].get_or_insert_with(|| Data::new(kind));
        if let Some(scalar) = data.scalar(value, limit) {
            self.resource.values.push((position, scalar));
        } else if let Some(kind) = rest_type(Some(kind), value) {
            self.resource.rest.push((index, kind));
        }
    }

    fn scope_attribute(&mut self, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.scope.json.len() + key.len() + value.bytes_kept(limit);
        if let Some(cut) = self.excess(key, self.scope.attributes, bytes) {
            return self.scope.loss.left_out(cut);
        }
        let index = self.nested_keys.find(key, self.columns);
        let slot = self.nested_keys.slot(index);
        if slot.holder != self.holder {
            slot.holder = self.holder;
            self.scope.attributes += 1;
            self.scope.loss.note(slot, value, limit);
            write_pair(&mut self.scope.json, &slot.json, value, limit);
        }
    }

    /// An attribute of the event or link that began last.
    fn part_attribute(&mut self, place: Place, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.span.bytes + key.len() + value.bytes_kept(limit);
        let part = if place == Place::Event { &self.events.part } else { &self.links.part };
        let excess = self.excess(key, part.attributes, bytes);
        let part = if place == Place::Event { &mut self.events.part } else { &mut self.links.part };
        if let Some(cut) = excess.or_else(|| overflow(&part.objects.json)) {
            part.dropped = part.dropped.saturating_add(1);
            self.span.loss.cuts.add(cut);
            return;
        }
        let index = self.nested_keys.find(key, self.columns);
        let slot = self.nested_keys.slot(index);
        if slot.holder != self.holder {
            slot.holder = self.holder;
            part.attributes += 1;
            self.span.bytes = bytes;
            if value.is_cut(limit) {
                part.mark.key(&slot.json);
                self.span.loss.cuts.add(Cut::Value);
            }
            let json = part.objects.separated();
            json.extend_from_slice(&slot.json);
            text::value(json, value, limit);
        }
    }

    /// Bytes that one more text of the current span's events and links may have, up to `limit`; takes `wanted` of them.
    fn room(&mut self, wanted: usize, limit: usize) -> usize {
        let room = self.config.span_bytes_max.saturating_sub(self.span.bytes).min(limit);
        self.span.bytes += wanted.min(room);
        room
    }

    #[cold]
    fn mark_span(&mut self) {
        let sent = self.span_keys.holds(mark::TRUNCATED, self.span.holder, self.columns);
        if !sent && !self.span.loss.mark.is_empty() {
            self.span.loss.mark.write(self.attributes.separated());
        }
    }

    fn push_optional_texts(&mut self, head: &Head<'_>) {
        let (row, next) = (self.rows, self.rows + 1);
        let limit = self.config.value_bytes_max;
        for (name, text) in
            [("span.status_message", head.status_message), ("span.trace_state", head.trace_state)]
        {
            if text.len() > limit {
                self.span.loss.mark.field(name);
                self.span.loss.cuts.add(Cut::Value);
            }
        }
        if !head.status_message.is_empty() {
            self.status_messages.push(row, next, &text::fit(head.status_message, limit));
        }
        if !head.trace_state.is_empty() {
            self.trace_states.push(row, next, &text::fit(head.trace_state, limit));
        }
    }

    fn push_dropped(&mut self, head: &Head<'_>) {
        let row = self.rows;
        for (column, count) in [
            (&mut self.dropped_attributes, self.span.loss.dropped),
            (&mut self.dropped_events, head.dropped_events),
            (&mut self.dropped_links, head.dropped_links),
        ] {
            if count > 0 {
                column.push(row, row + 1, count_i32(count));
            }
        }
    }
}

impl Sink for Builder<'_> {
    fn begin_resource(&mut self) {
        self.resource_holder += 1;
        let resource = &mut self.resource;
        resource.json.clear();
        resource.values.clear();
        resource.rest.clear();
        resource.attributes = 0;
        resource.loss = Loss::default();
        resource.service = -1;
        resource.first_row = self.rows;
    }

    fn end_resource_attributes(&mut self) {
        if !self.resource.loss.cuts.is_empty() {
            let (keys, columns) = (&mut self.resource_keys, self.columns);
            let sent = keys.holds(mark::TRUNCATED, self.resource_holder, columns);
            self.resource.loss.write(&mut self.resource.json, sent);
        }
        close_object(&mut self.resource.json);
        if self.resource.json.is_empty() {
            self.resource.json.extend_from_slice(b"{}");
        }
    }

    fn begin_scope(&mut self, name: &[u8], version: &[u8]) {
        self.next_holder();
        let limit = self.config.name_bytes_max;
        let scope = &mut self.scope;
        scope.json.clear();
        scope.attributes = 0;
        scope.first_row = self.rows;
        scope.loss = Loss::default();
        for (field, text) in [("scope.name", name), ("scope.version", version)] {
            if text.len() > limit {
                scope.loss.mark.field(field);
                scope.loss.cuts.add(Cut::Name);
            }
        }
        let intern = |column: &mut SparseText, text: &[u8]| {
            (!text.is_empty()).then(|| column.interner.intern(&text::fit(text, limit)))
        };
        scope.name = intern(&mut self.scope_names, name);
        scope.version = intern(&mut self.scope_versions, version);
    }

    fn end_scope_attributes(&mut self) {
        if !self.scope.loss.cuts.is_empty() {
            let sent = self.nested_keys.holds(mark::TRUNCATED, self.holder, self.columns);
            self.scope.loss.write(&mut self.scope.json, sent);
        }
        close_object(&mut self.scope.json);
        let json = &self.scope.json;
        self.scope.key = (!json.is_empty()).then(|| self.scope_attributes.interner.intern(json));
    }

    fn begin_span(&mut self, head: &Head<'_>, admitted: &Admitted) {
        self.span = Current {
            holder: self.next_holder(),
            loss: Loss { dropped: head.dropped_attributes, ..Loss::default() },
            sampling: Hints::of_trace_state(head.trace_state),
            ..Current::default()
        };
        if head.name.len() > self.config.name_bytes_max {
            self.span.loss.mark.field("span.name");
            self.span.loss.cuts.add(Cut::Name);
        }
        self.trace_ids.extend_from_slice(&admitted.trace_id);
        self.span_ids.extend_from_slice(&admitted.span_id);
        self.parents.extend_from_slice(&admitted.parent_span_id.unwrap_or_default());
        self.has_parent.push(admitted.parent_span_id.is_some());
        self.starts.push(admitted.start);
        self.durations.push(admitted.duration);
        self.name_keys.push(self.names.intern(&text::fit(head.name, self.config.name_bytes_max)));
        self.kinds.push(if (0..=5).contains(&head.kind) { head.kind } else { 0 });
        self.statuses.push(if (0..=2).contains(&head.status) { head.status } else { 0 });
        self.flags.push(head.flags.cast_signed());
        self.push_optional_texts(head);
    }

    #[inline]
    fn attribute(&mut self, place: Place, key: &[u8], value: Value<'_>) {
        match place {
            Place::Span => self.span_attribute(key, value),
            Place::Resource => self.resource_attribute(key, value),
            Place::Scope => self.scope_attribute(key, value),
            Place::Event | Place::Link => self.part_attribute(place, key, value),
        }
    }

    fn begin_event(&mut self, event: &Event<'_>) {
        self.next_holder();
        let limit = self.room(event.name.len(), self.config.name_bytes_max);
        self.events.begin(event, limit);
        if event.name.len() > limit {
            self.events.part.mark.field("event.name");
            self.span.loss.cuts.add(Cut::Name);
        }
    }

    fn end_event(&mut self) {
        let part = &mut self.events.part;
        if !part.mark.is_empty()
            && !self.nested_keys.holds(mark::TRUNCATED, self.holder, self.columns)
        {
            part.mark.write(part.objects.separated());
        }
        part.end();
    }

    fn begin_link(&mut self, link: &Link<'_>, trace_id: [u8; 16], span_id: [u8; 8]) {
        self.next_holder();
        let limit = self.room(link.trace_state.len(), self.config.value_bytes_max);
        self.links.begin(
            &Link { trace_state: &text::fit(link.trace_state, limit), ..*link },
            (trace_id, span_id),
        );
        if link.trace_state.len() > limit {
            self.links.part.mark.field("link.trace_state");
            self.span.loss.cuts.add(Cut::Value);
        }
    }

    fn end_link(&mut self) {
        let part = &mut self.links.part;
        if !part.mark.is_empty()
            && !self.nested_keys.holds(mark::TRUNCATED, self.holder, self.columns)
        {
            part.mark.write(part.objects.separated());
        }
        part.end();
    }

    fn end_span(&mut self, head: &Head<'_>) {
        let lost = self
            .span
            .loss
            .cuts
            .and(head.cuts)
            .and(self.resource.loss.cuts)
            .and(self.scope.loss.cuts);
        if !lost.is_empty() {
            self.cut_counts.span(lost);
            self.mark_span();
        }
        self.push_dropped(head);
        self.weights.push(self.span.sampling.weight());
        self.invalid_weights += u64::from(self.span.sampling.are_invalid());
        self.attributes.end();
        self.events.part.end_row();
        self.links.part.end_row();
        self.rows += 1;
    }

    fn end_scope(&mut self) {
        let (from, until) = (self.scope.first_row, self.rows);
        if from == until {
            return;
        }
        for (column, key) in [
            (&mut self.scope_names, self.scope.name),
            (&mut self.scope_versions, self.scope.version),
            (&mut self.scope_attributes, self.scope.key),
        ] {
            if let Some(key) = key {
                column.keys.push(from, until, key);
            }
        }
    }

    fn end_resource(&mut self) {
        let (from, until) = (self.resource.first_row, self.rows);
        if from == until {
            return;
        }
        self.resources.push(from, until, &self.resource.json);
        if self.resource.service < 0 {
            self.resource.service = self.services.interner.intern(SERVICE_UNKNOWN);
        }
        self.services.keys.push(from, until, self.resource.service);
        for &(position, scalar) in &self.resource.values {
            if let Some(data) = &mut self.data[position] {
                data.push_scalar(from, until, scalar);
            }
        }
        for &(index, kind) in &self.resource.rest {
            let slot = self.resource_keys.slot(index);
            slot.spans[type_index(kind)] += u64::from(until - from);
        }
    }

    fn refuse(&mut self, _refusal: Refusal) {}
}

/// Whether a text buffer is as large as its offsets allow.
#[inline]
fn overflow(json: &[u8]) -> Option<Cut> {
    (json.len() > BUFFER_BYTES_MAX).then_some(Cut::Bytes)
}

fn count_rest(slot: &mut Slot, value: Value<'_>) {
    if let Some(kind) = rest_type(slot.column.map(|(_, kind)| kind), value) {
        slot.spans[type_index(kind)] += 1;
    }
}

fn write_pair(json: &mut Vec<u8>, key: &[u8], value: Value<'_>, limit: usize) {
    json.push(if json.is_empty() { b'{' } else { b',' });
    json.extend_from_slice(key);
    text::value(json, value, limit);
}

fn close_object(json: &mut Vec<u8>) {
    if !json.is_empty() {
        json.push(b'}');
    }
}

fn count_i32(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
