//! The rollups that readers asked for, and those of the newest files, in memory under a budget of bytes.
//!
//! A rollup's whole-file part is small and read at every question; its slots are larger and read only for a range that
//! cuts through the file; the rows of its traces only for a list of traces. So where the budget is exceeded, slots and
//! traces go first, the longest unused before the others.
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::stored::{Header, Rollup, RollupSlots};
use super::sum::Sum;
use super::traces::RollupTraces;
use crate::error::{Error, Result};
use crate::metrics::{Counter, Metric, Shape};
use crate::retain::KeptRollup;
use crate::snapshot::DataFile;
use crate::time::TimeRange;

/// What the first read of an object asks for: header and whole block of nearly all.
const FIRST_READ_BYTES: u64 = 256 << 10;

/// See the module.
#[derive(Debug)]
pub struct Rollups {
    object_store: Arc<dyn ObjectStore>,
    bytes_max: usize,
    held: Mutex<Held>,
    loaded: Counter,
    damaged: Counter,
}

#[derive(Debug, Default)]
struct Held {
    /// By path of the object.
    entries: HashMap<String, Entry>,
    bytes: usize,
    /// Counts questions.
    turn: u64,
}

#[derive(Debug)]
struct Entry {
    /// None where the object is damaged: it is not read again.
    whole: Option<Arc<Rollup>>,
    slots: Option<Arc<RollupSlots>>,
    traces: Option<Arc<RollupTraces>>,
    used: u64,
}

impl Entry {
    fn bytes(&self) -> usize {
        let slots = self.slots.as_ref().map_or(0, |slots| slots.memory_bytes());
        let traces = self.traces.as_ref().map_or(0, |traces| traces.memory_bytes());
        self.whole.as_ref().map_or(0, |whole| whole.memory_bytes()) + slots + traces
    }
}

impl Rollups {
    /// None in memory yet. `object_store` is that of the data files; what is held takes about `bytes_max` at most.
    pub fn new(object_store: Arc<dyn ObjectStore>, bytes_max: usize) -> Self {
        let (loaded, damaged) = (Counter::default(), Counter::default());
        Self { object_store, bytes_max, held: Mutex::default(), loaded, damaged }
    }

    /// The rollup of a file; `None` where it has none, or one that cannot be read: then its spans must be.
    pub async fn whole(&self, file: &DataFile) -> Option<Arc<Rollup>> {
        self.whole_at(file.rollup.as_deref()?, file.rows).await
    }

    async fn whole_at(&self, path: &str, spans: u64) -> Option<Arc<Rollup>> {
        if let Some(known) = self.lock().find(path) {
            return known.whole.clone();
        }
        let loaded = self.load(path, spans).await;
        let whole = self.usable(path, loaded)?;
        self.put(path, Arc::clone(&whole));
        Some(whole)
    }

    /// The slots of a file's rollup; `None` as for [`Self::whole`].
    pub async fn slots(&self, file: &DataFile) -> Option<Arc<RollupSlots>> {
        self.slots_at(file.rollup.as_deref()?, file.rows).await
    }

    async fn slots_at(&self, path: &str, spans: u64) -> Option<Arc<RollupSlots>> {
        let whole = self.whole_at(path, spans).await?;
        if let Some(slots) = self.lock().find(path).and_then(|known| known.slots.clone()) {
            return Some(slots);
        }
        let loaded = self.load_slots(path, &whole).await;
        let slots = self.usable(path, loaded)?;
        let mut held = self.lock();
        if let Some(entry) = held.entries.get_mut(path)
            && entry.slots.is_none()
        {
            entry.slots = Some(Arc::clone(&slots));
            held.bytes += slots.memory_bytes();
            held.shrink(self.bytes_max, path);
        }
        Some(slots)
    }

