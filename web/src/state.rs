//! What the routes work with.
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use query::Engine;
use storage::metrics::Metric;
use storage::{Clock, Store};

use crate::{Auth, Tail};

/// Figures of the crates that this one does not know (ingest, the server's listeners), asked at each scrape.
pub type Figures = Arc<dyn Fn() -> Vec<Metric> + Send + Sync>;

/// Everything the router needs; the server fills it in.
#[derive(Clone)]
pub struct Web {
    /// Answers questions.
    pub engine: Engine,
    /// The table, for administration.
    pub store: Store,
    /// Spans as they arrive.
    pub tail: Tail,
    /// Who may do what.
    pub auth: Auth,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The server's version.
    pub version: &'static str,
    /// Host names that this server answers for, beside `localhost`, `127.0.0.1` and `[::1]`; without port.
    pub hosts: Vec<String>,
    /// Other crates' figures: those of `ingest` make the ingest part of `/api/v1/status`.
    pub figures: Figures,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The state behind each handler.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) web: Web,
    pub(crate) started_unix_nano: i64,
    samples: Mutex<Vec<Sample>>,
}

/// A total at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at_unix_nano: i64,
    spans: f64,
}

/// The rate of spans is taken over this time.
const RATE_WINDOW_NANO: i64 = 15 * storage::time::NANOS_PER_SECOND;
/// Samples closer together than this say nothing new.
const SAMPLE_GAP_NANO: i64 = storage::time::NANOS_PER_SECOND / 2;

impl Shared {
    pub(crate) fn new(web: Web) -> Self {
        let started_unix_nano = web.clock.now_unix_nano();
        Self { web, started_unix_nano, samples: Mutex::new(Vec::new()) }
    }

    /// All figures of this process.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = (self.web.figures)();
        metrics.extend(self.web.store.metrics());
        metrics.extend(self.web.engine.metrics());
        metrics.extend(self.web.tail.metrics());
        metrics
    }

    /// Spans a second since the oldest look within the last 15 s; `None` at the first look.
    pub(crate) fn rate(&self, spans: f64) -> Option<f64> {
        let now = self.web.clock.now_unix_nano();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|sample| now - sample.at_unix_nano <= RATE_WINDOW_NANO);
        let oldest = samples.first().copied();
        if samples.last().is_none_or(|last| now - last.at_unix_nano >= SAMPLE_GAP_NANO) {
            samples.push(Sample { at_unix_nano: now, spans });
        }
        let oldest = oldest.filter(|oldest| now > oldest.at_unix_nano)?;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let seconds = (now - oldest.at_unix_nano) as f64 / 1e9;
        Some(((spans - oldest.spans) / seconds).max(0.0))
    }
}
