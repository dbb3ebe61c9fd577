//! OTLP `ExportTraceServiceRequest` in protobuf, walked in place.
//!
//! Fields may come in any order (a scope after its spans), unknown ones are skipped, single-valued messages that
//! occur twice are merged field by field, as protobuf defines. Walking checks the whole structure of every span
//! that is kept, so what the door accepted always decodes.
mod render;

use storage::time::TimeRange;

use super::cut::Cut;
use super::sink::{Event, Head, Link, Place, Sink, Value, admit, link_target};
use super::wire::{Field, Fields, Malformed, malformed, short};
use crate::Config;
use render::render;

/// Slices gathered while the fields of a span or of its scope are read; reused from span to span.
#[derive(Debug, Default)]
struct Scratch<'a> {
    attributes: Vec<&'a [u8]>,
    events: Vec<&'a [u8]>,
    links: Vec<&'a [u8]>,
    scopes: Vec<&'a [u8]>,
    json: Vec<u8>,
}

/// One walk over one request.
struct Walk<'w, S> {
    config: &'w Config,
    accept: TimeRange,
    sink: &'w mut S,
}

/// Hands every span of `body` to `sink`, those that [`admit`] refuses as refusals.
pub(crate) fn walk<S: Sink>(
    body: &[u8],
    config: &Config,
    accept: TimeRange,
    sink: &mut S,
) -> Result<(), Malformed> {
    let mut walk = Walk { config, accept, sink };
    let mut scratch = Scratch::default();
    let mut fields = Fields::new(body);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => walk.resource_spans(bytes, &mut scratch)?,
            (1, _) => return wrong_type("resource_spans"),
            _ => {}
        }
    }
    Ok(())
}

#[cold]
fn wrong_type<T>(field: &str) -> Result<T, Malformed> {
    Err(Malformed(format!("protobuf: field {field} has the wrong wire type")))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf cuts int32 and uint32 to their low bits"
)]
fn low_bits(number: u64) -> u32 {
    number as u32
}

