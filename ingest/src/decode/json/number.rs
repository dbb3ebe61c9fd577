//! Scalars as JSON senders write them: integers as numbers or strings, enums as numbers or names, ids in hex, and
//! `null` for anything left out.
use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::decode::wire::Malformed;

/// A string, borrowed from the body where it has no escapes.
#[derive(Debug, Clone, Default)]
pub(in crate::decode) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(in crate::decode) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The text of an optional field.
pub(in crate::decode) fn text<'t>(field: &'t Option<Text<'_>>) -> &'t [u8] {
    field.as_ref().map_or(&[], Text::bytes)
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            // Some senders write tags that are numbers or truths without quotes.
            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(truth.to_string())))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// An integer of up to 64 bits with or without sign: `7`, `"7"`, `7.0`.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::decode) struct Number(i128);

impl Number {
    pub(in crate::decode) fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or(u64::MAX)
    }

    pub(in crate::decode) fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }

    pub(in crate::decode) fn count(self) -> u32 {
        u32::try_from(self.0.max(0)).unwrap_or(u32::MAX)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer, as a number or a string")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number.into()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number.into()))
            }
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^64")]
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
                let whole = number.fract() == 0.0 && number.abs() < 18_446_744_073_709_551_616.0;
                if whole { Ok(Number(number as i128)) } else { Err(E::custom("not an integer")) }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                let number: i128 = text.trim().parse().map_err(E::custom)?;
                let fits = i64::try_from(number).is_ok() || u64::try_from(number).is_ok();
                if fits { Ok(Number(number)) } else { Err(E::custom("more than 64 bits")) }
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// A double: a number, also in quotes, or `"NaN"`, `"Infinity"`, `"-Infinity"`. Read from the raw text, because the JSON
/// parser's own doubles are off by one unit in the last place now and then.
pub(in crate::decode) fn double(raw: &RawValue) -> Result<f64, Malformed> {
    let text = raw.get().trim_matches('"');
    text.parse().map_err(|_| Malformed(format!("JSON: {text:.40} is not a doubleValue")))
}

/// A span kind or status code: its number, or its name with or without the prefix. Unknown names are 0.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::decode) struct Enum(pub(in crate::decode) i32);

impl<'de> Deserialize<'de> for Enum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnumVisitor;
        impl Visitor<'_> for EnumVisitor {
            type Value = Enum;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an enum's number or name")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Enum, E> {
                Ok(Enum(i32::try_from(number).unwrap_or(0)))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Enum, E> {
                Ok(Enum(i32::try_from(number).unwrap_or(0)))
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Enum, E> {
                Ok(Enum(named(name)))
            }
        }
        deserializer.deserialize_any(EnumVisitor)
    }
}

/// Names of both enums; they share none but the one that is 0 in both.
fn named(name: &str) -> i32 {
    let name = name.strip_prefix("SPAN_KIND_").unwrap_or(name);
    let name = name.strip_prefix("STATUS_CODE_").unwrap_or(name);
    match name {
        "INTERNAL" | "OK" => 1,
        "SERVER" | "ERROR" => 2,
        "CLIENT" => 3,
        "PRODUCER" => 4,
        "CONSUMER" => 5,
        number => number.parse().unwrap_or(0),
    }
}

/// An id of `N` bytes as sent. What is no id has a length that is no id's.
#[derive(Debug, Clone, Copy)]
pub(in crate::decode) struct Id<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Id<N> {
    /// Reads `2 * N` hex digits, or base64 as older senders wrote it.
    pub(in crate::decode) fn parse(text: &[u8]) -> Self {
        let mut bytes = [0; N];
        let read = text.is_empty()
            || hex::decode_to_slice(text, &mut bytes).is_ok()
            || text.ends_with(b"=") && STANDARD.decode_slice(text, &mut bytes) == Ok(N);
        let length = match (text.is_empty(), read) {
            (true, _) => 0,
            (_, true) => N,
            (_, false) => 1,
        };
        Self { bytes, length }
    }

    pub(in crate::decode) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
