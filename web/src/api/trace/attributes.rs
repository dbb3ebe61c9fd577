//! Stored attributes (a JSON object whose literals keep the types) as OTLP's and Jaeger's lists.
use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::encode::write_string;

/// The members of a JSON object in their order, values as they are written.
#[derive(Debug)]
pub(crate) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Nothing where `text` is empty or no object.
    pub(crate) fn of(text: &'a str) -> Self {
        serde_json::from_str(text).unwrap_or(Self(Vec::new()))
    }

    /// The value of `key`, where it is a text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.raw(key).and_then(|value| serde_json::from_str(value).ok())
    }

    /// The value of `key`, as it is written.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Ordered).map(Self)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// One stored value.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    /// JSON text with its quotes.
    Text(&'a str),
    Bool(&'a str),
    Integer(&'a str),
    Double(&'a str),
    /// `NaN`, `Infinity`, `-Infinity`.
    Special(String),
    /// Base64.
    Bytes(String),
    List(Vec<&'a RawValue>),
    Map(Members<'a>),
    Empty,
}

impl<'a> Value<'a> {
    pub(crate) fn of(raw: &'a str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => Self::Text(raw),
            Some(b't' | b'f') => Self::Bool(raw),
            Some(b'[') => serde_json::from_str(raw).map_or(Self::Empty, Self::List),
            Some(b'{') => Self::of_object(Members::of(raw)),
            Some(b'-' | b'0'..=b'9') if raw.contains(['.', 'e', 'E']) => Self::Double(raw),
            Some(b'-' | b'0'..=b'9') => Self::Integer(raw),
            _ => Self::Empty,
        }
    }

    fn of_object(members: Members<'a>) -> Self {
        if let [(key, _)] = members.0.as_slice() {
            match (key.as_ref(), members.text(key)) {
                ("$double", Some(text)) => return Self::Special(text),
                ("$bytes", Some(text)) => return Self::Bytes(text),
                _ => {}
            }
        }
        Self::Map(members)
    }
}

/// OTLP's list of key and value.
pub(super) fn write_otlp(members: &Members<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, (key, value)) in members.0.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        write_string(key, out);
        out.extend_from_slice(b",\"value\":");
        write_any(value.get(), out);
        out.push(b'}');
    }
    out.push(b']');
}

/// OTLP's `AnyValue`. Depth is bounded by the door (32) and by the JSON parser (128).
fn write_any(raw: &str, out: &mut Vec<u8>) {
    let quoted = |text: &str, out: &mut Vec<u8>| write_string(text, out);
    match Value::of(raw) {
        Value::Text(text) => {
            member("stringValue", out, |out| out.extend_from_slice(text.as_bytes()))
        }
        Value::Bool(text) => member("boolValue", out, |out| out.extend_from_slice(text.as_bytes())),
        Value::Integer(text) => member("intValue", out, |out| quoted(text, out)),
        Value::Double(text) => {
            member("doubleValue", out, |out| out.extend_from_slice(text.as_bytes()))
        }
        Value::Special(text) => member("doubleValue", out, |out| quoted(&text, out)),
        Value::Bytes(text) => member("bytesValue", out, |out| quoted(&text, out)),
        Value::List(values) => member("arrayValue", out, |out| {
            out.extend_from_slice(b"{\"values\":[");
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_any(value.get(), out);
            }
            out.extend_from_slice(b"]}");
        }),
        Value::Map(members) => member("kvlistValue", out, |out| {
            out.extend_from_slice(b"{\"values\":");
            write_otlp(&members, out);
            out.push(b'}');
        }),
        Value::Empty => out.extend_from_slice(b"{}"),
    }
}

fn member(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'{');
    write_string(name, out);
    out.push(b':');
    value(out);
    out.push(b'}');
}

/// Jaeger's tags, without the brackets around them; lists and maps become JSON texts.
pub(super) fn write_tags(members: &Members<'_>, is_first: &mut bool, out: &mut Vec<u8>) {
    for (key, value) in &members.0 {
        let raw = value.get();
        match Value::of(raw) {
            Value::Text(text) => tag(key, "string", text, is_first, out),
            Value::Bool(text) => tag(key, "bool", text, is_first, out),
            Value::Integer(text) => tag(key, "int64", text, is_first, out),
            Value::Double(text) => tag(key, "float64", text, is_first, out),
            Value::Special(text) => tag(key, "string", &quote(&text), is_first, out),
            Value::Bytes(text) => tag(key, "binary", &quote(&text), is_first, out),
            Value::List(_) | Value::Map(_) => tag(key, "string", &quote(raw), is_first, out),
            Value::Empty => tag(key, "string", "\"\"", is_first, out),
        }
    }
}

/// One tag; `value` is JSON.
pub(super) fn tag(key: &str, kind: &str, value: &str, is_first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(is_first) {
        out.push(b',');
    }
    out.extend_from_slice(b"{\"key\":");
    write_string(key, out);
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"value\":");
    out.extend_from_slice(value.as_bytes());
    out.push(b'}');
}

/// `text` as a JSON string.
pub(super) fn quote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
