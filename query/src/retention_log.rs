//! The table `retention_log`: one row for each removal. Made when it is asked for, of the snapshot's receipts.
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use chrono::NaiveDate;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use storage::retain::{KeptRollup, Loss, Receipt};

/// Receipts as a table.
#[derive(Debug)]
pub(crate) struct RetentionLog {
    receipts: Arc<[Receipt]>,
    schema: SchemaRef,
}

impl RetentionLog {
    /// Over `receipts`, oldest first.
    pub(crate) fn new(receipts: Arc<[Receipt]>) -> Self {
        let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let number = |name| Field::new(name, DataType::Int64, false);
        let fields = vec![
            Field::new("time", utc, false),
            Field::new("reason", DataType::Utf8, false),
            Field::new("table_version", DataType::Int64, true),
            Field::new("first_date", DataType::Date32, true),
            Field::new("last_date", DataType::Date32, true),
            number("spans"),
            number("traces"),
            number("files"),
            number("bytes"),
            number("kept_spans"),
            number("kept_traces"),
            Field::new("parts", DataType::Utf8, false),
            Field::new("rollups", DataType::Utf8, false),
        ];
        Self { receipts, schema: Arc::new(Schema::new(fields)) }
    }

    fn batch(&self) -> Result<RecordBatch> {
        let receipts = || self.receipts.iter();
        let count = |of: fn(&Loss) -> u64| -> ArrayRef {
            let counts = receipts().map(|receipt| as_long(of(&receipt.loss)));
            Arc::new(Int64Array::from_iter_values(counts))
        };
        let date = |of: fn(&Loss) -> Option<&NaiveDate>| -> ArrayRef {
            let dates = receipts().map(|receipt| of(&receipt.loss).map(NaiveDate::to_epoch_days));
            Arc::new(dates.collect::<Date32Array>())
        };
        let times = TimestampNanosecondArray::from_iter_values(receipts().map(|r| r.at_unix_nano));
        let reasons = receipts().map(|receipt| Some(receipt.reason.as_str()));
        let versions = receipts().map(|receipt| receipt.version.map(as_long));
        let parts = receipts().map(|receipt| Some(parts(&receipt.loss)));
        let rollups = receipts().map(|receipt| Some(rollups(&receipt.rollups)));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(times.with_timezone("UTC")),
            Arc::new(reasons.collect::<StringArray>()),
            Arc::new(versions.collect::<Int64Array>()),
            date(|loss| loss.dates.first()),
            date(|loss| loss.dates.last()),
            count(|loss| loss.rows),
            count(|loss| loss.traces),
            count(|loss| loss.files),
            count(|loss| loss.bytes),
            count(|loss| loss.kept.rows),
            count(|loss| loss.kept.traces),
            Arc::new(parts.collect::<StringArray>()),
            Arc::new(rollups.collect::<StringArray>()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn as_long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// By date and class, as JSON.
fn parts(loss: &Loss) -> String {
    let parts = loss.parts.iter().map(|part| {
        serde_json::json!({
            "date": part.date.to_string(), "class": part.class, "reason": part.reason,
            "spans": part.rows, "files": part.files, "bytes": part.bytes,
        })
    });
    serde_json::Value::Array(parts.collect()).to_string()
}

/// What stays in figures, by date and class, as JSON.
fn rollups(kept: &[KeptRollup]) -> String {
    let kept = kept.iter().map(|kept| {
        serde_json::json!({
            "date": kept.date.to_string(), "class": kept.class, "spans": kept.spans,
            "bytes": kept.bytes, "until_unix_nano": kept.expires_unix_nano,
        })
    });
    serde_json::Value::Array(kept.collect()).to_string()
}

#[async_trait]
impl TableProvider for RetentionLog {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = MemTable::try_new(self.schema(), vec![vec![self.batch()?]])?;
        rows.scan(state, projection, filters, limit).await
    }
}
