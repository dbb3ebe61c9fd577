//! Requests in JSON (OTLP, Zipkin) without the spans that are left out. What stays is copied as it was written.
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::decide::Verdict;
use crate::decode::json::{parse, utf8};
use crate::decode::wire::Malformed;

/// Where lists of spans lie in an OTLP request, from the outside in, under any of their names.
const OTLP: [&[&str]; 3] = [
    &["resourceSpans", "resource_spans"],
    &["scopeSpans", "scope_spans", "instrumentationLibrarySpans"],
    &["spans"],
];
/// Names of a span's trace state; the first is written.
const TRACE_STATE: [&str; 2] = ["traceState", "trace_state"];

/// An OTLP request as `verdicts` say, which are in the order of its spans.
pub(super) fn otlp(
    body: &[u8],
    verdicts: &mut dyn Iterator<Item = Verdict>,
) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    object(utf8(body)?, &OTLP, verdicts, &mut out)?;
    Ok(out)
}

/// A Zipkin request, a list of spans or one span, as `verdicts` say.
pub(super) fn zipkin(
    body: &[u8],
    verdicts: &mut dyn Iterator<Item = Verdict>,
) -> Result<Vec<u8>, Malformed> {
    let body = utf8(body)?;
    let spans: Vec<&RawValue> =
        if body.trim_start().starts_with('{') { vec![parse(body)?] } else { parse(body)? };
    let mut out = Vec::new();
    list(&spans, &[], verdicts, &mut out)?;
    Ok(out)
}

/// Writes an object whose lists of spans lie below `path`; true where a span stays in it.
fn object(
    text: &str,
    path: &[&[&str]],
    verdicts: &mut dyn Iterator<Item = Verdict>,
    out: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    let Some((names, below)) = path.split_first() else {
        return span(text, verdicts, out);
    };
    let mut kept = false;
    let fields: Fields<'_> = parse(text)?;
    out.push(b'{');
    for (index, (name, value)) in fields.0.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        key(name, out);
        let items: Option<Vec<&RawValue>> =
            if names.contains(&name.as_str()) { parse(value.get())? } else { None };
        match items {
            Some(items) => kept |= list(&items, below, verdicts, out)?,
            None => out.extend_from_slice(value.get().as_bytes()),
        }
    }
    out.push(b'}');
    Ok(kept)
}

/// Writes a list without the items in which no span stays.
fn list(
    items: &[&RawValue],
    path: &[&[&str]],
    verdicts: &mut dyn Iterator<Item = Verdict>,
    out: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    out.push(b'[');
    let first = out.len();
    for item in items {
        let before = out.len();
        if before > first {
            out.push(b',');
        }
        if !object(item.get(), path, verdicts, out)? {
            out.truncate(before);
        }
    }
    let kept = out.len() > first;
    out.push(b']');
    Ok(kept)
}

fn span(
    text: &str,
    verdicts: &mut dyn Iterator<Item = Verdict>,
    out: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    let trace_state = match verdicts.next() {
        Some(Verdict::Drop) => return Ok(false),
        Some(Verdict::Keep) | None => {
            out.extend_from_slice(text.as_bytes());
            return Ok(true);
        }
        Some(Verdict::Rewrite(trace_state)) => trace_state,
    };
    let fields: Fields<'_> = parse(text)?;
    out.push(b'{');
    for (name, value) in &fields.0 {
        if !TRACE_STATE.contains(&name.as_str()) {
            key(name, out);
            out.extend_from_slice(value.get().as_bytes());
            out.push(b',');
        }
    }
    key(TRACE_STATE[0], out);
    crate::decode::text::string(out, &trace_state);
    out.push(b'}');
    Ok(true)
}

fn key(name: &str, out: &mut Vec<u8>) {
    crate::decode::text::string(out, name.as_bytes());
    out.push(b':');
}

/// The fields of an object in their order, values unread.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}