impl<S: Sink> Walk<'_, S> {
    fn resource_spans<'a>(
        &mut self,
        message: &'a [u8],
        scratch: &mut Scratch<'a>,
    ) -> Result<(), Malformed> {
        self.resource_of(message, &mut scratch.json)?;
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (2, Field::Bytes(spans)) => self.scope_spans(spans, scratch)?,
                (2, _) => return wrong_type("scope_spans"),
                (3, Field::Bytes(_)) => {}
                (3, _) => return wrong_type("schema_url"),
                _ => {}
            }
        }
        self.sink.end_resource();
        Ok(())
    }

    /// Reads the `resource` of a ResourceSpans message, wherever in it that stands.
    fn resource_of(&mut self, message: &[u8], json: &mut Vec<u8>) -> Result<(), Malformed> {
        let (mut first, mut several) = (None, false);
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Bytes(resource)) => {
                    several |= first.is_some();
                    first = first.or(Some(resource));
                }
                (1, _) => return wrong_type("resource"),
                _ => {}
            }
        }
        let single = first.filter(|_| !several);
        if single.is_some_and(|resource| self.sink.recall_resource(resource)) {
            return Ok(());
        }
        self.sink.begin_resource();
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            if let (1, Field::Bytes(resource)) = (number, field) {
                self.resource(resource, json)?;
            }
        }
        self.sink.end_resource_attributes();
        if let Some(resource) = single {
            self.sink.remember_resource(resource);
        }
        Ok(())
    }

    fn resource(&mut self, message: &[u8], json: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Bytes(pair)) => self.attribute(Place::Resource, pair, json)?,
                (2, Field::Varint(_)) => {}
                (1 | 2, _) => return wrong_type("resource.attributes"),
                _ => {}
            }
        }
        Ok(())
    }

    fn scope_spans<'a>(
        &mut self,
        message: &'a [u8],
        scratch: &mut Scratch<'a>,
    ) -> Result<(), Malformed> {
        let mut fields = Fields::new(message);
        let mut behind = fields;
        // The scope nearly always comes first, and once. Looking for more of it would touch the first byte of each span before
        // its turn, and wait for memory each time.
        let comes_first = match behind.next()? {
            Some((1, Field::Bytes(scope))) => {
                fields = behind;
                scratch.scopes.clear();
                scratch.scopes.push(scope);
                self.begin_scope(scratch)?;
                true
            }
            _ => {
                self.scope(message, scratch)?;
                false
            }
        };
        let mut goes_on = false;
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (2, Field::Bytes(span)) => self.span(span, scratch)?,
                (2, _) => return wrong_type("spans"),
                (1, Field::Bytes(_)) => goes_on = comes_first,
                (1, _) => return wrong_type("scope"),
                _ => {}
            }
        }
        if goes_on {
            self.scope(message, scratch)?;
        }
        self.sink.end_scope();
        Ok(())
    }

    /// Reads the `scope` of a ScopeSpans message, wherever in it that stands.
    fn scope<'a>(&mut self, message: &'a [u8], scratch: &mut Scratch<'a>) -> Result<(), Malformed> {
        scratch.scopes.clear();
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Bytes(scope)) => scratch.scopes.push(scope),
                (1, _) => return wrong_type("scope"),
                _ => {}
            }
        }
        self.begin_scope(scratch)
    }

    /// Hands on the scope of which `scratch` has all messages.
    fn begin_scope(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Malformed> {
        let Scratch { scopes, json, .. } = scratch;
        let (mut name, mut version): (&[u8], &[u8]) = (&[], &[]);
        for scope in &*scopes {
            read_scope(scope, &mut name, &mut version)?;
        }
        self.sink.begin_scope(name, version);
        for scope in &*scopes {
            self.attributes_of(scope, 3, Place::Scope, json)?;
        }
        self.sink.end_scope_attributes();
        Ok(())
    }

    fn span<'a>(&mut self, message: &'a [u8], scratch: &mut Scratch<'a>) -> Result<(), Malformed> {
        let mut head = read_head::<S>(message, scratch)?;
        let admitted = match admit(&head, self.accept) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.sink.refuse(refusal, &head);
                return Ok(());
            }
        };
        drop_lost_links(&mut scratch.links, &mut head.dropped_links)?;
        limit(scratch, self.config.events_max, &mut head);
        self.sink.begin_span(&head, &admitted);
        for &pair in &scratch.attributes {
            self.attribute(Place::Span, pair, &mut scratch.json)?;
        }
        for &event in &scratch.events {
            self.event(event, &mut scratch.json)?;
        }
        for &link in &scratch.links {
            self.link(link, &mut scratch.json)?;
        }
        self.sink.end_span(&head);
        Ok(())
    }

    fn event(&mut self, message: &[u8], json: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut event = Event::default();
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Fixed64(time)) => event.time = time,
                (2, Field::Bytes(name)) => event.name = name,
                (3, Field::Bytes(_)) => {}
                (4, Field::Varint(count)) => event.dropped_attributes = low_bits(count),
                (1..=4, _) => return wrong_type("events"),
                _ => {}
            }
        }
        self.sink.begin_event(&event);
        self.attributes_of(message, 3, Place::Event, json)?;
        self.sink.end_event();
        Ok(())
    }

    fn link(&mut self, message: &[u8], json: &mut Vec<u8>) -> Result<(), Malformed> {
        let link = read_link(message)?;
        if let Some((trace_id, span_id)) = link_target(&link) {
            self.sink.begin_link(&link, trace_id, span_id);
            self.attributes_of(message, 4, Place::Link, json)?;
            self.sink.end_link();
        }
        Ok(())
    }

    fn attributes_of(
        &mut self,
        message: &[u8],
        wanted: u32,
        place: Place,
        json: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            if let (true, Field::Bytes(pair)) = (number == wanted, field) {
                self.attribute(place, pair, json)?;
            }
        }
        Ok(())
    }

    /// Hands on a value from where it was read: within a result it would be written to memory by the byte and read back by
    /// the word, for which the processor waits.
    #[inline(always)]
    fn attribute(
        &mut self,
        place: Place,
        pair: &[u8],
        json: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        if let Some((key, value)) = usual_pair(pair) {
            self.sink.attribute(place, key, value);
            return Ok(());
        }
        self.unusual_attribute(place, pair, json)
    }

    #[inline(never)]
    fn unusual_attribute(
        &mut self,
        place: Place,
        pair: &[u8],
        json: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let (key, value) = read_any_pair(pair)?;
        let value = match value {
            Any::Plain(value) => value,
            nested => {
                json.clear();
                match render(nested, self.config, self.config.depth_max, json)? {
                    true => Value::CutJson(json),
                    false => Value::Json(json),
                }
            }
        };
        self.sink.attribute(place, key, value);
        Ok(())
    }
}

