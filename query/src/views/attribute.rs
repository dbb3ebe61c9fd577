//! Values of a few named attributes, row by row: from their own column, or from the JSON of the rest.
use std::borrow::Cow;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::Result;
use memchr::memmem::Finder;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use storage::Snapshot;
use storage::batch::RestCount;
pub(crate) use storage::rollup::Peer;
use storage::rollup::attribute::{self, bytes, host, joined};
use storage::schema::{AttributeColumns, AttributeScope, column};

use super::forest::Texts;

/// Names of one thing, best or newest first: the first one that a span carries counts.
#[derive(Debug, Clone, Copy)]
enum Names {
    /// Bytes that a SERVER or CLIENT span says its request had.
    RequestSize,
    /// The same of its response.
    ResponseSize,
    /// Bytes of a message's body.
    MessageSize,
    DbSystem,
    DbNamespace,
    MessagingSystem,
    Destination,
    /// Who was called.
    Address,
    Url,
}

/// By [`Names`].
const NAMES: [&[&str]; 9] = [
    attribute::REQUEST_SIZE,
    attribute::RESPONSE_SIZE,
    attribute::MESSAGE_SIZE,
    attribute::DB_SYSTEM,
    attribute::DB_NAMESPACE,
    attribute::MESSAGING_SYSTEM,
    attribute::DESTINATION,
    attribute::ADDRESS,
    attribute::URL,
];

/// How many of [`NAMES`] are sizes; the others name a peer.
const SIZES: usize = 3;

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
        let names = NAMES.iter().enumerate();
        let wanted = names.filter(|(at, _)| if *at < SIZES { self.sizes } else { self.peers });
        wanted.flat_map(|(_, names)| names.iter().copied()).collect()
    }

    /// The columns of `snapshot` to read for this. The JSON is not among them where it has none of the attributes.
    pub(crate) fn columns(self, snapshot: &Snapshot) -> Vec<String> {
        let keys = self.keys();
        let own = keys.iter().filter_map(|key| snapshot.columns.find(AttributeScope::Span, key));
        let mut names: Vec<String> = own.map(|(_, own)| own.column.clone()).collect();
        if keys.iter().any(|key| may_hold_rest(snapshot, key)) {
            names.push(column::ATTRIBUTES.to_owned());
        }
        names
    }
}

/// False only where no span has this attribute outside the attribute's column.
fn may_hold_rest(snapshot: &Snapshot, key: &str) -> bool {
    let is_counted = |count: &RestCount| count.scope == AttributeScope::Span && count.key == key;
    snapshot.files.iter().any(|file| file.may_hold_rest(AttributeScope::Span, key))
        || snapshot.hot.iter().any(|batch| batch.rest().iter().any(is_counted))
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

/// The wanted attributes of one batch.
#[derive(Debug)]
pub(crate) struct Attributes {
    /// By [`Names`]: those that have columns with values here, in the order of the names.
    columns: [Vec<(&'static str, ArrayRef)>; NAMES.len()],
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
        let mut columns = [const { Vec::new() }; NAMES.len()];
        for (columns, names) in columns.iter_mut().zip(NAMES) {
            for name in names.iter().filter(|name| keys.contains(name)) {
                let own = known.find(AttributeScope::Span, name);
                let array = own.and_then(|(_, own)| batch.column_by_name(&own.column));
                if let Some(array) = array.filter(|array| array.null_count() < array.len()) {
                    columns.push((*name, readable(array)?));
                }
            }
        }
        let rest = match batch.column_by_name(column::ATTRIBUTES) {
            Some(array) if !keys.is_empty() => {
                Some(super::read::text(array)?).filter(|rest| rest.null_count() < rest.len())
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
        Sizes {
            request: self.first_bytes(Names::RequestSize, row, &rest),
            response: self.first_bytes(Names::ResponseSize, row, &rest),
            message: self.first_bytes(Names::MessageSize, row, &rest),
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
        let first = |names| self.first(names, row, &rest).filter(|value| !value.is_empty());
        if let Some(system) = first(Names::DbSystem) {
            let name = joined(&system, first(Names::DbNamespace).as_deref());
            return Some(Peer { name: texts.id(&name), database: true });
        }
        let name = match first(Names::MessagingSystem) {
            Some(system) => joined(&system, first(Names::Destination).as_deref()).into(),
            None => first(Names::Destination)
                .or_else(|| first(Names::Address))
                .or_else(|| Some(host(&first(Names::Url)?)?.to_owned().into()))?,
        };
        Some(Peer { name: texts.id(&name), database: false })
    }

    /// The first of `names` that the span carries, if it is a size.
    fn first_bytes(&self, names: Names, row: usize, rest: &Rest<'_>) -> Option<i64> {
        if rest.is_empty() {
            let mut own = self.columns[names as usize].iter();
            let (_, array) = own.find(|(_, array)| array.is_valid(row))?;
            if let Some(integers) = array.as_primitive_opt::<Int64Type>() {
                return Some(integers.value(row)).filter(|bytes| *bytes >= 0);
            }
        }
        self.first(names, row, rest).and_then(|value| bytes(&value))
    }

    /// The first of `names` that the span carries.
    fn first<'a>(&'a self, names: Names, row: usize, rest: &Rest<'a>) -> Option<Cow<'a, str>> {
        let columns = &self.columns[names as usize];
        if rest.is_empty() {
            return columns.iter().find_map(|(_, array)| value(array, row));
        }
        NAMES[names as usize].iter().find_map(|key| {
            let own = columns.iter().find(|(name, _)| name == key);
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
