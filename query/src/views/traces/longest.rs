//! The longest traces that each file has whole, kept while it is asked for them: a list of the slowest need not look at
//! every trace of every file each time.
//!
//! By root operation the longest are kept, so that a list of one operation finds its own. Files never change: what is known
//! of one stays true.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use storage::rollup::{RollupTraces, TraceRow};

use crate::cache::{Account, BEGINNINGS, LONGEST};

/// So many rows of a file, shared by its root operations. Tests are about few rows.
const ROWS_MAX: usize = if cfg!(test) { 6 } else { 2_048 };
/// Of each root operation, however many there are.
const OF_ONE_MIN: usize = if cfg!(test) { 2 } else { 32 };

/// See the module. Where there is no room, everything is forgotten and found out anew.
#[derive(Debug)]
pub(crate) struct Longest {
    held: Mutex<Held>,
    pub(crate) account: Account,
}

impl Default for Longest {
    fn default() -> Self {
        Self { held: Mutex::default(), account: Account::of("longest_traces", LONGEST) }
    }
}

#[derive(Debug, Default)]
struct Held {
    by_path: HashMap<String, Arc<LongestOf>>,
    bytes: usize,
}

/// Service and operation of a root, as keys of the file's names.
pub(super) type RootKeys = (u32, u32);

/// The longest whole traces of one file.
#[derive(Debug, Default)]
pub(super) struct LongestOf {
    pub(super) names: Arc<[Arc<str>]>,
    /// The shortest first.
    pub(super) rows: Vec<TraceRow>,
    /// Of root operations that have more: no trace that is left out lasts longer.
    left_out: HashMap<RootKeys, i64>,
}

impl Longest {
    /// What is known of the file at `path`.
    pub(super) fn find(&self, path: &str) -> Option<Arc<LongestOf>> {
        self.account.count(lock(&self.held).by_path.get(path).map(Arc::clone))
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.held).bytes
    }

    /// Finds it out from all traces that the file has whole, and keeps it.
    pub(super) fn put(&self, path: &str, told: &RollupTraces) -> Arc<LongestOf> {
        let longest = Arc::new(LongestOf::of(told.names(), told.rows()));
        let bytes_max = self.account.bytes_max();
        if longest.bytes() > bytes_max {
            return longest;
        }
        let mut held = lock(&self.held);
        if held.bytes + longest.bytes() > bytes_max {
            *held = Held::default();
        }
        held.bytes += longest.bytes() + path.len();
        if let Some(before) = held.by_path.insert(path.to_owned(), Arc::clone(&longest)) {
            held.bytes -= before.bytes() + path.len();
        }
        longest
    }
}

impl LongestOf {
    fn of(names: &[Arc<str>], all: &[TraceRow]) -> Self {
        let mut by_root: HashMap<RootKeys, Vec<&TraceRow>> = HashMap::new();
        for row in all {
            by_root.entry((row.service, row.name)).or_default().push(row);
        }
        let each = (ROWS_MAX / by_root.len().max(1)).max(OF_ONE_MIN);
        let (mut rows, mut left_out) = (Vec::new(), HashMap::new());
        for (root, mut own) in by_root {
            if own.len() > each {
                own.select_nth_unstable_by_key(each, |row| std::cmp::Reverse(row.duration));
                left_out.insert(root, own[each].duration);
                own.truncate(each);
            }
            rows.extend(own.into_iter().copied());
        }
        rows.sort_unstable_by_key(|row| row.duration);
        Self { names: names.into(), rows, left_out }
    }

    /// How long the traces last at most that are not here, of the roots that `is_wanted`; `None` where all are here.
    pub(super) fn left_out(&self, is_wanted: impl Fn(RootKeys) -> bool) -> Option<i64> {
        let wanted = self.left_out.iter().filter(|(root, _)| is_wanted(**root));
        wanted.map(|(_, longest)| *longest).max()
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<TraceRow>()
            + self.left_out.capacity() * size_of::<(RootKeys, i64)>()
            + size_of::<Self>()
    }
}

/// Which traces can begin with a span of a file that some condition holds of: found by reading its spans, kept as
/// [`Longest`] is.
#[derive(Debug)]
pub(crate) struct Beginnings {
    held: Mutex<HeldIds>,
    pub(crate) account: Account,
}

impl Default for Beginnings {
    fn default() -> Self {
        Self { held: Mutex::default(), account: Account::of("beginnings", BEGINNINGS) }
    }
}

/// The shortest duration that was asked for, and the traces.
type Found = (i64, Arc<HashSet<[u8; 16]>>);

#[derive(Debug, Default)]
struct HeldIds {
    /// By path of the file and condition.
    found: HashMap<(String, String), Found>,
    bytes: usize,
}

impl Beginnings {
    /// More of one file and condition are not kept.
    const TRACES_MAX: usize = 8_192;

    /// The traces of the file at `path` that have a span which lasts `shortest` at least and satisfies `condition`; there
    /// may be some with shorter ones among them.
    pub(super) fn find(
        &self,
        path: &str,
        condition: &str,
        shortest: i64,
    ) -> Option<Arc<HashSet<[u8; 16]>>> {
        let held = lock(&self.held);
        let found = held.found.get(&(path.to_owned(), condition.to_owned()));
        let found = found.filter(|(known, _)| *known <= shortest);
        self.account.count(found.map(|(_, traces)| Arc::clone(traces)))
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.held).bytes
    }

    /// Keeps them.
    pub(super) fn put(
        &self,
        (path, condition): (&str, &str),
        shortest: i64,
        traces: &Arc<HashSet<[u8; 16]>>,
    ) {
        let bytes_max = self.account.bytes_max();
        let bytes = traces.capacity() * 17 + path.len() + condition.len() + 64;
        if traces.len() > Self::TRACES_MAX || bytes > bytes_max {
            return;
        }
        let mut held = lock(&self.held);
        if held.bytes + bytes > bytes_max {
            *held = HeldIds::default();
        }
        let key = (path.to_owned(), condition.to_owned());
        held.bytes += bytes;
        if let Some((_, before)) = held.found.insert(key, (shortest, Arc::clone(traces))) {
            held.bytes -= before.capacity() * 17 + path.len() + condition.len() + 64;
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