/// Name and version of a scope, as far as this message has them.
fn read_scope<'a>(
    message: &'a [u8],
    name: &mut &'a [u8],
    version: &mut &'a [u8],
) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => *name = bytes,
            (2, Field::Bytes(bytes)) => *version = bytes,
            (4, Field::Varint(_)) | (3, Field::Bytes(_)) => {}
            (1..=4, _) => return wrong_type("scope"),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a span's own fields and gathers its attributes, events and links, unread, in `scratch`; attributes only where they
/// have to be looked at.
#[inline]
fn read_head<'a, S: Sink>(
    message: &'a [u8],
    scratch: &mut Scratch<'a>,
) -> Result<Head<'a>, Malformed> {
    let mut head = Head::default();
    scratch.attributes.clear();
    scratch.events.clear();
    scratch.links.clear();
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (9, Field::Bytes(pair)) if S::ATTRIBUTES || usual_pair(pair).is_none() => {
                scratch.attributes.push(pair);
            }
            (9, Field::Bytes(_)) => {}
            (1, Field::Bytes(id)) => head.trace_id = id,
            (2, Field::Bytes(id)) => head.span_id = id,
            (3, Field::Bytes(state)) => head.trace_state = state,
            (4, Field::Bytes(id)) => head.parent_span_id = id,
            (5, Field::Bytes(name)) => head.name = name,
            (6, Field::Varint(kind)) => head.kind = low_bits(kind).cast_signed(),
            (7, Field::Fixed64(time)) => head.start = time,
            (8, Field::Fixed64(time)) => head.end = time,
            (10, Field::Varint(count)) => head.dropped_attributes = low_bits(count),
            (11, Field::Bytes(event)) => scratch.events.push(event),
            (12, Field::Varint(count)) => head.dropped_events = low_bits(count),
            (13, Field::Bytes(link)) => scratch.links.push(link),
            (14, Field::Varint(count)) => head.dropped_links = low_bits(count),
            (15, Field::Bytes(status)) => read_status(status, &mut head)?,
            (16, Field::Fixed32(flags)) => head.flags = flags,
            (1..=16, _) => return wrong_type("spans"),
            _ => {}
        }
    }
    Ok(head)
}

fn read_status<'a>(message: &'a [u8], head: &mut Head<'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (2, Field::Bytes(words)) => head.status_message = words,
            (3, Field::Varint(code)) => head.status = low_bits(code).cast_signed(),
            (2 | 3, _) => return wrong_type("status"),
            _ => {}
        }
    }
    Ok(())
}

fn read_link(message: &[u8]) -> Result<Link<'_>, Malformed> {
    let mut link = Link::default();
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(id)) => link.trace_id = id,
            (2, Field::Bytes(id)) => link.span_id = id,
            (3, Field::Bytes(state)) => link.trace_state = state,
            (4, Field::Bytes(_)) => {}
            (5, Field::Varint(count)) => link.dropped_attributes = low_bits(count),
            (6, Field::Fixed32(flags)) => link.flags = flags,
            (1..=6, _) => return wrong_type("links"),
            _ => {}
        }
    }
    Ok(link)
}

/// Removes links that point nowhere and counts them as dropped.
fn drop_lost_links(links: &mut Vec<&[u8]>, dropped: &mut u32) -> Result<(), Malformed> {
    let mut kept = 0;
    for index in 0..links.len() {
        if link_target(&read_link(links[index])?).is_some() {
            links.swap(kept, index);
            kept += 1;
        }
    }
    cut(links, kept, dropped);
    Ok(())
}

