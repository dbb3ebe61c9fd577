//! `dependencies`: who calls whom, how often, how slow, how much.
//!
//! An edge lies in the range in which its callee's span starts (the caller's, where the callee has none); the other
//! end may lie anywhere in time.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::{HashMap, HashSet};

use super::attribute::Wanted;
use super::edge::{self, Edge, EdgeKind, Moved};
use super::forest::{Caller, Forest, Link, Span, Texts};
use super::load::Extent;
use super::rows::{Columns, Estimate, Weight, count, share};
use super::sweep::{Harvest, Sweep};
use super::{Ask, Notes};
use crate::histogram::Durations;

/// What must be read.
pub(crate) const EXTENT: Extent =
    Extent { wanted: Wanted { sizes: true, peers: true }, links: true };

/// Caller, callee, kind.
pub(crate) type Key = (u32, u32, EdgeKind);

/// All calls of one edge.
#[derive(Debug)]
struct Calls {
    moved: Moved,
    errors: i64,
    caller: Durations,
    callee: Durations,
    weight: Weight,
    failed: Weight,
    first: i64,
    last: i64,
}

impl Calls {
    fn none(exact: bool) -> Self {
        Self {
            moved: Moved::default(),
            errors: 0,
            caller: Durations::new(exact),
            callee: Durations::new(exact),
            weight: Weight::default(),
            failed: Weight::default(),
            first: i64::MAX,
            last: i64::MIN,
        }
    }

    fn add(&mut self, edge: &Edge<'_>, trace: u128) {
        self.moved.add(edge);
        self.errors += i64::from(edge.span.error);
        edge.caller_nano.into_iter().for_each(|nano| self.caller.add(nano));
        edge.callee_nano.into_iter().for_each(|nano| self.callee.add(nano));
        self.weight.add(trace, edge.span.weight);
        if edge.span.error {
            self.failed.add(trace, edge.span.weight);
        }
        self.first = self.first.min(edge.span.start);
        self.last = self.last.max(edge.span.start);
    }

