//! OTLP JSON: `ExportTraceServiceRequest` in the JSON mapping of protobuf, ids in hex
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>). Unknown fields are ignored, snake case is tolerated.
//!
//! Spans are parsed one at a time from the raw text, so memory stays near the size of the body.
pub(in crate::decode) mod number;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::time::TimeRange;

use self::number::{Enum, Id, Number, Text, double, text};
use super::cut::{Cut, Cuts};
use super::sink::{Event, Head, Link, Place, Sink, Value, admit, link_target};
use super::text as json_text;
use super::wire::Malformed;
use crate::Config;

/// Values not yet parsed.
type Raw<'a> = Option<Vec<&'a RawValue>>;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, rename = "resourceSpans", alias = "resource_spans")]
    resource_spans: Raw<'a>,
}

#[derive(Deserialize)]
struct ResourceSpans<'a> {
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow, rename = "scopeSpans", alias = "scope_spans")]
    #[serde(alias = "instrumentationLibrarySpans")]
    scope_spans: Raw<'a>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
}

#[derive(Deserialize)]
struct ScopeSpans<'a> {
    #[serde(borrow, alias = "instrumentationLibrary")]
    scope: Option<Scope<'a>>,
    #[serde(borrow)]
    spans: Raw<'a>,
}

#[derive(Deserialize, Default)]
struct Scope<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
}

#[derive(Deserialize)]
struct Span<'a> {
    #[serde(borrow, rename = "traceId", alias = "trace_id")]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, rename = "spanId", alias = "span_id")]
    span_id: Option<Text<'a>>,
    #[serde(borrow, rename = "parentSpanId", alias = "parent_span_id")]
    parent_span_id: Option<Text<'a>>,
    #[serde(borrow, rename = "traceState", alias = "trace_state")]
    trace_state: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    kind: Option<Enum>,
    #[serde(rename = "startTimeUnixNano", alias = "start_time_unix_nano")]
    start: Option<Number>,
    #[serde(rename = "endTimeUnixNano", alias = "end_time_unix_nano")]
    end: Option<Number>,
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
    #[serde(rename = "droppedAttributesCount", alias = "dropped_attributes_count")]
    dropped_attributes: Option<Number>,
    #[serde(borrow)]
    events: Option<Vec<SpanEvent<'a>>>,
    #[serde(rename = "droppedEventsCount", alias = "dropped_events_count")]
    dropped_events: Option<Number>,
    #[serde(borrow)]
    links: Option<Vec<SpanLink<'a>>>,
    #[serde(rename = "droppedLinksCount", alias = "dropped_links_count")]
    dropped_links: Option<Number>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
    flags: Option<Number>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    message: Option<Text<'a>>,
    code: Option<Enum>,
}

#[derive(Deserialize)]
struct SpanEvent<'a> {
    #[serde(rename = "timeUnixNano", alias = "time_unix_nano")]
    time: Option<Number>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
    #[serde(rename = "droppedAttributesCount", alias = "dropped_attributes_count")]
    dropped_attributes: Option<Number>,
}

#[derive(Deserialize)]
struct SpanLink<'a> {
    #[serde(borrow, rename = "traceId", alias = "trace_id")]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, rename = "spanId", alias = "span_id")]
    span_id: Option<Text<'a>>,
    #[serde(borrow, rename = "traceState", alias = "trace_state")]
    trace_state: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
    #[serde(rename = "droppedAttributesCount", alias = "dropped_attributes_count")]
    dropped_attributes: Option<Number>,
    flags: Option<Number>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<Any<'a>>,
}

/// `AnyValue`. Nested values stay raw, so that their depth is ours to bound.
#[derive(Deserialize)]
struct Any<'a> {
    #[serde(borrow, rename = "stringValue", alias = "string_value")]
    string: Option<Text<'a>>,
    #[serde(rename = "boolValue", alias = "bool_value")]
    truth: Option<bool>,
    #[serde(rename = "intValue", alias = "int_value")]
    int: Option<Number>,
    #[serde(borrow, rename = "doubleValue", alias = "double_value")]
    double: Option<&'a RawValue>,
    #[serde(borrow, rename = "arrayValue", alias = "array_value")]
    array: Option<&'a RawValue>,
    #[serde(borrow, rename = "kvlistValue", alias = "kvlist_value")]
    map: Option<&'a RawValue>,
    #[serde(borrow, rename = "bytesValue", alias = "bytes_value")]
    bytes: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ArrayValue<'a> {
    #[serde(borrow)]
    values: Option<Vec<Any<'a>>>,
}

#[derive(Deserialize)]
struct MapValue<'a> {
    #[serde(borrow)]
    values: Option<Vec<KeyValue<'a>>>,
}

/// Parses `text`; the words name the place in it.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| Malformed(format!("JSON: {error}")))
}

/// The body as text, or what is wrong with it.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, Malformed> {
    simdutf8::basic::from_utf8(body).map_err(|_| Malformed("JSON: not UTF-8".to_owned()))
}

