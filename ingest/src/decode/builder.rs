//! Builds one [`storage::SpanBatch`] from the spans of many requests: no copy of a span, strings that repeat stored once.
//!
//! What a whole resource or scope shares (service, resource JSON, scope name) is kept as ranges of rows; what few spans
//! have as pairs of row and value ([`storage::batch::Spots`]).
mod buffers;
mod data;
mod finish;
mod keys;
mod mark;
mod nested;
mod resources;
mod state;

use storage::batch::{Interner, Interning};

use self::data::rest_type;
use self::keys::Role;
use self::mark::Loss;
use self::resources::Shared;
pub(crate) use self::state::State;
use super::cut::{Cut, CutCounts};
use super::sink::{Admitted, Event, Head, Link, Place, Refusal, Sink, Value};
use super::text;
use super::weight::Hints;
use crate::Config;

/// Beyond this size of one text buffer further attributes are dropped (and counted as dropped), so that no offset
/// overflows. A group of requests stays far below it.
const BUFFER_BYTES_MAX: usize = 1 << 30;

/// The resource being read.
#[derive(Debug, Default)]
struct Resource {
    json: Vec<u8>,
    attributes: usize,
    loss: Loss,
    first_row: u32,
    shared: Shared,
}

/// The scope being read.
#[derive(Debug, Default)]
struct Scope {
    json: Vec<u8>,
    attributes: usize,
    loss: Loss,
    name: Option<u32>,
    version: Option<u32>,
    all: Option<u32>,
    /// The one behind the scope before, so that a scope can begin again.
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

/// Receives spans of any format (it is a [`Sink`]) into a session's buffers.
#[derive(Debug)]
pub(crate) struct Builder<'s> {
    config: &'s Config,
    strings: Interning<'s>,
    state: &'s mut State,
    rows: u32,
    cut_counts: CutCounts,
    resource: Resource,
    scope: Scope,
    span: Current,
    invalid_weights: u64,
}

