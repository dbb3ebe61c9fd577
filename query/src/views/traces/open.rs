//! Rows of traces that no single file has whole, kept until a file changes that may hold something of them.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use storage::{DataFile, TraceId};

use super::Row;
use crate::cache::{Account, OPEN_TRACES};
use crate::views::forest::Texts;

/// See the module.
#[derive(Debug)]
pub(crate) struct OpenRows {
    held: Mutex<Held>,
    pub(crate) account: Account,
}

impl Default for OpenRows {
    fn default() -> Self {
        Self { held: Mutex::default(), account: Account::of("open_traces", OPEN_TRACES) }
    }
}

#[derive(Debug, Default)]
struct Held {
    files: Option<Arc<[Arc<DataFile>]>>,
    /// By trace, and whether its bytes were read.
    rows: HashMap<([u8; 16], bool), Known>,
}

/// A row with the texts of its keys; none where the trace has no span.
#[derive(Debug, Clone)]
struct Known(Option<(Row, Arc<str>, Arc<str>)>);

/// What a row takes, with the names that it has beside others.
const ROW_BYTES: usize = size_of::<(([u8; 16], bool), Known)>() + 8;

impl OpenRows {
    /// Moves the rows of `traces` that are known, with keys of `texts`, to `found`, but none that lasted less than `shortest`;
    /// returns the traces whose rows are not known.
    pub(super) fn find(
        &self,
        (files, bytes): (&Arc<[Arc<DataFile>]>, bool),
        (traces, shortest): (impl IntoIterator<Item = [u8; 16]>, i64),
        (texts, found): (&mut Texts, &mut Vec<Row>),
    ) -> Vec<[u8; 16]> {
        let held = self.lock(files);
        let mut unknown = Vec::new();
        let mut asked = 0;
        for trace in traces {
            asked += 1;
            // A row with its bytes serves whoever does not ask for them.
            let known = held.rows.get(&(trace, true));
            let known = known.or_else(|| held.rows.get(&(trace, false)).filter(|_| !bytes));
            match known {
                None => unknown.push(trace),
                Some(Known(None)) => {}
                Some(Known(Some((row, ..)))) if row.duration < shortest => {}
                Some(Known(Some((row, service, name)))) => {
                    let (service, name) = (texts.id(service), texts.id(name));
                    found.push(Row { service, name, ..row.clone() });
                }
            }
        }
        self.account.add(asked - unknown.len(), unknown.len());
        unknown
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).rows.capacity() * ROW_BYTES
    }

    /// Keeps the rows that were read of `traces` in `files`.
    pub(super) fn put(
        &self,
        (files, bytes): (&Arc<[Arc<DataFile>]>, bool),
        traces: &[[u8; 16]],
        (texts, rows): (&Texts, &[Row]),
    ) {
        let bytes_max = self.account.bytes_max();
        if traces.len() * ROW_BYTES > bytes_max {
            return;
        }
        let mut held = self.lock(files);
        if (held.rows.len() + traces.len()) * ROW_BYTES > bytes_max {
            held.rows.clear();
        }
        held.rows.extend(traces.iter().map(|trace| ((*trace, bytes), Known(None))));
        for row in rows {
            let [service, name] = [row.service, row.name].map(|key| texts.text(key).into());
            let known = Known(Some((row.clone(), service, name)));
            held.rows.insert((row.key.to_be_bytes(), bytes), known);
        }
    }

    /// What is known of `files`.
    fn lock(&self, files: &Arc<[Arc<DataFile>]>) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.files.as_ref().is_some_and(|known| Arc::ptr_eq(known, files)) {
            held.renew(files);
        }
        held
    }
}

impl Held {
    /// Forgets what files that came or went since may tell otherwise.
    fn renew(&mut self, files: &Arc<[Arc<DataFile>]>) {
        let before = self.files.replace(Arc::clone(files)).unwrap_or_default();
        let missing = |all: &[Arc<DataFile>], others: &[Arc<DataFile>]| {
            let others: HashSet<*const DataFile> = others.iter().map(Arc::as_ptr).collect();
            let missing = all.iter().filter(|file| !others.contains(&Arc::as_ptr(file)));
            missing.map(Arc::clone).collect::<Vec<_>>()
        };
        let changed = [missing(files, &before), missing(&before, files)].concat();
        let may_change = |trace| changed.iter().any(|file| file.may_hold_trace(&TraceId(trace)));
        self.rows.retain(|(trace, _), _| !may_change(*trace));
    }
}

#[cfg(test)]
mod tests;
