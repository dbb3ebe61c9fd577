//! What attributes tell about spans for a rollup: body sizes, and who was called.
//!
//! Each attribute's column is read once for all batches, its texts once each. JSON is only searched in batches that say
//! it holds one of these attributes.
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use foldhash::fast::RandomState;

use super::lift::{is_key, members};
use super::texts::with_texts;
use crate::batch::{self, Part, SpanBatch, Values};
use crate::file::chunk::NULL;
use crate::file::chunk::value::Values as _;
use crate::rollup::attribute::{
    self, ADDRESS, DB_NAMESPACE, DB_SYSTEM, DESTINATION, MESSAGE_SIZE, MESSAGING_SYSTEM,
    REQUEST_SIZE, RESPONSE_SIZE, URL, bytes, host, joined,
};
use crate::rollup::{Names, Peer, Sizes, SpanKind};
use crate::schema::{AttributeColumn, AttributeColumns, AttributeScope, AttributeType, column};

/// By row in the order of arrival; nothing where no row has any.
pub(super) struct Extras {
    request: Vec<i64>,
    response: Vec<i64>,
    message: Vec<i64>,
    peer: Vec<u32>,
    /// Names of peers, and texts on the way to them.
    pub(super) names: Names,
}

/// No text, no peer.
const NONE: u32 = u32::MAX;
/// This bit of a peer says that it is a database.
const DATABASE: u32 = 1 << 31;

impl Extras {
    /// Reads the attributes of all rows; `kinds` are those of the rows, `places` the numbers of the rows.
    pub(super) fn of(
        batches: &[Arc<SpanBatch>],
        attributes: &AttributeColumns,
        (kinds, places): (&[SpanKind], &[u32]),
    ) -> Self {
        let mut source = Source {
            batches,
            attributes,
            kinds,
            in_json: in_json(batches),
            names: Names::default(),
            places,
            keys: Vec::new(),
        };
        Self {
            request: source.sizes(REQUEST_SIZE),
            response: source.sizes(RESPONSE_SIZE),
            message: source.sizes(MESSAGE_SIZE),
            peer: source.peers(),
            names: source.names,
        }
    }

    pub(super) fn sizes(&self, row: usize) -> Sizes {
        let of = |sizes: &[i64]| sizes.get(row).copied().unwrap_or(Sizes::NONE);
        Sizes {
            request: of(&self.request),
            response: of(&self.response),
            message: of(&self.message),
        }
    }

    /// What a row called that is no span; only of rows that call.
    pub(super) fn peer(&self, row: usize) -> Option<Peer> {
        let peer = self.peer.get(row).copied().filter(|peer| *peer != NONE)?;
        Some(Peer { name: peer & !DATABASE, database: peer & DATABASE != 0 })
    }
}

/// By attribute, rows and their scalar values as text.
type InJson = HashMap<&'static str, Vec<(usize, String)>>;

struct Source<'a> {
    batches: &'a [Arc<SpanBatch>],
    attributes: &'a AttributeColumns,
    kinds: &'a [SpanKind],
    in_json: InJson,
    names: Names,
    /// Every row at its own place.
    places: &'a [u32],
    /// Memory used again.
    keys: Vec<u32>,
}