/// Leaves at most `events_max` events and as many links.
fn limit(scratch: &mut Scratch<'_>, events_max: usize, head: &mut Head<'_>) {
    if scratch.events.len() > events_max {
        cut(&mut scratch.events, events_max, &mut head.dropped_events);
        head.cuts.add(Cut::Events);
    }
    if scratch.links.len() > events_max {
        cut(&mut scratch.links, events_max, &mut head.dropped_links);
        head.cuts.add(Cut::Links);
    }
}

/// Leaves at most `limit` parts and adds the others to the count of dropped ones.
fn cut(parts: &mut Vec<&[u8]>, limit: usize, dropped: &mut u32) {
    let excess = parts.len().saturating_sub(limit);
    parts.truncate(limit);
    *dropped = dropped.saturating_add(u32::try_from(excess).unwrap_or(u32::MAX));
}

/// An `AnyValue`: plain, or the message of a nested one.
#[derive(Debug, Clone, Copy)]
enum Any<'a> {
    Plain(Value<'a>),
    Array(&'a [u8]),
    Map(&'a [u8]),
}

/// Key and value of a `KeyValue`.
#[inline]
fn read_pair(message: &[u8]) -> Result<(&[u8], Any<'_>), Malformed> {
    match usual_pair(message) {
        Some((key, value)) => Ok((key, Any::Plain(value))),
        None => read_any_pair(message),
    }
}

/// The shape that nearly every attribute has: a key, then a value of one field, each shorter than 128 bytes. `None` for
/// any other.
#[inline(always)]
fn usual_pair(message: &[u8]) -> Option<(&[u8], Value<'_>)> {
    let (key, rest) = short(message.strip_prefix(&[0x0a])?)?;
    let (any, rest) = short(rest.strip_prefix(&[0x12])?)?;
    let (&tag, bytes) = any.split_first()?;
    let value = match tag {
        0x0a => {
            let (text, []) = short(bytes)? else { return None };
            Value::Text(text)
        }
        0x10 => match bytes {
            [truth @ 0..0x80] => Value::Bool(*truth != 0),
            _ => return None,
        },
        0x18 => Value::Int(whole_varint(bytes)?.cast_signed()),
        0x21 => Value::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
        _ => return None,
    };
    rest.is_empty().then_some((key, value))
}

/// A number that is all of `bytes`, up to five bytes long.
#[inline(always)]
fn whole_varint(bytes: &[u8]) -> Option<u64> {
    let (&last, before) = bytes.split_last()?;
    if last >= 0x80 || before.len() > 4 {
        return None;
    }
    let mut value = u64::from(last);
    for &byte in before.iter().rev() {
        if byte < 0x80 {
            return None;
        }
        value = value << 7 | u64::from(byte & 0x7f);
    }
    Some(value)
}

#[inline(never)]
fn read_any_pair(message: &[u8]) -> Result<(&[u8], Any<'_>), Malformed> {
    let (mut key, mut value): (&[u8], _) = (&[], Any::Plain(Value::Empty));
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(any)) => read_any(any, &mut value)?,
            (1 | 2, _) => return wrong_type("attributes"),
            _ => {}
        }
    }
    Ok((key, value))
}

/// The last alternative that occurs is the value.
#[inline]
fn read_any<'a>(message: &'a [u8], value: &mut Any<'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        *value = match (number, field) {
            (1, Field::Bytes(text)) => Any::Plain(Value::Text(text)),
            (2, Field::Varint(number)) => Any::Plain(Value::Bool(number != 0)),
            (3, Field::Varint(number)) => Any::Plain(Value::Int(number.cast_signed())),
            (4, Field::Fixed64(bits)) => Any::Plain(Value::Double(f64::from_bits(bits))),
            (5, Field::Bytes(array)) => Any::Array(array),
            (6, Field::Bytes(map)) => Any::Map(map),
            (7, Field::Bytes(bytes)) => Any::Plain(Value::Bytes(bytes)),
            (1..=7, _) => return malformed("protobuf: an attribute value has the wrong wire type"),
            _ => continue,
        };
    }
    Ok(())
}
