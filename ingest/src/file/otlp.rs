//! OTLP protobuf written: what files of other formats become, so that doors, log and replay know nothing new.
//!
//! Field numbers: opentelemetry-proto's `trace.proto`, `common.proto` and `resource.proto`, version 1.
use std::collections::{HashMap, VecDeque};

use super::{PIECE_BYTES_MAX, PIECE_BYTES_MIN, Piece};
use crate::decode::Format;
use crate::{Error, Result};

/// Values of attributes are nested no deeper than this; what is deeper becomes its JSON text.
const DEPTH_MAX: u32 = 32;

/// One message under construction.
#[derive(Debug, Default, Clone)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3));
        self.varint(value);
    }

    fn fixed64(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3 | 1));
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a text, bytes or a nested message.
    fn field(&mut self, field: u32, value: &[u8]) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }
}

/// Value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    Texts(&'a [String]),
    /// Any JSON: objects become maps.
    Json(&'a serde_json::Value),
}

/// Appends `key`: `value` as the repeated field `field` of `message`.
pub(super) fn attribute(message: &mut Message, field: u32, key: &str, value: Value<'_>) {
    let mut pair = Message::default();
    pair.field(1, key.as_bytes());
    let mut any = Message::default();
    any_value(&mut any, value, DEPTH_MAX);
    pair.field(2, any.bytes());
    message.field(field, pair.bytes());
}

fn any_value(any: &mut Message, value: Value<'_>, depth: u32) {
    match value {
        Value::Text(text) => any.field(1, text.as_bytes()),
        Value::Bool(truth) => any.number(2, u64::from(truth)),
        Value::Int(number) => any.number(3, number.cast_unsigned()),
        Value::Double(number) => any.fixed64(4, number.to_bits()),
        Value::Bytes(bytes) => any.field(7, bytes),
        Value::Texts(texts) => {
            let mut array = Message::default();
            for text in texts {
                let mut element = Message::default();
                element.field(1, text.as_bytes());
                array.field(1, element.bytes());
            }
            any.field(5, array.bytes());
        }
        Value::Json(json) => any_json(any, json, depth),
    }
}

fn any_json(any: &mut Message, json: &serde_json::Value, depth: u32) {
    use serde_json::Value as Json;
    match json {
        Json::Null => {}
        Json::Bool(truth) => any_value(any, Value::Bool(*truth), depth),
        Json::String(text) => any_value(any, Value::Text(text), depth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => any_value(any, Value::Int(number), depth),
            (None, Some(number)) => any_value(any, Value::Double(number), depth),
            (None, None) => any_value(any, Value::Text(&number.to_string()), depth),
        },
        _ if depth == 0 => any_value(any, Value::Text(&json.to_string()), depth),
        Json::Array(items) => {
            let mut array = Message::default();
            for item in items {
                let mut element = Message::default();
                any_json(&mut element, item, depth - 1);
                array.field(1, element.bytes());
            }
            any.field(5, array.bytes());
        }
        Json::Object(fields) => {
            let mut map = Message::default();
            for (key, value) in fields {
                let (mut pair, mut inner) = (Message::default(), Message::default());
                any_json(&mut inner, value, depth - 1);
                pair.field(1, key.as_bytes());
                pair.field(2, inner.bytes());
                map.field(1, pair.bytes());
            }
            any.field(6, map.bytes());
        }
    }
}

/// A `Resource`.
#[derive(Debug, Default)]
pub(super) struct Resource(Message);

