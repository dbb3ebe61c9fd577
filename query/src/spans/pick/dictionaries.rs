//! Dictionaries of files, and their pages of keys, without compression, in bounded memory: each trace that is looked up asks
//! for the same dictionaries, and of most columns for the same few pages.
//!
//! What is here was compared with its checksum when it was read; files never change.
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;

use super::page::{Data, Page};

/// What stays in memory of dictionaries.
const BYTES_MAX: usize = 32 << 20;
/// A larger one would drive out too many others.
const DICTIONARY_BYTES_MAX: usize = BYTES_MAX / 16;
/// What stays in memory of pages: keys of two million spans take about 40 MiB.
const PAGES_BYTES_MAX: usize = 96 << 20;
/// Pages of keys are seldom larger.
const PAGE_BYTES_MAX: usize = 64 << 10;
/// What a key and a place in the map take.
const ENTRY_BYTES: usize = 160;

/// See the module.
#[derive(Debug)]
pub(crate) struct Dictionaries {
    values: Mutex<Held<Bytes>>,
    pages: Mutex<Held<HeldPage>>,
}

impl Default for Dictionaries {
    fn default() -> Self {
        let (values, pages) = (Held::new(BYTES_MAX), Held::new(PAGES_BYTES_MAX));
        Self { values: Mutex::new(values), pages: Mutex::new(pages) }
    }
}

/// A page of keys, without compression once somebody has looked at them.
#[derive(Debug, Clone)]
pub(super) struct HeldPage {
    data: Data,
    body: Bytes,
    raw_bytes: usize,
}

impl HeldPage {
    /// Of `page`, whose values without compression are `values`, `None` where only its levels were looked at. `None` where it
    /// has no keys, or is held already.
    pub(super) fn of(page: &Page<'_>, values: Option<&[u8]>, is_held: bool) -> Option<Self> {
        let data = page.data.filter(Data::is_of_keys)?;
        let (body, raw_bytes) = page.body();
        if raw_bytes > PAGE_BYTES_MAX || (is_held && (values.is_none() || !data.is_compressed())) {
            return None;
        }
        let Some(values) = values else {
            return Some(Self { data, body: Bytes::copy_from_slice(body), raw_bytes });
        };
        let body = [page.levels()?, values].concat().into();
        Some(Self { data: data.without_compression(), body, raw_bytes })
    }

    /// The page.
    pub(super) fn page(&self) -> Page<'_> {
        Page::stored(self.data, &self.body, self.raw_bytes)
    }
}

/// By path of the file and place in it. Two generations: what is asked for moves to the young one; once that has half of
/// the memory, it becomes the old one, and the old one is forgotten.
#[derive(Debug)]
struct Held<T> {
    young: Generation<T>,
    old: Generation<T>,
    bytes_max: usize,
}

type Key = (Arc<str>, u64);

#[derive(Debug)]
struct Generation<T> {
    /// With the bytes of each.
    by_place: HashMap<Key, (T, usize)>,
    bytes: usize,
}

impl<T> Default for Generation<T> {
    fn default() -> Self {
        Self { by_place: HashMap::new(), bytes: 0 }
    }
}

impl Dictionaries {
    /// The values of the dictionary at `place` of the file at `path`.
    pub(in crate::spans) fn find(&self, path: &Arc<str>, place: u64) -> Option<Bytes> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).find(path, place)
    }

    /// Keeps the values of the dictionary at `place` of the file at `path`.
    pub(in crate::spans) fn put(&self, path: &Arc<str>, place: u64, values: &Bytes) {
        if values.len() > DICTIONARY_BYTES_MAX {
            return;
        }
        let mut held = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        held.put((Arc::clone(path), place), (values.clone(), values.len() + ENTRY_BYTES));
    }

    /// The page of keys at `place` of the file at `path`.
    pub(super) fn find_page(&self, path: &Arc<str>, place: u64) -> Option<HeldPage> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).find(path, place)
    }

    /// Keeps the page of keys at `place` of the file at `path`.
    pub(super) fn put_page(&self, path: &Arc<str>, place: u64, page: HeldPage) {
        let bytes = page.body.len() + ENTRY_BYTES;
        let mut held = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        held.put((Arc::clone(path), place), (page, bytes));
    }
}

impl<T: Clone> Held<T> {
    fn new(bytes_max: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), bytes_max }
    }

    fn find(&mut self, path: &Arc<str>, place: u64) -> Option<T> {
        let key = (Arc::clone(path), place);
        if let Some((value, _)) = self.young.by_place.get(&key) {
            return Some(value.clone());
        }
        let (value, bytes) = self.old.remove(&key)?;
        self.put(key, (value.clone(), bytes));
        Some(value)
    }

    fn put(&mut self, key: Key, (value, bytes): (T, usize)) {
        self.old.remove(&key);
        self.young.remove(&key);
        self.young.bytes += bytes;
        self.young.by_place.insert(key, (value, bytes));
        if self.young.bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl<T> Generation<T> {
    fn remove(&mut self, key: &Key) -> Option<(T, usize)> {
        let (value, bytes) = self.by_place.remove(key)?;
        self.bytes -= bytes;
        Some((value, bytes))
    }
}

#[cfg(test)]
mod tests;
