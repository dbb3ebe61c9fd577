//! The doors: what every request passes, whichever protocol brought it.
mod admission;
mod answer;
mod body;
mod bucket;
mod count;
mod flight;
mod gzip;
mod intake;
mod otlp_grpc;
mod otlp_http;
mod seldom;
mod zipkin;

use std::sync::Arc;

use bytes::Bytes;
use storage::metrics::{Metric, Shape};
use storage::time::TimeRange;
use storage::{Clock, Store};
use tokio::sync::Semaphore;

use self::admission::Admission;
pub(crate) use self::body::inflate_again;
use self::body::{Limits, Taken};
use self::count::Counts;
use self::flight::Flight;
pub(crate) use self::flight::retry_after;
use self::intake::Intake;
use crate::decode::Format;
use crate::decode::census::Census;
use crate::sample::{self, Threshold};
use crate::{Config, Error, Result};

/// A body up to this size is checked on the async thread: less than half a millisecond of CPU.
const CHECKED_AT_ONCE_BYTES: usize = 256 << 10;
/// The same of OTLP's protobuf, all spans of which are kept: a quarter of a nanosecond for each byte. Another thread would have
/// to be woken, and the body come into its caches.
const WALKED_AT_ONCE_BYTES: usize = 1 << 20;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Spans accepted (0 for a duplicate); sampling may have left some of them out.
    pub accepted_spans: u64,
    /// Spans refused.
    pub rejected_spans: u64,
    /// Why, in words for `partial_success.error_message`; empty where nothing was refused.
    pub message: String,
    /// True where the same bytes were stored before.
    pub duplicate: bool,
}

/// Where a request came in: a label in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// [`Ingest::accept`]: imports, the demo.
    Direct,
    OtlpHttp,
    OtlpGrpc,
    Zipkin,
}

impl Door {
    const ALL: [Self; 4] = [Self::Direct, Self::OtlpHttp, Self::OtlpGrpc, Self::Zipkin];

    fn label(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::OtlpHttp => "otlp_http",
            Self::OtlpGrpc => "otlp_grpc",
            Self::Zipkin => "zipkin",
        }
    }
}

/// All doors over one store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ingest {
    store: Store,
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    flight: Flight,
    admission: Arc<Admission>,
    /// One permit a core: more would only take turns.
    cpu: Arc<Semaphore>,
    counts: Arc<Counts>,
    /// `None` where everything is kept.
    threshold: Option<Threshold>,
}

impl Ingest {
    /// Doors into `store`.
    pub fn new(store: Store, config: Config, clock: Arc<dyn Clock>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threshold = sample::threshold(config.sampling.rate);
        let least = threshold.map_or(0, Threshold::least);
        store.ledger().sample(least, clock.now_unix_nano());
        Self {
            flight: Flight::new(config.in_flight_bytes_max, config.tenant_in_flight_bytes_max),
            admission: Arc::new(Admission::new(&config, clock.now_unix_nano())),
            cpu: Arc::new(Semaphore::new(cores)),
            counts: Arc::new(Counts::new(&config.tenant)),
            threshold,
            store,
            config: Arc::new(config),
            clock,
        }
    }

    /// Checks one uncompressed request and stores its good spans; returns when they are durable and visible.
    /// `accept` overrides the time window of the configuration (an import takes history).
    ///
    /// # Errors
    /// Nothing was stored: the body cannot be read, a limit is exceeded, or storage refused.
    pub async fn accept(
        &self,
        format: Format,
        body: Bytes,
        accept: Option<TimeRange>,
    ) -> Result<Outcome> {
        let mut intake = Intake::direct(self, Door::Direct);
        let held = self.flight.hold().and_then(|mut held| {
            held.grow(body.len())?;
            Ok(held)
        });
        let outcome = match held {
            Ok(held) => {
                let taken = Taken { plain: body, sent: None, held };
                intake.store(format, taken, accept).await
            }
            Err(error) => Err(error),
        };
        intake.counted(outcome)
    }

    /// `POST /v1/traces` (protobuf and JSON, gzip and zstd).
    pub fn otlp_http(&self) -> axum::Router {
        otlp_http::router(self.clone())
    }

    /// `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    pub fn otlp_grpc(&self) -> axum::Router {
        otlp_grpc::router(self.clone())
    }

    /// `POST /api/v2/spans` (JSON and protobuf).
    pub fn zipkin(&self) -> axum::Router {
        zipkin::router(self.clone())
    }

    /// Figures for `/metrics`: requests, spans and bytes taken, refusals by reason, by door.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = self.counts.metrics();
        let used = self.config.in_flight_bytes_max.saturating_sub(self.flight.free_bytes());
        #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
        let gauge = |name, help, value: usize| {
            let labels = vec![("tenant", self.config.tenant.clone())];
            Metric { name, help, shape: Shape::Gauge, labels, value: value as f64 }
        };
        let help = "Bytes of request bodies being handled now.";
        metrics.push(gauge("spanlake_ingest_in_flight_bytes", help, used));
        let help = "Requests that wait, unread, for room among these bytes.";
        metrics.push(gauge("spanlake_ingest_waiting_requests", help, self.flight.waiting()));
        metrics
    }

    /// Limits of OTLP bodies.
    fn otlp_limits(&self) -> Limits {
        Limits {
            bytes_max: self.config.otlp_body_bytes_max,
            expansion_max: self.config.expansion_max,
        }
    }

    /// What the body holds, and what is to be stored instead of it.
    async fn check(
        &self,
        format: Format,
        body: Bytes,
        (accept, threshold): (TimeRange, Option<Threshold>),
    ) -> Result<(Census, Option<Bytes>)> {
        let config = Arc::clone(&self.config);
        let at_once_bytes = match (format, threshold) {
            (Format::OtlpProtobuf, None) => WALKED_AT_ONCE_BYTES,
            _ => CHECKED_AT_ONCE_BYTES,
        };
        let small = body.len() <= at_once_bytes;
        let check = move || match threshold {
            Some(threshold) => sample::body((format, &body), &config, accept, threshold),
            None => Census::take(format, &body, &config, accept).map(|census| (census, None)),
        };
        let checked = if small { check() } else { off_thread(&self.cpu, check).await? };
        checked.map_err(|malformed| Error::Malformed(malformed.to_string()))
    }
}

/// Runs CPU-bound work where it does not hold up the async threads.
pub(crate) async fn off_thread<T: Send + 'static>(
    cpu: &Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let _permit = cpu.acquire().await.map_err(|_| Error::Interrupted)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Interrupted)
}

#[cfg(test)]
mod tests;
