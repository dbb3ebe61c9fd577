//! Which traces recent files hold: a fragment that looks plain may belong to a trace with spans in an earlier file.
//!
//! That happens only where each of a trace's fragments has a root of its own and all its parents: a trace of several
//! roots. What is remembered has an end (and of it, only the traces of the newest files survive a restart), so such a trace may be counted as two where
//! its parts were written more than about a million traces apart; compaction of the two files mends it.
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::xxh3_64;

use crate::id::TraceId;

/// Hashes of one generation: what fits into a table of 2^20 places without another growth (9 MiB).
const GENERATION: usize = (1 << 20) / 8 * 7;

/// The traces of the last one to two generations, as hashes.
#[derive(Debug)]
pub(crate) struct Seen {
    generations: Mutex<Generations>,
    size: usize,
}

#[derive(Debug, Default)]
struct Generations {
    current: HashSet<u64, RandomState>,
    before: HashSet<u64, RandomState>,
}

impl Default for Seen {
    fn default() -> Self {
        Self::with_generations_of(GENERATION)
    }
}

impl Seen {
    /// Remembers at least the last `size` traces.
    pub(crate) fn with_generations_of(size: usize) -> Self {
        Self { generations: Mutex::default(), size }
    }

    /// Whether a file that was committed lately holds spans of `trace`.
    pub(crate) fn contains(&self, trace: &TraceId) -> bool {
        let hash = xxh3_64(&trace.0);
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.current.contains(&hash) || generations.before.contains(&hash)
    }

    /// Remembers the traces of a file that was committed.
    pub(crate) fn add(&self, traces: &[[u8; 16]]) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for trace in traces {
            if generations.current.len() >= self.size {
                generations.before = std::mem::take(&mut generations.current);
            }
            generations.current.insert(xxh3_64(trace));
        }
    }
}

#[cfg(test)]
mod tests;
