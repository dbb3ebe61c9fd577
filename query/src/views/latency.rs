//! `latency` and `latency_histogram`: how long traces took, by the operation that started them.
//!
//! The latency of a trace is its root span's duration: what the caller waited. Where the root is missing, the
//! earliest span stands in, as in `traces`. `errors` counts traces whose root has the status ERROR: what the caller
//! saw; an error further down that was handled does not count.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;

use super::forest::{Forest, Texts};
use super::rows::{Columns, Estimate, Weight};
use super::sweep::{Harvest, Sweep};
use super::traces::{self, Incomplete, Row};
use super::{Ask, Notes, by_names};
use crate::histogram::{self, Durations};

/// The traces of one root operation.
#[derive(Debug)]
struct Traces {
    durations: Durations,
    errors: i64,
    incomplete: i64,
    weight: Weight,
    failed: Weight,
}

impl Traces {
    fn none(exact: bool) -> Self {
        Self {
            durations: Durations::new(exact),
            errors: 0,
            incomplete: 0,
            weight: Weight::default(),
            failed: Weight::default(),
        }
    }

    fn add(&mut self, row: &Row) {
        self.durations.add(row.duration);
        self.errors += i64::from(row.error);
        self.incomplete += i64::from(!row.complete);
        self.weight.add(row.key, row.weight);
        if row.error {
            self.failed.add(row.key, row.weight);
        }
    }

    fn merge(&mut self, other: Self) {
        self.durations.merge(other.durations);
        self.errors += other.errors;
        self.incomplete += other.incomplete;
        self.weight.merge(&other.weight);
        self.failed.merge(&other.failed);
    }
}

/// All root operations.
struct Operations {
    ask: Ask,
    groups: HashMap<(u32, u32), Traces>,
    incomplete: Incomplete,
}

impl Operations {
    fn none(ask: Ask) -> Self {
        Self { ask, groups: HashMap::new(), incomplete: Incomplete::default() }
    }

    fn merge(&mut self, other: Self) {
        self.incomplete.merge(other.incomplete);
        for (key, traces) in other.groups {
            let none = || Traces::none(self.ask.exact);
            self.groups.entry(key).or_insert_with(none).merge(traces);
        }
    }
}

impl Harvest for Operations {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for row in traces::rows(forest, self.ask.range) {
            self.incomplete.add(&row);
            let none = || Traces::none(self.ask.exact);
            self.groups.entry((row.service, row.name)).or_insert_with(none).add(&row);
        }
    }

    fn bytes(&self) -> usize {
        let durations: usize = self.groups.values().map(|traces| traces.durations.bytes()).sum();
        durations + self.groups.capacity() * (size_of::<Traces>() + 9)
    }
}

/// One row of `latency`.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: (u32, u32),
    pub(crate) traces: i64,
    pub(crate) errors: i64,
    pub(crate) incomplete: i64,
    /// 0.5, 0.9, 0.95, 0.99, 1.0.
    pub(crate) quantiles: [i64; 5],
    pub(crate) weight: Estimate,
    pub(crate) failed: Estimate,
}

/// The answer of `latency`, most frequent operation first.
pub(crate) async fn answer(
    sweep: &mut Sweep,
    ask: Ask,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut all = Operations::none(ask);
    while let Some(slice) = sweep.next(|| Operations::none(ask)).await? {
        all.merge(slice);
        sweep.keep(all.bytes())?;
    }
    all.incomplete.note(notes);
    let groups = all.groups.into_iter().map(|(key, mut traces)| Group {
        key,
        traces: traces.durations.count(),
        errors: traces.errors,
        incomplete: traces.incomplete,
        quantiles: traces
            .durations
            .quantiles([0.5, 0.9, 0.95, 0.99, 1.0])
            .map(Option::unwrap_or_default),
        weight: traces.weight.into(),
        failed: traces.failed.into(),
    });
    sorted(&sweep.forest.texts, groups.collect())
}

/// The answer in its order.
pub(crate) fn sorted(texts: &Texts, mut groups: Vec<Group>) -> Result<Vec<RecordBatch>> {
    groups.sort_unstable_by(|a, b| {
        b.traces.cmp(&a.traces).then_with(|| by_names(texts, a.key, b.key))
    });
    Ok(vec![batch(texts, &groups)?])
}

