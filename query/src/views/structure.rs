//! `structure`: each span's place in the tree of its trace, as nested-set numbers; `trace_tree`: one trace as text;
//! `self_time`: time in which no child ran, by operation.
mod newest;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
pub(crate) use newest::Newest;
use storage::TimeRange;

use super::forest::{Forest, Span, Texts, Trace};
use super::in_range;
use super::load::Source;
use super::rows::{Columns, Weight, count};
use super::sweep::{Harvest, Sweep};
use super::tree::{Extent, Tree};
use crate::quantile::nearest_rank;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// One span in its place.
#[derive(Debug)]
pub(crate) struct Row {
    trace: u128,
    span: Span,
    above: Option<u64>,
    extent: Extent,
    position: i64,
    self_nano: i64,
    offset: i64,
}

/// The spans of `trace` in the order of its tree.
fn rows(forest: &Forest, trace: &Trace<'_>) -> Vec<Row> {
    let tree = Tree::of(trace);
    let extents = tree.extents();
    let start = trace.span(trace.root().0).start;
    let mut positions = vec![1i64; extents.len()];
    let mut tops = 0;
    for own in tree.order() {
        for (position, child) in (1..).zip(tree.children(*own)) {
            positions[*child as usize] = position;
        }
        if tree.above(*own).is_none() {
            tops += 1;
            positions[*own as usize] = tops;
        }
    }
    let row = |own: &u32| {
        let span = *trace.span(*own);
        Row {
            trace: forest.trace_key(trace.index()),
            span,
            above: tree.above(*own).map(|above| trace.span(above).id),
            extent: extents[*own as usize],
            position: positions[*own as usize],
            self_nano: tree.self_nano(trace, *own),
            offset: span.start.saturating_sub(start),
        }
    };
    tree.order().iter().map(row).collect()
}

struct Spans {
    range: TimeRange,
    rows: Vec<Row>,
}

impl Harvest for Spans {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in in_range(forest, self.range) {
            self.rows.extend(rows(forest, &trace));
        }
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
    }
}

/// All spans of the traces whose root starts within `range`, trace by trace, each in the order of its tree; at once.
pub(crate) async fn answer(source: Source, range: TimeRange) -> Result<Vec<RecordBatch>> {
    let mut sweep = Sweep::new(source, range, Default::default());
    let mut batches: Vec<RecordBatch> = Vec::new();
    while let Some(mut slice) = sweep.next(|| Spans { range, rows: Vec::new() }).await? {
        // A trace's rows stay together in their order.
        slice.rows.sort_by_key(|row| row.trace);
        let mut held = batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        for rows in slice.rows.chunks(BATCH_ROWS) {
            let batch = batch(&sweep.forest.texts, rows)?;
            held += batch.get_array_memory_size();
            sweep.keep(held + slice.rows.capacity() * size_of::<Row>())?;
            batches.push(batch);
        }
        drop(slice);
        sweep.keep(held)?;
    }
    Ok(batches)
}

/// The columns of `structure`.
pub(crate) fn batch(texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("trace_id", |row| format!("{:032x}", row.trace))
        .text("span_id", |row| format!("{:016x}", row.span.id))
        .text_or_null("parent_span_id", |row| row.above.map(|id| format!("{id:016x}")))
        .text("service", |row| texts.text(row.span.service))
        .text("name", |row| texts.text(row.span.name))
        .time("start_time", |row| row.span.start)
        .big("duration_nano", |row| row.span.duration)
        .big("self_nano", |row| row.self_nano)
        .flag("error", |row| row.span.error)
        .big("nested_left", |row| row.extent.nested().0)
        .big("nested_right", |row| row.extent.nested().1)
        .big("depth", |row| i64::from(row.extent.depth))
        .big("position", |row| row.position)
        .big("descendants", |row| i64::from(row.extent.below))
        .finish()
}

/// One trace in the order of its tree.
pub(crate) async fn tree_answer(source: Source, trace: [u8; 16]) -> Result<Vec<RecordBatch>> {
    let forest = source.few([trace]).await?;
    let mut all = Vec::new();
    for trace in forest.traces() {
        all.extend(rows(&forest, &trace));
    }
    Ok(vec![tree_batch(&forest.texts, &all)?])
}

