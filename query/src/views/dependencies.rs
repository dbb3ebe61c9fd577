//! `dependencies`: who calls whom, how often, how slow, how much.
//!
//! An edge lies in the range in which its callee's span starts (the caller's, where the callee has none); the other
//! end may lie anywhere in time.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::TimeRange;

use super::Notes;
use super::attribute::Wanted;
use super::edge::{self, Edge, EdgeKind, Moved};
use super::forest::{Caller, Forest};
use super::load::Extent;
use super::rows::{Columns, Weight, share};
use crate::quantile::nearest_rank;

/// What must be read.
pub(crate) const EXTENT: Extent =
    Extent { wanted: Wanted { sizes: true, peers: true }, links: true };

/// All calls of one edge.
#[derive(Debug)]
pub(crate) struct Calls {
    moved: Moved,
    errors: i64,
    caller: Vec<i64>,
    callee: Vec<i64>,
    weight: Weight,
    failed: Weight,
    first: i64,
    last: i64,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            moved: Moved::default(),
            errors: 0,
            caller: Vec::new(),
            callee: Vec::new(),
            weight: Weight::default(),
            failed: Weight::default(),
            first: i64::MAX,
            last: i64::MIN,
        }
    }
}

impl Calls {
    fn add(&mut self, edge: &Edge<'_>) {
        self.moved.add(edge);
        self.errors += i64::from(edge.span.error);
        self.caller.extend(edge.caller_nano);
        self.callee.extend(edge.callee_nano);
        self.weight.add(edge.span.trace, edge.span.weight);
        if edge.span.error {
            self.failed.add(edge.span.trace, edge.span.weight);
        }
        self.first = self.first.min(edge.span.start);
        self.last = self.last.max(edge.span.start);
    }

    fn sort(mut self) -> Self {
        self.caller.sort_unstable();
        self.callee.sort_unstable();
        self
    }
}

pub(crate) type Row = ((u32, u32, EdgeKind), Calls);

/// The answer, busiest edge first.
pub(crate) fn answer(
    forest: &Forest,
    range: TimeRange,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut edges: HashMap<(u32, u32, EdgeKind), Calls> = HashMap::new();
    let (mut unnamed, mut missing) = (0u64, 0u64);
    let mut add = |edge: Edge<'_>| match edge.callee {
        _ if !range.contains(edge.span.start) => {}
        Some(callee) => edges.entry((edge.caller, callee, edge.kind)).or_default().add(&edge),
        None => unnamed += 1,
    };
    for trace in forest.traces() {
        edge::within(forest, &trace, &mut add);
        let lost = |own: &u32| {
            trace.caller(*own) == Caller::Missing && range.contains(trace.span(*own).start)
        };
        missing += (0..trace.len()).filter(lost).count() as u64;
    }
    let mut links: Vec<Edge<'_>> = edge::links(forest).collect();
    links.sort_by_key(|edge| edge.span.trace);
    links.into_iter().for_each(add);
    let rows = sorted(forest, edges);
    let (sized, calls) = rows.iter().fold((0, 0), |(sized, calls), (_, edge)| {
        (sized + edge.moved.sized, calls + edge.moved.calls)
    });
    notes.push(("spans_without_parent", missing.to_string()));
    notes.push(("calls_without_name", unnamed.to_string()));
    notes.push(("coverage", super::share_note(share(sized, calls))));
    Ok(vec![batch(forest, &rows)?])
}

fn sorted(forest: &Forest, edges: HashMap<(u32, u32, EdgeKind), Calls>) -> Vec<Row> {
    let mut rows: Vec<Row> = edges.into_iter().map(|(key, calls)| (key, calls.sort())).collect();
    let names = |(caller, callee, kind): (u32, u32, EdgeKind)| {
        (forest.texts.text(caller), forest.texts.text(callee), kind)
    };
    rows.sort_unstable_by(|(a, x), (b, y)| {
        y.moved.calls.cmp(&x.moved.calls).then_with(|| names(*a).cmp(&names(*b)))
    });
    rows
}

/// The columns.
pub(crate) fn batch(forest: &Forest, rows: &[Row]) -> Result<RecordBatch> {
    let texts = &forest.texts;
    Columns::of(rows)
        .text("caller", |((caller, _, _), _)| texts.text(*caller))
        .text("callee", |((_, callee, _), _)| texts.text(*callee))
        .text("kind", |((_, _, kind), _)| kind.word())
        .big("calls", |(_, edge)| edge.moved.calls)
        .big("errors", |(_, edge)| edge.errors)
        .big("request_bytes", |(_, edge)| edge.moved.request)
        .big("response_bytes", |(_, edge)| edge.moved.response)
        .big_or_null("caller_p50_nano", |(_, edge)| nearest_rank(&edge.caller, 0.5))
        .big_or_null("caller_p99_nano", |(_, edge)| nearest_rank(&edge.caller, 0.99))
        .big_or_null("callee_p50_nano", |(_, edge)| nearest_rank(&edge.callee, 0.5))
        .big_or_null("callee_p99_nano", |(_, edge)| nearest_rank(&edge.callee, 0.99))
        .float("weighted_calls", |(_, edge)| edge.weight.total())
        .float("weighted_calls_error", |(_, edge)| edge.weight.standard_error())
        .big_or_null("caller_p95_nano", |(_, edge)| nearest_rank(&edge.caller, 0.95))
        .big_or_null("callee_p95_nano", |(_, edge)| nearest_rank(&edge.callee, 0.95))
        .float_or_null("coverage", |(_, edge)| share(edge.moved.sized, edge.moved.calls))
        .time("first_seen", |(_, edge)| edge.first)
        .time("last_seen", |(_, edge)| edge.last)
        .float("weighted_errors", |(_, edge)| edge.failed.total())
        .float("weighted_errors_error", |(_, edge)| edge.failed.standard_error())
        .finish()
}