fn no<T>(field: Option<Vec<T>>) -> Vec<T> {
    field.unwrap_or_default()
}

/// Hands every span of `body` to `sink`, those that [`admit`] refuses as refusals.
pub(crate) fn walk<S: Sink>(
    body: &[u8],
    config: &Config,
    accept: TimeRange,
    sink: &mut S,
) -> Result<(), Malformed> {
    let request: Request<'_> = parse(utf8(body)?)?;
    let mut walk = Walk { config, accept, sink, json: Vec::new() };
    for raw in no(request.resource_spans) {
        walk.resource_spans(parse(raw.get())?)?;
    }
    Ok(())
}

struct Walk<'w, S> {
    config: &'w Config,
    accept: TimeRange,
    sink: &'w mut S,
    json: Vec<u8>,
}

impl<S: Sink> Walk<'_, S> {
    fn resource_spans(&mut self, spans: ResourceSpans<'_>) -> Result<(), Malformed> {
        self.sink.begin_resource();
        let attributes = spans.resource.and_then(|resource| resource.attributes);
        self.attributes(Place::Resource, &no(attributes))?;
        self.sink.end_resource_attributes();
        for raw in no(spans.scope_spans) {
            self.scope_spans(parse(raw.get())?)?;
        }
        self.sink.end_resource();
        Ok(())
    }

    fn scope_spans(&mut self, spans: ScopeSpans<'_>) -> Result<(), Malformed> {
        let scope = spans.scope.unwrap_or_default();
        self.sink.begin_scope(text(&scope.name), text(&scope.version));
        self.attributes(Place::Scope, &no(scope.attributes))?;
        self.sink.end_scope_attributes();
        for raw in no(spans.spans) {
            self.span(&parse(raw.get())?)?;
        }
        self.sink.end_scope();
        Ok(())
    }

    fn span(&mut self, span: &Span<'_>) -> Result<(), Malformed> {
        let trace_id = Id::<16>::parse(text(&span.trace_id));
        let span_id = Id::<8>::parse(text(&span.span_id));
        let parent_span_id = Id::<8>::parse(text(&span.parent_span_id));
        let mut head = head(span);
        head.trace_id = trace_id.bytes();
        head.span_id = span_id.bytes();
        head.parent_span_id = parent_span_id.bytes();
        let admitted = match admit(&head, self.accept) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.sink.refuse(refusal, &head);
                return Ok(());
            }
        };
        self.sink.begin_span(&head, &admitted);
        self.attributes(Place::Span, span.attributes.as_deref().unwrap_or_default())?;
        let events = span.events.as_deref().unwrap_or_default();
        for event in events.iter().take(self.config.events_max) {
            self.event(event)?;
        }
        if events.len() > self.config.events_max {
            head.dropped_events = beyond(head.dropped_events, events.len(), self.config.events_max);
            head.cuts.add(Cut::Events);
        }
        let kept = self.links(span.links.as_deref().unwrap_or_default(), &mut head.cuts)?;
        head.dropped_links =
            beyond(head.dropped_links, span.links.as_ref().map_or(0, Vec::len), kept);
        self.sink.end_span(&head);
        Ok(())
    }

    fn event(&mut self, event: &SpanEvent<'_>) -> Result<(), Malformed> {
        self.sink.begin_event(&Event {
            time: event.time.unwrap_or_default().unsigned(),
            name: text(&event.name),
            dropped_attributes: event.dropped_attributes.unwrap_or_default().count(),
        });
        self.attributes(Place::Event, event.attributes.as_deref().unwrap_or_default())?;
        self.sink.end_event();
        Ok(())
    }

    /// Hands over the links that point somewhere; returns how many.
    fn links(&mut self, links: &[SpanLink<'_>], cuts: &mut Cuts) -> Result<usize, Malformed> {
        let mut kept = 0;
        for sent in links {
            let trace_id = Id::<16>::parse(text(&sent.trace_id));
            let span_id = Id::<8>::parse(text(&sent.span_id));
            let link = Link {
                trace_id: trace_id.bytes(),
                span_id: span_id.bytes(),
                trace_state: text(&sent.trace_state),
                dropped_attributes: sent.dropped_attributes.unwrap_or_default().count(),
                flags: sent.flags.unwrap_or_default().count(),
            };
            let Some((trace_id, span_id)) = link_target(&link) else { continue };
            if kept == self.config.events_max {
                cuts.add(Cut::Links);
                break;
            }
            kept += 1;
            self.sink.begin_link(&link, trace_id, span_id);
            self.attributes(Place::Link, sent.attributes.as_deref().unwrap_or_default())?;
            self.sink.end_link();
        }
        Ok(kept)
    }

    fn attributes(&mut self, place: Place, pairs: &[KeyValue<'_>]) -> Result<(), Malformed> {
        for pair in pairs {
            let key = text(&pair.key);
            let (mut json, bytes) = (std::mem::take(&mut self.json), raw_bytes(&pair.value)?);
            let value = match plain(&pair.value, &bytes)? {
                Some(value) => value,
                None => {
                    json.clear();
                    match render(&pair.value, self.config, self.config.depth_max, &mut json)? {
                        true => Value::CutJson(&json),
                        false => Value::Json(&json),
                    }
                }
            };
            self.sink.attribute(place, key, value);
            self.json = json;
        }
        Ok(())
    }
}

/// The fields that are neither ids nor lists.
fn head<'s>(span: &'s Span<'_>) -> Head<'s> {
    let status = span.status.as_ref();
    Head {
        trace_state: text(&span.trace_state),
        name: text(&span.name),
        kind: span.kind.unwrap_or_default().0,
        start: span.start.unwrap_or_default().unsigned(),
        end: span.end.unwrap_or_default().unsigned(),
        status: status.and_then(|status| status.code).unwrap_or_default().0,
        status_message: status.map_or(&[], |status| text(&status.message)),
        flags: span.flags.unwrap_or_default().count(),
        dropped_attributes: span.dropped_attributes.unwrap_or_default().count(),
        dropped_events: span.dropped_events.unwrap_or_default().count(),
        dropped_links: span.dropped_links.unwrap_or_default().count(),
        ..Head::default()
    }
}

/// `dropped`, and what exceeds `kept`.
fn beyond(dropped: u32, sent: usize, kept: usize) -> u32 {
    dropped.saturating_add(u32::try_from(sent.saturating_sub(kept)).unwrap_or(u32::MAX))
}

/// The decoded bytes of a `bytesValue`; empty for other values.
fn raw_bytes(value: &Option<Any<'_>>) -> Result<Vec<u8>, Malformed> {
    match value.as_ref().and_then(|any| any.bytes.as_ref()) {
        None => Ok(Vec::new()),
        Some(text) => STANDARD
            .decode(text.bytes())
            .map_err(|_| Malformed("JSON: a bytesValue is not base64".to_owned())),
    }
}

/// The value, unless it is nested.
fn plain<'v>(value: &'v Option<Any<'_>>, bytes: &'v [u8]) -> Result<Option<Value<'v>>, Malformed> {
    let value = match value {
        None => Value::Empty,
        Some(Any { string: Some(text), .. }) => Value::Text(text.bytes()),
        Some(Any { truth: Some(truth), .. }) => Value::Bool(*truth),
        Some(Any { int: Some(number), .. }) => Value::Int(number.signed()),
        Some(Any { double: Some(raw), .. }) => Value::Double(double(raw)?),
        Some(Any { array: Some(_), .. } | Any { map: Some(_), .. }) => return Ok(None),
        Some(Any { bytes: Some(_), .. }) => Value::Bytes(bytes),
        Some(_) => Value::Empty,
    };
    Ok(Some(value))
}

