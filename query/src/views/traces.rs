//! `traces`: one row a trace.
//!
//! The root is the earliest span that names no parent; without one the earliest span stands in and `complete` is
//! false. A trace belongs to the range in which its root starts, so that adjacent ranges share no trace and lose none.
pub(crate) mod filter;
mod heads;
mod hot;
pub(crate) mod listing;
pub(crate) mod longest;
pub(crate) mod moment;
pub(crate) mod open;
mod slowest;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use storage::TimeRange;

use super::attribute::Wanted;
use super::edge::{self, Moved};
use super::forest::{Forest, Span, Texts, Trace};
use super::load::{Extent, Source};
use super::rows::{Columns, count};
use super::sweep::{Harvest, Sweep};
use super::{Ask, Notes};

/// What must be read: `bytes` are those of the edges, which need more columns.
pub(crate) fn extent(bytes: bool) -> Extent {
    Extent { wanted: Wanted { sizes: bytes, peers: bytes }, links: false }
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Its id as a number.
    pub(crate) key: u128,
    /// Service of the root.
    pub(crate) service: u32,
    /// Operation of the root.
    pub(crate) name: u32,
    /// Of the root, Unix nanoseconds.
    pub(crate) start: i64,
    /// Of the root, in nanoseconds.
    pub(crate) duration: i64,
    first_start: i64,
    extent: i64,
    spans: i64,
    errors: i64,
    services: i64,
    /// The root is there, and every parent.
    pub(crate) complete: bool,
    /// The root's status is ERROR.
    pub(crate) error: bool,
    depth: i64,
    /// Spans whose parent is nowhere.
    pub(crate) missing: i64,
    /// Traces that it stands for.
    pub(crate) weight: f64,
    /// What its edges carried, where sizes were read.
    pub(crate) moved: Moved,
}

impl Row {
    /// Of which only the head is known.
    fn head(service: u32, name: u32, error: bool) -> Self {
        Self {
            key: 0,
            service,
            name,
            start: 0,
            duration: 0,
            first_start: 0,
            extent: 0,
            spans: 0,
            errors: 0,
            services: 0,
            complete: false,
            error,
            depth: 0,
            missing: 0,
            weight: 0.0,
            moved: Moved::default(),
        }
    }
}

/// The rows of the traces whose root starts within `range`.
pub(crate) fn rows(forest: &Forest, range: TimeRange) -> impl Iterator<Item = Row> {
    let sized = forest.is_sized();
    forest.traces().filter_map(move |trace| {
        let (root, _) = trace.root();
        range.contains(trace.span(root).start).then(|| row(forest, &trace, sized))
    })
}

fn row(forest: &Forest, trace: &Trace<'_>, sized: bool) -> Row {
    let (at, is_root) = trace.root();
    let root = trace.span(at);
    let first_start = trace.spans().map(|span| span.start).min().unwrap_or(root.start);
    let end = trace.spans().map(Span::end).max().unwrap_or(root.start);
    let mut services: Vec<u32> = trace.spans().map(|span| span.service).collect();
    services.sort_unstable();
    services.dedup();
    let missing = trace.missing();
    Row {
        key: forest.trace_key(trace.index()),
        service: root.service,
        name: root.name,
        start: root.start,
        duration: root.duration,
        first_start,
        extent: end.saturating_sub(first_start),
        spans: i64::from(trace.len()),
        errors: count(trace.spans().filter(|span| span.error).count()),
        services: count(services.len()),
        complete: is_root && missing == 0,
        error: root.error,
        depth: i64::from(trace.depth()),
        missing: i64::from(missing),
        weight: root.weight,
        moved: if sized { edge::moved(forest, trace) } else { Moved::default() },
    }
}

/// What traces could not know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Incomplete {
    /// Traces without root, or with a parent missing.
    pub(crate) traces: i64,
    /// Spans without parent.
    pub(crate) missing: i64,
}

impl Incomplete {
    /// Adds one trace.
    pub(crate) fn add(&mut self, row: &Row) {
        self.traces += i64::from(!row.complete);
        self.missing += row.missing;
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: Self) {
        self.traces += other.traces;
        self.missing += other.missing;
    }

