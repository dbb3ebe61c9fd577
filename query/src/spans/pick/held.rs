//! What was read of files, in bounded memory.
//!
//! Two generations: what is asked for moves to the young one; once that has half of the memory, it becomes the old one, and
//! the old one is forgotten.
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};

use crate::cache::Account;

/// See the module. By path of the file and place in it.
#[derive(Debug)]
pub(super) struct Held<T> {
    pub(super) young: Generation<T>,
    pub(super) old: Generation<T>,
    pub(super) account: Account,
}

#[derive(Debug)]
pub(super) struct Generation<T> {
    /// With the bytes of each.
    pub(super) by_place: HashMap<Key, (T, usize)>,
    pub(super) bytes: usize,
}

impl<T> Default for Generation<T> {
    fn default() -> Self {
        Self { by_place: HashMap::new(), bytes: 0 }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    path: Arc<str>,
    place: u64,
}

/// A [`Key`] that is looked for.
struct Wanted<'a> {
    path: &'a Arc<str>,
    place: u64,
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As a key does.
        self.path.hash(state);
        self.place.hash(state);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.place == key.place && self.path == &key.path
    }
}

impl<T: Clone> Held<T> {
    pub(super) fn new(account: Account) -> Self {
        Self { young: Generation::default(), old: Generation::default(), account }
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.young.bytes + self.old.bytes
    }

    pub(super) fn find(&mut self, path: &Arc<str>, place: u64) -> Option<T> {
        let found = self.take(path, place);
        self.account.count(found)
    }

    fn take(&mut self, path: &Arc<str>, place: u64) -> Option<T> {
        let wanted = Wanted { path, place };
        if let Some((value, _)) = self.young.by_place.get(&wanted) {
            return Some(value.clone());
        }
        let (value, bytes) = self.old.remove(&wanted)?;
        self.put((path, place), (value.clone(), bytes));
        Some(value)
    }

    /// Keeps a value, which takes so many bytes.
    pub(super) fn put(&mut self, (path, place): (&Arc<str>, u64), (value, bytes): (T, usize)) {
        let wanted = Wanted { path, place };
        self.old.remove(&wanted);
        self.young.remove(&wanted);
        self.young.bytes += bytes;
        self.young.by_place.insert(Key { path: Arc::clone(path), place }, (value, bytes));
        if self.young.bytes > self.account.bytes_max() / 2 {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl<T> Generation<T> {
    fn remove(&mut self, wanted: &Wanted<'_>) -> Option<(T, usize)> {
        let (value, bytes) = self.by_place.remove(wanted)?;
        self.bytes -= bytes;
        Some((value, bytes))
    }
}
