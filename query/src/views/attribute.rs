//! Values of a few named attributes, row by row: from their own column, or from the JSON of the rest.
use std::borrow::Cow;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::Result;
use memchr::memmem::Finder;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use storage::schema::{AttributeColumns, AttributeScope, column};

use super::forest::Texts;

/// Bytes that a SERVER or CLIENT span says its request had, newest name first.
const REQUEST_SIZE: &[&str] = &[
    "http.request.body.size",
    "rpc.request.size",
    "http.request_content_length",
    "http.request_content_length_uncompressed",
    "http.request.size",
];
/// The same of its response.
const RESPONSE_SIZE: &[&str] = &[
    "http.response.body.size",
    "rpc.response.size",
    "http.response_content_length",
    "http.response_content_length_uncompressed",
    "http.response.size",
];
/// Bytes of a message's body.
const MESSAGE_SIZE: &[&str] = &[
    "messaging.message.body.size",
    "messaging.message.payload_size_bytes",
    "messaging.message_payload_size_bytes",
    "messaging.message.envelope.size",
];
const DB_SYSTEM: &[&str] = &["db.system.name", "db.system", "db.type"];
const DB_NAMESPACE: &[&str] = &["db.namespace", "db.name", "db.instance"];
const MESSAGING_SYSTEM: &[&str] = &["messaging.system"];
const DESTINATION: &[&str] =
    &["messaging.destination.name", "messaging.destination", "message_bus.destination"];
/// Who was called, best name first.
const ADDRESS: &[&str] = &[
    "server.address",
    "peer.service",
    "service.peer.name",
    "net.peer.name",
    "peer.hostname",
    "http.host",
    "rpc.service",
    "network.peer.address",
    "net.peer.ip",
    "net.sock.peer.addr",
    "peer.ipv4",
    "peer.ipv6",
    "peer.address",
];
const URL: &[&str] = &["url.full", "http.url"];

/// What a view wants to know of spans beyond the fixed columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Body sizes.
    pub(crate) sizes: bool,
    /// The name of what a CLIENT or PRODUCER called.
    pub(crate) peers: bool,
}

impl Wanted {
    fn keys(self) -> Vec<&'static str> {
        let sizes: &[&[&str]] = &[REQUEST_SIZE, RESPONSE_SIZE, MESSAGE_SIZE];
        let peers: &[&[&str]] =
            &[DB_SYSTEM, DB_NAMESPACE, MESSAGING_SYSTEM, DESTINATION, ADDRESS, URL];
        let mut keys = Vec::new();
        for group in sizes.iter().filter(|_| self.sizes).chain(peers.iter().filter(|_| self.peers))
        {
            keys.extend(group.iter());
        }
        keys
    }

    /// The stored columns to read for this.
    pub(crate) fn columns(self, columns: &AttributeColumns) -> Vec<String> {
        let keys = self.keys();
        let own = keys.iter().filter_map(|key| columns.find(AttributeScope::Span, key));
        let mut names: Vec<String> = own.map(|(_, own)| own.column.clone()).collect();
        if !keys.is_empty() {
            names.push(column::ATTRIBUTES.to_owned());
        }
        names
    }
}

/// Body sizes of one span, in bytes; `None` where it carried none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    /// Of the request (HTTP, RPC).
    pub(crate) request: Option<i64>,
    /// Of the response (HTTP, RPC).
    pub(crate) response: Option<i64>,
    /// Of the message.
    pub(crate) message: Option<i64>,
}

/// What a span called that is no span itself, as an id of [`Texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The name of the external node.
    pub(crate) name: u32,
    /// Whether it is a database.
    pub(crate) database: bool,
}

/// The wanted attributes of one batch.
#[derive(Debug)]
pub(crate) struct Attributes {
    columns: Vec<(&'static str, ArrayRef)>,
    rest: Option<StringViewArray>,
    keys: Vec<&'static str>,
}

/// The wanted attributes of one span that lie in the JSON.
type Rest<'a> = Vec<(&'static str, &'a RawValue)>;

impl Attributes {
    /// Finds the columns of `batch` that hold what is wanted.
    pub(crate) fn of(
        batch: &RecordBatch,
        wanted: Wanted,
        known: &AttributeColumns,
    ) -> Result<Self> {
        let keys = wanted.keys();
        let mut columns = Vec::new();
        for key in &keys {
            let own = known.find(AttributeScope::Span, key);
            if let Some(array) = own.and_then(|(_, own)| batch.column_by_name(&own.column)) {
                columns.push((*key, readable(array)?));
            }
        }
        let rest = match batch.column_by_name(column::ATTRIBUTES) {
            Some(array) if !keys.is_empty() => {
                Some(super::load::text(array)?).filter(|rest| rest.null_count() < rest.len())
            }
            _ => None,
        };
        Ok(Self { columns, rest, keys })
    }