    fn merge(&mut self, other: Self) {
        self.moved.merge(&other.moved);
        self.errors += other.errors;
        self.caller.merge(other.caller);
        self.callee.merge(other.callee);
        self.weight.merge(&other.weight);
        self.failed.merge(&other.failed);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// A link whose other end has not been found yet.
#[derive(Debug)]
struct Pending {
    callee: Span,
    trace: u128,
    to_parent: bool,
    link: Link,
}

/// All edges.
struct Edges {
    ask: Ask,
    calls: HashMap<Key, Calls>,
    links: Vec<Pending>,
    unnamed: i64,
    missing: i64,
}

impl Edges {
    fn none(ask: Ask) -> Self {
        Self { ask, calls: HashMap::new(), links: Vec::new(), unnamed: 0, missing: 0 }
    }

    fn add_edge(&mut self, edge: &Edge<'_>, trace: u128) {
        if !self.ask.range.contains(edge.span.start) {
            return;
        }
        let Some(callee) = edge.callee else {
            self.unnamed += 1;
            return;
        };
        let none = || Calls::none(self.ask.exact);
        let key = (edge.caller, callee, edge.kind);
        self.calls.entry(key).or_insert_with(none).add(edge, trace);
    }

    /// Adds the links whose other end is in `forest`; the others make no edge.
    fn resolve_links(&mut self, forest: &Forest) {
        let mut links = std::mem::take(&mut self.links);
        links.sort_by_key(|pending| pending.trace);
        for Pending { callee, trace, to_parent, link } in &links {
            let Some(caller) = forest.find(&link.trace, link.id) else { continue };
            let caller = &forest.spans[caller as usize];
            if let Some(edge) = edge::linked(callee, caller, *to_parent) {
                self.add_edge(&edge, *trace);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.unnamed += other.unnamed;
        self.missing += other.missing;
        for (key, calls) in other.calls {
            let none = || Calls::none(self.ask.exact);
            self.calls.entry(key).or_insert_with(none).merge(calls);
        }
    }
}

impl Harvest for Edges {
    fn add(&mut self, forest: &Forest, alone: bool) {
        for trace in forest.traces() {
            let key = forest.trace_key(trace.index());
            edge::within(forest, &trace, |_, edge| self.add_edge(&edge, key));
            let range = self.ask.range;
            let lost = |own: &u32| {
                trace.caller(*own) == Caller::Missing && range.contains(trace.span(*own).start)
            };
            self.missing += count((0..trace.len()).filter(lost).count());
        }
        for link in forest.links() {
            let callee = &forest.spans[link.span as usize];
            if self.ask.range.contains(callee.start) {
                self.links.push(Pending {
                    callee: *callee,
                    trace: forest.trace_key(callee.trace),
                    to_parent: edge::is_to_parent(forest, link, callee),
                    link: *link,
                });
            }
        }
        if alone {
            self.resolve_links(forest);
        }
    }

    fn bytes(&self) -> usize {
        let durations = |calls: &Calls| calls.caller.bytes() + calls.callee.bytes();
        self.calls.values().map(durations).sum::<usize>()
            + self.calls.capacity() * (size_of::<(Key, Calls)>() + 1)
            + self.links.capacity() * size_of::<Pending>()
    }
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) moved: Moved,
    pub(crate) errors: i64,
    /// 0.5, 0.95, 0.99.
    pub(crate) caller: [Option<i64>; 3],
    /// Likewise.
    pub(crate) callee: [Option<i64>; 3],
    pub(crate) weight: Estimate,
    pub(crate) failed: Estimate,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The quantiles of a [`Row`].
pub(crate) const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// The answer, busiest edge first.
pub(crate) async fn answer(
    sweep: &mut Sweep,
    ask: Ask,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut all = Edges::none(ask);
    while let Some(mut slice) = sweep.next(|| Edges::none(ask)).await? {
        let links = slice.links.iter();
        let wanted: HashSet<_> = links.map(|one| (one.link.trace, one.link.id)).collect();
        if !wanted.is_empty() {
            let found = sweep.find(&wanted).await?;
            slice.resolve_links(&found);
            sweep.take_texts(found);
        }
        all.merge(slice);
        sweep.keep(all.bytes())?;
    }
    let (unnamed, missing) = (all.unnamed, all.missing);
    let rows = all.calls.into_iter().map(|(key, mut calls)| Row {
        key,
        moved: calls.moved,
        errors: calls.errors,
        caller: calls.caller.middles(QUANTILES),
        callee: calls.callee.middles(QUANTILES),
        weight: calls.weight.into(),
        failed: calls.failed.into(),
        first: calls.first,
        last: calls.last,
    });
    finish(&sweep.forest.texts, rows.collect(), (missing, unnamed), notes)
}

/// The answer in its order, with its notes; beside the rows, spans without parent and calls without name.
pub(crate) fn finish(
    texts: &Texts,
    mut rows: Vec<Row>,
    (missing, unnamed): (i64, i64),
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let names = |(caller, callee, kind): Key| (texts.text(caller), texts.text(callee), kind);
    rows.sort_unstable_by(|a, b| {
        b.moved.calls.cmp(&a.moved.calls).then_with(|| names(a.key).cmp(&names(b.key)))
    });
    let (sized, calls) = rows
        .iter()
        .fold((0, 0), |(sized, calls), row| (sized + row.moved.sized, calls + row.moved.calls));
    notes.push(("spans_without_parent", missing.to_string()));
    notes.push(("calls_without_name", unnamed.to_string()));
    notes.push(("coverage", super::share_note(share(sized, calls))));
    Ok(vec![batch(texts, &rows)?])
}

/// The columns.
pub(crate) fn batch(texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("caller", |row| texts.text(row.key.0))
        .text("callee", |row| texts.text(row.key.1))
        .text("kind", |row| row.key.2.word())
        .big("calls", |row| row.moved.calls)
        .big("errors", |row| row.errors)
        .big("request_bytes", |row| row.moved.request)
        .big("response_bytes", |row| row.moved.response)
        .big_or_null("caller_p50_nano", |row| row.caller[0])
        .big_or_null("caller_p99_nano", |row| row.caller[2])
        .big_or_null("callee_p50_nano", |row| row.callee[0])
        .big_or_null("callee_p99_nano", |row| row.callee[2])
        .float("weighted_calls", |row| row.weight.total)
        .float("weighted_calls_error", |row| row.weight.error)
        .big_or_null("caller_p95_nano", |row| row.caller[1])
        .big_or_null("callee_p95_nano", |row| row.callee[1])
        .float_or_null("coverage", |row| share(row.moved.sized, row.moved.calls))
        .time("first_seen", |row| row.first)
        .time("last_seen", |row| row.last)
        .float("weighted_errors", |row| row.failed.total)
        .float("weighted_errors_error", |row| row.failed.error)
        .finish()
}
