//! Zipkin v2 JSON: an array of spans (<https://zipkin.io/zipkin-api/#/default/post_spans>).
//!
//! How its fields become ours: docs/format.md#formats. A SERVER span that shares its id with the CLIENT span (`shared`)
//! keeps id and parent as sent; views tell the two apart by service.
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use storage::time::TimeRange;

use super::cut::Cut;
use super::json::number::{Id, Number, Text, text};
use super::json::{parse, utf8};
use super::sink::{Admitted, Event, Head, Place, Sink, Value, admit};
use super::wire::Malformed;
use crate::Config;

const STATUS_ERROR: i32 = 2;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    parent_id: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    timestamp: Option<Number>,
    duration: Option<Number>,
    #[serde(borrow)]
    local_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow)]
    remote_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow)]
    annotations: Option<Vec<Annotation<'a>>>,
    #[serde(borrow)]
    tags: Option<Tags<'a>>,
    /// Not Zipkin's: where sampling at the door leaves its threshold.
    #[serde(borrow)]
    trace_state: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    #[serde(borrow)]
    service_name: Option<Text<'a>>,
    #[serde(borrow)]
    ipv4: Option<Text<'a>>,
    #[serde(borrow)]
    ipv6: Option<Text<'a>>,
    port: Option<Number>,
}

impl Endpoint<'_> {
    fn service(&self) -> &[u8] {
        text(&self.service_name)
    }

    fn address(&self) -> &[u8] {
        match text(&self.ipv4) {
            [] => text(&self.ipv6),
            address => address,
        }
    }

    fn port(&self) -> i64 {
        self.port.unwrap_or_default().signed()
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.service(), self.address(), self.port())
            == (other.service(), other.address(), other.port())
    }
}

#[derive(Deserialize)]
struct Annotation<'a> {
    timestamp: Option<Number>,
    #[serde(borrow)]
    value: Option<Text<'a>>,
}

/// Tags in the order sent.
#[derive(Default)]
struct Tags<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TagsVisitor;
        impl<'de> Visitor<'de> for TagsVisitor {
            type Value = Tags<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tags")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags<'de>, A::Error> {
                let mut tags = Tags::default();
                while let Some(tag) = map.next_entry()? {
                    tags.0.push(tag);
                }
                Ok(tags)
            }
        }
        deserializer.deserialize_map(TagsVisitor)
    }
}

/// Hands every span of `body` to `sink`, those that [`admit`] refuses as refusals.
pub(crate) fn walk<S: Sink>(
    body: &[u8],
    config: &Config,
    accept: TimeRange,
    sink: &mut S,
) -> Result<(), Malformed> {
    let body = utf8(body)?;
    let spans: Vec<&RawValue> =
        if body.trim_start().starts_with('{') { vec![parse(body)?] } else { parse(body)? };
    let mut local: Option<Endpoint<'_>> = None;
    for raw in spans {
        let mut span: Span<'_> = parse(raw.get())?;
        let endpoint = span.local_endpoint.take().unwrap_or_default();
        // Spans of one endpoint mostly follow each other: they share a resource.
        if local.as_ref().is_none_or(|local| !local.is_same(&endpoint)) {
            if local.is_some() {
                end_resource(sink);
            }
            begin_resource(sink, &endpoint);
            local = Some(endpoint);
        }
        hand_over(&span, config, accept, sink);
    }
    if local.is_some() {
        end_resource(sink);
    }
    Ok(())
}

fn begin_resource(sink: &mut impl Sink, endpoint: &Endpoint<'_>) {
    sink.begin_resource();
    let mut attribute = |key: &str, value| sink.attribute(Place::Resource, key.as_bytes(), value);
    if !endpoint.service().is_empty() {
        attribute("service.name", Value::Text(endpoint.service()));
    }
    if !endpoint.address().is_empty() {
        attribute("network.local.address", Value::Text(endpoint.address()));
    }
    if endpoint.port() > 0 {
        attribute("network.local.port", Value::Int(endpoint.port()));
    }
    sink.end_resource_attributes();
    sink.begin_scope(b"", b"");
    sink.end_scope_attributes();
}

