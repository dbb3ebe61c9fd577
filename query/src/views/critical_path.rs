//! `critical_path`: where the time of a trace goes that its caller waited for; of one trace, or of many by operation.
//!
//! The way is walked backwards from the root's end. Of the children of a span, the one that finished last is on it; then
//! the one that finished last of those that had finished when that one started, and so on. What lies between them is the
//! span's own. A child that ends after its parent is cut at the parent's end, one that starts before it at its start. So
//! the pieces of a trace's path are as long together as its root.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::TimeRange;

use super::forest::{Forest, Texts, Trace};
use super::load::Source;
use super::rows::{Columns, Weight, count};
use super::sweep::{Harvest, Sweep};
use super::tree::Tree;
use super::{Notes, in_range};
use crate::quantile::nearest_rank;

/// One piece of a critical path: time of the span at `own` itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The span.
    pub(crate) own: u32,
    /// Unix nanoseconds.
    pub(crate) from: i64,
    /// Unix nanoseconds.
    pub(crate) until: i64,
}

/// A span whose part of the way is being walked.
struct Step {
    own: u32,
    from: i64,
    /// Everything after this is done.
    cursor: i64,
    /// Children with the end that counts, the last one to be looked at next.
    waiting: Vec<(i64, u32)>,
}

impl Step {
    fn new(trace: &Trace<'_>, tree: &Tree, own: u32, (from, until): (i64, i64)) -> Self {
        let end = |child: u32| trace.span(child).end();
        let mut waiting: Vec<(i64, u32)> =
            tree.children(own).iter().map(|child| (end(*child).min(until), *child)).collect();
        // Of those that are cut, the one that really ended last; then the older one (children are sorted by age).
        waiting.reverse();
        waiting.sort_by_key(|(until, child)| (*until, end(*child)));
        Self { own, from, cursor: until, waiting }
    }
}

/// The critical path of a trace, first piece first.
pub(crate) fn path(trace: &Trace<'_>, tree: &Tree) -> Vec<Piece> {
    let (root, _) = trace.root();
    let span = trace.span(root);
    let mut pieces = Vec::new();
    let mut steps = vec![Step::new(trace, tree, root, (span.start, span.end()))];
    while let Some(step) = steps.last_mut() {
        let next = step.waiting.pop();
        let Some((until, child)) = next else {
            push(&mut pieces, step.own, (step.from, step.cursor));
            steps.pop();
            continue;
        };
        let from = trace.span(child).start.max(step.from);
        // It ran beside what is on the path already, or took no time here.
        if until > step.cursor || from >= until {
            continue;
        }
        push(&mut pieces, step.own, (until, step.cursor));
        step.cursor = from;
        steps.push(Step::new(trace, tree, child, (from, until)));
    }
    pieces.reverse();
    pieces
}

fn push(pieces: &mut Vec<Piece>, own: u32, (from, until): (i64, i64)) {
    if from < until {
        pieces.push(Piece { own, from, until });
    }
}

/// The path of one trace, a row a piece.
pub(crate) async fn of_trace(source: Source, trace: [u8; 16]) -> Result<Vec<RecordBatch>> {
    let forest = source.few([trace]).await?;
    let mut rows = Vec::new();
    for trace in forest.traces() {
        let tree = Tree::of(&trace);
        let start = trace.span(trace.root().0).start;
        rows.extend(path(&trace, &tree).into_iter().map(|piece| Row {
            piece,
            id: trace.span(piece.own).id,
            service: trace.span(piece.own).service,
            name: trace.span(piece.own).name,
            duration: trace.span(piece.own).duration,
            self_nano: tree.self_nano(&trace, piece.own),
            offset: piece.from.saturating_sub(start),
        }));
    }
    Ok(vec![piece_batch(&forest.texts, &rows)?])
}

/// One row of one trace's path.
#[derive(Debug)]
pub(crate) struct Row {
    piece: Piece,
    id: u64,
    service: u32,
    name: u32,
    duration: i64,
    self_nano: i64,
    offset: i64,
}

/// The columns of one trace's path.
pub(crate) fn piece_batch(texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("span_id", |row| format!("{:016x}", row.id))
        .text("service", |row| texts.text(row.service))
        .text("name", |row| texts.text(row.name))
        .time("start_time", |row| row.piece.from)
        .big("offset_nano", |row| row.offset)
        .big("path_nano", |row| row.piece.until.saturating_sub(row.piece.from))
        .big("duration_nano", |row| row.duration)
        .big("self_nano", |row| row.self_nano)
        .finish()
}

/// Traces by their root: all of a range, or those of one operation.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    /// Where they start.
    pub(crate) range: TimeRange,
    /// The root's service.
    pub(crate) service: Option<String>,
    /// The root's operation.
    pub(crate) name: Option<String>,
}

impl Roots {
    /// True where the root of `trace` is of that service and operation.
    pub(crate) fn admit(&self, forest: &Forest, trace: &Trace<'_>) -> bool {
        let root = trace.span(trace.root().0);
        self.are(&forest.texts, (root.service, root.name))
    }

    /// True where these keys are of that service and operation.
    pub(crate) fn are(&self, texts: &Texts, (service, name): (u32, u32)) -> bool {
        let is = |wanted: &Option<String>, text: u32| match wanted {
            Some(wanted) => texts.text(text) == wanted,
            None => true,
        };
        is(&self.service, service) && is(&self.name, name)
    }
}

