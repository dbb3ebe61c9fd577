//! Dictionaries of files without compression, in bounded memory: each trace that is looked up asks for the same ones.
//!
//! A dictionary was compared with its checksum when it was read; files never change.
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;

/// What stays in memory.
const BYTES_MAX: usize = 32 << 20;
/// A larger one would drive out too many others.
const DICTIONARY_BYTES_MAX: usize = BYTES_MAX / 16;
/// What a key and a place in the map take.
const ENTRY_BYTES: usize = 96;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Dictionaries(Mutex<Held>);

/// By path of the file and place in it. Two generations: what is asked for moves to the young one; once that has half of
/// the memory, it becomes the old one, and the old one is forgotten.
#[derive(Debug, Default)]
struct Held {
    young: Generation,
    old: Generation,
}

type Key = (Arc<str>, u64);

#[derive(Debug, Default)]
struct Generation {
    by_place: HashMap<Key, Bytes>,
    bytes: usize,
}

impl Dictionaries {
    /// The values of the dictionary at `place` of the file at `path`.
    pub(super) fn find(&self, path: &Arc<str>, place: u64) -> Option<Bytes> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(path), place);
        if let Some(values) = held.young.by_place.get(&key) {
            return Some(values.clone());
        }
        let values = held.old.remove(&key)?;
        held.put(key, values.clone());
        Some(values)
    }

    /// Keeps the values of the dictionary at `place` of the file at `path`.
    pub(super) fn put(&self, path: &Arc<str>, place: u64, values: &Bytes) {
        if values.len() > DICTIONARY_BYTES_MAX {
            return;
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.put((Arc::clone(path), place), values.clone());
    }
}

impl Held {
    fn put(&mut self, key: Key, values: Bytes) {
        self.old.remove(&key);
        self.young.remove(&key);
        self.young.bytes += values.len() + ENTRY_BYTES;
        self.young.by_place.insert(key, values);
        if self.young.bytes > BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl Generation {
    fn remove(&mut self, key: &Key) -> Option<Bytes> {
        let values = self.by_place.remove(key)?;
        self.bytes -= values.len() + ENTRY_BYTES;
        Some(values)
    }
}

#[cfg(test)]
mod tests;
