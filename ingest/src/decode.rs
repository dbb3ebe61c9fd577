//! Bytes -> [`SpanBatch`], straight into Arrow builders.
use storage::schema::AttributeColumns;
use storage::{Decode, Entry, SpanBatch};

use crate::Config;

/// What a WAL entry's body is. The low bits name the format, the high bits the compression; both are persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OTLP `ExportTraceServiceRequest`, protobuf.
    OtlpProtobuf,
    /// The same as OTLP JSON.
    OtlpJson,
    /// Zipkin v2 JSON array of spans.
    ZipkinJson,
}

/// Reads every format of [`Format`]; handed to [`storage::Store::open`].
#[derive(Debug, Clone)]
pub struct Decoder {
    config: Config,
}

impl Decoder {
    /// A decoder that cuts and refuses by `config`'s limits.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Decode for Decoder {
    fn decode(&self, entries: &[Entry], columns: &AttributeColumns) -> SpanBatch {
        let _ = (entries, columns, &self.config);
        unimplemented!()
    }
}
