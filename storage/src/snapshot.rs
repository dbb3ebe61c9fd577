//! What a read sees: one table version plus the hot batches that it does not contain, each span once.
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use object_store::ObjectStore;

use crate::batch::SpanBatch;
use crate::id::{TableVersion, TraceId};
use crate::schema::{AttributeColumns, AttributeScope};
use crate::time::TimeRange;

/// One Parquet file of the table, as the Delta log describes it.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Path relative to [`Snapshot::object_store`]'s root: `date=2026-11-21/....parquet`.
    pub path: String,
    /// Size on disk.
    pub bytes: u64,
    /// Number of spans.
    pub rows: u64,
    /// Partition.
    pub date: NaiveDate,
    /// Range of start times.
    pub start: TimeRange,
    /// When it was written, Unix milliseconds.
    pub modified_unix_milli: i64,
    /// Smallest and largest `service`, where the log says.
    pub services: Option<(String, String)>,
    /// Trace ids that may be inside, from the file's sidecar; `None` where it has none: then any may be.
    pub traces: Option<Arc<TraceFilter>>,
    /// Attributes that lie in the JSON of some span here ([`crate::batch::RestCount`], sorted): they had no column of
    /// their type when the file was written. `None` where the sidecar does not say: then any may.
    pub rest: Option<Arc<[(AttributeScope, String)]>>,
}

impl DataFile {
    /// False only where the file certainly holds no span of this trace.
    pub fn may_hold_trace(&self, trace: &TraceId) -> bool {
        self.traces.as_ref().is_none_or(|filter| filter.may_contain(trace))
    }

    /// False only where the file certainly has no value of this attribute outside the attribute's column.
    pub fn may_hold_rest(&self, scope: AttributeScope, key: &str) -> bool {
        self.rest.as_ref().is_none_or(|keys| {
            keys.binary_search_by(|(at, name)| (*at, name.as_str()).cmp(&(scope, key))).is_ok()
        })
    }
}

/// Bloom filter over trace ids, kept in memory for each live file.
#[derive(Debug, Clone)]
pub struct TraceFilter {
    words: Vec<u64>,
    hashes: u32,
}

impl TraceFilter {
    /// False only where `trace` was never added.
    pub fn may_contain(&self, _trace: &TraceId) -> bool {
        let _ = (&self.words, self.hashes);
        unimplemented!()
    }
}

/// One consistent state of the table, made anew at each change; holds what it names for as long as it lives.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The Delta version.
    pub version: TableVersion,
    /// Live files.
    pub files: Arc<[Arc<DataFile>]>,
    /// Batches that no file holds yet.
    pub hot: Arc<[Arc<SpanBatch>]>,
    /// Attributes that have columns in any file or hot batch.
    pub columns: Arc<AttributeColumns>,
    /// `columns.schema()`, with the types that files and hot batches have in memory (see [`crate::schema::read_type`]).
    pub schema: SchemaRef,
    /// The store that [`DataFile::path`] is relative to.
    pub object_store: Arc<dyn ObjectStore>,
}

impl Snapshot {
    /// Spans in files and hot batches.
    pub fn rows(&self) -> u64 {
        let hot: usize = self.hot.iter().map(|batch| batch.rows()).sum();
        self.files.iter().map(|file| file.rows).sum::<u64>() + hot as u64
    }
}
