//! One span of Jaeger's JSON as an OTLP span.
use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::file::otlp::{Event, Resource, Span, Value};

const STATUS_OK: u64 = 1;
const STATUS_ERROR: u64 = 2;
const FLAG_SAMPLED: u32 = 1;
/// An event without a field `event` (or `message`) is called this.
const UNNAMED_EVENT: &str = "log";

/// What became of a span.
pub(super) struct Converted {
    pub(super) span: Vec<u8>,
    pub(super) process_id: String,
    /// Where the span carries it itself, as Jaeger stores spans.
    pub(super) process: Option<Resource>,
}

/// Converts one span. Errors name the field that has a wrong type.
pub(super) fn convert(json: &Json) -> Result<Converted, String> {
    let fields = json.as_object().ok_or("a span is no object")?;
    let trace_text = text(json, "traceID")?;
    let span_text = text(json, "spanID")?;
    let trace_id = id::<16>(&trace_text);
    let mut span = Span::default();
    let parent = references(json, &trace_text, trace_id, &mut span)?;
    span.ids(trace_id, id(&span_text), parent);
    span.name(&text(json, "operationName")?);
    let start = integer(json, "startTime")?.unwrap_or(0);
    let duration = integer(json, "duration")?.unwrap_or(0).max(0);
    span.times(nanos(start), nanos(start.saturating_add(duration)));
    if integer(json, "flags")?.unwrap_or(0) & 1 == 1 {
        span.flags(FLAG_SAMPLED);
    }
    keep_other_ids(&mut span, (&trace_text, &span_text));
    tags(json, &mut span)?;
    for log in list(json, "logs")? {
        span.event(&event(log)?);
    }
    let warnings: Vec<String> = list(json, "warnings")?.iter().map(plain).collect();
    if !warnings.is_empty() {
        span.attribute("jaeger.warnings", Value::Texts(&warnings));
    }
    let process = fields.get("process").filter(|process| process.is_object());
    Ok(Converted {
        span: span.into_bytes(),
        process_id: text(json, "processID")?.into_owned(),
        process: process.map(self::process).transpose()?,
    })
}

/// The first `CHILD_OF` within the trace is the parent, or else the first `FOLLOWS_FROM` within it, as in Jaeger;
/// all others become links.
fn references(
    json: &Json,
    trace_text: &str,
    trace_id: [u8; 16],
    span: &mut Span,
) -> Result<Option<[u8; 8]>, String> {
    struct Reference<'a> {
        trace_id: Cow<'a, str>,
        span_id: Cow<'a, str>,
        follows: bool,
    }
    let mut all = Vec::new();
    for reference in list(json, "references")? {
        let span_id = text(reference, "spanID")?;
        if !span_id.is_empty() {
            let trace_id = text(reference, "traceID")?;
            let follows = text(reference, "refType")? == "FOLLOWS_FROM";
            all.push(Reference { trace_id, span_id, follows });
        }
    }
    let within = |reference: &Reference<'_>| {
        reference.trace_id.is_empty()
            || reference.trace_id == trace_text
            || id::<16>(&reference.trace_id) == trace_id
    };
    let first = |follows: bool| {
        all.iter().position(|reference| reference.follows == follows && within(reference))
    };
    let parent = first(false).or_else(|| first(true));
    for (position, reference) in all.iter().enumerate() {
        if Some(position) != parent {
            let linked =
                if reference.trace_id.is_empty() { trace_id } else { id(&reference.trace_id) };
            let relation = if reference.follows { "follows_from" } else { "child_of" };
            span.reference(linked, id(&reference.span_id), relation);
        }
    }
    // Elasticsearch dumps of old Jaeger versions name the parent in a field of its own.
    let old = text(json, "parentSpanID")?;
    Ok(match parent {
        Some(position) => Some(id(&all[position].span_id)),
        None => (!old.trim_start_matches('0').is_empty()).then(|| id(&old)),
    })
}

/// Ids that are not hexadecimal were replaced by a hash: the words are kept.
fn keep_other_ids(span: &mut Span, (trace_id, span_id): (&str, &str)) {
    if hex_id::<16>(trace_id).is_none() && !trace_id.is_empty() {
        span.attribute("jaeger.trace_id", Value::Text(trace_id));
    }
    if hex_id::<8>(span_id).is_none() && !span_id.is_empty() {
        span.attribute("jaeger.span_id", Value::Text(span_id));
    }
}

/// All tags become attributes; some of them are also what OTLP has fields for.
fn tags(json: &Json, span: &mut Span) -> Result<(), String> {
    let (mut error, mut code, mut message) = (false, None, Cow::Borrowed(""));
    let mut kind = 0;
    for tag in list(json, "tags")? {
        let key = text(tag, "key")?;
        let value = tag.get("value").unwrap_or(&Json::Null);
        match key.as_ref() {
            "span.kind" => kind = kind_of(&plain(value)),
            // As Jaeger's UI does: other words beside the key are a description, not a failure.
            "error" => error = plain(value) == "true",
            "otel.status_code" => code = status_of(&plain(value)),
            "otel.status_description" => message = Cow::Owned(plain(value)),
            "w3c.tracestate" => span.trace_state(&plain(value)),
            _ => {}
        }
        typed(tag, value, &mut |value| span.attribute(&key, value))?;
    }
    if kind != 0 {
        span.kind(kind);
    }
    match code.or(error.then_some(STATUS_ERROR)) {
        Some(STATUS_OK) => span.status(STATUS_OK, ""),
        Some(code) => span.status(code, &message),
        None => {}
    }
    Ok(())
}