impl<'s> Builder<'s> {
    /// Fills `state`, which is ready for a group.
    pub(crate) fn new(
        config: &'s Config,
        interner: &'s mut Interner,
        state: &'s mut State,
    ) -> Self {
        Self {
            config,
            strings: interner.open(),
            state,
            rows: 0,
            cut_counts: CutCounts::default(),
            resource: Resource::default(),
            scope: Scope::default(),
            span: Current::default(),
            invalid_weights: 0,
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
        if first < self.rows {
            self.state.buffers.received.push_run(first, self.rows, unix_nano);
        }
    }

    fn next_holder(&mut self) -> u64 {
        self.state.holder += 1;
        self.state.holder
    }

    /// Spans that lost something to a limit.
    pub(crate) fn cut_counts(&self) -> &CutCounts {
        &self.cut_counts
    }

    #[inline(always)]
    fn span_attribute(&mut self, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.span.bytes + key.len() + value.bytes_kept(limit);
        let State { buffers, span_keys, columns, .. } = &mut *self.state;
        let excess = excess(self.config, key, self.span.attributes, bytes);
        if let Some(cut) = excess.or_else(|| overflow(&buffers.attributes.json)) {
            return self.span.loss.left_out(cut);
        }
        let index = span_keys.find(key, columns);
        let slot = span_keys.slot(index);
        if slot.holder == self.span.holder {
            return; // the first of equal keys wins
        }
        slot.holder = self.span.holder;
        self.span.attributes += 1;
        self.span.bytes = bytes;
        self.span.loss.note(slot, value, limit);
        if let Role::Weight(hint) = slot.role {
            self.span.sampling.add(hint, value);
        }
        if let Some((position, _)) = slot.column
            && buffers.data[position].push(&mut self.strings, self.rows, value, limit)
        {
            return;
        }
        let json = buffers.attributes.separated();
        json.extend_from_slice(&slot.json);
        text::value(json, value, limit);
        if let Some(kind) = rest_type(slot.column.map(|(_, kind)| kind), value) {
            span_keys.count(index, kind, 1);
        }
    }

    /// An attribute of anything but a span.
    #[inline(never)]
    fn other_attribute(&mut self, place: Place, key: &[u8], value: Value<'_>) {
        match place {
            Place::Resource => self.resource_attribute(key, value),
            Place::Scope => self.scope_attribute(key, value),
            Place::Span => self.span_attribute(key, value),
            Place::Event | Place::Link => self.part_attribute(place, key, value),
        }
    }

    fn resource_attribute(&mut self, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.resource.json.len() + key.len() + value.bytes_kept(limit);
        if let Some(cut) = excess(self.config, key, self.resource.attributes, bytes) {
            return self.resource.loss.left_out(cut);
        }
        let State { buffers, resource_keys, columns, resource_holder, .. } = &mut *self.state;
        let index = resource_keys.find(key, columns);
        let slot = resource_keys.slot(index);
        if slot.holder == *resource_holder {
            return;
        }
        slot.holder = *resource_holder;
        self.resource.attributes += 1;
        self.resource.loss.note(slot, value, limit);
        write_pair(&mut self.resource.json, &slot.json, value, limit);
        let shared = &mut self.resource.shared;
        if let (Role::Service, Value::Text(name)) = (slot.role, value) {
            // It has a fixed column, so it never asks for one among the attributes.
            if !name.is_empty() {
                shared.service = Some(self.strings.intern(&text::fit(name, limit)));
            }
            return;
        }
        let column = slot.column;
        let scalar = column.and_then(|(position, _)| {
            let scalar = buffers.data[position].scalar(&mut self.strings, value, limit)?;
            Some((position, scalar))
        });
        if let Some(value) = scalar {
            shared.values.push(value);
        } else if let Some(kind) = rest_type(column.map(|(_, kind)| kind), value) {
            shared.rest.push((index, kind));
        }
    }

    fn scope_attribute(&mut self, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.scope.json.len() + key.len() + value.bytes_kept(limit);
        if let Some(cut) = excess(self.config, key, self.scope.attributes, bytes) {
            return self.scope.loss.left_out(cut);
        }
        let State { nested_keys, columns, holder, .. } = &mut *self.state;
        let index = nested_keys.find(key, columns);
        let slot = nested_keys.slot(index);
        if slot.holder != *holder {
            slot.holder = *holder;
            self.scope.attributes += 1;
            self.scope.loss.note(slot, value, limit);
            write_pair(&mut self.scope.json, &slot.json, value, limit);
        }
    }

    /// An attribute of the event or link that began last.
    fn part_attribute(&mut self, place: Place, key: &[u8], value: Value<'_>) {
        let limit = self.config.value_bytes_max;
        let bytes = self.span.bytes + key.len() + value.bytes_kept(limit);
        let State { buffers, nested_keys, columns, holder, .. } = &mut *self.state;
        let part = match place {
            Place::Event => &mut buffers.events.part,
            _ => &mut buffers.links.part,
        };
        let excess = excess(self.config, key, part.attributes, bytes);
        if let Some(cut) = excess.or_else(|| overflow(&part.objects.json)) {
            part.dropped = part.dropped.saturating_add(1);
            self.span.loss.cuts.add(cut);
            return;
        }
        let index = nested_keys.find(key, columns);
        let slot = nested_keys.slot(index);
        if slot.holder != *holder {
            slot.holder = *holder;
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

    /// The event or link that began last is complete.
    fn end_part(&mut self, place: Place) {
        let State { buffers, nested_keys, columns, holder, .. } = &mut *self.state;
        let part = match place {
            Place::Event => &mut buffers.events.part,
            _ => &mut buffers.links.part,
        };
        if !part.mark.is_empty() && !nested_keys.holds(mark::TRUNCATED, *holder, columns) {
            part.mark.write(part.objects.separated());
        }
        part.end();
    }

    /// Bytes that one more text of the current span's events and links may have, up to `limit`; takes `wanted` of them.
    fn room(&mut self, wanted: usize, limit: usize) -> usize {
        let room = self.config.span_bytes_max.saturating_sub(self.span.bytes).min(limit);
        self.span.bytes += wanted.min(room);
        room
    }

    #[cold]
    fn mark_span(&mut self) {
        let State { buffers, span_keys, columns, .. } = &mut *self.state;
        let sent = span_keys.holds(mark::TRUNCATED, self.span.holder, columns);
        if !sent && !self.span.loss.mark.is_empty() {
            self.span.loss.mark.write(buffers.attributes.separated());
        }
    }

    fn push_texts(&mut self, head: &Head<'_>) {
        let (row, strings) = (self.rows, &mut self.strings);
        let buffers = &mut self.state.buffers;
        let limit = self.config.name_bytes_max;
        self.span.loss.cut_field("span.name", head.name, limit, Cut::Name);
        buffers.names.push(strings, row, &text::fit(head.name, limit));
        let limit = self.config.value_bytes_max;
        for (field, text, column) in [
            ("span.status_message", head.status_message, &mut buffers.status_messages),
            ("span.trace_state", head.trace_state, &mut buffers.trace_states),
        ] {
            if !text.is_empty() {
                self.span.loss.cut_field(field, text, limit, Cut::Value);
                column.push(strings, row, &text::fit(text, limit));
            }
        }
    }

    fn push_dropped(&mut self, head: &Head<'_>) {
        let buffers = &mut self.state.buffers;
        for (column, count) in [
            (&mut buffers.dropped_attributes, self.span.loss.dropped),
            (&mut buffers.dropped_events, head.dropped_events),
            (&mut buffers.dropped_links, head.dropped_links),
        ] {
            if count > 0 {
                column.push(self.rows, count_i32(count));
            }
        }
    }
}

impl Sink for Builder<'_> {
    fn recall_resource(&mut self, message: &[u8]) -> bool {
        self.resource.first_row = self.rows;
        self.state.resources.recall(message, &mut self.resource.shared)
    }

    fn remember_resource(&mut self, message: &[u8]) {
        self.state.resources.remember(message, &self.resource.shared);
    }

    fn begin_resource(&mut self) {
        self.state.resource_holder += 1;
        let resource = &mut self.resource;
        resource.json.clear();
        resource.shared.clear();
        resource.attributes = 0;
        resource.loss = Loss::default();
        resource.first_row = self.rows;
    }

    fn end_resource_attributes(&mut self) {
        let Resource { json, loss, shared, .. } = &mut self.resource;
        if !loss.cuts.is_empty() {
            let State { resource_keys, columns, resource_holder, .. } = &mut *self.state;
            loss.write(json, resource_keys.holds(mark::TRUNCATED, *resource_holder, columns));
        }
        json.extend_from_slice(if json.is_empty() { b"{}" } else { b"}" });
        shared.json = self.strings.intern(json);
        shared.cuts = loss.cuts;
    }

    fn begin_scope(&mut self, name: &[u8], version: &[u8]) {
        self.next_holder();
        let limit = self.config.name_bytes_max;
        let scope = &mut self.scope;
        scope.json.clear();
        scope.attributes = 0;
        scope.loss = Loss::default();
        scope.loss.cut_field("scope.name", name, limit, Cut::Name);
        scope.loss.cut_field("scope.version", version, limit, Cut::Name);
        let buffers = &mut self.state.buffers;
        let mut intern = |column: &mut buffers::Text, text: &[u8]| {
            (!text.is_empty()).then(|| column.intern(&mut self.strings, &text::fit(text, limit)))
        };
        scope.name = intern(&mut buffers.scope_names, name);
        scope.version = intern(&mut buffers.scope_versions, version);
    }

    fn end_scope_attributes(&mut self) {
        let Scope { json, loss, .. } = &mut self.scope;
        if !loss.cuts.is_empty() {
            let State { nested_keys, columns, holder, .. } = &mut *self.state;
            loss.write(json, nested_keys.holds(mark::TRUNCATED, *holder, columns));
        }
        self.scope.all = (!json.is_empty()).then(|| {
            json.push(b'}');
            self.strings.intern(json)
        });
    }

    fn begin_span(&mut self, head: &Head<'_>, admitted: &Admitted) {
        self.span = Current {
            holder: self.next_holder(),
            loss: Loss { dropped: head.dropped_attributes, ..Loss::default() },
            sampling: Hints::of_trace_state(head.trace_state),
            ..Current::default()
        };
        self.push_texts(head);
        let buffers = &mut self.state.buffers;
        buffers.trace_ids.extend_from_slice(&admitted.trace_id);
        buffers.span_ids.extend_from_slice(&admitted.span_id);
        buffers.parents.extend_from_slice(&admitted.parent_span_id.unwrap_or_default());
        buffers.has_parent.push(admitted.parent_span_id.is_some());
        buffers.starts.push(admitted.start);
        buffers.durations.push(admitted.duration);
        let words = &self.state.words;
        buffers.kinds.push(word(&words.kinds, head.kind));
        buffers.statuses.push(word(&words.statuses, head.status));
        buffers.flags.push_run(self.rows, self.rows + 1, head.flags.cast_signed());
    }

    #[inline(always)]
    fn attribute(&mut self, place: Place, key: &[u8], value: Value<'_>) {
        match place {
            Place::Span => self.span_attribute(key, value),
            _ => self.other_attribute(place, key, value),
        }
    }

    fn begin_event(&mut self, event: &Event<'_>) {
        self.next_holder();
        let limit = self.room(event.name.len(), self.config.name_bytes_max);
        let events = &mut self.state.buffers.events;
        events.begin(event, limit);
        if event.name.len() > limit {
            events.part.mark.field("event.name");
            self.span.loss.cuts.add(Cut::Name);
        }
    }

    fn end_event(&mut self) {
        self.end_part(Place::Event);
    }

    fn begin_link(&mut self, link: &Link<'_>, trace_id: [u8; 16], span_id: [u8; 8]) {
        self.next_holder();
        let limit = self.room(link.trace_state.len(), self.config.value_bytes_max);
        let links = &mut self.state.buffers.links;
        links.begin(
            &Link { trace_state: &text::fit(link.trace_state, limit), ..*link },
            (trace_id, span_id),
        );
        if link.trace_state.len() > limit {
            links.part.mark.field("link.trace_state");
            self.span.loss.cuts.add(Cut::Value);
        }
    }

    fn end_link(&mut self) {
        self.end_part(Place::Link);
    }

    fn end_span(&mut self, head: &Head<'_>) {
        let shared = self.resource.shared.cuts.and(self.scope.loss.cuts);
        let lost = self.span.loss.cuts.and(head.cuts).and(shared);
        if !lost.is_empty() {
            self.cut_counts.span(lost);
            self.mark_span();
        }
        self.push_dropped(head);
        let buffers = &mut self.state.buffers;
        buffers.weights.push_run(self.rows, self.rows + 1, self.span.sampling.weight());
        buffers.attributes.end();
        buffers.events.part.end_row();
        buffers.links.part.end_row();
        self.invalid_weights += u64::from(self.span.sampling.are_invalid());
        self.rows += 1;
    }

    fn end_scope(&mut self) {
        let (from, until) = (self.scope.first_row, self.rows);
        self.scope.first_row = until;
        if from == until {
            return;
        }
        let buffers = &mut self.state.buffers;
        for (column, number) in [
            (&mut buffers.scope_names, self.scope.name),
            (&mut buffers.scope_versions, self.scope.version),
            (&mut buffers.scope_attributes, self.scope.all),
        ] {
            if let Some(number) = number {
                column.spots.push_run(from, until, number);
            }
        }
    }

    fn end_resource(&mut self) {
        let (from, until) = (self.resource.first_row, self.rows);
        if from == until {
            return;
        }
        let Shared { service, json, values, rest, .. } = &self.resource.shared;
        let buffers = &mut self.state.buffers;
        buffers.resources.push_run(from, until, *json);
        buffers.services.push_run(from, until, service.unwrap_or(self.state.words.unknown));
        for &(position, scalar) in values {
            buffers.data[position].push_scalar(from, until, scalar);
        }
        for &(index, kind) in rest {
            self.state.resource_keys.count(index, kind, u64::from(until - from));
        }
    }

    fn refuse(&mut self, _refusal: Refusal, _head: &Head<'_>) {}
}

/// Why an attribute is left out whose holder has `attributes` already, and with it would have `bytes`.
#[inline]
fn excess(config: &Config, key: &[u8], attributes: usize, bytes: usize) -> Option<Cut> {
    if attributes >= config.attributes_max {
        return Some(Cut::Attributes);
    }
    if key.len() > config.key_bytes_max {
        return Some(Cut::Key);
    }
    (bytes > config.span_bytes_max).then_some(Cut::Bytes)
}

/// Whether a text buffer is as large as its offsets allow.
#[inline]
fn overflow(json: &[u8]) -> Option<Cut> {
    (json.len() > BUFFER_BYTES_MAX).then_some(Cut::Bytes)
}

fn write_pair(json: &mut Vec<u8>, key: &[u8], value: Value<'_>, limit: usize) {
    json.push(if json.is_empty() { b'{' } else { b',' });
    json.extend_from_slice(key);
    text::value(json, value, limit);
}

/// The number of an enum's word; what the enum does not know is its first.
fn word<const N: usize>(words: &[u32; N], number: i32) -> u32 {
    usize::try_from(number).ok().and_then(|number| words.get(number)).copied().unwrap_or(words[0])
}

fn count_i32(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
