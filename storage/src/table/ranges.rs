//! Parts of remote files that were read lately, in memory under a budget of bytes.
//!
//! A question asked again, or another one about the same hour, reads the same pages of the same columns; on an object store
//! each of them is a request. Data files never change, so what was read once is true for ever. Queries read through here;
//! compaction does not, because it reads everything once. A local folder needs none: the system keeps its pages.
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::metrics::{Counter, Metric, Shape};

/// A range takes no larger part of the budget than one in so many: a scan must not drive out everything else.
const SHARE: usize = 16;
/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct HotRanges {
    inner: Arc<dyn ObjectStore>,
    bytes_max: usize,
    held: Mutex<Held>,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    hits: Counter,
    misses: Counter,
}

type Key = (Path, u64, u64);

#[derive(Debug, Default)]
struct Held {
    ranges: HashMap<Key, Entry>,
    /// By when they were used last.
    used: BTreeMap<u64, Key>,
    bytes: usize,
    turn: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    used: u64,
}

impl Held {
    fn find(&mut self, key: &Key) -> Option<Bytes> {
        let entry = self.ranges.get_mut(key)?;
        self.turn += 1;
        self.used.remove(&entry.used);
        entry.used = self.turn;
        self.used.insert(self.turn, key.clone());
        Some(entry.bytes.clone())
    }

    fn put(&mut self, key: Key, bytes: Bytes, bytes_max: usize) {
        let size = bytes.len() + ENTRY_BYTES;
        if size > bytes_max / SHARE || self.ranges.contains_key(&key) {
            return;
        }
        while self.bytes + size > bytes_max {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            let gone = self.ranges.remove(&oldest).map_or(0, |entry| entry.bytes.len());
            self.bytes -= gone + ENTRY_BYTES;
        }
        self.turn += 1;
        self.used.insert(self.turn, key.clone());
        // A slice of a larger answer would keep all of it in memory.
        let bytes = Bytes::copy_from_slice(&bytes);
        self.ranges.insert(key, Entry { bytes, used: self.turn });
        self.bytes += size;
    }
}

impl HotRanges {
    /// Of files in `inner`, at most `bytes_max`.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, bytes_max: usize) -> Self {
        Self { inner, bytes_max, held: Mutex::default(), figures: Figures::default() }
    }

    /// For `/metrics`.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric {
                name: "spanlake_range_cache_bytes",
                help: "Memory that parts of remote files take.",
                shape: Shape::Gauge,
                labels: Vec::new(),
                value: self.lock().bytes as f64,
            },
            self.figures.hits.metric(
                "spanlake_range_cache_hits_total",
                "Parts of remote files that were in memory.",
            ),
            self.figures.misses.metric(
                "spanlake_range_cache_misses_total",
                "Parts of remote files that had to be read.",
            ),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // No method of `Held` leaves it half changed where it may panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, location: &Path, range: &Range<u64>) -> Option<Bytes> {
        let found = self.lock().find(&(location.clone(), range.start, range.end));
        let counter = if found.is_some() { &self.figures.hits } else { &self.figures.misses };
        counter.add(1);
        found
    }

    fn put(&self, location: &Path, range: &Range<u64>, bytes: &Bytes) {
        if bytes.len() as u64 == range.end - range.start {
            let key = (location.clone(), range.start, range.end);
            self.lock().put(key, bytes.clone(), self.bytes_max);
        }
    }
}

impl fmt::Display for HotRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotRanges({})", self.inner)
    }
}

/// The range that is asked for, where it is a plain question for bytes of a data file.
fn plain(location: &Path, options: &GetOptions) -> Option<Range<u64>> {
    let is_plain = options.if_match.is_none()
        && options.if_none_match.is_none()
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
        && options.version.is_none()
        && !options.head;
    match &options.range {
        Some(GetRange::Bounded(range)) if is_plain && is_immutable(location) => Some(range.clone()),
        _ => None,
    }
}

/// Data files are written once, under names never used before.
fn is_immutable(location: &Path) -> bool {
    location.as_ref().starts_with("date=")
}

#[async_trait]
impl ObjectStore for HotRanges {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(range) = plain(location, &options) else {
            return self.inner.get_opts(location, options).await;
        };
        let bytes = match self.find(location, &range) {
            Some(bytes) => bytes,
            None => {
                let read = self.inner.get_opts(location, options).await?.bytes().await?;
                self.put(location, &range, &read);
                read
            }
        };
        let end = range.start + bytes.len() as u64;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: end,
            e_tag: None,
            version: None,
        };
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
        Ok(GetResult {
            payload,
            meta,
            range: range.start..end,
            attributes: object_store::Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if !is_immutable(location) {
            return self.inner.get_ranges(location, ranges).await;
        }
        let mut found: Vec<Option<Bytes>> =
            ranges.iter().map(|range| self.find(location, range)).collect();
        let missing: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<Range<u64>> = missing.iter().map(|at| ranges[*at].clone()).collect();
            let read = self.inner.get_ranges(location, &wanted).await?;
            for ((at, range), bytes) in missing.into_iter().zip(&wanted).zip(read) {
                self.put(location, range, &bytes);
                found[at] = Some(bytes);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
