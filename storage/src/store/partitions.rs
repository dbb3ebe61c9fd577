//! Sums a snapshot up by date.
use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono::{DateTime, NaiveDate};

use crate::batch::SpanBatch;
use crate::retain::{DEFAULT_CLASS, Lifetime, Partition, Policy, expires_unix_nano, expiry};
use crate::schema::column;
use crate::snapshot::Snapshot;
use crate::time::NANOS_PER_DAY;

/// All dates with spans in files or hot batches, oldest first.
pub(super) fn partitions(snapshot: &Snapshot, policy: &Policy) -> Vec<Partition> {
    let mut by_date: BTreeMap<NaiveDate, Partition> = BTreeMap::new();
    for file in snapshot.files.iter() {
        let partition = by_date.entry(file.date).or_insert_with(|| empty(file.date));
        if !partition.classes.iter().any(|class| class == file.class()) {
            partition.classes.push(file.class().to_owned());
            partition.classes.sort_unstable();
        }
        let expires = expiry(file, policy).into_iter();
        partition.expires_unix_nano = expires.chain(partition.expires_unix_nano).min();
        partition.rows += file.rows;
        partition.files += 1;
        partition.bytes += file.bytes;
    }
    for (date, rows) in hot_rows(&snapshot.hot) {
        by_date.entry(date).or_insert_with(|| hot_only(date, policy)).hot_rows += rows;
    }
    by_date.into_values().collect()
}

fn empty(date: NaiveDate) -> Partition {
    let classes = Vec::new();
    Partition { date, rows: 0, files: 0, bytes: 0, hot_rows: 0, classes, expires_unix_nano: None }
}

/// The classes of hot spans are decided at the flush.
fn hot_only(date: NaiveDate, policy: &Policy) -> Partition {
    let expires_unix_nano = match policy.lifetime(DEFAULT_CLASS) {
        Lifetime::For(ttl) => Some(expires_unix_nano(date, ttl)),
        Lifetime::Forever | Lifetime::Unnamed => None,
    };
    Partition { expires_unix_nano, ..empty(date) }
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
