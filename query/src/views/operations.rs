//! `operations`: spans by service, operation and kind, with quantiles of their duration.
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use datafusion::common::Result;
use datafusion::logical_expr::{col, lit};
use futures::StreamExt;
use hashbrown::HashMap;
use storage::TimeRange;
use storage::schema::column;

use super::Ask;
use super::forest::Texts;
use super::load::Source;
use super::read::{Slice, hash, ids, integers, named, texts, trace_bytes};
use super::rows::{Cluster, Columns, Estimate, Weight};
use super::sweep::{SLICES_MAX, is_exhausted};
use crate::histogram::Durations;

/// The spans of one operation.
#[derive(Debug)]
struct Spans {
    durations: Durations,
    errors: i64,
    weight: Weight,
    failed: Weight,
}

impl Spans {
    fn none(exact: bool) -> Self {
        let durations = Durations::new(exact);
        Self { durations, errors: 0, weight: Weight::default(), failed: Weight::default() }
    }

    /// True where some span stands for more than itself.
    fn is_sampled(&self) -> bool {
        self.weight.total() > self.durations.count() as f64
    }
}

/// Service, name, kind.
pub(crate) type Key = (u32, u32, u32);

/// All operations.
struct Operations {
    exact: bool,
    words: Texts,
    groups: HashMap<Key, Spans>,
}

impl Operations {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let service = texts(batch, column::SERVICE)?;
        let name = texts(batch, column::NAME)?;
        let kind = texts(batch, column::KIND)?;
        let status = texts(batch, column::STATUS)?;
        let duration = integers(batch, column::DURATION)?;
        let weight = named(batch, column::WEIGHT)?.as_primitive::<Float64Type>();
        let words = &mut self.words;
        let view = |row: usize| (service.views()[row], name.views()[row], kind.views()[row]);
        let mut from = 0;
        while from < batch.num_rows() {
            // Files are sorted by service and name: many rows have one key.
            let views = view(from);
            let until = (from..batch.num_rows()).find(|row| view(*row) != views);
            let until = until.unwrap_or(batch.num_rows());
            let key = [&service, &name, &kind].map(|texts| words.id(texts.value(from)));
            let none = || Spans::none(self.exact);
            let spans = self.groups.entry(key.into()).or_insert_with(none);
            for row in from..until {
                spans.durations.add(duration.value(row));
                spans.weight.add_loose(weight.value(row));
                if status.value(row) == "ERROR" {
                    spans.errors += 1;
                    spans.failed.add_loose(weight.value(row));
                }
            }
            from = until;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let durations: usize = self.groups.values().map(|spans| spans.durations.bytes()).sum();
        durations + self.groups.capacity() * (size_of::<(Key, Spans)>() + 1)
    }
}

/// Spans of one operation in one trace, and those of them that failed.
type Clusters = HashMap<(Key, [u8; 16]), (Cluster, Cluster)>;

/// One row.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: Key,
    pub(crate) spans: i64,
    pub(crate) errors: i64,
    /// 0.5, 0.9, 0.95, 0.99, 1.0.
    pub(crate) quantiles: [i64; 5],
    pub(crate) weight: Estimate,
    pub(crate) failed: Estimate,
}

/// The answer, most frequent operation first.
pub(crate) async fn answer(source: &Source, ask: Ask) -> Result<Vec<RecordBatch>> {
    const READ: [&str; 6] = [
        column::SERVICE,
        column::NAME,
        column::KIND,
        column::STATUS,
        column::DURATION,
        column::WEIGHT,
    ];
    let mut all = Operations { exact: ask.exact, words: Texts::default(), groups: HashMap::new() };
    let mut batches = source.scan(ask.range, &READ, None)?;
    while let Some(batch) = batches.next().await {
        all.add(&batch?)?;
        source.hold(all.bytes())?;
    }
    if all.groups.values().any(Spans::is_sampled) {
        add_variances(source, ask.range, &mut all).await?;
    }
    let groups = all.groups.into_iter().map(|(key, mut spans)| Group {
        key,
        spans: spans.durations.count(),
        errors: spans.errors,
        quantiles: spans
            .durations
            .quantiles([0.5, 0.9, 0.95, 0.99, 1.0])
            .map(Option::unwrap_or_default),
        weight: spans.weight.into(),
        failed: spans.failed.into(),
    });
    sorted(&all.words, groups.collect())
}

