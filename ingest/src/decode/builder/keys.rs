//! Attribute keys of one session: each is looked up once in the list of columns, then found by hash.
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use storage::batch::{RestCount, equal};
use storage::schema::{AttributeColumns, AttributeScope, AttributeType};

use crate::decode::text;
use crate::decode::weight::Hint;

/// What a key means beyond its own value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    None,
    Service,
    Weight(Hint),
}

/// One key.
#[derive(Debug)]
pub(super) struct Slot {
    key: Box<[u8]>,
    /// `"key":`, escaped.
    pub(super) json: Box<[u8]>,
    /// Position in the list of columns, and the column's type.
    pub(super) column: Option<(usize, AttributeType)>,
    pub(super) role: Role,
    /// The holder (span, resource, event, ...) that had the key last: a second occurrence there is a duplicate.
    pub(super) holder: u64,
    /// Spans that carried it without a column, by type: string, int, double, bool.
    spans: [u64; 4],
    /// The keys that came after it the last times.
    next: [usize; 2],
}

/// All keys of one scope.
#[derive(Debug)]
pub(super) struct Keys {
    scope: Option<AttributeScope>,
    slots: Vec<Slot>,
    table: HashTable<usize>,
    hasher: RandomState,
    /// Keys with [`Slot::spans`] in this group.
    counted: Vec<usize>,
    /// The key that was looked for last.
    last: usize,
    /// Bytes of all keys.
    bytes: usize,
}

/// What a key costs beside its bytes.
const BYTES_PER_KEY: usize = size_of::<Slot>() + 2 * size_of::<usize>();

const TYPES: [AttributeType; 4] =
    [AttributeType::String, AttributeType::Int, AttributeType::Double, AttributeType::Bool];

impl Keys {
    /// Keys of `scope`; `None` for places whose attributes never have columns.
    pub(super) fn new(scope: Option<AttributeScope>) -> Self {
        Self {
            scope,
            slots: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::default(),
            counted: Vec::new(),
            last: 0,
            bytes: 0,
        }
    }

    /// Forgets the group's counts.
    pub(super) fn clear_counts(&mut self) {
        for index in self.counted.drain(..) {
            self.slots[index].spans = [0; 4];
        }
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.slots.len() * BYTES_PER_KEY
    }

    /// Counts spans that carry the key in their JSON.
    pub(super) fn count(&mut self, index: usize, kind: AttributeType, spans: u64) {
        let slot = &mut self.slots[index];
        if slot.spans == [0; 4] {
            self.counted.push(index);
        }
        slot.spans[type_index(kind)] += spans;
    }

    /// The number of `key`, for [`Self::slot`]. Senders write their keys in the same order again and again, so those
    /// that came next the last times are tried first.
    #[inline]
    pub(super) fn find(&mut self, key: &[u8], columns: &AttributeColumns) -> usize {
        let next = self.slots.get(self.last).map_or([0; 2], |last| last.next);
        for expected in next {
            if self.slots.get(expected).is_some_and(|slot| equal(&slot.key, key)) {
                self.last = expected;
                return expected;
            }
        }
        let found = self.look_up(key, columns);
        if let Some(last) = self.slots.get_mut(self.last) {
            last.next = [found, next[0]];
        }
        self.last = found;
        found
    }

    #[inline(never)]
    fn look_up(&mut self, key: &[u8], columns: &AttributeColumns) -> usize {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        match self.table.find(hash, |&index| equal(&slots[index].key, key)) {
            Some(&index) => index,
            None => self.insert(hash, key, columns),
        }
    }

    /// Whether `holder` had `key`.
    pub(super) fn holds(&mut self, key: &[u8], holder: u64, columns: &AttributeColumns) -> bool {
        let index = self.find(key, columns);
        self.slots[index].holder == holder
    }

    #[inline]
    pub(super) fn slot(&mut self, index: usize) -> &mut Slot {
        &mut self.slots[index]
    }

    #[cold]
    fn insert(&mut self, hash: u64, key: &[u8], columns: &AttributeColumns) -> usize {
        let readable = String::from_utf8_lossy(key);
        let mut json = Vec::with_capacity(key.len() + 3);
        text::string(&mut json, readable.as_bytes());
        json.push(b':');
        let column = self.scope.and_then(|scope| columns.find(scope, &readable));
        let index = self.slots.len();
        self.bytes += key.len() + json.len();
        self.slots.push(Slot {
            key: key.into(),
            json: json.into(),
            column: column.map(|(position, column)| (position, column.kind)),
            role: role(self.scope, key),
            holder: 0,
            spans: [0; 4],
            next: [0; 2],
        });
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.table.insert_unique(hash, index, |&index| hasher.hash_one(&*slots[index].key));
        index
    }

    /// Counts of what lies in the JSON: keys without a column, and values that are not of their column's type.
    pub(super) fn rest(&self) -> impl Iterator<Item = RestCount> {
        self.counted.iter().flat_map(move |&index| {
            let slot = &self.slots[index];
            let counts = TYPES.iter().zip(slot.spans).filter(|(_, spans)| *spans > 0);
            counts.filter_map(move |(kind, spans)| {
                let key = String::from_utf8_lossy(&slot.key).into_owned();
                Some(RestCount { scope: self.scope?, key, kind: *kind, spans })
            })
        })
    }
}

fn role(scope: Option<AttributeScope>, key: &[u8]) -> Role {
    match (scope, key) {
        (Some(AttributeScope::Resource), b"service.name") => Role::Service,
        (Some(AttributeScope::Span), key) => Hint::of_key(key).map_or(Role::None, Role::Weight),
        _ => Role::None,
    }
}

/// Index of a type in [`Slot::spans`].
fn type_index(kind: AttributeType) -> usize {
    match kind {
        AttributeType::String => 0,
        AttributeType::Int => 1,
        AttributeType::Double => 2,
        AttributeType::Bool => 3,
    }
}
