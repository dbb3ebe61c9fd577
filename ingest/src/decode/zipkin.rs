//! Zipkin v2 spans (<https://zipkin.io/zipkin-api/#/default/post_spans>), as JSON and as protobuf.
//!
//! How their fields become ours: docs/format.md#formats. A SERVER span that shares its id with the CLIENT span (`shared`)
//! keeps id and parent as sent; views tell the two apart by service.
pub(crate) mod json;
pub(crate) mod protobuf;

use storage::time::TimeRange;

use super::cut::Cut;
use super::sink::{Admitted, Event, Head, Place, Sink, Value, admit};
use crate::Config;

const STATUS_ERROR: i32 = 2;

/// Who sent a span, or whom it called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Endpoint<'a> {
    service: &'a [u8],
    /// In text.
    address: &'a [u8],
    port: i64,
}

/// A span, whichever way it was written.
#[derive(Debug, Default)]
struct Span<'a> {
    /// 16 bytes; of another length where the sender's is wrong, as the other ids.
    trace_id: &'a [u8],
    id: &'a [u8],
    parent_id: &'a [u8],
    /// OTLP's number.
    kind: i32,
    name: &'a [u8],
    /// Not Zipkin's: where sampling at the door leaves its threshold.
    trace_state: &'a [u8],
    timestamp_micros: u64,
    duration_micros: u64,
    remote: Option<Endpoint<'a>>,
    /// In the order sent.
    tags: Vec<(&'a [u8], &'a [u8])>,
    annotations: Vec<(u64, &'a [u8])>,
}

fn begin_resource(sink: &mut impl Sink, local: &Endpoint<'_>) {
    sink.begin_resource();
    let mut attribute = |key: &str, value| sink.attribute(Place::Resource, key.as_bytes(), value);
    if !local.service.is_empty() {
        attribute("service.name", Value::Text(local.service));
    }
    if !local.address.is_empty() {
        attribute("network.local.address", Value::Text(local.address));
    }
    if local.port > 0 {
        attribute("network.local.port", Value::Int(local.port));
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
    let head = head(span);
    match admit(&head, accept) {
        Ok(admitted) => keep(span, (head, admitted), config, sink),
        Err(refusal) => sink.refuse(refusal, &head),
    }
}

fn head<'s>(span: &Span<'s>) -> Head<'s> {
    let start = span.timestamp_micros.saturating_mul(1_000);
    let duration = span.duration_micros.saturating_mul(1_000);
    let error = span.tags.iter().find(|(key, value)| *key == b"error" && *value != b"false");
    let words = error.map_or(&b""[..], |(_, value)| value);
    Head {
        trace_id: span.trace_id,
        span_id: span.id,
        parent_span_id: span.parent_id,
        name: span.name,
        trace_state: span.trace_state,
        kind: span.kind,
        start,
        end: start.saturating_add(duration),
        status: if error.is_some() { STATUS_ERROR } else { 0 },
        status_message: if words == b"true" { b"" } else { words },
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
    for &(key, value) in &span.tags {
        sink.attribute(Place::Span, key, Value::Text(value));
    }
    // After the tags: where the sender tagged the same key, his value stays.
    if let Some(remote) = &span.remote {
        remote_attributes(remote, head.kind, sink);
    }
    for &(micros, name) in span.annotations.iter().take(config.events_max) {
        let time = micros.saturating_mul(1_000);
        sink.begin_event(&Event { time, name, dropped_attributes: 0 });
        sink.end_event();
    }
    let excess = span.annotations.len().saturating_sub(config.events_max);
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
    let Endpoint { service, address, port } = *remote;
    if !service.is_empty() {
        attribute("peer.service", Value::Text(service));
    }
    if !address.is_empty() {
        attribute("network.peer.address", Value::Text(address));
    }
    if port > 0 {
        attribute("network.peer.port", Value::Int(port));
    }
    let server = if service.is_empty() { address } else { service };
    if matches!(kind, 3 | 4) && !server.is_empty() {
        attribute("server.address", Value::Text(server));
    }
}