/// The answer in its order.
pub(crate) fn sorted(words: &Texts, mut groups: Vec<Group>) -> Result<Vec<RecordBatch>> {
    let names =
        |(service, name, kind): Key| (words.text(service), words.text(name), words.text(kind));
    groups.sort_unstable_by(|a, b| {
        b.spans.cmp(&a.spans).then_with(|| names(a.key).cmp(&names(b.key)))
    });
    Ok(vec![batch(words, &groups)?])
}

/// Reads sampled spans once more, by trace, for the standard errors. Without sampling trace ids, the widest column there
/// is, are never read.
async fn add_variances(source: &Source, range: TimeRange, all: &mut Operations) -> Result<()> {
    let mut slices = vec![Slice::ALL];
    while let Some(slice) = slices.pop() {
        let clusters = match clusters(source, range, slice, all).await {
            Err(error) if is_exhausted(&error) && slice.of < SLICES_MAX => {
                slices.extend(slice.halves());
                continue;
            }
            clusters => clusters?,
        };
        for ((key, _), (spans, failed)) in clusters {
            if let Some(group) = all.groups.get_mut(&key) {
                group.weight.add_variance(spans);
                group.failed.add_variance(failed);
            }
        }
    }
    Ok(())
}

async fn clusters(
    source: &Source,
    range: TimeRange,
    slice: Slice,
    all: &mut Operations,
) -> Result<Clusters> {
    const READ: [&str; 6] = [
        column::TRACE_ID,
        column::SERVICE,
        column::NAME,
        column::KIND,
        column::STATUS,
        column::WEIGHT,
    ];
    let held = all.bytes();
    let mut clusters = Clusters::new();
    let sampled = col(column::WEIGHT).gt(lit(1.0));
    let mut batches = source.scan(range, &READ, Some(sampled))?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let trace = ids(named(&batch, column::TRACE_ID)?)?;
        let service = texts(&batch, column::SERVICE)?;
        let name = texts(&batch, column::NAME)?;
        let kind = texts(&batch, column::KIND)?;
        let status = texts(&batch, column::STATUS)?;
        let weight = named(&batch, column::WEIGHT)?.as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            let trace = trace_bytes(trace.value(row));
            if !slice.contains(hash(&trace)) {
                continue;
            }
            let key = [&service, &name, &kind].map(|texts| all.words.id(texts.value(row)));
            let (spans, failed) = clusters.entry((key.into(), trace)).or_default();
            spans.add(weight.value(row));
            if status.value(row) == "ERROR" {
                failed.add(weight.value(row));
            }
        }
        let entry = size_of::<(Key, [u8; 16])>() + size_of::<(Cluster, Cluster)>() + 1;
        source.hold(held + clusters.capacity() * entry)?;
    }
    Ok(clusters)
}

/// The columns.
pub(crate) fn batch(words: &Texts, groups: &[Group]) -> Result<RecordBatch> {
    Columns::of(groups)
        .text("service", |group| words.text(group.key.0))
        .text("name", |group| words.text(group.key.1))
        .text("kind", |group| words.text(group.key.2))
        .big("spans", |group| group.spans)
        .big("errors", |group| group.errors)
        .big("p50_nano", |group| group.quantiles[0])
        .big("p90_nano", |group| group.quantiles[1])
        .big("p95_nano", |group| group.quantiles[2])
        .big("p99_nano", |group| group.quantiles[3])
        .big("max_nano", |group| group.quantiles[4])
        .float("weighted_spans", |group| group.weight.total)
        .float("weighted_spans_error", |group| group.weight.error)
        .float("weighted_errors", |group| group.failed.total)
        .float("weighted_errors_error", |group| group.failed.error)
        .finish()
}
