//! What was found out about a set of files, kept until the files change.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::{HashMap, HashSet};
use storage::rollup::Sum;
use storage::{DataFile, Snapshot, TimeRange, TraceId};

use super::Part;
use super::recent::Recent;
use crate::cache::Account;
use crate::spans::shape::Shapes;
use crate::views::near::AllOpen;
use crate::views::totals::Gaps;
use crate::views::traces::longest::{Beginnings, Longest};
use crate::views::traces::moment::Moments;
use crate::views::traces::open::OpenRows;

/// What the files of a snapshot tell about a range.
pub(crate) struct Known {
    /// By file of the snapshot.
    pub(super) parts: Vec<Arc<Part>>,
    /// Traces that were computed from spans.
    pub(super) traces: HashSet<[u8; 16]>,
    /// By trace that a link leads to and that is in no file, the traces with such a link.
    pub(super) dangling: HashMap<[u8; 16], Vec<[u8; 16]>>,
    /// All figures.
    pub(super) sum: Arc<Sum>,
    /// What is missing in traces.
    pub(super) gaps: Arc<Gaps>,
}

impl Known {
    /// What is known of a file.
    pub(super) fn part(&self, file: &Arc<DataFile>) -> Option<Arc<Part>> {
        self.parts.iter().find(|part| Arc::ptr_eq(&part.file, file)).map(Arc::clone)
    }

    /// The same with further parts, whose spans it tells of already.
    pub(super) fn with_parts(&self, parts: Vec<Arc<Part>>) -> Self {
        let parts = self.parts.iter().map(Arc::clone).chain(parts).collect();
        let (traces, dangling) = (self.traces.clone(), self.dangling.clone());
        Self { parts, traces, dangling, sum: Arc::clone(&self.sum), gaps: Arc::clone(&self.gaps) }
    }

    /// The same with what is known of the time right before it.
    pub(super) fn with(&self, before: Self) -> Self {
        let (mut sum, mut gaps) = (self.sum.as_ref().clone(), self.gaps.as_ref().clone());
        sum.add(&before.sum);
        gaps.merge(before.gaps.as_ref().clone());
        let mut traces = before.traces;
        traces.extend(&self.traces);
        let mut dangling = before.dangling;
        for (linked, own) in &self.dangling {
            let all = dangling.entry(*linked).or_default();
            let new = own.iter().filter(|trace| !all.contains(trace)).copied();
            let new: Vec<[u8; 16]> = new.collect();
            all.extend(new);
        }
        // A file that only the time before has something of tells all its traces there from spans.
        let parts = self.parts.clone();
        Self { parts, traces, dangling, sum: Arc::new(sum), gaps: Arc::new(gaps) }
    }

    /// Traces with a link that `file` may resolve.
    pub(super) fn linked_to(&self, file: &DataFile) -> impl Iterator<Item = [u8; 16]> {
        let here = self.dangling.iter();
        let here = here.filter(|(linked, _)| file.may_hold_trace(&TraceId(**linked)));
        here.flat_map(|(_, traces)| traces.iter().copied())
    }
}

/// What is known of some of the files of a snapshot.
pub(super) struct Older {
    pub(super) known: Arc<Known>,
    /// Files that took the place of others whose spans are in it.
    pub(super) merged: Vec<Arc<DataFile>>,
}

/// The last answers.
#[derive(Default)]
pub(crate) struct Cache {
    entries: Mutex<VecDeque<Entry>>,
    /// Held by whoever finds out what all files tell.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Answers of a moment ago.
    pub(crate) recent: Recent,
    /// What lists of traces begin with.
    pub(crate) moments: Moments,
    /// The open traces of all files.
    pub(crate) all_open: AllOpen,
    /// Rows of open traces.
    pub(crate) open: OpenRows,
    /// The longest traces of files.
    pub(crate) longest: Longest,
    /// Which traces begin with spans of files that lists of traces looked for.
    pub(crate) beginnings: Beginnings,
    /// Who stands above whom in files.
    pub(crate) shapes: Shapes,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

struct Entry {
    files: Arc<[Arc<DataFile>]>,
    range: TimeRange,
    known: Arc<Known>,
}

/// Ranges that are remembered of one set of files. The overview asks three at a time.
const RANGES_MAX: usize = 8;

impl Cache {
    /// By cache its share, and the memory that it holds.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&Account, usize)) {
        visit(&self.moments.account, self.moments.bytes());
        visit(&self.open.account, self.open.bytes());
        visit(&self.longest.account, self.longest.bytes());
        visit(&self.beginnings.account, self.beginnings.bytes());
        visit(&self.shapes.account, self.shapes.bytes());
    }

    /// What is known of `files`.
    pub(super) fn find(
        &self,
        files: &Arc<[Arc<DataFile>]>,
        range: TimeRange,
    ) -> Option<Arc<Known>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |entry: &&Entry| Arc::ptr_eq(&entry.files, files) && entry.range == range;
        entries.iter().find(same).map(|entry| Arc::clone(&entry.known))
    }

    /// What is known of the spans of most files, and of no others: a flush adds a file, a step of compaction puts files in the
    /// place of others, and the rest stays as it is.
    pub(super) fn older(&self, snapshot: &Snapshot, range: TimeRange) -> Option<Older> {
        if range != TimeRange::ALL {
            return None;
        }
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.iter().find(|entry| entry.range == range)?;
        let mut paths: HashSet<&str> = entry.files.iter().map(|file| file.path.as_str()).collect();
        for step in snapshot.rearranged.iter() {
            if step.inputs.iter().all(|path| paths.contains(path.as_str())) {
                paths.retain(|path| !step.inputs.iter().any(|input| input == path));
                paths.extend(step.outputs.iter().map(String::as_str));
            }
        }
        let here = snapshot.files.iter().filter(|file| paths.contains(file.path.as_str()));
        let here: Vec<&Arc<DataFile>> = here.collect();
        if here.len() < paths.len() || here.len() * 2 < snapshot.files.len() {
            return None;
        }
        let known: HashSet<*const DataFile> = entry.files.iter().map(Arc::as_ptr).collect();
        let merged = here.into_iter().filter(|file| !known.contains(&Arc::as_ptr(file)));
        let merged = merged.map(Arc::clone).collect();
        Some(Older { known: Arc::clone(&entry.known), merged })
    }

    /// Remembers it. What is known of other files is forgotten, but for what is told of all time ([`Self::older`]): they are
    /// of an older snapshot, mostly.
    pub(super) fn put(
        &self,
        files: &Arc<[Arc<DataFile>]>,
        range: TimeRange,
        known: Known,
    ) -> Arc<Known> {
        let known = Arc::new(known);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| {
            let is_last_of_all = entry.range == TimeRange::ALL && range != TimeRange::ALL;
            is_last_of_all || Arc::ptr_eq(&entry.files, files)
        });
        entries.truncate(RANGES_MAX - 1);
        let files = Arc::clone(files);
        entries.push_front(Entry { files, range, known: Arc::clone(&known) });
        known
    }
}