fn kind_of(kind: &str) -> u64 {
    ["internal", "server", "client", "producer", "consumer"]
        .iter()
        .zip(1..)
        .find(|(name, _)| kind.eq_ignore_ascii_case(name))
        .map_or(0, |(_, number)| number)
}

fn status_of(code: &str) -> Option<u64> {
    match code {
        "OK" | "STATUS_CODE_OK" => Some(STATUS_OK),
        "ERROR" | "STATUS_CODE_ERROR" => Some(STATUS_ERROR),
        _ => None,
    }
}

fn event(log: &Json) -> Result<Event, String> {
    let fields = list(log, "fields")?;
    let named = |name: &str| {
        let field = fields.iter().find(|field| field.get("key").is_some_and(|key| key == name))?;
        Some(plain(field.get("value")?))
    };
    let name = named("event").unwrap_or_else(|| UNNAMED_EVENT.to_owned());
    let mut event = Event::new(nanos(integer(log, "timestamp")?.unwrap_or(0)), &name);
    for field in fields {
        let key = text(field, "key")?;
        let value = field.get("value").unwrap_or(&Json::Null);
        typed(field, value, &mut |value| event.attribute(&key, value))?;
    }
    Ok(event)
}

/// A process: its service and its tags.
pub(super) fn process(json: &Json) -> Result<Resource, String> {
    let mut resource = Resource::default();
    let service = text(json, "serviceName")?;
    if !service.is_empty() {
        resource.attribute("service.name", Value::Text(&service));
    }
    for tag in list(json, "tags")? {
        let key = text(tag, "key")?;
        let value = tag.get("value").unwrap_or(&Json::Null);
        if key != "service.name" || service.is_empty() {
            typed(tag, value, &mut |value| resource.attribute(&key, value))?;
        }
    }
    Ok(resource)
}

/// Hands over a tag's value in the type that the tag names. A text that is no value of that type stays a text.
fn typed(tag: &Json, value: &Json, take: &mut dyn FnMut(Value<'_>)) -> Result<(), String> {
    let kind = text(tag, "type")?;
    let Json::String(words) = value else {
        match (kind.as_ref(), value.as_f64()) {
            ("float64", Some(number)) => take(Value::Double(number)),
            _ => take(Value::Json(value)),
        }
        return Ok(());
    };
    match kind.as_ref() {
        "bool" if words == "true" || words == "false" => take(Value::Bool(words == "true")),
        "int64" => take(words.parse().map_or(Value::Text(words), Value::Int)),
        "float64" => take(words.parse().map_or(Value::Text(words), Value::Double)),
        "binary" => match STANDARD.decode(words) {
            Ok(bytes) => take(Value::Bytes(&bytes)),
            Err(_) => take(Value::Text(words)),
        },
        _ => take(Value::Text(words)),
    }
    Ok(())
}

/// An id in hexadecimal, short ones with zeros in front; anything else by its hash.
fn id<const N: usize>(text: &str) -> [u8; N] {
    hex_id(text).unwrap_or_else(|| {
        let hash = xxhash_rust::xxh3::xxh3_128(text.as_bytes()).to_be_bytes();
        std::array::from_fn(|index| hash[index])
    })
}

/// `None` for what is not hexadecimal or too long. An empty text is the id of zeros, which the decoder refuses.
fn hex_id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let padded = format!("{text:0>width$}", width = 2 * N);
    let mut bytes = [0; N];
    hex::decode_to_slice(padded, &mut bytes).ok()?;
    Some(bytes)
}

/// Nanoseconds of microseconds; what is before 1970 or beyond 64 bits becomes a time that the decoder refuses.
fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).map_or(u64::MAX, |micros| micros.saturating_mul(1_000))
}

/// The text of a field; a number's digits; nothing for `null` or where it is missing.
fn text<'a>(json: &'a Json, field: &str) -> Result<Cow<'a, str>, String> {
    match json.get(field) {
        None | Some(Json::Null) => Ok(Cow::Borrowed("")),
        Some(Json::String(text)) => Ok(Cow::Borrowed(text)),
        Some(Json::Number(number)) => Ok(Cow::Owned(number.to_string())),
        Some(_) => Err(format!("\"{field}\" is no text")),
    }
}

fn integer(json: &Json, field: &str) -> Result<Option<i64>, String> {
    let Some(value) = json.get(field).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = match value {
        Json::String(text) => text.trim().parse().ok(),
        _ => value.as_i64().or_else(|| whole(value.as_f64()?)),
    };
    number.map(Some).ok_or_else(|| format!("\"{field}\" is no whole number of 64 bits"))
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^63")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_223_372_036_854_775_808.0).then_some(number as i64)
}

fn list<'a>(json: &'a Json, field: &str) -> Result<&'a [Json], String> {
    match json.get(field) {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::Array(items)) => Ok(items),
        Some(_) => Err(format!("\"{field}\" is no array")),
    }
}

/// A value as plain text.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