/// Writes a value in our JSON; true where something was cut. What is nested deeper than `depth` becomes `null`; what a
/// list or map holds beyond `value_bytes_max` in all becomes one [`json_text::CUT_MARK`].
fn render(
    value: &Option<Any<'_>>,
    config: &Config,
    depth: usize,
    json: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    let bytes = raw_bytes(value)?;
    if let Some(value) = plain(value, &bytes)? {
        json_text::value(json, value, config.value_bytes_max);
        return Ok(value.is_cut(config.value_bytes_max));
    }
    let nested = value.as_ref().map(|any| (any.array, any.map));
    match nested {
        Some((Some(array), _)) if depth > 0 => render_array(array, config, depth - 1, json),
        Some((_, Some(map))) if depth > 0 => render_map(map, config, depth - 1, json),
        _ => {
            json.extend_from_slice(b"null");
            Ok(true)
        }
    }
}

fn render_array(
    array: &RawValue,
    config: &Config,
    depth: usize,
    json: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    let array: ArrayValue<'_> = parse(array.get())?;
    let mut cut = false;
    json.push(b'[');
    for (index, value) in no(array.values).into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        if json.len() > config.value_bytes_max {
            json_text::string(json, json_text::CUT_MARK.as_bytes());
            cut = true;
            break;
        }
        cut |= render(&Some(value), config, depth, json)?;
    }
    json.push(b']');
    Ok(cut)
}

fn render_map(
    map: &RawValue,
    config: &Config,
    depth: usize,
    json: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    let map: MapValue<'_> = parse(map.get())?;
    let pairs = no(map.values);
    let mut keys: Vec<&[u8]> = Vec::new();
    let mut cut = false;
    json.push(b'{');
    for pair in &pairs {
        let key = text(&pair.key);
        if keys.contains(&key) {
            continue;
        }
        if !keys.is_empty() {
            json.push(b',');
        }
        if keys.len() >= config.attributes_max || json.len() > config.value_bytes_max {
            json.extend_from_slice(json_text::CUT_ENTRY.as_bytes());
            cut = true;
            break;
        }
        keys.push(key);
        json_text::string(json, key);
        json.push(b':');
        cut |= render(&pair.value, config, depth, json)?;
    }
    json.push(b'}');
    Ok(cut)
}