/// What one operation has of all paths.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Time on the path in each trace that has it there.
    nanos: Vec<i64>,
    pieces: i64,
    total: i128,
    self_nano: i128,
    /// Traces that have it on their path, before sampling.
    weight: Weight,
    /// The trace with most of it.
    most: Option<(i64, [u8; 16])>,
}

/// All operations, by service and name.
struct Paths<'a> {
    roots: &'a Roots,
    traces: i64,
    incomplete: i64,
    parts: HashMap<(u32, u32), Part>,
    held: usize,
}

impl<'a> Paths<'a> {
    fn none(roots: &'a Roots) -> Self {
        Self { roots, traces: 0, incomplete: 0, parts: HashMap::new(), held: 0 }
    }

    fn add_trace(&mut self, forest: &Forest, trace: &Trace<'_>) {
        let tree = Tree::of(trace);
        self.traces += 1;
        self.incomplete += i64::from(!trace.root().1 || trace.missing() > 0);
        let mut own: HashMap<(u32, u32), (i64, i64)> = HashMap::new();
        for piece in path(trace, &tree) {
            let span = trace.span(piece.own);
            let (nanos, pieces) = own.entry((span.service, span.name)).or_default();
            *nanos += piece.until - piece.from;
            *pieces += 1;
        }
        let id = forest.trace_id(trace.index());
        let weight = trace.span(trace.root().0).weight;
        for (operation, (nanos, pieces)) in own {
            let part = self.parts.entry(operation).or_default();
            let before = part.nanos.capacity();
            part.nanos.push(nanos);
            self.held += (part.nanos.capacity() - before) * size_of::<i64>();
            part.pieces += pieces;
            part.weight.add(u128::from_be_bytes(id), weight);
            part.total += i128::from(nanos);
            part.most = part.most.max(Some((nanos, id)));
        }
        for own in 0..trace.len() {
            let span = trace.span(own);
            let part = self.parts.entry((span.service, span.name)).or_default();
            part.self_nano += i128::from(tree.self_nano(trace, own));
        }
    }

    fn merge(&mut self, other: Self) {
        self.traces += other.traces;
        self.incomplete += other.incomplete;
        self.held += other.held;
        for (operation, more) in other.parts {
            let part = self.parts.entry(operation).or_default();
            part.nanos.extend(more.nanos);
            part.pieces += more.pieces;
            part.total += more.total;
            part.self_nano += more.self_nano;
            part.weight.merge(&more.weight);
            part.most = part.most.max(more.most);
        }
    }
}

impl Harvest for Paths<'_> {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in in_range(forest, self.roots.range) {
            if self.roots.admit(forest, &trace) {
                self.add_trace(forest, &trace);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.held + self.parts.capacity() * (size_of::<((u32, u32), Part)>() + 1)
    }
}

/// The paths of `roots` together, a row an operation, the one with most time first.
pub(crate) async fn of_roots(
    source: Source,
    roots: &Roots,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut sweep = Sweep::new(source, roots.range, Default::default());
    let mut paths = Paths::none(roots);
    while let Some(slice) = sweep.next(|| Paths::none(roots)).await? {
        paths.merge(slice);
        sweep.keep(paths.bytes())?;
    }
    notes.push(("traces", paths.traces.to_string()));
    notes.push(("incomplete_traces", paths.incomplete.to_string()));
    let texts = &sweep.forest.texts;
    let all: i128 = paths.parts.values().map(|part| part.total).sum();
    let mut rows: Vec<PartRow> = paths
        .parts
        .into_iter()
        .filter(|(_, part)| !part.nanos.is_empty())
        .map(|(operation, mut part)| {
            part.nanos.sort_unstable();
            PartRow { operation, part, all, traces: paths.traces }
        })
        .collect();
    rows.sort_by(|a, b| {
        let total = b.part.total.cmp(&a.part.total);
        total.then_with(|| super::by_names(texts, a.operation, b.operation))
    });
    Ok(vec![part_batch(texts, &rows)?])
}

/// One row of many paths.
#[derive(Debug)]
pub(crate) struct PartRow {
    operation: (u32, u32),
    part: Part,
    all: i128,
    traces: i64,
}

/// The columns of many paths.
pub(crate) fn part_batch(texts: &Texts, rows: &[PartRow]) -> Result<RecordBatch> {
    let whole = |nanos: i128| i64::try_from(nanos).unwrap_or(i64::MAX);
    Columns::of(rows)
        .text("service", |row| texts.text(row.operation.0))
        .text("name", |row| texts.text(row.operation.1))
        .big("traces", |row| count(row.part.nanos.len()))
        .big("pieces", |row| row.part.pieces)
        .big("path_nano", |row| whole(row.part.total))
        .float_or_null("share", |row| (row.all > 0).then(|| row.part.total as f64 / row.all as f64))
        .float("mean_nano", |row| row.part.total as f64 / row.traces.max(1) as f64)
        .big("p50_nano", |row| nearest_rank(&row.part.nanos, 0.5).unwrap_or(0))
        .big("p95_nano", |row| nearest_rank(&row.part.nanos, 0.95).unwrap_or(0))
        .big("max_nano", |row| nearest_rank(&row.part.nanos, 1.0).unwrap_or(0))
        .big("self_nano", |row| whole(row.part.self_nano))
        .text("trace_id", |row| row.part.most.map(|(_, id)| hex::encode(id)).unwrap_or_default())
        .float("weighted_traces", |row| row.part.weight.total())
        .float("weighted_traces_error", |row| row.part.weight.standard_error())
        .finish()
}

#[cfg(test)]
mod tests;