impl<'a> Source<'a> {
    /// By row the first of the attributes `keys`, as bytes.
    fn sizes(&mut self, keys: &[&'static str]) -> Vec<i64> {
        let mut sizes = Vec::new();
        let known = |bytes: Option<i64>| bytes.unwrap_or(Sizes::NONE);
        // The first of the list is written last, over the others; a column over the JSON.
        for key in keys.iter().rev() {
            if let Some(found) = self.in_json.get(key) {
                sizes.resize(self.kinds.len(), Sizes::NONE);
                found.iter().for_each(|(row, text)| sizes[*row] = known(bytes(text)));
            }
            let Some((column, parts)) = self.column(key) else { continue };
            sizes.resize(self.kinds.len(), Sizes::NONE);
            match column.kind {
                AttributeType::Int => {
                    each_int(&parts, |row, value| sizes[row] = value.max(Sizes::NONE));
                }
                AttributeType::Double => {
                    each_double(&parts, |row, value| sizes[row] = known(bytes(&value.to_string())));
                }
                AttributeType::String => {
                    with_texts(&parts, Some(self.places), &mut self.keys, |keys, texts| {
                        for (size, key) in sizes.iter_mut().zip(keys).filter(|(_, k)| **k != NULL) {
                            *size = known(str::from_utf8(texts.get(*key)).ok().and_then(bytes));
                        }
                    });
                }
                AttributeType::Bool => {}
            }
        }
        sizes
    }

    /// By row what it called: a database, a queue, an address.
    fn peers(&mut self) -> Vec<u32> {
        let mut peers = Vec::new();
        for (system, rest, database) in
            [(DB_SYSTEM, DB_NAMESPACE, DATABASE), (MESSAGING_SYSTEM, DESTINATION, 0)]
        {
            let system = self.texts(system, Naming::Whole);
            if system.is_empty() {
                continue;
            }
            let rest = self.texts(rest, Naming::Whole);
            peers.resize(self.kinds.len(), NONE);
            self.join(&mut peers, &system, &rest, database);
        }
        for (keys, naming) in
            [(DESTINATION, Naming::Whole), (ADDRESS, Naming::Whole), (URL, Naming::Host)]
        {
            let texts = self.texts(keys, naming);
            if !texts.is_empty() {
                peers.resize(self.kinds.len(), NONE);
                for (peer, text) in peers.iter_mut().zip(&texts) {
                    *peer = if *peer == NONE { *text } else { *peer };
                }
            }
        }
        peers
    }

    /// Names the rows that have a `system` and no peer yet; each combination once.
    fn join(&mut self, peers: &mut [u32], system: &[u32], rest: &[u32], database: u32) {
        let mut known: HashMap<(u32, u32), u32, RandomState> = HashMap::default();
        let mut last = ((NONE, NONE), NONE);
        for (row, system) in system.iter().enumerate().filter(|(_, system)| **system != NONE) {
            if peers[row] != NONE {
                continue;
            }
            let rest = rest.get(row).copied().unwrap_or(NONE);
            if last.0 != (*system, rest) {
                let names = &mut self.names;
                let name = known.entry((*system, rest)).or_insert_with(|| {
                    let end = (rest != NONE).then(|| names.text(rest));
                    let name = joined(names.text(*system), end);
                    names.key(&name) | database
                });
                last = ((*system, rest), *name);
            }
            peers[row] = last.1;
        }
    }

    /// By row the first of the attributes `keys` as a key of `names`, of rows that call; none where it is empty.
    fn texts(&mut self, keys: &[&'static str], naming: Naming) -> Vec<u32> {
        let mut found = Vec::new();
        for key in keys.iter().rev() {
            if let Some(in_json) = self.in_json.get(key) {
                found.resize(self.kinds.len(), NONE);
                for (row, text) in in_json.iter().filter(|(row, _)| self.kinds[*row].calls()) {
                    found[*row] = naming.key(text, &mut self.names);
                }
            }
            let Some((column, parts)) = self.column(key) else { continue };
            found.resize(self.kinds.len(), NONE);
            let (kinds, names) = (self.kinds, &mut self.names);
            let mut set = |row: usize, text: String| {
                if kinds[row].calls() {
                    found[row] = naming.key(&text, names);
                }
            };
            match column.kind {
                AttributeType::Int => each_int(&parts, |row, value| set(row, value.to_string())),
                AttributeType::Double => {
                    each_double(&parts, |row, value| set(row, value.to_string()));
                }
                AttributeType::String => {
                    with_texts(&parts, Some(self.places), &mut self.keys, |keys, texts| {
                        // A text has its name once; UNSEEN is no key of `names` and not NONE.
                        let mut known = vec![UNSEEN; texts.count()];
                        let given = keys.iter().enumerate().filter(|(_, key)| **key != NULL);
                        for (row, key) in given.filter(|(row, _)| kinds[*row].calls()) {
                            let known = &mut known[*key as usize];
                            if *known == UNSEEN {
                                let text = str::from_utf8(texts.get(*key)).unwrap_or_default();
                                *known = naming.key(text, names);
                            }
                            found[row] = *known;
                        }
                    });
                }
                AttributeType::Bool => {}
            }
        }
        found
    }

    /// The column of a span's attribute, where some row has a value in it.
    fn column(&self, key: &str) -> Option<(&'a AttributeColumn, Vec<Part<'a>>)> {
        let (_, column) = self.attributes.find(AttributeScope::Span, key)?;
        if batch::is_all_null(self.batches, &column.column) {
            return None;
        }
        Some((column, batch::parts(self.batches, &column.column)))
    }
}

const UNSEEN: u32 = u32::MAX - 1;

/// Which part of a text names a peer.
#[derive(Clone, Copy)]
enum Naming {
    Whole,
    /// The host of a URL.
    Host,
}

impl Naming {
    fn key(self, text: &str, names: &mut Names) -> u32 {
        let name = match self {
            Self::Whole => Some(text).filter(|text| !text.is_empty()),
            Self::Host => host(text),
        };
        name.map_or(NONE, |name| names.key(name))
    }
}

fn each_int(parts: &[Part<'_>], mut each: impl FnMut(usize, i64)) {
    let mut first = 0;
    for part in parts {
        match part.values {
            Some(Values::Int64(spots)) => spots.for_each(|row, value| each(first + row, value)),
            Some(Values::Array(array)) => {
                let rows = array.as_primitive::<Int64Type>().iter().enumerate();
                rows.for_each(|(row, value)| {
                    if let Some(value) = value {
                        each(first + row, value);
                    }
                });
            }
            _ => {}
        }
        first += part.rows;
    }
}

/// Every number of a column, with its row.
pub(super) fn each_double(parts: &[Part<'_>], mut each: impl FnMut(usize, f64)) {
    let mut first = 0;
    for part in parts {
        match part.values {
            Some(Values::Double(spots)) => spots.for_each(|row, value| each(first + row, value)),
            Some(Values::Array(array)) => {
                let rows = array.as_primitive::<Float64Type>().iter().enumerate();
                rows.for_each(|(row, value)| {
                    if let Some(value) = value {
                        each(first + row, value);
                    }
                });
            }
            _ => {}
        }
        first += part.rows;
    }
}

/// What of all these attributes lies in the JSON of some span.
fn in_json(batches: &[Arc<SpanBatch>]) -> InJson {
    let wanted: Vec<&'static str> = attribute::all().collect();
    let mut found = InJson::new();
    let mut first = 0;
    for (batch, part) in batches.iter().zip(batch::parts(batches, column::ATTRIBUTES)) {
        let is_here = |key: &&&str| {
            let is_key =
                |rest: &batch::RestCount| rest.scope == AttributeScope::Span && rest.key == **key;
            batch.rest().iter().any(is_key)
        };
        let here: Vec<&'static str> = wanted.iter().filter(is_here).copied().collect();
        if let Some(Values::Array(array)) = part.values.filter(|_| !here.is_empty()) {
            for (row, json) in array.as_string::<i32>().iter().enumerate() {
                add_members(json.unwrap_or_default(), &here, |key, value| {
                    found.entry(key).or_default().push((first + row, value));
                });
            }
        }
        first += part.rows;
    }
    found
}

/// The scalars among the members of `json` that are wanted, as text.
fn add_members(json: &str, wanted: &[&'static str], mut add: impl FnMut(&'static str, String)) {
    if json.is_empty() {
        return;
    }
    for (quoted, value) in members(json) {
        let Some(key) = wanted.iter().find(|key| is_key(quoted, key)) else { continue };
        let text = match value.bytes().next() {
            Some(b'"') => serde_json::from_str::<String>(value).ok(),
            Some(b'-' | b'0'..=b'9') => Some(value.to_owned()),
            _ => None,
        };
        if let Some(text) = text {
            add(key, text);
        }
    }
}

#[cfg(test)]
mod tests;
