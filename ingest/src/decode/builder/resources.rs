//! Resources seen before: the same few send all spans, each with two dozen attributes, over and over.
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use storage::schema::AttributeType;

use super::data::Scalar;
use crate::decode::cut::Cuts;

/// Messages remembered at most, in bytes; then all are forgotten.
const MESSAGES_BYTES_MAX: usize = 4 << 20;

/// What all spans of a resource share.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    /// Number of the service's name.
    pub(super) service: Option<u32>,
    /// Number of the JSON of all attributes.
    pub(super) json: u32,
    /// Values of its attribute columns, by position in the list of columns.
    pub(super) values: Vec<(usize, Scalar)>,
    /// What the limits took from its attributes.
    pub(super) cuts: Cuts,
    /// Its attributes without a column: number of the key, type.
    pub(super) rest: Vec<(usize, AttributeType)>,
}

impl Shared {
    pub(super) fn clear(&mut self) {
        self.service = None;
        self.values.clear();
        self.rest.clear();
    }

    fn copy_from(&mut self, other: &Self) {
        self.service = other.service;
        self.json = other.json;
        self.cuts = other.cuts;
        self.values.clone_from(&other.values);
        self.rest.clone_from(&other.rest);
    }
}

/// Resources by their encoded messages.
#[derive(Debug, Default)]
pub(super) struct Resources {
    seen: Vec<(Box<[u8]>, Shared)>,
    table: HashTable<usize>,
    hasher: RandomState,
    bytes: usize,
}

impl Resources {
    /// Copies what is known of `message` to `shared`; false where nothing is.
    pub(super) fn recall(&self, message: &[u8], shared: &mut Shared) -> bool {
        let hash = self.hasher.hash_one(message);
        let found = self.table.find(hash, |&index| *self.seen[index].0 == *message);
        if let Some(&index) = found {
            shared.copy_from(&self.seen[index].1);
        }
        found.is_some()
    }

    /// Remembers what `message` became. It was not known.
    pub(super) fn remember(&mut self, message: &[u8], shared: &Shared) {
        if self.bytes > MESSAGES_BYTES_MAX {
            self.clear();
        }
        self.bytes += message.len();
        let hash = self.hasher.hash_one(message);
        let index = self.seen.len();
        self.seen.push((message.into(), shared.clone()));
        let (seen, hasher) = (&self.seen, &self.hasher);
        self.table.insert_unique(hash, index, |&index| hasher.hash_one(&*seen[index].0));
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
        self.table.clear();
        self.bytes = 0;
    }

    /// Memory held, about.
    pub(super) fn bytes(&self) -> usize {
        2 * self.bytes
    }
}
