//! The doors: what every request passes, whichever protocol brought it.
mod answer;
mod body;
mod count;
mod flight;
mod otlp_grpc;
mod otlp_http;
mod zipkin;

use std::sync::Arc;

use bytes::Bytes;
use storage::metrics::{Metric, Shape};
use storage::time::TimeRange;
use storage::{Appended, Clock, Compressed, Entry, Store};

use self::body::Taken;
pub(crate) use self::body::inflate_again;
use self::count::Counts;
use self::flight::Flight;
pub(crate) use self::flight::retry_after;
use crate::decode::Format;
use crate::decode::census::Census;
use crate::decode::sink::window;
use crate::sample::{self, Threshold};
use crate::{Config, Error, Result};

/// A body up to this size is checked on the async thread: less than half a millisecond of CPU.
const CHECKED_AT_ONCE_BYTES: usize = 256 << 10;

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
    counts: Arc<Counts>,
    /// `None` where everything is kept.
    threshold: Option<Threshold>,
}

impl Ingest {
    /// Doors into `store`.
    pub fn new(store: Store, config: Config, clock: Arc<dyn Clock>) -> Self {
        let flight = Flight::new(config.in_flight_bytes_max);
        let threshold = sample::threshold(config.sampling.rate);
        let counts = Arc::default();
        Self { store, config: Arc::new(config), clock, flight, counts, threshold }
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
        let held = self.flight.hold().and_then(|mut held| {
            held.grow(body.len())?;
            Ok(held)
        });
        let outcome = match held {
            Ok(held) => {
                let taken = Taken { plain: body, sent: None, held };
                self.store_checked(Door::Direct, format, taken, accept).await
            }
            Err(error) => Err(error),
        };
        self.counted(Door::Direct, outcome)
    }

    /// `POST /v1/traces` (protobuf and JSON, gzip and zstd).
    pub fn otlp_http(&self) -> axum::Router {
        otlp_http::router(self.clone())
    }

    /// `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    pub fn otlp_grpc(&self) -> axum::Router {
        otlp_grpc::router(self.clone())
    }

    /// `POST /api/v2/spans`.
    pub fn zipkin(&self) -> axum::Router {
        zipkin::router(self.clone())
    }

    /// Figures for `/metrics`: requests, spans and bytes taken, refusals by reason, by door.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = self.counts.metrics();
        let used = self.config.in_flight_bytes_max.saturating_sub(self.flight.free_bytes());
        #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
        metrics.push(Metric {
            name: "spanlake_ingest_in_flight_bytes",
            help: "Bytes of request bodies being handled now.",
            shape: Shape::Gauge,
            labels: Vec::new(),
            value: used as f64,
        });
        metrics
    }

    /// The common path of all doors; what covers the body is given back at the end.
    async fn store_checked(
        &self,
        door: Door,
        format: Format,
        taken: Taken,
        accept: Option<TimeRange>,
    ) -> Result<Outcome> {
        let Taken { plain: body, sent, held } = taken;
        if body.len() > storage::config::BODY_BYTES_MAX {
            return Err(Error::TooLarge { limit_bytes: storage::config::BODY_BYTES_MAX });
        }
        let received_unix_nano = self.clock.now_unix_nano();
        let accept = accept.unwrap_or_else(|| {
            window(received_unix_nano, self.config.age_max, self.config.future_max)
        });
        let bytes = body.len();
        // Imports bring what someone chose to bring: only what is sent live is sampled.
        let threshold = self.threshold.filter(|_| door != Door::Direct);
        let (census, body) = self.check(format, body, (accept, threshold)).await?;
        // What was sent holds more than what is to be stored.
        let sent = sent.filter(|_| threshold.is_none());
        let entry =
            Entry { format: format.code(), received_unix_nano, accept, body, deduplicate: true };
        // A request without a span to keep leaves nothing to remember.
        let duplicate =
            census.stored() > 0 && matches!(self.append(entry, sent).await?, Appended::Duplicate);
        drop(held);
        self.counts.stored(door, &census, bytes, duplicate);
        Ok(Outcome {
            accepted_spans: if duplicate { 0 } else { census.accepted },
            rejected_spans: census.rejected(),
            message: census.message(),
            duplicate,
        })
    }

    async fn append(&self, entry: Entry, sent: Option<Compressed>) -> Result<Appended> {
        Ok(match sent {
            Some(sent) => self.store.append_compressed(entry, sent).await?,
            None => self.store.append(entry).await?,
        })
    }

    /// Counts a refusal on its way out.
    pub(crate) fn counted<T>(&self, door: Door, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            if let Error::Storage(cause) = error {
                tracing::warn!(door = door.label(), error = ?cause, "storage refused a request");
            }
            self.counts.refused(door, error.kind());
        }
        result
    }

    /// What the body holds, and what of it is to be stored.
    async fn check(
        &self,
        format: Format,
        body: Bytes,
        (accept, threshold): (TimeRange, Option<Threshold>),
    ) -> Result<(Census, Bytes)> {
        let config = Arc::clone(&self.config);
        let small = body.len() <= CHECKED_AT_ONCE_BYTES;
        let check = move || match threshold {
            Some(threshold) => sample::body((format, body), &config, accept, threshold),
            None => Census::take(format, &body, &config, accept).map(|census| (census, body)),
        };
        let checked = if small { check() } else { off_thread(check).await? };
        checked.map_err(|malformed| Error::Malformed(malformed.to_string()))
    }
}

/// Runs CPU-bound work where it does not hold up the async threads.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Interrupted)
}

#[cfg(test)]
mod tests;
