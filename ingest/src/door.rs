//! The doors: what every request passes, whichever protocol brought it.
use std::sync::Arc;

use bytes::Bytes;
use storage::metrics::Metric;
use storage::time::TimeRange;
use storage::{Clock, Store};

use crate::decode::Format;
use crate::{Config, Result};

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Spans stored (0 for a duplicate).
    pub accepted_spans: u64,
    /// Spans refused.
    pub rejected_spans: u64,
    /// Why, in words for `partial_success.error_message`; empty where nothing was refused.
    pub message: String,
    /// True where the same bytes were stored before.
    pub duplicate: bool,
}

/// All doors over one store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ingest {
    store: Store,
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
}

impl Ingest {
    /// Doors into `store`.
    pub fn new(store: Store, config: Config, clock: Arc<dyn Clock>) -> Self {
        Self { store, config: Arc::new(config), clock }
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
        let _ = (format, body, accept, &self.store, &self.config, &self.clock);
        unimplemented!()
    }

    /// `POST /v1/traces` (protobuf and JSON, gzip and zstd).
    pub fn otlp_http(&self) -> axum::Router {
        unimplemented!()
    }

    /// `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    pub fn otlp_grpc(&self) -> axum::Router {
        unimplemented!()
    }

    /// `POST /api/v2/spans`.
    pub fn zipkin(&self) -> axum::Router {
        unimplemented!()
    }

    /// Figures for `/metrics`: requests, spans and bytes taken, refusals by reason, by door.
    pub fn metrics(&self) -> Vec<Metric> {
        unimplemented!()
    }
}
