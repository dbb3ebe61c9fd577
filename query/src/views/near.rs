//! Where lists that show the newest (or the slowest) first begin: the files near a range, and the traces that no single one
//! of them tells.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashSet;
use storage::rollup::Rollup;
use storage::{DataFile, TimeRange};

use super::load::{self, Source};
use super::router::Cache;

/// A file with its rollup.
pub(crate) type Rolled = (Arc<DataFile>, Arc<Rollup>);

/// See the module.
pub(crate) struct Near {
    /// Files with something in the range, the newest last.
    pub(crate) files: Vec<Rolled>,
    /// Traces that no single file tells.
    pub(crate) open: Open,
}

impl Near {
    /// Looks at the files near `range`, each of which `is_usable` has to accept; otherwise says why not.
    pub(crate) async fn of(
        source: &Source,
        cache: &Cache,
        range: TimeRange,
        is_usable: impl Fn(&Rollup) -> Result<(), &'static str>,
    ) -> Result<Self, &'static str> {
        let snapshot = &source.tables.snapshot;
        let window = load::window(range);
        let mut near = Vec::new();
        for file in snapshot.files.iter().filter(|file| file.start.overlaps(&window)) {
            let rollup = snapshot.rollups.whole(file).await.ok_or("a file has no rollup")?;
            is_usable(&rollup)?;
            near.push((Arc::clone(file), rollup));
        }
        let collect = || {
            let open = near.iter().flat_map(|(_, rollup)| rollup.open());
            Arc::new(open.map(|trace| trace.0).collect::<HashSet<_>>())
        };
        let in_files = match near.len() == snapshot.files.len() {
            true => cache.all_open.of(&snapshot.files, collect),
            false => collect(),
        };
        near.retain(|(file, _)| file.start.overlaps(&range));
        near.sort_by_key(|(file, _)| file.start.until);
        Ok(Self { files: near, open: Open { in_files, hot: Arc::default() } })
    }
}

/// Traces that a file alone does not tell: those that are open in one, and those with hot spans.
#[derive(Debug)]
pub(crate) struct Open {
    in_files: Arc<HashSet<[u8; 16]>>,
    hot: Arc<HashSet<[u8; 16]>>,
}

impl Open {
    /// True where it is one of them.
    pub(crate) fn contains(&self, trace: &[u8; 16]) -> bool {
        self.in_files.contains(trace) || self.hot.contains(trace)
    }

    /// Adds the traces with hot spans.
    pub(crate) fn add_hot(&mut self, traces: Arc<HashSet<[u8; 16]>>) {
        self.hot = traces;
    }

    /// True where it has hot spans.
    pub(crate) fn is_hot(&self, trace: &[u8; 16]) -> bool {
        self.hot.contains(trace)
    }

    /// Those without hot spans.
    pub(crate) fn settled(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.in_files.iter().filter(|trace| !self.hot.contains(*trace))
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        (self.in_files.capacity() + self.hot.capacity()) * 17
    }
}

/// The open traces of all files, kept until the files change: of the files of now, and of those that lists of a moment ago
/// are about.
#[derive(Debug, Default)]
pub(crate) struct AllOpen(Mutex<VecDeque<Known>>);

type Known = (Arc<[Arc<DataFile>]>, Arc<HashSet<[u8; 16]>>);

impl AllOpen {
    const MAX: usize = 2;

    /// Those of `files`, now or from before.
    fn of(
        &self,
        files: &Arc<[Arc<DataFile>]>,
        collect: impl FnOnce() -> Arc<HashSet<[u8; 16]>>,
    ) -> Arc<HashSet<[u8; 16]>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, open)) = known.iter().find(|(of, _)| Arc::ptr_eq(of, files)) {
            return Arc::clone(open);
        }
        let open = collect();
        known.truncate(Self::MAX - 1);
        known.push_front((Arc::clone(files), Arc::clone(&open)));
        open
    }
}

/// How many rows are shown next. The first are few, so that a sort that wants few soon knows which others it does not.
#[derive(Debug)]
pub(crate) struct Steps {
    next: usize,
    max: usize,
}

impl Steps {
    const FIRST: usize = 64;

    /// At most `max` at once.
    pub(crate) fn up_to(max: usize) -> Self {
        Self { next: Self::FIRST, max }
    }

    /// Begins with few again.
    pub(crate) fn restart(&mut self) {
        self.next = Self::FIRST;
    }

    /// How many come next.
    pub(crate) fn next(&self) -> usize {
        self.next
    }

    /// Takes the last of `rows`, and more of them each time.
    pub(crate) fn take<T>(&mut self, rows: &mut Vec<T>) -> Vec<T> {
        let taken = rows.split_off(rows.len().saturating_sub(self.next));
        self.next = (self.next * 8).min(self.max);
        taken
    }
}
