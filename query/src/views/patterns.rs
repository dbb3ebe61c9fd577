//! `patterns`: traces by shape; `pattern`: the tree of one shape.
//!
//! A span's place is the way to it from the top: service and name of each span passed, and its own. The shape of a trace is
//! the set of places, each with the number of spans there, in classes (see [`shape::class`]). So the order of siblings, and
//! whether there are seven or eight of them, make no other shape. Traces belong to the range in which their root starts.
mod group;
mod nodes;
pub(crate) mod one;
pub(crate) mod shape;
mod slower;

use std::cmp::Reverse;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use storage::TimeRange;

use super::forest::{Forest, Texts, Trace};
use super::load::Source;
use super::rows::{Columns, count};
use super::sweep::{Harvest, Sweep};
use super::tree::Tree;
use super::{Notes, edge, in_range, traces};
use crate::quantile::{nearest_rank, rank as rank_at};
use group::{Group, Member};
use nodes::Nodes;
pub(crate) use nodes::tree_batch;
use shape::{Hashes, Shape};

/// Groups of traces by pattern.
#[derive(Debug)]
struct Patterns {
    range: TimeRange,
    hashes: Hashes,
    groups: HashMap<u64, Group>,
    bytes: usize,
}

/// Reads the name of a pattern: 16 hex digits.
///
/// # Errors
/// It is none.
pub(crate) fn parse(text: &str) -> std::result::Result<u64, String> {
    let number = u64::from_str_radix(text.trim(), 16).ok().filter(|_| text.trim().len() == 16);
    number.ok_or_else(|| format!("{text:?} is no pattern: a pattern has 16 hex digits"))
}

/// The name of a pattern.
fn name(pattern: u64) -> String {
    format!("{pattern:016x}")
}

/// The patterns: those that got slow before the others, by how much that matters; then the most frequent. Bytes are known only where `bytes` asks for them: they cost more reading.
pub(crate) async fn answer(
    source: Source,
    range: TimeRange,
    bytes: bool,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut sweep = Sweep::new(source, range, traces::extent(bytes));
    let mut patterns = Patterns::none(range);
    while let Some(slice) = sweep.next(|| Patterns::none(range)).await? {
        patterns.merge(slice);
        sweep.keep(patterns.bytes)?;
    }
    let rows = patterns.sorted();
    let incomplete: i64 = rows.iter().map(|(_, group)| group.incomplete).sum();
    notes.push(("incomplete_traces", incomplete.to_string()));
    Ok(vec![batch(&sweep.forest.texts, &rows)?])
}

/// The tree of one pattern, one row a place.
pub(crate) async fn tree_answer(
    source: Source,
    range: TimeRange,
    pattern: u64,
) -> Result<Vec<RecordBatch>> {
    let mut sweep = Sweep::new(source, range, traces::extent(false));
    let none = || Nodes::of(pattern, range);
    let mut nodes = none();
    while let Some(slice) = sweep.next(none).await? {
        nodes.merge(slice);
        sweep.keep(nodes.bytes())?;
    }
    Ok(vec![tree_batch(&nodes.finish())?])
}

impl Harvest for Patterns {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in in_range(forest, self.range) {
            let tree = Tree::of(&trace);
            let shape = Shape::of(forest, &trace, &tree, &mut self.hashes);
            let group = self.groups.entry(shape.pattern).or_insert_with(|| {
                let depth = shape.places.iter().map(|place| place.depth).max().unwrap_or(0);
                Group::new(shape.text(forest, &trace), depth, shape.services(&trace))
            });
            let before = group.bytes();
            group.add(member(forest, &trace, &tree));
            self.bytes += group.bytes() - before;
        }
    }

    fn bytes(&self) -> usize {
        self.bytes + self.groups.capacity() * size_of::<(u64, Group)>()
    }
}

impl Patterns {
    fn none(range: TimeRange) -> Self {
        Self { range, hashes: Hashes::default(), groups: HashMap::new(), bytes: 0 }
    }

    fn merge(&mut self, other: Self) {
        for (pattern, group) in other.groups {
            match self.groups.entry(pattern) {
                Entry::Occupied(mut own) => own.get_mut().merge(group),
                Entry::Vacant(free) => drop(free.insert(group)),
            }
        }
        let all: usize = self.groups.values().map(Group::bytes).sum();
        self.bytes = all + self.groups.capacity() * size_of::<(u64, Group)>();
    }

    /// What got slow by most, then the most frequent pattern, first.
    fn sorted(self) -> Vec<(u64, Group)> {
        let mut rows: Vec<(u64, Group)> = self.groups.into_iter().collect();
        for (_, group) in &mut rows {
            group.sort();
        }
        rows.sort_unstable_by(|(pattern, group), (next, other)| {
            let slowdown = other.slowdown().total_cmp(&group.slowdown());
            let rest = |group: &Group| Reverse((group.lost_nano(), group.durations.len()));
            slowdown.then_with(|| (rest(group), pattern).cmp(&(rest(other), next)))
        });
        rows
    }
}

