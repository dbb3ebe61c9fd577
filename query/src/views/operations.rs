//! `operations`: spans by service, operation and kind, with exact quantiles of their duration.
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use datafusion::common::Result;
use futures::StreamExt;
use hashbrown::HashMap;
use storage::TimeRange;
use storage::schema::column;

use super::forest::Texts;
use super::load::{Source, integers, named, texts};
use super::rows::{Columns, Weight, count};
use crate::quantile::nearest_rank;

/// The spans of one operation.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    durations: Vec<i64>,
    errors: i64,
    weight: Weight,
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
        spans.errors += i64::from(status.value(row) == "ERROR");
        spans.weight.add(weight.value(row));
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
        .finish()
}
