//! One trace event as it stands in the file.
use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::file::otlp::{self, Span, Value};

/// The fields of an event that mean something here; whatever is left out is `null`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    name: Json,
    cat: Json,
    ph: Json,
    ts: Json,
    dur: Json,
    pid: Json,
    tid: Json,
    id: Json,
    id2: Json,
    scope: Json,
    bp: Json,
    args: Json,
}

impl Event {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    pub(super) fn phase(&self) -> &str {
        self.ph.as_str().unwrap_or_default()
    }

    pub(super) fn name(&self) -> Cow<'_, str> {
        words(&self.name)
    }

    pub(super) fn pid(&self) -> Cow<'_, str> {
        words(&self.pid)
    }

    pub(super) fn tid(&self) -> Cow<'_, str> {
        words(&self.tid)
    }

    /// When it happened, in nanoseconds of the file's clock; `None` without a time.
    pub(super) fn time(&self) -> Result<Option<i64>, String> {
        nanos(&self.ts).map_err(|()| format!("\"ts\" is no number: {:.40}", self.ts.to_string()))
    }

    /// How long it took; nothing where that is missing or negative.
    pub(super) fn duration(&self) -> Result<i64, String> {
        let duration = nanos(&self.dur)
            .map_err(|()| format!("\"dur\" is no number: {:.40}", self.dur.to_string()))?;
        Ok(duration.unwrap_or(0).max(0))
    }

    /// A flow's end binds to the slice around it (else to the next one).
    pub(super) fn binds_to_enclosing(&self) -> bool {
        self.bp == "e"
    }

    /// What events of one flow or of one asynchronous operation have in common.
    pub(super) fn key(&self, with_name: bool) -> u64 {
        let mut key = String::new();
        let mut add = |part: &str| {
            key.push_str(part);
            key.push('\0');
        };
        add(&words(&self.cat));
        add(&words(&self.scope));
        if with_name {
            add(&self.name());
        }
        match (self.id2.get("local"), self.id2.get("global")) {
            (Some(local), _) => {
                add(&self.pid());
                add(&words(local));
            }
            (None, Some(global)) => add(&words(global)),
            (None, None) => add(&words(&self.id)),
        }
        xxhash_rust::xxh3::xxh3_64(key.as_bytes())
    }

    /// The `name` argument of metadata.
    pub(super) fn named(&self) -> Option<String> {
        Some(self.args.get("name")?.as_str()?.to_owned())
    }

    /// The name, category and arguments as a span.
    pub(super) fn span(&self) -> Span {
        let mut span = Span::default();
        span.name(&self.name());
        if let Some(category) = self.cat.as_str() {
            span.attribute("category", Value::Text(category));
        }
        self.arguments(&mut |key, value| span.attribute(key, value));
        span
    }

    /// The same as an event of a span.
    pub(super) fn event(&self, time: i64) -> otlp::Event {
        let mut event = otlp::Event::new(time.cast_unsigned(), &self.name());
        if let Some(category) = self.cat.as_str() {
            event.attribute("category", Value::Text(category));
        }
        self.arguments(&mut |key, value| event.attribute(key, value));
        event
    }

    /// Hands over every argument.
    pub(super) fn arguments(&self, take: &mut dyn FnMut(&str, Value<'_>)) {
        match &self.args {
            Json::Null => {}
            Json::Object(fields) => {
                fields.iter().for_each(|(key, value)| take(key, Value::Json(value)));
            }
            other => take("args", Value::Json(other)),
        }
    }
}

fn words(value: &Json) -> Cow<'_, str> {
    match value {
        Json::String(text) => Cow::Borrowed(text),
        Json::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

/// Microseconds, with or without a fraction, also in quotes.
fn nanos(value: &Json) -> Result<Option<i64>, ()> {
    match value {
        Json::Null => Ok(None),
        Json::Number(number) => match number.as_i64() {
            Some(micros) => Ok(Some(micros.saturating_mul(1_000))),
            None => number.as_f64().map(|micros| Some(rounded(micros))).ok_or(()),
        },
        Json::String(text) => text.trim().parse().map(|micros| Some(rounded(micros))).map_err(drop),
        _ => Err(()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates; the decoder refuses such times")]
fn rounded(micros: f64) -> i64 {
    (micros * 1_000.0).round_ties_even() as i64
}