/// What a trace is by its root, or by what stands in for it.
#[derive(Debug)]
struct Head {
    id: [u8; 16],
    service: u32,
    name: u32,
    start: i64,
    duration: i64,
    error: bool,
    weight: f64,
    spans: u32,
    /// It has its root, and no span misses its parent.
    complete: bool,
}

impl Head {
    fn of(forest: &Forest, trace: &Trace<'_>) -> Self {
        let (at, is_root) = trace.root();
        let root = trace.span(at);
        Self {
            id: forest.trace_id(trace.index()),
            service: root.service,
            name: root.name,
            start: root.start,
            duration: root.duration,
            error: root.error,
            weight: root.weight,
            spans: trace.len(),
            complete: is_root && trace.missing() == 0,
        }
    }
}

fn member(forest: &Forest, trace: &Trace<'_>, tree: &Tree) -> Member {
    Member {
        head: Head::of(forest, trace),
        error_spans: count(trace.spans().filter(|span| span.error).count()),
        moved: if forest.is_sized() { edge::moved(forest, trace) } else { Default::default() },
        self_times: self_times(trace, tree),
    }
}

/// Self time by service and name, in one trace.
fn self_times(trace: &Trace<'_>, tree: &Tree) -> Vec<((u32, u32), i64)> {
    let mut times: Vec<((u32, u32), i64)> = (0..trace.len())
        .map(|own| {
            let span = trace.span(own);
            ((span.service, span.name), tree.self_nano(trace, own))
        })
        .collect();
    times.sort_unstable();
    times.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        same
    });
    times
}

/// The columns of `patterns`.
pub(crate) fn batch(texts: &Texts, rows: &[(u64, Group)]) -> Result<RecordBatch> {
    type Row = (u64, Group);
    let rank = |p: f64| {
        move |(_, group): &Row| {
            let at = rank_at(group.durations.len(), p);
            at.and_then(|at| group.durations.get(at)).map_or(0, |(nanos, ..)| *nanos)
        }
    };
    let example = |p: f64| {
        move |(_, group): &Row| {
            let at = rank_at(group.durations.len(), p).unwrap_or(0);
            group.durations.get(at).map(|(_, id, _)| hex::encode(id)).unwrap_or_default()
        }
    };
    Columns::of(rows)
        .text("pattern", |(pattern, _)| name(*pattern))
        .text("root_service", |(_, group)| texts.text(group.service))
        .text("root_name", |(_, group)| texts.text(group.name))
        .big("traces", |(_, group)| count(group.durations.len()))
        .big("errors", |(_, group)| group.errors)
        .big("p50_nano", rank(0.5))
        .big("p90_nano", rank(0.9))
        .big("p95_nano", rank(0.95))
        .big("p99_nano", rank(0.99))
        .big("max_nano", rank(1.0))
        .big("spans", |(_, group)| nearest_rank(&group.spans, 0.5).unwrap_or(0))
        .big("depth", |(_, group)| i64::from(group.depth))
        .big("services", |(_, group)| group.services)
        .big("bytes", |(_, group)| group.moved.bytes())
        .text("top_service", |(_, group)| group.top(texts).0)
        .text("top_name", |(_, group)| group.top(texts).1)
        .float_or_null("top_self_share", |(_, group)| group.top_share())
        .time("first_seen", |(_, group)| group.first)
        .time("last_seen", |(_, group)| group.last)
        .text("fast_trace_id", example(0.0))
        .text("typical_trace_id", example(0.5))
        .text("slow_trace_id", example(1.0))
        .text("shape", |(_, group)| group.text.as_str())
        .big("error_spans", |(_, group)| group.error_spans)
        .big("incomplete", |(_, group)| group.incomplete)
        .float("weighted_traces", |(_, group)| group.weight.total())
        .float("weighted_traces_error", |(_, group)| group.weight.standard_error())
        .float("weighted_errors", |(_, group)| group.failed.total())
        .float("weighted_errors_error", |(_, group)| group.failed.standard_error())
        .big("lost_nano", |(_, group)| group.lost_nano())
        .big_or_null("usual_nano", |(_, group)| Some(group.slower?.usual_nano))
        .time_or_null("slower_from", |(_, group)| Some(group.slower?.stretch.from))
        .time_or_null("slower_until", |(_, group)| Some(group.slower?.stretch.until))
        .big_or_null("slower_traces", |(_, group)| Some(count(group.slower?.traces)))
        .big_or_null("unusual_nano", |(_, group)| Some(group.slower?.unusual_nano))
        .float("slowdown", |(_, group)| group.slowdown())
        .finish()
}

#[cfg(test)]
mod tests;
