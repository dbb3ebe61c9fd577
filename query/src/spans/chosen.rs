//! Which rows of a file a condition chose: asked again of the same file, no dictionary or key is read for it.
//!
//! A dashboard asks the same every few seconds, and questions share conditions (`service = 'cart'`). Files never change, so
//! what a condition chose in one stays chosen.
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::physical_expr::PhysicalExpr;
use hashbrown::HashMap;
use parquet::file::metadata::ColumnChunkMetaData;

use super::select::Condition;
use crate::cache::{Account, CHOSEN};

/// Rows in more runs would drive out too many others.
const RUNS_MAX: usize = 64 << 10;
/// What an entry takes beside its runs.
const ENTRY_BYTES: usize = 512;

/// See the module. Eight bytes for each run of rows; where there is no room, everything is forgotten and learnt anew.
#[derive(Debug)]
pub(crate) struct Chosen {
    held: Mutex<Held>,
    pub(super) account: Account,
}

impl Default for Chosen {
    fn default() -> Self {
        Self { held: Mutex::default(), account: Account::of("chosen_rows", CHOSEN) }
    }
}

/// Where the column begins in its file, and the condition.
type Key = (u64, Arc<dyn PhysicalExpr>);
/// Rows that follow one another, rising.
type Runs = Arc<[Range<u32>]>;

#[derive(Debug, Default)]
struct Held {
    /// By path of the file.
    by_file: HashMap<String, HashMap<Key, Runs>>,
    bytes: usize,
}

impl Chosen {
    /// The rows of `chunk` in the file at `path` for which `condition` holds, where that is known.
    pub(super) fn find(
        &self,
        (path, chunk): (&str, &ColumnChunkMetaData),
        condition: &Condition,
    ) -> Option<Vec<Range<usize>>> {
        let held = self.lock();
        let of_file = held.by_file.get(path);
        let known = of_file.and_then(|known| known.get(&key(chunk, condition))).map(Arc::clone);
        drop(held);
        let known = self.account.count(known)?;
        Some(known.iter().map(|rows| rows.start as usize..rows.end as usize).collect())
    }

    /// Remembers that `condition` holds for `rows`, and no others, of `chunk` in the file at `path`.
    pub(super) fn put(
        &self,
        (path, chunk): (&str, &ColumnChunkMetaData),
        condition: &Condition,
        rows: &[Range<usize>],
    ) {
        if rows.len() > RUNS_MAX {
            return;
        }
        let short = |row: usize| u32::try_from(row).ok();
        let rows: Option<Runs> =
            rows.iter().map(|rows| Some(short(rows.start)?..short(rows.end)?)).collect();
        let Some(rows) = rows else { return };
        let bytes = size_of_val(&*rows) + path.len() + ENTRY_BYTES;
        let bytes_max = self.account.bytes_max();
        if bytes > bytes_max {
            return;
        }
        let mut held = self.lock();
        if held.bytes + bytes > bytes_max {
            *held = Held::default();
        }
        let of_file = held.by_file.entry_ref(path).or_default();
        // Two searches may learn the same at once.
        if of_file.insert(key(chunk, condition), rows).is_none() {
            held.bytes += bytes;
        }
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(chunk: &ColumnChunkMetaData, condition: &Condition) -> Key {
    (chunk.byte_range().0, Arc::clone(&condition.expr))
}

#[cfg(test)]
mod tests;