/// The columns of `latency`.
pub(crate) fn batch(texts: &Texts, groups: &[Group]) -> Result<RecordBatch> {
    Columns::of(groups)
        .text("root_service", |group| texts.text(group.key.0))
        .text("root_name", |group| texts.text(group.key.1))
        .big("traces", |group| group.traces)
        .big("errors", |group| group.errors)
        .big("p50_nano", |group| group.quantiles[0])
        .big("p90_nano", |group| group.quantiles[1])
        .big("p95_nano", |group| group.quantiles[2])
        .big("p99_nano", |group| group.quantiles[3])
        .big("max_nano", |group| group.quantiles[4])
        .big("incomplete", |group| group.incomplete)
        .float("weighted_traces", |group| group.weight.total)
        .float("weighted_traces_error", |group| group.weight.error)
        .float("weighted_errors", |group| group.failed.total)
        .float("weighted_errors_error", |group| group.failed.error)
        .finish()
}

/// Operation, bounds, traces.
pub(crate) type Bucket = ((u32, u32), (i64, i64), (i64, Estimate));

/// Operation and bounds.
type Place = ((u32, u32), (i64, i64));

/// All buckets.
struct Buckets {
    ask: Ask,
    buckets: HashMap<Place, (i64, Weight)>,
    incomplete: Incomplete,
}

impl Buckets {
    fn none(ask: Ask) -> Self {
        Self { ask, buckets: HashMap::new(), incomplete: Incomplete::default() }
    }

    fn merge(&mut self, other: Self) {
        self.incomplete.merge(other.incomplete);
        for (key, (more, weights)) in other.buckets {
            let (traces, weight) = self.buckets.entry(key).or_default();
            *traces += more;
            weight.merge(&weights);
        }
    }
}

impl Harvest for Buckets {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for row in traces::rows(forest, self.ask.range) {
            self.incomplete.add(&row);
            let key = ((row.service, row.name), histogram::bucket(row.duration));
            let (traces, weight) = self.buckets.entry(key).or_default();
            *traces += 1;
            weight.add(row.key, row.weight);
        }
    }

    fn bytes(&self) -> usize {
        self.buckets.capacity() * (size_of::<Bucket>() + 1)
    }
}

/// The answer of `latency_histogram`, by operation and bucket.
pub(crate) async fn histogram(
    sweep: &mut Sweep,
    ask: Ask,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut all = Buckets::none(ask);
    while let Some(slice) = sweep.next(|| Buckets::none(ask)).await? {
        all.merge(slice);
        sweep.keep(all.bytes())?;
    }
    all.incomplete.note(notes);
    let buckets = all.buckets.into_iter();
    let buckets =
        buckets.map(|((group, bounds), (traces, weight))| (group, bounds, (traces, weight.into())));
    histogram_sorted(&sweep.forest.texts, buckets.collect())
}

/// The answer of `latency_histogram` in its order.
pub(crate) fn histogram_sorted(
    texts: &Texts,
    mut buckets: Vec<Bucket>,
) -> Result<Vec<RecordBatch>> {
    buckets.sort_unstable_by(|(a, x, _), (b, y, _)| by_names(texts, *a, *b).then(x.cmp(y)));
    Ok(vec![histogram_batch(texts, &buckets)?])
}

/// The columns of `latency_histogram`: a trace is in a bucket where `low_nano < duration <= high_nano`, and in
/// `(0, 0)` where its duration is 0.
pub(crate) fn histogram_batch(texts: &Texts, buckets: &[Bucket]) -> Result<RecordBatch> {
    Columns::of(buckets)
        .text("root_service", |((service, _), _, _)| texts.text(*service))
        .text("root_name", |((_, name), _, _)| texts.text(*name))
        .big("low_nano", |(_, (low, _), _)| *low)
        .big("high_nano", |(_, (_, high), _)| *high)
        .big("traces", |(_, _, (traces, _))| *traces)
        .float("weighted_traces", |(_, _, (_, weight))| weight.total)
        .float("weighted_traces_error", |(_, _, (_, weight))| weight.error)
        .finish()
}
