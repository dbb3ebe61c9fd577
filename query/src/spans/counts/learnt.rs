//! How often each text occurs in a column of a file, where these are few: files never change, so that the next question of
//! the same column opens only new ones.
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::spans::pages::Counts;

/// Beyond this, everything is forgotten and learnt anew.
const BYTES_MAX: usize = 8 << 20;
/// A column of more texts would drive out too many others.
const COLUMN_BYTES_MAX: usize = 64 << 10;
/// What an entry takes beside its texts and counts.
const ENTRY_BYTES: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::spans) struct Learnt(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// By path of the file, then by where the column begins in it.
    by_file: HashMap<String, HashMap<u64, Arc<Counts>>>,
    bytes: usize,
}

impl Learnt {
    /// The counts of the column that begins at `place` of the file at `path`, where they are known.
    pub(super) fn find(&self, path: &str, place: u64) -> Option<Arc<Counts>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.by_file.get(path)?.get(&place).map(Arc::clone)
    }

    /// Remembers `counts` as those of the column that begins at `place` of the file at `path`.
    pub(super) fn put(&self, path: &str, place: u64, counts: &Arc<Counts>) {
        let column = counts.values.get_array_memory_size() + size_of_val(&*counts.by_key);
        if column > COLUMN_BYTES_MAX {
            return;
        }
        let bytes = column + path.len() + ENTRY_BYTES;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.bytes + bytes > BYTES_MAX {
            *held = Held::default();
        }
        let of_file = held.by_file.entry_ref(path).or_default();
        // Two questions may learn the same at once.
        if of_file.insert(place, Arc::clone(counts)).is_none() {
            held.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests;