impl Resource {
    pub(super) fn attribute(&mut self, key: &str, value: Value<'_>) {
        attribute(&mut self.0, 1, key, value);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// A `Span`.
#[derive(Debug, Default, Clone)]
pub(super) struct Span(Message);

impl Span {
    pub(super) fn ids(&mut self, trace_id: [u8; 16], span_id: [u8; 8], parent: Option<[u8; 8]>) {
        self.0.field(1, &trace_id);
        self.0.field(2, &span_id);
        if let Some(parent) = parent {
            self.0.field(4, &parent);
        }
    }

    pub(super) fn trace_state(&mut self, trace_state: &str) {
        self.0.field(3, trace_state.as_bytes());
    }

    pub(super) fn name(&mut self, name: &str) {
        self.0.field(5, name.as_bytes());
    }

    pub(super) fn kind(&mut self, kind: u64) {
        self.0.number(6, kind);
    }

    /// Start and end in nanoseconds since 1970.
    pub(super) fn times(&mut self, start: u64, end: u64) {
        self.0.fixed64(7, start);
        self.0.fixed64(8, end);
    }

    pub(super) fn attribute(&mut self, key: &str, value: Value<'_>) {
        attribute(&mut self.0, 9, key, value);
    }

    pub(super) fn event(&mut self, event: &Event) {
        self.0.field(11, event.0.bytes());
    }

    /// A link to another span of OpenTracing's relation.
    pub(super) fn reference(&mut self, trace_id: [u8; 16], span_id: [u8; 8], relation: &str) {
        self.link(trace_id, span_id, ("opentracing.ref_type", relation));
    }

    /// A link to the span that a flow of Chrome's comes from.
    pub(super) fn flow(&mut self, trace_id: [u8; 16], span_id: [u8; 8], name: &str) {
        self.link(trace_id, span_id, ("chrome.flow", name));
    }

    fn link(&mut self, trace_id: [u8; 16], span_id: [u8; 8], (key, value): (&str, &str)) {
        let mut link = Message::default();
        link.field(1, &trace_id);
        link.field(2, &span_id);
        attribute(&mut link, 4, key, Value::Text(value));
        self.0.field(13, link.bytes());
    }

    /// Adds all fields of another one.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.0.extend_from_slice(other.0.bytes());
    }

    /// Its size.
    pub(super) fn bytes(&self) -> usize {
        self.0.0.len()
    }

    pub(super) fn status(&mut self, code: u64, message: &str) {
        let mut status = Message::default();
        if !message.is_empty() {
            status.field(2, message.as_bytes());
        }
        status.number(3, code);
        self.0.field(15, status.bytes());
    }

    /// The W3C trace flags.
    pub(super) fn flags(&mut self, flags: u32) {
        self.0.varint(u64::from(16u32 << 3 | 5));
        self.0.0.extend_from_slice(&flags.to_le_bytes());
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// A span's `Event`.
#[derive(Debug)]
pub(super) struct Event(Message);

impl Event {
    pub(super) fn new(time: u64, name: &str) -> Self {
        let mut event = Message::default();
        event.fixed64(1, time);
        event.field(2, name.as_bytes());
        Self(event)
    }

    pub(super) fn attribute(&mut self, key: &str, value: Value<'_>) {
        attribute(&mut self.0, 3, key, value);
    }

    /// Its size.
    pub(super) fn bytes(&self) -> usize {
        self.0.0.len()
    }
}

/// Spans gathered by resource into requests of about [`PIECE_BYTES_MIN`].
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Resources in the order of their first span, with their spans.
    groups: Vec<(Vec<u8>, Message)>,
    index: HashMap<Vec<u8>, usize>,
    bytes: usize,
}

impl Requests {
    /// Adds an encoded span of an encoded resource; what is large enough becomes ready.
    ///
    /// # Errors
    /// The span alone is larger than any piece.
    pub(super) fn add(
        &mut self,
        resource: &[u8],
        span: &[u8],
        (offset, ready): (u64, &mut VecDeque<Piece>),
    ) -> Result<()> {
        if resource.len() + span.len() > PIECE_BYTES_MAX - 64 {
            return Err(Error::TooLarge { limit_bytes: PIECE_BYTES_MAX });
        }
        if self.bytes + resource.len() + span.len() > PIECE_BYTES_MAX / 2 {
            self.emit(offset, ready);
        }
        let group = match self.index.get(resource) {
            Some(&group) => group,
            None => {
                self.groups.push((resource.to_vec(), Message::default()));
                self.index.insert(resource.to_vec(), self.groups.len() - 1);
                self.bytes += resource.len();
                self.groups.len() - 1
            }
        };
        self.groups[group].1.field(2, span);
        self.bytes += span.len();
        if self.bytes >= PIECE_BYTES_MIN {
            self.emit(offset, ready);
        }
        Ok(())
    }

    /// Makes a piece of what is left.
    pub(super) fn emit(&mut self, offset: u64, ready: &mut VecDeque<Piece>) {
        if self.groups.is_empty() {
            return;
        }
        let mut request = Message::default();
        for (resource, spans) in self.groups.drain(..) {
            let mut resource_spans = Message::default();
            resource_spans.field(1, &resource);
            resource_spans.field(2, spans.bytes());
            request.field(1, resource_spans.bytes());
        }
        self.index.clear();
        self.bytes = 0;
        let body = request.into_bytes().into();
        ready.push_back(Piece { format: Format::OtlpProtobuf, body, offset });
    }
}