fn end_resource(sink: &mut impl Sink) {
    sink.end_scope();
    sink.end_resource();
}

fn hand_over(span: &Span<'_>, config: &Config, accept: TimeRange, sink: &mut impl Sink) {
    let trace_id = Id::<16>::parse(&padded(text(&span.trace_id), 32));
    let span_id = Id::<8>::parse(&padded(text(&span.id), 16));
    let parent_span_id = Id::<8>::parse(&padded(text(&span.parent_id), 16));
    let mut head = head(span);
    head.trace_id = trace_id.bytes();
    head.span_id = span_id.bytes();
    head.parent_span_id = parent_span_id.bytes();
    match admit(&head, accept) {
        Ok(admitted) => keep(span, (head, admitted), config, sink),
        Err(refusal) => sink.refuse(refusal),
    }
}

fn head<'s>(span: &'s Span<'_>) -> Head<'s> {
    let start = span.timestamp.unwrap_or_default().unsigned().saturating_mul(1_000);
    let duration = span.duration.unwrap_or_default().unsigned().saturating_mul(1_000);
    let error = span.tags.as_ref().and_then(|tags| {
        tags.0.iter().find(|(key, value)| key.as_str() == "error" && value.as_str() != "false")
    });
    let words = error.map_or("", |(_, value)| value.as_str());
    Head {
        name: text(&span.name),
        trace_state: text(&span.trace_state),
        kind: match text(&span.kind) {
            b"SERVER" => 2,
            b"CLIENT" => 3,
            b"PRODUCER" => 4,
            b"CONSUMER" => 5,
            _ => 0,
        },
        start,
        end: start.saturating_add(duration),
        status: if error.is_some() { STATUS_ERROR } else { 0 },
        status_message: if words == "true" { b"" } else { words.as_bytes() },
        ..Head::default()
    }
}

fn keep(
    span: &Span<'_>,
    (mut head, admitted): (Head<'_>, Admitted),
    config: &Config,
    sink: &mut impl Sink,
) {
    sink.begin_span(&head, &admitted);
    for (key, value) in span.tags.iter().flat_map(|tags| &tags.0) {
        sink.attribute(Place::Span, key.bytes(), Value::Text(value.bytes()));
    }
    // After the tags: where the sender tagged the same key, his value stays.
    if let Some(remote) = &span.remote_endpoint {
        remote_attributes(remote, head.kind, sink);
    }
    let annotations = span.annotations.as_deref().unwrap_or_default();
    for annotation in annotations.iter().take(config.events_max) {
        sink.begin_event(&Event {
            time: annotation.timestamp.unwrap_or_default().unsigned().saturating_mul(1_000),
            name: text(&annotation.value),
            dropped_attributes: 0,
        });
        sink.end_event();
    }
    let excess = annotations.len().saturating_sub(config.events_max);
    if excess > 0 {
        head.dropped_events = u32::try_from(excess).unwrap_or(u32::MAX);
        head.cuts.add(Cut::Events);
    }
    sink.end_span(&head);
}

/// The other side of the call. For the side that calls it is also the server's address, by which an uninstrumented
/// service is named in the dependency map.
fn remote_attributes(remote: &Endpoint<'_>, kind: i32, sink: &mut impl Sink) {
    let mut attribute = |key: &str, value| sink.attribute(Place::Span, key.as_bytes(), value);
    let (service, address) = (remote.service(), remote.address());
    if !service.is_empty() {
        attribute("peer.service", Value::Text(service));
    }
    if !address.is_empty() {
        attribute("network.peer.address", Value::Text(address));
    }
    if remote.port() > 0 {
        attribute("network.peer.port", Value::Int(remote.port()));
    }
    let server = if service.is_empty() { address } else { service };
    if matches!(kind, 3 | 4) && !server.is_empty() {
        attribute("server.address", Value::Text(server));
    }
}

/// Ids shorter than `digits` get zeros in front, as Zipkin's 64-bit trace ids do.
fn padded(id: &[u8], digits: usize) -> Vec<u8> {
    let zeros = if id.is_empty() { 0 } else { digits.saturating_sub(id.len()) };
    [&vec![b'0'; zeros], id].concat()
}
