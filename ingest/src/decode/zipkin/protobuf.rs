//! `zipkin.proto3.ListOfSpans`, walked in place
//! (<https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto>).
use std::net::{Ipv4Addr, Ipv6Addr};

use storage::time::TimeRange;

use super::{Endpoint, Span, begin_resource, end_resource, hand_over};
use crate::Config;
use crate::decode::sink::Sink;
use crate::decode::wire::{Field, Fields, Malformed};

/// Field of a span that is not Zipkin's: where sampling at the door leaves its threshold.
pub(crate) const TRACE_STATE: u32 = 15;

/// A message whose endpoints are not read yet.
#[derive(Debug, Default)]
struct Sent<'a> {
    span: Span<'a>,
    local: &'a [u8],
    remote: Option<&'a [u8]>,
}

/// Hands every span of `body` to `sink`, those that [`crate::decode::sink::admit`] refuses as refusals.
pub(crate) fn walk<S: Sink>(
    body: &[u8],
    config: &Config,
    accept: TimeRange,
    sink: &mut S,
) -> Result<(), Malformed> {
    let mut sent = Sent::default();
    let mut local: Option<&[u8]> = None;
    let mut address = String::new();
    let mut spans = Fields::new(body);
    while let Some((number, field)) = spans.next()? {
        let message = match (number, field) {
            (1, Field::Bytes(message)) => message,
            (1, _) => return wrong_type("spans"),
            _ => continue,
        };
        sent.read(message)?;
        // Spans of one endpoint mostly follow each other: they share a resource.
        if local != Some(sent.local) {
            if local.is_some() {
                end_resource(sink);
            }
            begin_resource(sink, &endpoint(sent.local, &mut address)?);
            local = Some(sent.local);
        }
        let short = sent.span.trace_id;
        let long = padded(short);
        let remote = sent.remote.map(|remote| endpoint(remote, &mut address)).transpose()?;
        let span = Span {
            trace_id: long.as_ref().map_or(short, |long| long),
            remote,
            tags: std::mem::take(&mut sent.span.tags),
            annotations: std::mem::take(&mut sent.span.annotations),
            ..sent.span
        };
        hand_over(&span, config, accept, sink);
    }
    if local.is_some() {
        end_resource(sink);
    }
    Ok(())
}

#[cold]
fn wrong_type<T>(field: &str) -> Result<T, Malformed> {
    Err(Malformed(format!("protobuf: field {field} has the wrong wire type")))
}

/// A 64-bit trace id with zeros in front.
fn padded(trace_id: &[u8]) -> Option<[u8; 16]> {
    let low: [u8; 8] = trace_id.try_into().ok()?;
    Some(u128::from(u64::from_be_bytes(low)).to_be_bytes())
}

impl<'a> Sent<'a> {
    fn read(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        *self = Self::default();
        let span = &mut self.span;
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Bytes(id)) => span.trace_id = id,
                (2, Field::Bytes(id)) => span.parent_id = id,
                (3, Field::Bytes(id)) => span.id = id,
                (4, Field::Varint(kind)) => span.kind = kind_of(kind),
                (5, Field::Bytes(name)) => span.name = name,
                (6, Field::Fixed64(micros)) => span.timestamp_micros = micros,
                (7, Field::Varint(micros)) => span.duration_micros = micros,
                (8, Field::Bytes(endpoint)) => self.local = endpoint,
                (9, Field::Bytes(endpoint)) => self.remote = Some(endpoint),
                (10, Field::Bytes(annotation)) => {
                    span.annotations.push(read_annotation(annotation)?)
                }
                (11, Field::Bytes(tag)) => span.tags.push(read_tag(tag)?),
                // `debug` and `shared`: see the module above.
                (12 | 13, Field::Varint(_)) => {}
                (TRACE_STATE, Field::Bytes(state)) => span.trace_state = state,
                (1..=13 | TRACE_STATE, _) => return wrong_type("span"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// OTLP's number of a kind.
fn kind_of(kind: u64) -> i32 {
    match kind {
        1 => 3,
        2 => 2,
        3 => 4,
        4 => 5,
        _ => 0,
    }
}

fn read_annotation(message: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let (mut micros, mut value) = (0, &[][..]);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Fixed64(time)) => micros = time,
            (2, Field::Bytes(text)) => value = text,
            (1 | 2, _) => return wrong_type("annotations"),
            _ => {}
        }
    }
    Ok((micros, value))
}

fn read_tag(message: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut key, mut value) = (&[][..], &[][..]);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(text)) => key = text,
            (2, Field::Bytes(text)) => value = text,
            (1 | 2, _) => return wrong_type("tags"),
            _ => {}
        }
    }
    Ok((key, value))
}

/// Reads an `Endpoint`; its address in text goes to `address`. One of a wrong length is left out.
fn endpoint<'a>(message: &'a [u8], address: &'a mut String) -> Result<Endpoint<'a>, Malformed> {
    let (mut service, mut v4, mut v6, mut port) = (&[][..], &[][..], &[][..], 0);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(name)) => service = name,
            (2, Field::Bytes(bytes)) => v4 = bytes,
            (3, Field::Bytes(bytes)) => v6 = bytes,
            (4, Field::Varint(number)) => port = i64::from(u16::try_from(number).unwrap_or(0)),
            (1..=4, _) => return wrong_type("endpoint"),
            _ => {}
        }
    }
    *address = match (<[u8; 4]>::try_from(v4), <[u8; 16]>::try_from(v6)) {
        (Ok(v4), _) => Ipv4Addr::from(v4).to_string(),
        (_, Ok(v6)) => Ipv6Addr::from(v6).to_string(),
        _ => String::new(),
    };
    Ok(Endpoint { service, address: address.as_bytes(), port })
}
