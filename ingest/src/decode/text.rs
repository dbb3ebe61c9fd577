//! Attribute values as JSON text. Types survive: see docs/format.md#attributes.
use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::sink::Value;

/// Stands at the end of a text that was cut.
pub(crate) const CUT_MARK: &str = "…";
/// Stands at the end of a map that was cut.
pub(crate) const CUT_ENTRY: &str = "\"…\":null";

/// Writes `value`; texts longer than `bytes_max` are cut and marked.
#[inline]
pub(crate) fn value(json: &mut Vec<u8>, value: Value<'_>, bytes_max: usize) {
    match value {
        Value::Empty => json.extend_from_slice(b"null"),
        Value::Text(text) => string(json, &fit(text, bytes_max)),
        Value::Bool(true) => json.extend_from_slice(b"true"),
        Value::Bool(false) => json.extend_from_slice(b"false"),
        Value::Int(number) => json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Value::Double(number) => double(json, number),
        Value::Bytes(bytes) => base64(json, &bytes[..bytes.len().min(bytes_max)]),
        Value::Json(text) | Value::CutJson(text) => json.extend_from_slice(text),
    }
}

/// A literal that shows that it is a double: it has a point or an exponent.
pub(crate) fn double(json: &mut Vec<u8>, number: f64) {
    let odd = match number {
        _ if number.is_finite() => {
            return json.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
        }
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    json.extend_from_slice(b"{\"$double\":\"");
    json.extend_from_slice(odd.as_bytes());
    json.extend_from_slice(b"\"}");
}

fn base64(json: &mut Vec<u8>, bytes: &[u8]) {
    json.extend_from_slice(b"{\"$bytes\":\"");
    json.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    json.extend_from_slice(b"\"}");
}

/// `text` as it is, or where it exceeds `bytes_max` its beginning and [`CUT_MARK`].
#[inline]
pub(crate) fn fit(text: &[u8], bytes_max: usize) -> Cow<'_, [u8]> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let mut end = bytes_max;
    while end > 0 && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    Cow::Owned([&text[..end], CUT_MARK.as_bytes()].concat())
}

/// Writes a JSON string. Invalid UTF-8 goes through unchanged: the whole buffer is checked (and mended) at its end.
#[inline]
pub(crate) fn string(json: &mut Vec<u8>, text: &[u8]) {
    json.push(b'"');
    let mut rest = text;
    while let Some(index) = first_special(rest) {
        let (plain, tail) = rest.split_at(index);
        json.extend_from_slice(plain);
        escape(json, tail[0]);
        rest = &tail[1..];
    }
    json.extend_from_slice(rest);
    json.push(b'"');
}

/// Position of the first byte that must be escaped, eight bytes at a time.
#[inline]
fn first_special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, tail) = text.as_chunks::<8>();
    for (index, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quote = zero_byte(word ^ (ONES * u64::from(b'"')));
        let backslash = zero_byte(word ^ (ONES * u64::from(b'\\')));
        let found = control | quote | backslash;
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let found = tail.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')?;
    Some(text.len() - tail.len() + found)
}

fn escape(json: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => json.extend_from_slice(b"\\\""),
        b'\\' => json.extend_from_slice(b"\\\\"),
        b'\n' => json.extend_from_slice(b"\\n"),
        b'\r' => json.extend_from_slice(b"\\r"),
        b'\t' => json.extend_from_slice(b"\\t"),
        _ => {
            json.extend_from_slice(b"\\u00");
            json.push(HEX[usize::from(byte >> 4)]);
            json.push(HEX[usize::from(byte & 15)]);
        }
    }
}
