//! Reads one value out of a JSON object without parsing the rest, and writes JSON pieces.
//! Takes what `ingest` writes (one flat object, canonical escapes) and never fails on anything else.
use std::borrow::Cow;

use memchr::memmem::Finder;

/// A key, prepared to be looked up in many objects.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    key: &'a str,
    finder: Finder<'a>,
}

impl<'a> Key<'a> {
    pub(crate) fn new(key: &'a str) -> Self {
        Self { key, finder: Finder::new(key) }
    }

    /// The text of the key's value in the object `json`, as it stands there; the first where it occurs twice.
    pub(crate) fn find<'j>(&self, json: &'j str) -> Option<&'j str> {
        let bytes = json.as_bytes();
        if self.finder.find(bytes).is_none() && memchr::memchr(b'\\', bytes).is_none() {
            return None;
        }
        let mut at = after_space(bytes, 0);
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        at = after_space(bytes, at + 1);
        while bytes.get(at) == Some(&b'"') {
            let key_end = string_end(bytes, at)?;
            let colon = after_space(bytes, key_end);
            if bytes.get(colon) != Some(&b':') {
                return None;
            }
            let value = after_space(bytes, colon + 1);
            let value_end = value_end(bytes, value)?;
            if self.is(json.get(at..key_end)?) {
                return json.get(value..value_end);
            }
            at = after_space(bytes, value_end);
            if bytes.get(at) != Some(&b',') {
                return None;
            }
            at = after_space(bytes, at + 1);
        }
        None
    }

    /// Whether `quoted`, a JSON string with its quotes, is this key.
    fn is(&self, quoted: &str) -> bool {
        let inner = &quoted[1..quoted.len() - 1];
        inner == self.key
            || (inner.contains('\\') && unquoted(quoted).is_some_and(|text| text == self.key))
    }
}

/// Calls `each` with every key and value of the object `json`, values as they stand there. Ends at the first damage.
pub(crate) fn each_member<'j>(json: &'j str, mut each: impl FnMut(Cow<'j, str>, &'j str)) {
    let bytes = json.as_bytes();
    let mut at = after_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return;
    }
    at = after_space(bytes, at + 1);
    while bytes.get(at) == Some(&b'"') {
        let Some(key_end) = string_end(bytes, at) else { return };
        let colon = after_space(bytes, key_end);
        if bytes.get(colon) != Some(&b':') {
            return;
        }
        let value = after_space(bytes, colon + 1);
        let Some(end) = value_end(bytes, value) else { return };
        let key = json.get(at..key_end).and_then(unquoted);
        let (Some(key), Some(text)) = (key, json.get(value..end)) else { return };
        each(key, text);
        at = after_space(bytes, end);
        if bytes.get(at) != Some(&b',') {
            return;
        }
        at = after_space(bytes, at + 1);
    }
}

/// A JSON value as text: strings without quotes, `null` as `None`, everything else as it stands there.
pub(crate) fn text(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => unquoted(value),
        b'n' => None,
        b'{' => Some(special_double(value).map_or(Cow::Borrowed(value), Cow::Borrowed)),
        _ => Some(Cow::Borrowed(value)),
    }
}

/// A JSON value as a double: numbers, and texts that are numbers.
pub(crate) fn double(value: &str) -> Option<f64> {
    let text = match value.as_bytes().first()? {
        b'"' => unquoted(value)?,
        b'{' => Cow::Borrowed(special_double(value)?),
        _ => Cow::Borrowed(value),
    };
    match text.as_ref() {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        digits if starts_number(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// A JSON value as an integer, where nothing gets lost: `5`, `5.0`, `"5"`.
pub(crate) fn int(value: &str) -> Option<i64> {
    /// Doubles count integers without gaps up to here.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let text = if value.starts_with('"') { unquoted(value)? } else { Cow::Borrowed(value) };
    if let Ok(int) = text.parse() {
        return starts_number(&text).then_some(int);
    }
    let number: f64 = double(value)?;
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
    #[expect(clippy::cast_possible_truncation, reason = "whole and at most 2^53")]
    is_whole.then_some(number as i64)
}

/// A JSON value as true or false: `true`, `"true"`.
pub(crate) fn bool(value: &str) -> Option<bool> {
    match value.trim_matches('"') {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn starts_number(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..])
}

/// `{"$double":"NaN"}` -> `NaN`.
fn special_double(value: &str) -> Option<&str> {
    value.strip_prefix(r#"{"$double":""#)?.strip_suffix(r#""}"#)
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain_from..at]);
        plain_from = at + 1;
        push_escaped(out, byte);
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

fn push_escaped(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Appends `number` as a JSON value that reads back as a double.
pub(crate) fn push_double(out: &mut String, number: f64) {
    use std::fmt::Write;
    let special = match number {
        _ if number.is_nan() => "NaN",
        _ if number == f64::INFINITY => "Infinity",
        _ if number == f64::NEG_INFINITY => "-Infinity",
        _ => {
            // `{:?}` always has a point or an exponent; writing to a string cannot fail.
            let _ = write!(out, "{number:?}");
            return;
        }
    };
    let _ = write!(out, r#"{{"$double":"{special}"}}"#);
}

/// Appends the members of the JSON object `json` to the object that `out` has open.
pub(crate) fn push_members(out: &mut String, json: &str) {
    let inner = json.trim().strip_prefix('{').and_then(|json| json.strip_suffix('}'));
    let inner = inner.map_or("", str::trim);
    if inner.is_empty() {
        return;
    }
    push_comma(out);
    out.push_str(inner);
}

/// Separates members: nothing after the opening brace.
pub(crate) fn push_comma(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

fn after_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The position after the closing quote of the string that starts at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let found = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        from = found + 2;
    }
}

/// The position after the value that starts at `at`.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            let length = bytes[at..]
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
            Some(length.map_or(bytes.len(), |length| at + length))
        }
    }
}

fn nested_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The text of a JSON string with its quotes; `None` where an escape is broken.
fn unquoted(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if inner.contains('\\') {
        return serde_json::from_str(quoted).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

#[cfg(test)]
mod tests;
