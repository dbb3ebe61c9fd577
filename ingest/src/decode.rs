//! Bytes -> [`storage::SpanBatch`], straight into Arrow builders.
//!
//! Every format is walked once by the door (to count what it holds) and once by the store's group (to build columns),
//! by the same function: the walk is generic over a `sink::Sink`, and which spans are kept is decided in
//! `sink::admit` alone. So the two never disagree.
pub(crate) mod builder;
pub(crate) mod census;
pub(crate) mod cut;
pub(crate) mod json;
pub(crate) mod protobuf;
mod session;
pub(crate) mod sink;
pub(crate) mod text;
pub(crate) mod weight;
pub(crate) mod wire;
pub(crate) mod zipkin;

use std::sync::Arc;

use bytes::Bytes;
use storage::metrics::{Counter, Metric};
use storage::time::TimeRange;
use storage::{Compressed, Decode, DecodeSession};

use self::census::Census;
use self::cut::CutTotals;
use self::session::Session;
use self::sink::Sink;
use self::wire::Malformed;
use crate::Config;
use crate::door::inflate_again;

/// What a WAL entry's body is without its compression, which is undone once, at the door (inflating costs more than
/// decoding). The codes are persisted: see docs/format.md#formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OTLP `ExportTraceServiceRequest`, protobuf.
    OtlpProtobuf,
    /// The same as OTLP JSON.
    OtlpJson,
    /// Zipkin v2 JSON array of spans.
    ZipkinJson,
    /// Zipkin v2 `ListOfSpans`, protobuf.
    ZipkinProtobuf,
}

impl Format {
    /// The persisted number of the format, at most [`storage::entry::FORMAT_MAX`].
    pub fn code(self) -> u8 {
        match self {
            Self::OtlpProtobuf => 1,
            Self::OtlpJson => 2,
            Self::ZipkinJson => 3,
            Self::ZipkinProtobuf => 4,
        }
    }

    /// The format with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::OtlpProtobuf, Self::OtlpJson, Self::ZipkinJson, Self::ZipkinProtobuf]
            .into_iter()
            .find(|format| format.code() == code)
    }

    /// Hands every span of `body` to `sink`.
    pub(crate) fn walk<S: Sink>(
        self,
        body: &[u8],
        config: &Config,
        accept: TimeRange,
        sink: &mut S,
    ) -> Result<(), Malformed> {
        match self {
            Self::OtlpProtobuf => protobuf::walk(body, config, accept, sink),
            Self::OtlpJson => json::walk(body, config, accept, sink),
            Self::ZipkinJson => zipkin::json::walk(body, config, accept, sink),
            Self::ZipkinProtobuf => zipkin::protobuf::walk(body, config, accept, sink),
        }
    }
}

/// Reads every format of [`Format`]; handed to [`storage::Store::open`].
#[derive(Debug, Clone)]
pub struct Decoder {
    config: Config,
    cuts: Arc<CutTotals>,
    invalid_weights: Arc<Counter>,
}

impl Decoder {
    /// A decoder that cuts and refuses by `config`'s limits.
    pub fn new(config: Config) -> Self {
        Self { config, cuts: Arc::default(), invalid_weights: Arc::default() }
    }

    /// The door's walk: how many spans of `body` are as they must be. `None` where it cannot be read.
    pub fn count(&self, format: Format, body: &[u8], accept: TimeRange) -> Option<u64> {
        Census::take(format, body, &self.config, accept).ok().map(|census| census.accepted)
    }

    /// Figures for `/metrics`: spans that lost something to a limit, by what; weights that were none.
    pub fn metrics(&self) -> Vec<Metric> {
        let help =
            "Spans that named a sampling weight which is none; they count once. Replayed ones too.";
        let mut invalid =
            self.invalid_weights.metric("spanlake_ingest_invalid_weights_total", help);
        invalid.labels.push(("tenant", self.config.tenant.clone()));
        let mut metrics = self.cuts.metrics(&self.config.tenant);
        metrics.push(invalid);
        metrics
    }
}

impl Decode for Decoder {
    fn session(&self) -> Box<dyn DecodeSession> {
        Box::new(Session::new(self.clone()))
    }

    fn inflate(&self, compressed: &Compressed, bytes: usize) -> Option<Bytes> {
        inflate_again(compressed, bytes)
    }
}

#[cfg(test)]
mod tests;
