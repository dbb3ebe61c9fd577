//! `operations`: spans by service, operation and kind, with exact quantiles of their duration.
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use datafusion::common::Result;
use datafusion::logical_expr::{col, lit};
use futures::StreamExt;
use hashbrown::HashMap;
use storage::TimeRange;
use storage::schema::column;

use super::forest::Texts;
use super::load::{Source, ids, integers, named, texts};
use super::rows::{Cluster, Columns, Weight, count};
use crate::quantile::nearest_rank;

/// The spans of one operation.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    durations: Vec<i64>,
    errors: i64,
    weight: Weight,
    failed: Weight,
}

/// Service, name, kind.
pub(crate) type Key = (u32, u32, u32);
pub(crate) type Group = (Key, Spans);

/// The answer, most frequent operation first.
pub(crate) async fn answer(source: &Source, range: TimeRange) -> Result<Vec<RecordBatch>> {
    const READ: [&str; 6] = [
        column::SERVICE,
        column::NAME,
        column::KIND,
        column::STATUS,
        column::DURATION,
        column::WEIGHT,
    ];
    let mut words = Texts::default();
    let mut groups: HashMap<Key, Spans> = HashMap::new();
    let mut spans = 0;
    let mut batches = source.scan(range, &READ, None).await?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        spans += batch.num_rows();
        add(&batch, &mut words, &mut groups)?;
        source.hold(spans * 2 * size_of::<i64>() + groups.capacity() * size_of::<Group>())?;
    }
    if groups.values().any(Spans::is_sampled) {
        add_variances(source, range, (&mut words, &mut groups), spans).await?;
    }
    let mut groups: Vec<Group> = groups.into_iter().collect();
    for (_, spans) in &mut groups {
        spans.durations.sort_unstable();
    }
    let names =
        |(service, name, kind): Key| (words.text(service), words.text(name), words.text(kind));
    groups.sort_unstable_by(|(a, x), (b, y)| {
        y.durations.len().cmp(&x.durations.len()).then_with(|| names(*a).cmp(&names(*b)))
    });
    Ok(vec![self::batch(&words, &groups)?])
}

fn add(batch: &RecordBatch, words: &mut Texts, groups: &mut HashMap<Key, Spans>) -> Result<()> {
    let service = texts(batch, column::SERVICE)?;
    let name = texts(batch, column::NAME)?;
    let kind = texts(batch, column::KIND)?;
    let status = texts(batch, column::STATUS)?;
    let duration = integers(batch, column::DURATION)?;
    let weight = named(batch, column::WEIGHT)?.as_primitive::<Float64Type>();
    let view = |row: usize| (service.views()[row], name.views()[row], kind.views()[row]);
    let mut last: Option<((u128, u128, u128), Key)> = None;
    for row in 0..batch.num_rows() {
        // Files are sorted by service and name: the key is mostly the last one.
        let key = match last {
            Some((views, key)) if views == view(row) => key,
            _ => {
                (words.id(service.value(row)), words.id(name.value(row)), words.id(kind.value(row)))
            }
        };
        last = Some((view(row), key));
        let spans = groups.entry(key).or_default();
        spans.durations.push(duration.value(row));
        spans.weight.add_loose(weight.value(row));
        if status.value(row) == "ERROR" {
            spans.errors += 1;
            spans.failed.add_loose(weight.value(row));
        }
    }
    Ok(())
}

impl Spans {
    /// True where some span stands for more than itself.
    fn is_sampled(&self) -> bool {
        self.weight.total() > self.durations.len() as f64
    }
}

/// Spans of one operation in one trace, and those of them that failed.
type Clusters = HashMap<(Key, [u8; 16]), (Cluster, Cluster)>;

/// Reads sampled spans once more, by trace, for the standard errors. Without sampling trace ids, the widest column there
/// is, are never read.
async fn add_variances(
    source: &Source,
    range: TimeRange,
    (words, groups): (&mut Texts, &mut HashMap<Key, Spans>),
    spans: usize,
) -> Result<()> {
    const READ: [&str; 6] = [
        column::TRACE_ID,
        column::SERVICE,
        column::NAME,
        column::KIND,
        column::STATUS,
        column::WEIGHT,
    ];
    let held = spans * 2 * size_of::<i64>() + groups.capacity() * size_of::<Group>();
    let mut clusters = Clusters::new();
    let sampled = col(column::WEIGHT).gt(lit(1.0));
    let mut batches = source.scan(range, &READ, Some(sampled)).await?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let trace = ids(named(&batch, column::TRACE_ID)?)?;
        let service = texts(&batch, column::SERVICE)?;
        let name = texts(&batch, column::NAME)?;
        let kind = texts(&batch, column::KIND)?;
        let status = texts(&batch, column::STATUS)?;
        let weight = named(&batch, column::WEIGHT)?.as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            let key = (
                words.id(service.value(row)),
                words.id(name.value(row)),
                words.id(kind.value(row)),
            );
            let trace = trace.value(row).try_into().unwrap_or_default();
            let (all, failed) = clusters.entry((key, trace)).or_default();
            all.add(weight.value(row));
            if status.value(row) == "ERROR" {
                failed.add(weight.value(row));
            }
        }
        let entry = size_of::<(Key, [u8; 16])>() + size_of::<(Cluster, Cluster)>() + 1;
        source.hold(held + clusters.capacity() * entry)?;
    }
    for ((key, _), (all, failed)) in clusters {
        if let Some(spans) = groups.get_mut(&key) {
            spans.weight.add_variance(all);
            spans.failed.add_variance(failed);
        }
    }
    Ok(())
}

/// The columns.
pub(crate) fn batch(words: &Texts, groups: &[Group]) -> Result<RecordBatch> {
    let rank = |p: f64| move |(_, spans): &Group| nearest_rank(&spans.durations, p).unwrap_or(0);
    Columns::of(groups)
        .text("service", |((service, _, _), _)| words.text(*service))
        .text("name", |((_, name, _), _)| words.text(*name))
        .text("kind", |((_, _, kind), _)| words.text(*kind))
        .big("spans", |(_, spans)| count(spans.durations.len()))
        .big("errors", |(_, spans)| spans.errors)
        .big("p50_nano", rank(0.5))
        .big("p90_nano", rank(0.9))
        .big("p95_nano", rank(0.95))
        .big("p99_nano", rank(0.99))
        .big("max_nano", rank(1.0))
        .float("weighted_spans", |(_, spans)| spans.weight.total())
        .float("weighted_spans_error", |(_, spans)| spans.weight.standard_error())
        .float("weighted_errors", |(_, spans)| spans.failed.total())
        .float("weighted_errors_error", |(_, spans)| spans.failed.standard_error())
        .finish()
}
