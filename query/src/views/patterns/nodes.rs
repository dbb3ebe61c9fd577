//! The tree of one pattern: what its traces spent at each place.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use storage::TimeRange;

use super::shape::{Hashes, Shape, bounds, class};
use crate::quantile::nearest_rank;
use crate::views::forest::{Forest, Trace};
use crate::views::in_range;
use crate::views::rows::{Columns, count};
use crate::views::sweep::Harvest;
use crate::views::tree::Tree;

/// One place of the pattern.
#[derive(Debug)]
pub(crate) struct Node {
    above: Option<u64>,
    service: String,
    name: String,
    depth: u32,
    class: u8,
    durations: Vec<i64>,
    errors: i64,
    self_nano: i64,
    /// Sum over spans of the time from the root's start to theirs.
    offset_nano: i128,
}

/// A place with its position in the tree.
#[derive(Debug)]
pub(crate) struct Row {
    position: i64,
    above: Option<i64>,
    share: Option<f64>,
    node: Node,
}

/// Places by the hash of their way.
#[derive(Debug)]
pub(crate) struct Nodes {
    pattern: u64,
    range: TimeRange,
    hashes: Hashes,
    nodes: HashMap<u64, Node>,
}

impl Harvest for Nodes {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in in_range(forest, self.range) {
            let tree = Tree::of(&trace);
            let shape = Shape::of(forest, &trace, &tree, &mut self.hashes);
            if shape.pattern == self.pattern {
                self.add_trace(forest, &trace, &tree, &shape);
            }
        }
    }

    fn bytes(&self) -> usize {
        let durations = self.nodes.values().map(|node| node.durations.capacity() * 8);
        durations.sum::<usize>() + self.nodes.capacity() * (size_of::<Node>() + 64)
    }
}

impl Nodes {
    /// No traces yet of `pattern` in `range`.
    pub(crate) fn of(pattern: u64, range: TimeRange) -> Self {
        Self { pattern, range, hashes: Hashes::default(), nodes: HashMap::new() }
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: Self) {
        for (hash, more) in other.nodes {
            match self.nodes.entry(hash) {
                Entry::Vacant(free) => drop(free.insert(more)),
                Entry::Occupied(mut own) => {
                    let own = own.get_mut();
                    own.durations.extend(more.durations);
                    own.errors += more.errors;
                    own.self_nano = own.self_nano.saturating_add(more.self_nano);
                    own.offset_nano += more.offset_nano;
                }
            }
        }
    }

    /// Adds a trace of the pattern.
    fn add_trace(&mut self, forest: &Forest, trace: &Trace<'_>, tree: &Tree, shape: &Shape) {
        let start = trace.span(trace.root().0).start;
        for own in 0..trace.len() {
            let at = shape.place_of[own as usize] as usize;
            let place = shape.places[at];
            let span = trace.span(own);
            let node = self.nodes.entry(place.hash).or_insert_with(|| Node {
                above: shape.above[at].map(|above| shape.places[above as usize].hash),
                service: forest.texts.text(span.service).to_owned(),
                name: forest.texts.text(span.name).to_owned(),
                depth: place.depth,
                class: class(place.spans),
                durations: Vec::new(),
                errors: 0,
                self_nano: 0,
                offset_nano: 0,
            });
            node.durations.push(span.duration);
            node.errors += i64::from(span.error);
            node.self_nano = node.self_nano.saturating_add(tree.self_nano(trace, own));
            node.offset_nano += i128::from(span.start.saturating_sub(start));
        }
    }

    /// Rows, parents before children, what usually starts first before the others.
    pub(crate) fn finish(self) -> Vec<Row> {
        let all: i128 = self.nodes.values().map(|node| i128::from(node.self_nano)).sum();
        let mut below: HashMap<Option<u64>, Vec<(u64, Node)>> = HashMap::new();
        for (hash, mut node) in self.nodes {
            node.durations.sort_unstable();
            below.entry(node.above).or_default().push((hash, node));
        }
        for children in below.values_mut() {
            // The last one is taken first.
            children.sort_unstable_by_key(|(hash, node)| {
                (std::cmp::Reverse(node.offset_nano / node.durations.len().max(1) as i128), *hash)
            });
        }
        let mut rows: Vec<Row> = Vec::new();
        let mut waiting: Vec<(Option<i64>, u64, Node)> = Vec::new();
        let mut enter = |waiting: &mut Vec<_>, position: Option<i64>, hash: Option<u64>| {
            let children = below.remove(&hash).unwrap_or_default();
            waiting.extend(children.into_iter().map(|(hash, node)| (position, hash, node)));
        };
        enter(&mut waiting, None, None);
        while let Some((above, hash, node)) = waiting.pop() {
            let position = count(rows.len());
            let share = (all > 0).then(|| node.self_nano as f64 / all as f64);
            rows.push(Row { position, above, share, node });
            enter(&mut waiting, Some(position), Some(hash));
        }
        rows
    }
}

/// The columns of `pattern`.
pub(crate) fn tree_batch(rows: &[Row]) -> Result<RecordBatch> {
    let rank = |p: f64| move |row: &Row| nearest_rank(&row.node.durations, p).unwrap_or(0);
    Columns::of(rows)
        .big("position", |row| row.position)
        .big_or_null("parent_position", |row| row.above)
        .big("depth", |row| i64::from(row.node.depth))
        .text("service", |row| row.node.service.as_str())
        .text("name", |row| row.node.name.as_str())
        .big("low_spans", |row| bounds(row.node.class).0)
        .big("high_spans", |row| bounds(row.node.class).1)
        .big("spans", |row| count(row.node.durations.len()))
        .big("errors", |row| row.node.errors)
        .big("p50_nano", rank(0.5))
        .big("p95_nano", rank(0.95))
        .big("p99_nano", rank(0.99))
        .big("max_nano", rank(1.0))
        .big("self_nano", |row| row.node.self_nano)
        .float_or_null("self_share", |row| row.share)
        .text("tree", |row| {
            let indent = "  ".repeat((row.node.depth as usize).saturating_sub(1).min(60));
            format!("{indent}{}: {}", row.node.service, row.node.name)
        })
        .finish()
}