    /// Notes them.
    pub(crate) fn note(self, notes: &mut Notes) {
        notes.push(("incomplete_traces", self.traces.to_string()));
        notes.push(("spans_without_parent", self.missing.to_string()));
    }
}

/// The traces of one slice.
struct Rows {
    ask: Ask,
    rows: Vec<Row>,
    incomplete: Incomplete,
}

impl Harvest for Rows {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        let from = self.rows.len();
        self.rows.extend(rows(forest, self.ask.range));
        self.rows[from..].iter().for_each(|row| self.incomplete.add(row));
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
    }
}

/// Reads the answer, slice by slice.
pub(crate) struct Reading {
    sweep: Sweep,
    ask: Ask,
    incomplete: Incomplete,
}

impl Reading {
    /// Nothing is read yet.
    pub(crate) fn new(sweep: Sweep, ask: Ask) -> Self {
        Self { sweep, ask, incomplete: Incomplete::default() }
    }

    /// The same of everything that `source` has in the range.
    pub(crate) fn of(source: Source, ask: Ask) -> Self {
        let extent = extent(ask.bytes);
        Self::new(Sweep::new(source, ask.range, extent), ask)
    }

    /// Accounts for what is held beside it.
    ///
    /// # Errors
    /// That is more than one query may use.
    pub(crate) fn keep(&mut self, bytes: usize) -> Result<()> {
        self.sweep.keep(bytes)
    }

    /// Gives back where it read.
    pub(crate) fn into_source(self) -> Source {
        self.sweep.source
    }

    /// The next traces, the newest of them first; after the last, the notes.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn next(&mut self, notes: &mut Notes) -> Result<Option<Vec<RecordBatch>>> {
        let ask = self.ask;
        let none = || Rows { ask, rows: Vec::new(), incomplete: Incomplete::default() };
        let Some(mut slice) = self.sweep.next(none).await? else {
            self.incomplete.note(notes);
            return Ok(None);
        };
        self.incomplete.merge(slice.incomplete);
        slice.rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.start), row.key));
        let texts = &self.sweep.forest.texts;
        slice.rows.chunks(8_192).map(|rows| batch(texts, rows)).collect::<Result<_>>().map(Some)
    }
}

/// The whole answer at once.
pub(crate) async fn answer(
    source: Source,
    ask: Ask,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut reading = Reading::of(source, ask);
    let mut rows = Vec::new();
    while let Some(slice) = reading.next(notes).await? {
        rows.extend(slice);
    }
    Ok(rows)
}

/// SQL's name of the root's start.
const START_TIME: &str = "start_time";
/// SQL's name of the root's duration.
const DURATION: &str = "duration_nano";
/// SQL's names of what the root says of itself.
const HEAD: [&str; 3] = ["root_service", "root_name", "root_error"];

/// All columns.
pub(crate) fn batch(texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    columns(texts, Columns::of(rows))
}

/// The columns at `places`, in that order.
pub(crate) fn batch_of(texts: &Texts, rows: &[Row], places: &[usize]) -> Result<RecordBatch> {
    let made = columns(texts, Columns::some_of(rows, places))?;
    let mut rising = places.to_vec();
    rising.sort_unstable();
    rising.dedup();
    let order: Vec<usize> =
        places.iter().map(|place| rising.partition_point(|made| made < place)).collect();
    Ok(made.project(&order)?)
}

fn columns<'a>(texts: &'a Texts, columns: Columns<'a, Row>) -> Result<RecordBatch> {
    columns
        .text("trace_id", |row| hex::encode(row.key.to_be_bytes()))
        .text(HEAD[0], |row| texts.text(row.service))
        .text(HEAD[1], |row| texts.text(row.name))
        .time(START_TIME, |row| row.start)
        .big(DURATION, |row| row.duration)
        .big("extent_nano", |row| row.extent)
        .big("spans", |row| row.spans)
        .big("errors", |row| row.errors)
        .big("services", |row| row.services)
        .flag("complete", |row| row.complete)
        .flag(HEAD[2], |row| row.error)
        .big("depth", |row| row.depth)
        .big("missing_parents", |row| row.missing)
        .time("first_start_time", |row| row.first_start)
        .float("weight", |row| row.weight)
        .big("bytes", |row| row.moved.bytes())
        .finish()
}
