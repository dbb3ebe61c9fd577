//! Spans as Arrow columns: what decoders make, what the hot buffer holds, what a flush sorts.
use arrow::array::RecordBatch;

use crate::schema::{AttributeScope, AttributeType};
use crate::time::TimeRange;

/// How often an attribute lay in the JSON of a batch: it has no column, or a column of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestCount {
    /// Span or resource.
    pub scope: AttributeScope,
    /// Attribute name.
    pub key: String,
    /// Type of the values counted (a key with two types has two counts).
    pub kind: AttributeType,
    /// Spans that carried it.
    pub spans: u64,
}

/// Spans in the physical schema ([`crate::schema`]): all fixed columns in order, then those attribute columns that
/// occur in this batch, in any order, each named and typed as [`crate::schema::AttributeColumns`] says.
/// `caller_*` and `root_*` are null until the flush.
#[derive(Debug, Clone)]
pub struct SpanBatch {
    records: RecordBatch,
    start: TimeRange,
    rest: Vec<RestCount>,
}

impl SpanBatch {
    /// Wraps `records`.
    ///
    /// # Panics
    /// Where the fixed columns are not those of the schema: a mistake in a decoder.
    pub fn new(records: RecordBatch, rest: Vec<RestCount>) -> Self {
        let fixed = crate::schema::fixed_fields();
        assert!(records.num_columns() >= fixed.len(), "a span batch has all fixed columns");
        for (expected, actual) in fixed.iter().zip(records.schema_ref().fields()) {
            assert_eq!(
                (expected.name(), expected.data_type()),
                (actual.name(), actual.data_type())
            );
        }
        let start = start_range(&records);
        Self { records, start, rest }
    }

    /// The columns.
    pub fn records(&self) -> &RecordBatch {
        &self.records
    }

    /// Number of spans.
    pub fn rows(&self) -> usize {
        self.records.num_rows()
    }

    /// The range of start times, empty (`from == until`) for no rows.
    pub fn start(&self) -> TimeRange {
        self.start
    }

    /// Attributes that occurred without having a column.
    pub fn rest(&self) -> &[RestCount] {
        &self.rest
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.records.get_array_memory_size()
    }
}

fn start_range(records: &RecordBatch) -> TimeRange {
    use arrow::array::AsArray;
    let starts = records.column(3).as_primitive::<arrow::datatypes::Int64Type>().values();
    let from = starts.iter().copied().min().unwrap_or(0);
    let until = starts.iter().copied().max().map_or(0, |last| last.saturating_add(1));
    TimeRange { from, until }
}