    /// The traces that a file has whole; `None` as for [`Self::whole`], and where its rollup is of an older version.
    pub async fn traces(&self, file: &DataFile) -> Option<Arc<RollupTraces>> {
        let path = file.rollup.as_deref()?;
        let whole = self.whole(file).await?;
        if let Some(traces) = self.lock().find(path).and_then(|known| known.traces.clone()) {
            return Some(traces);
        }
        let range = whole.traces_range()?;
        let loaded = self.load_traces(path, &whole, range).await;
        let traces = self.usable(path, loaded)?;
        let mut held = self.lock();
        if let Some(entry) = held.entries.get_mut(path)
            && entry.traces.is_none()
        {
            entry.traces = Some(Arc::clone(&traces));
            held.bytes += traces.memory_bytes();
            held.shrink(self.bytes_max, path);
        }
        Some(traces)
    }

    /// Adds to `plus` what was kept of spans that left, as far as it lies in `range`: of a range that cuts through it, whole
    /// slots only. To `minus` goes what has to be taken away in the end, when everything else is added up: a row of which
    /// nothing is left for a moment would be gone. `None` where it cannot be read.
    pub async fn add_kept(
        &self,
        kept: &KeptRollup,
        range: TimeRange,
        (plus, minus): (&mut Sum, &mut Sum),
    ) -> Option<()> {
        let mut own = Sum::default();
        if let Some(path) = &kept.minus {
            self.add_at((path, kept.spans), kept.range(), range, &mut own).await?;
        }
        self.add_at((&kept.path, kept.spans), kept.range(), range, plus).await?;
        minus.add(&own);
        Some(())
    }

    async fn add_at(
        &self,
        (path, spans): (&str, u64),
        all: TimeRange,
        range: TimeRange,
        sum: &mut Sum,
    ) -> Option<()> {
        if range.from <= all.from && all.until <= range.until {
            self.whole_at(path, spans).await?.add_to(sum);
        } else {
            self.slots_at(path, spans).await?.add_to(sum, range);
        }
        Some(())
    }

    /// Takes the rollup of a new file, as it is written.
    pub(crate) fn put_fresh(&self, path: &str, object: &[u8], spans: u64) {
        if let Some(whole) = self.usable(path, parse(path, object, spans)) {
            self.put(path, whole);
        }
    }