/// The columns of `trace_tree`.
pub(crate) fn tree_batch(texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    let line = |row: &Row| {
        let indent = "  ".repeat((row.extent.depth as usize).min(60));
        let took = crate::function::duration_text(row.span.duration);
        let failed = if row.span.error { " ERROR" } else { "" };
        let (service, name) = (texts.text(row.span.service), texts.text(row.span.name));
        format!("{indent}{service}: {name} {took}{failed}")
    };
    Columns::of(rows)
        .text("tree", line)
        .text("span_id", |row| format!("{:016x}", row.span.id))
        .text_or_null("parent_span_id", |row| row.above.map(|id| format!("{id:016x}")))
        .text("service", |row| texts.text(row.span.service))
        .text("name", |row| texts.text(row.span.name))
        .big("depth", |row| i64::from(row.extent.depth))
        .big("offset_nano", |row| row.offset)
        .big("duration_nano", |row| row.span.duration)
        .big("self_nano", |row| row.self_nano)
        .flag("error", |row| row.span.error)
        .finish()
}

/// Self times of one operation.
#[derive(Debug, Default)]
pub(crate) struct Own {
    nanos: Vec<i64>,
    total: i128,
    duration: i128,
    weight: Weight,
}

/// An operation with its self times and those of all.
pub(crate) type OwnRow = ((u32, u32), Own, i128);

struct Owns {
    range: TimeRange,
    groups: HashMap<(u32, u32), Own>,
    spans: usize,
}

impl Owns {
    fn none(range: TimeRange) -> Self {
        Self { range, groups: HashMap::new(), spans: 0 }
    }

    fn merge(&mut self, other: Self) {
        self.spans += other.spans;
        for (operation, more) in other.groups {
            let own = self.groups.entry(operation).or_default();
            own.nanos.extend(more.nanos);
            own.total += more.total;
            own.duration += more.duration;
            own.weight.merge(&more.weight);
        }
    }
}

impl Harvest for Owns {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in in_range(forest, self.range) {
            let tree = Tree::of(&trace);
            let key = forest.trace_key(trace.index());
            self.spans += trace.len() as usize;
            for at in 0..trace.len() {
                let span = trace.span(at);
                let own = self.groups.entry((span.service, span.name)).or_default();
                let nanos = tree.self_nano(&trace, at);
                own.nanos.push(nanos);
                own.total += i128::from(nanos);
                own.duration += i128::from(span.duration);
                own.weight.add(key, span.weight);
            }
        }
    }

    fn bytes(&self) -> usize {
        // Growing vectors have up to twice what they hold.
        self.spans * 2 * size_of::<i64>()
            + self.groups.capacity() * (size_of::<((u32, u32), Own)>() + 1)
    }
}

/// Self times by operation, most of it first.
pub(crate) async fn self_time(source: Source, range: TimeRange) -> Result<Vec<RecordBatch>> {
    let mut sweep = Sweep::new(source, range, Default::default());
    let mut all = Owns::none(range);
    while let Some(slice) = sweep.next(|| Owns::none(range)).await? {
        all.merge(slice);
        sweep.keep(all.bytes())?;
    }
    let total: i128 = all.groups.values().map(|own| own.total).sum();
    let texts = &sweep.forest.texts;
    let mut rows: Vec<OwnRow> = all
        .groups
        .into_iter()
        .map(|(operation, mut own)| {
            own.nanos.sort_unstable();
            (operation, own, total)
        })
        .collect();
    rows.sort_by(|(a, x, _), (b, y, _)| {
        y.total.cmp(&x.total).then_with(|| super::by_names(texts, *a, *b))
    });
    Ok(vec![self_batch(texts, &rows)?])
}

/// The columns of `self_time`.
pub(crate) fn self_batch(texts: &Texts, rows: &[OwnRow]) -> Result<RecordBatch> {
    let whole = |nanos: i128| i64::try_from(nanos).unwrap_or(i64::MAX);
    let rank = |p: f64| move |(_, own, _): &OwnRow| nearest_rank(&own.nanos, p).unwrap_or(0);
    Columns::of(rows)
        .text("service", |((service, _), _, _)| texts.text(*service))
        .text("name", |((_, name), _, _)| texts.text(*name))
        .big("spans", |(_, own, _)| count(own.nanos.len()))
        .big("self_nano", |(_, own, _)| whole(own.total))
        .big("duration_nano", |(_, own, _)| whole(own.duration))
        .float_or_null("share", |(_, own, all)| (*all > 0).then(|| own.total as f64 / *all as f64))
        .big("p50_nano", rank(0.5))
        .big("p95_nano", rank(0.95))
        .big("max_nano", rank(1.0))
        .float("weighted_spans", |(_, own, _)| own.weight.total())
        .float("weighted_spans_error", |(_, own, _)| own.weight.standard_error())
        .finish()
}
