//! `GET /api/v1/partitions`, `POST /api/v1/partitions/drop`, `POST /api/v1/flush`, `POST /api/v1/compact`.
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::error::ArrowError;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};
use storage::Due;
use storage::retain::Partition;

use super::answer::{of_batch, respond};
use super::parameters::Parameters;
use super::retention::ReceiptRow;
use super::{Web, read_json};
use crate::{Error, Result};

/// One row a date: `date, rows, files, bytes, hot_rows, expires, classes`.
pub(crate) async fn list(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let batch = batch(&shared.web.store.partitions())
        .map_err(|error| Error::Internal(format!("partitions as columns: {error}")))?;
    respond(&parameters, of_batch(batch)).await
}

fn batch(partitions: &[Partition]) -> Result<RecordBatch, ArrowError> {
    let count = |value: fn(&Partition) -> u64| -> ArrayRef {
        let counts = partitions.iter().map(|p| i64::try_from(value(p)).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter_values(counts))
    };
    let dates = partitions.iter().map(|partition| days(partition.date));
    let expires = partitions.iter().map(|partition| partition.expires_unix_nano);
    let expires = TimestampNanosecondArray::from_iter(expires).with_timezone("UTC");
    let classes = partitions.iter().map(|partition| Some(partition.classes.join(", ")));
    let columns: [(&str, ArrayRef, bool); 7] = [
        ("date", Arc::new(Date32Array::from_iter_values(dates)), false),
        ("rows", count(|partition| partition.rows), false),
        ("files", count(|partition| partition.files), false),
        ("bytes", count(|partition| partition.bytes), false),
        ("hot_rows", count(|partition| partition.hot_rows), false),
        ("expires", Arc::new(expires), true),
        ("classes", Arc::new(classes.collect::<StringArray>()), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns)
}

/// Days since 1970, as Arrow counts them.
fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dates {
    dates: Vec<String>,
    class: Option<String>,
}

/// Removes whole dates, or one retention class of them; answers with the receipt.
pub(crate) async fn drop(State(shared): Web, body: Body) -> Result<Json<ReceiptRow>> {
    let Dates { dates, class } = read_json(body).await?;
    if dates.is_empty() {
        return Err(Error::Invalid("dates is empty; name at least one partition".to_owned()));
    }
    let known = shared.web.store.partitions();
    let mut chosen = Vec::with_capacity(dates.len());
    for text in &dates {
        let date: NaiveDate = text
            .parse()
            .map_err(|_| Error::Invalid(format!("{text:?} is not a date such as 2026-11-21")))?;
        if !known.iter().any(|partition| partition.date == date) {
            return Err(Error::NotFound(format!("there is no partition {date}")));
        }
        chosen.push(date);
    }
    let receipt = match class {
        None => shared.web.store.drop_partitions(&chosen).await?,
        Some(class) => shared.web.store.drop_class(&chosen, &class).await?,
    };
    Ok(Json(ReceiptRow::from(&receipt)))
}

/// Answer to a flush.
#[derive(Debug, Serialize)]
pub(crate) struct Flushed {
    table_version: u64,
}

/// Writes what is hot into files.
pub(crate) async fn flush(State(shared): Web) -> Result<Json<Flushed>> {
    shared.web.store.flush().await?;
    Ok(Json(Flushed { table_version: shared.web.store.snapshot().version.0 }))
}

/// Answer to a compaction.
#[derive(Debug, Serialize)]
pub(crate) struct Compacted {
    steps: u64,
}

/// Rewrites files until nothing is worth it; with `now=true` also those that would wait for more spans.
pub(crate) async fn compact(State(shared): Web, parameters: Parameters) -> Result<Json<Compacted>> {
    let due = if parameters.truth("now")? { Due::Now } else { Due::WhenQuiet };
    let steps = shared.web.store.compact(due).await?;
    Ok(Json(Compacted { steps }))
}
