//! Rows of traces that no single file has whole, kept until a file changes that may hold something of them.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use storage::{DataFile, TraceId};

use super::Row;
use crate::views::forest::Texts;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct OpenRows(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    files: Option<Arc<[Arc<DataFile>]>>,
    /// By trace, and whether its bytes were read.
    rows: HashMap<([u8; 16], bool), Known>,
}

/// A row with the texts of its keys; none where the trace has no span.
#[derive(Debug, Clone)]
struct Known(Option<(Row, Arc<str>, Arc<str>)>);

/// So many rows are kept at most, 40 MiB.
const ROWS_MAX: usize = 200_000;

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
        for trace in traces {
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
        unknown
    }

    /// Keeps the rows that were read of `traces` in `files`.
    pub(super) fn put(
        &self,
        (files, bytes): (&Arc<[Arc<DataFile>]>, bool),
        traces: &[[u8; 16]],
        (texts, rows): (&Texts, &[Row]),
    ) {
        let mut held = self.lock(files);
        if held.rows.len() + traces.len() > ROWS_MAX {
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
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.files.as_ref().is_some_and(|known| Arc::ptr_eq(known, files)) {
            held.renew(files);
        }
        held
    }
}

impl Held {
    /// Forgets what other files than before may tell otherwise.
    fn renew(&mut self, files: &Arc<[Arc<DataFile>]>) {
        let before = self.files.replace(Arc::clone(files));
        let before: HashSet<*const DataFile> =
            before.iter().flat_map(|files| files.iter()).map(Arc::as_ptr).collect();
        let kept = files.iter().filter(|file| before.contains(&Arc::as_ptr(file))).count();
        if kept < before.len() {
            self.rows.clear();
            return;
        }
        let is_new = |file: &&Arc<DataFile>| !before.contains(&Arc::as_ptr(file));
        let new: Vec<_> = files.iter().filter(is_new).collect();
        self.rows
            .retain(|(trace, _), _| !new.iter().any(|file| file.may_hold_trace(&TraceId(*trace))));
    }
}