    /// For `/metrics`.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric {
                name: "spanlake_rollup_cache_bytes",
                help: "Memory that rollups of files take.",
                shape: Shape::Gauge,
                labels: Vec::new(),
                value: self.lock().bytes as f64,
            },
            self.loaded.metric("spanlake_rollups_loaded_total", "Rollups read from the store."),
            self.damaged.metric(
                "spanlake_rollups_unusable_total",
                "Rollups that could not be read: the spans were read in their place.",
            ),
        ]
    }

    /// Puts it in, unless it is in already.
    fn put(&self, path: &str, whole: Arc<Rollup>) {
        let mut held = self.lock();
        held.insert(path, Some(whole));
        held.shrink(self.bytes_max, path);
    }

    fn usable<T>(&self, path: &str, read: Result<T>) -> Option<Arc<T>> {
        match read {
            Ok(read) => Some(Arc::new(read)),
            Err(error) => {
                self.damaged.add(1);
                if matches!(error, Error::Corrupt { .. }) {
                    self.lock().insert(path, None);
                }
                tracing::warn!(path, error = &error as &dyn std::error::Error, "rollup not usable");
                None
            }
        }
    }

    async fn load(&self, path: &str, spans: u64) -> Result<Rollup> {
        let first = self.read(path, 0..FIRST_READ_BYTES).await?;
        self.loaded.add(1);
        let header = Header::from_bytes(path, &first)?;
        let whole = header.whole_range();
        if whole.end <= first.len() as u64 || whole.end > BLOCK_END_MAX {
            return parse(path, &first, spans);
        }
        let rest = self.read(path, first.len() as u64..whole.end).await?;
        parse(path, &[first, rest].concat(), spans)
    }

    async fn load_slots(&self, path: &str, whole: &Rollup) -> Result<RollupSlots> {
        let range = whole.slots_range();
        let bytes = if range.is_empty() { Bytes::new() } else { self.read(path, range).await? };
        whole.slots_from_bytes(path, &bytes)
    }

    async fn load_traces(
        &self,
        path: &str,
        whole: &Rollup,
        range: Range<u64>,
    ) -> Result<RollupTraces> {
        let bytes = if range.is_empty() { Bytes::new() } else { self.read(path, range).await? };
        whole.traces_from_bytes(path, &bytes)
    }

    async fn read(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let read = self.object_store.get_range(&Path::from(path), range).await;
        read.map_err(|source| Error::ObjectStore { step: "read", path: path.into(), source })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // No method of `Held` leaves it half changed where it may panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No object is this long: a header that says so is damaged.
const BLOCK_END_MAX: u64 = 1 << 30;

fn parse(path: &str, object: &[u8], spans: u64) -> Result<Rollup> {
    let found = Header::from_bytes(path, object)?.spans();
    if found != spans {
        let detail = format!("of {found} spans where the file has {spans}");
        return Err(Error::Corrupt { path: path.into(), detail });
    }
    read(path, object)
}

/// Reads the object `path`, of whatever file.
///
/// # Errors
/// [`Error::Corrupt`] where it is damaged.
pub(crate) fn read(path: &str, object: &[u8]) -> Result<Rollup> {
    let corrupt = |detail: String| Error::Corrupt { path: path.into(), detail };
    let header = Header::from_bytes(path, object)?;
    let range = header.whole_range();
    let end = usize::try_from(range.end).unwrap_or(usize::MAX);
    let begin = usize::try_from(range.start).unwrap_or(usize::MAX);
    let whole = object.get(begin..end).ok_or_else(|| corrupt("too short".into()))?;
    Rollup::from_bytes(path, &header, whole)
}

/// Reads a file's rollup to its last byte; `Ok` where it has none.
///
/// # Errors
/// [`Error::Corrupt`] where it is damaged; otherwise it could not be read.
pub(crate) async fn check(store: &dyn ObjectStore, file: &DataFile) -> Result<()> {
    let Some(path) = file.rollup.as_deref() else { return Ok(()) };
    let failed = |source| Error::ObjectStore { step: "read", path: path.into(), source };
    let object = store.get(&Path::from(path)).await.map_err(failed)?;
    let object = object.bytes().await.map_err(failed)?;
    let whole = parse(path, &object, file.rows)?;
    let differs = || Error::Corrupt { path: path.into(), detail: "length differs".into() };
    let part = |range: &Range<u64>| {
        let begin = usize::try_from(range.start).ok()?;
        object.get(begin..usize::try_from(range.end).ok()?)
    };
    let slots = whole.slots_range();
    let end = whole.traces_range().map_or(slots.end, |traces| traces.end);
    if end != object.len() as u64 {
        return Err(differs());
    }
    whole.slots_from_bytes(path, part(&slots).ok_or_else(differs)?)?;
    if let Some(traces) = whole.traces_range() {
        whole.traces_from_bytes(path, part(&traces).ok_or_else(differs)?)?;
    }
    Ok(())
}

impl Held {
    fn find(&mut self, path: &str) -> Option<&Entry> {
        self.turn += 1;
        let entry = self.entries.get_mut(path)?;
        entry.used = self.turn;
        Some(entry)
    }

    fn insert(&mut self, path: &str, whole: Option<Arc<Rollup>>) {
        self.turn += 1;
        let entry = Entry { whole, slots: None, traces: None, used: self.turn };
        self.bytes += entry.bytes();
        if let Some(before) = self.entries.insert(path.to_owned(), entry) {
            self.bytes -= before.bytes();
        }
    }

    /// Lets go of what was not used for longest, but not of `newest`, until there is room: first of slots and traces.
    fn shrink(&mut self, bytes_max: usize, newest: &str) {
        if self.bytes <= bytes_max {
            return;
        }
        let mut oldest: Vec<(u64, String)> =
            self.entries.iter().map(|(path, entry)| (entry.used, path.clone())).collect();
        oldest.sort_unstable();
        for (_, path) in oldest.iter().filter(|(_, path)| path != newest) {
            if self.bytes <= bytes_max {
                return;
            }
            if let Some(entry) = self.entries.get_mut(path) {
                let before = entry.bytes();
                (entry.slots, entry.traces) = (None, None);
                self.bytes -= before - entry.bytes();
            }
        }
        for (_, path) in oldest.iter().filter(|(_, path)| path != newest) {
            if self.bytes <= bytes_max {
                return;
            }
            if let Some(entry) = self.entries.remove(path) {
                self.bytes -= entry.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests;
