//! Sums a snapshot up by date.
use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono::{DateTime, NaiveDate};

use crate::batch::SpanBatch;
use crate::retain::{Partition, Ttl};
use crate::schema::column;
use crate::snapshot::Snapshot;
use crate::time::NANOS_PER_DAY;

/// All dates with spans in files or hot batches, oldest first.
pub(super) fn partitions(snapshot: &Snapshot, ttl: Ttl) -> Vec<Partition> {
    let mut by_date: BTreeMap<NaiveDate, Partition> = BTreeMap::new();
    for file in snapshot.files.iter() {
        let partition = by_date.entry(file.date).or_insert_with(|| empty(file.date, ttl));
        partition.rows += file.rows;
        partition.files += 1;
        partition.bytes += file.bytes;
    }
    for (date, rows) in hot_rows(&snapshot.hot) {
        by_date.entry(date).or_insert_with(|| empty(date, ttl)).hot_rows += rows;
    }
    by_date.into_values().collect()
}

fn empty(date: NaiveDate, ttl: Ttl) -> Partition {
    let expires_unix_nano = ttl.duration.map(|duration| {
        let days = date.signed_duration_since(DateTime::UNIX_EPOCH.date_naive()).num_days();
        let end = days.saturating_add(1).saturating_mul(NANOS_PER_DAY);
        end.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    });
    Partition { date, rows: 0, files: 0, bytes: 0, hot_rows: 0, expires_unix_nano }
}

fn hot_rows(batches: &[std::sync::Arc<SpanBatch>]) -> BTreeMap<NaiveDate, u64> {
    let mut by_day: BTreeMap<i64, u64> = BTreeMap::new();
    for batch in batches {
        count_days(batch, &mut by_day);
    }
    by_day.into_iter().map(|(day, rows)| (date_of_day(day), rows)).collect()
}

fn count_days(batch: &SpanBatch, by_day: &mut BTreeMap<i64, u64>) {
    let range = batch.start();
    let first = range.from.div_euclid(NANOS_PER_DAY);
    if first == range.until.saturating_sub(1).div_euclid(NANOS_PER_DAY) {
        *by_day.entry(first).or_default() += batch.rows() as u64;
        return;
    }
    let starts = batch.column(column::START).expect("a span batch has all fixed columns");
    for start in starts.as_primitive::<Int64Type>().values() {
        *by_day.entry(start.div_euclid(NANOS_PER_DAY)).or_default() += 1;
    }
}

fn date_of_day(day: i64) -> NaiveDate {
    DateTime::from_timestamp_nanos(day.saturating_mul(NANOS_PER_DAY)).date_naive()
}