    /// The body sizes of the span at `row`.
    pub(crate) fn sizes(&self, row: usize) -> Sizes {
        thread_local! {
            static NEEDLES: [Finder<'static>; 2] =
                [Finder::new("size"), Finder::new("_content_length")];
        }
        let rest = NEEDLES.with(|needles| self.rest(row, needles));
        let first = |keys| self.first(keys, row, &rest).and_then(|value| bytes(&value));
        Sizes {
            request: first(REQUEST_SIZE),
            response: first(RESPONSE_SIZE),
            message: first(MESSAGE_SIZE),
        }
    }

    /// What the span at `row` called: a database (`postgresql/orders`), a queue (`kafka/orders`), or an address.
    pub(crate) fn peer(&self, row: usize, texts: &mut Texts) -> Option<Peer> {
        thread_local! {
            static NEEDLES: [Finder<'static>; 7] =
                ["db.", "messag", "server.address", "peer", "http.", "url.full", "rpc.service"]
                    .map(Finder::new);
        }
        let rest = NEEDLES.with(|needles| self.rest(row, &needles[..]));
        let first = |keys| self.first(keys, row, &rest).filter(|value| !value.is_empty());
        if let Some(system) = first(DB_SYSTEM) {
            let name = joined(&system, first(DB_NAMESPACE).as_deref());
            return Some(Peer { name: texts.id(&name), database: true });
        }
        let name = match first(MESSAGING_SYSTEM) {
            Some(system) => joined(&system, first(DESTINATION).as_deref()).into(),
            None => first(DESTINATION)
                .or_else(|| first(ADDRESS))
                .or_else(|| Some(host(&first(URL)?)?.to_owned().into()))?,
        };
        Some(Peer { name: texts.id(&name), database: false })
    }

    /// The first of `keys` that the span carries.
    fn first<'a>(&'a self, keys: &[&str], row: usize, rest: &Rest<'a>) -> Option<Cow<'a, str>> {
        keys.iter().find_map(|key| {
            let own = self.columns.iter().find(|(name, _)| name == key);
            own.and_then(|(_, array)| value(array, row)).or_else(|| {
                let (_, raw) = rest.iter().find(|(name, _)| name == key)?;
                json_scalar(raw)
            })
        })
    }

    /// Parses the JSON of one span, if any of `needles` says that something wanted may be inside.
    fn rest(&self, row: usize, needles: &[Finder<'static>]) -> Rest<'_> {
        let Some(rest) = self.rest.as_ref().filter(|rest| rest.is_valid(row)) else {
            return Vec::new();
        };
        let json = rest.value(row);
        if !needles.iter().any(|needle| needle.find(json.as_bytes()).is_some()) {
            return Vec::new();
        }
        wanted_entries(json, &self.keys)
    }
}

fn joined(system: &str, rest: Option<&str>) -> String {
    rest.map_or_else(|| system.to_owned(), |rest| format!("{system}/{rest}"))
}

/// The host (and port) of a URL.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(host).filter(|host| !host.is_empty())
}

fn bytes(value: &str) -> Option<i64> {
    let bytes = value.parse::<i64>().ok().or_else(|| whole(value.parse().ok()?))?;
    (bytes >= 0).then_some(bytes)
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// Attribute columns as [`value`] reads them.
fn readable(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, _) | DataType::Utf8 => {
            arrow::compute::cast(array, &DataType::Utf8View)?
        }
        _ => ArrayRef::clone(array),
    })
}

fn value(array: &ArrayRef, row: usize) -> Option<Cow<'_, str>> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8View => Some(array.as_string_view().value(row).into()),
        DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(row).to_string().into()),
        DataType::Float64 => {
            Some(array.as_primitive::<Float64Type>().value(row).to_string().into())
        }
        _ => None,
    }
}

/// Texts and numbers; objects, arrays, booleans and null name nothing here.
fn json_scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
        b'-' | b'0'..=b'9' => Some(json.into()),
        _ => None,
    }
}

/// The entries of a JSON object whose keys are wanted; none where the text is no object.
fn wanted_entries<'a>(json: &'a str, keys: &[&'static str]) -> Rest<'a> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let mut found = Vec::new();
    let visitor = Entries { keys, found: &mut found };
    // Damaged JSON: what was read before the damage counts.
    let _ = serde::Deserializer::deserialize_map(&mut reader, visitor);
    found
}

struct Entries<'k, 'a> {
    keys: &'k [&'static str],
    found: &'k mut Rest<'a>,
}

impl<'a> Visitor<'a> for Entries<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> std::result::Result<(), M::Error> {
        while let Some(key) = map.next_key::<Cow<'a, str>>()? {
            match self.keys.iter().find(|wanted| **wanted == key) {
                Some(wanted) => self.found.push((wanted, map.next_value::<&'a RawValue>()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
