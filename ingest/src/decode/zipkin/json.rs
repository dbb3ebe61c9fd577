//! A JSON array of spans, or one span.
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use storage::time::TimeRange;

use super::{begin_resource, end_resource, hand_over};
use crate::Config;
use crate::decode::json::number::{Id, Number, Text, text};
use crate::decode::json::{parse, utf8};
use crate::decode::sink::Sink;
use crate::decode::wire::Malformed;

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
    fn read(&self) -> super::Endpoint<'_> {
        let address = match text(&self.ipv4) {
            [] => text(&self.ipv6),
            address => address,
        };
        let port = self.port.unwrap_or_default().signed();
        super::Endpoint { service: text(&self.service_name), address, port }
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

/// Hands every span of `body` to `sink`, those that [`crate::decode::sink::admit`] refuses as refusals.
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
        if local.as_ref().is_none_or(|local| local.read() != endpoint.read()) {
            if local.is_some() {
                end_resource(sink);
            }
            begin_resource(sink, &endpoint.read());
            local = Some(endpoint);
        }
        let ids = Ids {
            trace: Id::parse(&padded(text(&span.trace_id), 32)),
            span: Id::parse(&padded(text(&span.id), 16)),
            parent: Id::parse(&padded(text(&span.parent_id), 16)),
        };
        hand_over(&read(&span, &ids), config, accept, sink);
    }
    if local.is_some() {
        end_resource(sink);
    }
    Ok(())
}

struct Ids {
    trace: Id<16>,
    span: Id<8>,
    parent: Id<8>,
}

fn read<'s>(span: &'s Span<'_>, ids: &'s Ids) -> super::Span<'s> {
    let tags = span.tags.iter().flat_map(|tags| &tags.0);
    let annotations = span.annotations.iter().flatten();
    super::Span {
        trace_id: ids.trace.bytes(),
        id: ids.span.bytes(),
        parent_id: ids.parent.bytes(),
        kind: match text(&span.kind) {
            b"SERVER" => 2,
            b"CLIENT" => 3,
            b"PRODUCER" => 4,
            b"CONSUMER" => 5,
            _ => 0,
        },
        name: text(&span.name),
        trace_state: text(&span.trace_state),
        timestamp_micros: span.timestamp.unwrap_or_default().unsigned(),
        duration_micros: span.duration.unwrap_or_default().unsigned(),
        remote: span.remote_endpoint.as_ref().map(Endpoint::read),
        tags: tags.map(|(key, value)| (key.bytes(), value.bytes())).collect(),
        annotations: annotations
            .map(|sent| (sent.timestamp.unwrap_or_default().unsigned(), text(&sent.value)))
            .collect(),
    }
}

/// Ids shorter than `digits` get zeros in front, as Zipkin's 64-bit trace ids do.
fn padded(id: &[u8], digits: usize) -> Vec<u8> {
    let zeros = if id.is_empty() { 0 } else { digits.saturating_sub(id.len()) };
    [&vec![b'0'; zeros], id].concat()
}
