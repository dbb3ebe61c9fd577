//! `latency` and `latency_histogram`: how long traces took, by the operation that started them.
//!
//! The latency of a trace is its root span's duration: what the caller waited. Where the root is missing, the
//! earliest span stands in, as in `traces`. `errors` counts traces whose root has the status ERROR: what the caller
//! saw; an error further down that was handled does not count.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::TimeRange;

use super::forest::Forest;
use super::rows::{Columns, Weight, count};
use super::traces::{self, Row};
use super::{Notes, by_names};
use crate::histogram;
use crate::quantile::nearest_rank;

/// The traces of one root operation.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    durations: Vec<i64>,
    errors: i64,
    incomplete: i64,
    weight: Weight,
    failed: Weight,
}

impl Traces {
    fn add(&mut self, row: &Row) {
        self.durations.push(row.duration);
        self.errors += i64::from(row.error);
        self.incomplete += i64::from(!row.complete);
        self.weight.add(row.trace, row.weight);
        if row.error {
            self.failed.add(row.trace, row.weight);
        }
    }
}

pub(crate) type Group = ((u32, u32), Traces);

/// The answer of `latency`, most frequent operation first.
pub(crate) fn answer(
    forest: &Forest,
    range: TimeRange,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let rows: Vec<Row> = traces::rows(forest, range).collect();
    traces::note(&rows, notes);
    let mut groups: HashMap<(u32, u32), Traces> = HashMap::new();
    for row in &rows {
        groups.entry((row.service, row.name)).or_default().add(row);
    }
    let mut groups: Vec<Group> = groups.into_iter().collect();
    for (_, traces) in &mut groups {
        traces.durations.sort_unstable();
    }
    groups.sort_unstable_by(|(a, x), (b, y)| {
        y.durations.len().cmp(&x.durations.len()).then_with(|| by_names(forest, *a, *b))
    });
    Ok(vec![batch(forest, &groups)?])
}

/// The columns of `latency`.
pub(crate) fn batch(forest: &Forest, groups: &[Group]) -> Result<RecordBatch> {
    let texts = &forest.texts;
    let rank = |p: f64| move |(_, traces): &Group| nearest_rank(&traces.durations, p).unwrap_or(0);
    Columns::of(groups)
        .text("root_service", |((service, _), _)| texts.text(*service))
        .text("root_name", |((_, name), _)| texts.text(*name))
        .big("traces", |(_, traces)| count(traces.durations.len()))
        .big("errors", |(_, traces)| traces.errors)
        .big("p50_nano", rank(0.5))
        .big("p90_nano", rank(0.9))
        .big("p95_nano", rank(0.95))
        .big("p99_nano", rank(0.99))
        .big("max_nano", rank(1.0))
        .big("incomplete", |(_, traces)| traces.incomplete)
        .float("weighted_traces", |(_, traces)| traces.weight.total())
        .float("weighted_traces_error", |(_, traces)| traces.weight.standard_error())
        .float("weighted_errors", |(_, traces)| traces.failed.total())
        .float("weighted_errors_error", |(_, traces)| traces.failed.standard_error())
        .finish()
}

pub(crate) type Bucket = ((u32, u32), (i64, i64), (i64, Weight));

/// The answer of `latency_histogram`, by operation and bucket.
pub(crate) fn histogram(
    forest: &Forest,
    range: TimeRange,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let rows: Vec<Row> = traces::rows(forest, range).collect();
    traces::note(&rows, notes);
    let mut buckets: HashMap<_, (i64, Weight)> = HashMap::new();
    for row in &rows {
        let bucket = histogram::bucket(row.duration);
        let (traces, weight) = buckets.entry(((row.service, row.name), bucket)).or_default();
        *traces += 1;
        weight.add(row.trace, row.weight);
    }
    let mut buckets: Vec<Bucket> =
        buckets.into_iter().map(|((group, bounds), traces)| (group, bounds, traces)).collect();
    buckets.sort_unstable_by(|(a, x, _), (b, y, _)| by_names(forest, *a, *b).then(x.cmp(y)));
    Ok(vec![histogram_batch(forest, &buckets)?])
}

/// The columns of `latency_histogram`: a trace is in a bucket where `low_nano < duration <= high_nano`, and in
/// `(0, 0)` where its duration is 0.
pub(crate) fn histogram_batch(forest: &Forest, buckets: &[Bucket]) -> Result<RecordBatch> {
    let texts = &forest.texts;
    Columns::of(buckets)
        .text("root_service", |((service, _), _, _)| texts.text(*service))
        .text("root_name", |((_, name), _, _)| texts.text(*name))
        .big("low_nano", |(_, (low, _), _)| *low)
        .big("high_nano", |(_, (_, high), _)| *high)
        .big("traces", |(_, _, (traces, _))| *traces)
        .float("weighted_traces", |(_, _, (_, weight))| weight.total())
        .float("weighted_traces_error", |(_, _, (_, weight))| weight.standard_error())
        .finish()
}
