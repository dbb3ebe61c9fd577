//! How much each cache of the engine may hold, and how often it knew what it was asked for.
//!
//! `query.cache_bytes` is shared out in fixed parts: by default as many MiB each as its [`Account`] says.
use std::sync::atomic::{AtomicUsize, Ordering};

use storage::metrics::{Counter, Metric, Shape};

/// All parts together.
const PARTS: usize = 640;

/// What all caches may hold by default.
pub(crate) const BYTES_DEFAULT: usize = PARTS << 20;

/// Footers and page indexes of files.
pub(crate) const FOOTERS: usize = 256;
/// Dictionaries of files.
pub(crate) const DICTIONARIES: usize = 24;
/// Pages of keys: those of two million spans take about 40 MiB.
pub(crate) const PAGES: usize = 80;
/// Keys of trace ids: two bytes a span.
pub(crate) const TRACE_KEYS: usize = 24;
/// Which rows conditions chose.
pub(crate) const CHOSEN: usize = 16;
/// Which texts a column has.
pub(crate) const VOCABULARIES: usize = 32;
/// Who stands above whom: eleven bytes a span.
pub(crate) const SHAPES: usize = 64;
/// The longest traces of files.
pub(crate) const LONGEST: usize = 32;
/// Which traces begin with a span that was looked for.
pub(crate) const BEGINNINGS: usize = 16;
/// Rows of traces that no file has whole.
pub(crate) const OPEN_TRACES: usize = 48;
/// Rows of traces with hot spans.
pub(crate) const HOT_TRACES: usize = 48;

/// Such a part of `all` bytes.
pub(crate) fn share(all: usize, parts: usize) -> usize {
    all / PARTS * parts
}

/// The share of one cache, and what came of asking it.
#[derive(Debug)]
pub(crate) struct Account {
    name: &'static str,
    parts: usize,
    bytes_max: AtomicUsize,
    hits: Counter,
    misses: Counter,
}

impl Account {
    /// Of the cache `name`, with so many parts of what all may hold.
    pub(crate) fn of(name: &'static str, parts: usize) -> Self {
        Self {
            name,
            parts,
            bytes_max: AtomicUsize::new(share(BYTES_DEFAULT, parts)),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// Shares `all` bytes out.
    pub(crate) fn allow(&self, all: usize) {
        self.bytes_max.store(share(all, self.parts), Ordering::Relaxed);
    }

    /// What the cache may hold.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// Counts whether something was found.
    pub(crate) fn count<T>(&self, found: Option<T>) -> Option<T> {
        self.add(usize::from(found.is_some()), usize::from(found.is_none()));
        found
    }

    /// Counts what was found, and what was not.
    pub(crate) fn add(&self, hits: usize, misses: usize) {
        self.hits.add(hits as u64);
        self.misses.add(misses as u64);
    }

    /// For `/metrics`; the cache holds so many bytes.
    pub(crate) fn metrics(&self, bytes: usize) -> [Metric; 3] {
        const HITS: &str = "What caches of queries were asked for and held.";
        const MISSES: &str = "What caches of queries were asked for and did not hold.";
        [
            bytes_of(self.name, bytes),
            self.labelled(self.hits.metric("spanlake_query_cache_hits_total", HITS)),
            self.labelled(self.misses.metric("spanlake_query_cache_misses_total", MISSES)),
        ]
    }

    fn labelled(&self, mut metric: Metric) -> Metric {
        metric.labels.push(("cache", self.name.to_owned()));
        metric
    }
}

/// What the cache `name` holds, for `/metrics`.
pub(crate) fn bytes_of(name: &'static str, bytes: usize) -> Metric {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    let value = bytes as f64;
    Metric {
        name: "spanlake_query_cache_bytes",
        help: "Memory that caches of queries hold.",
        shape: Shape::Gauge,
        labels: vec![("cache", name.to_owned())],
        value,
    }
}

#[cfg(test)]
mod tests;
