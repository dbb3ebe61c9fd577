//! `descendants`, `calls`: spans that stand somewhere below certain others.
//!
//! ```text
//! spans that satisfy one condition, spans that satisfy the other   two scans, pruned by what the conditions say
//!   -> traces that have both -> their trees -> for each span of the second kind the nearest of the first above it
//! ```
mod newest;

use arrow::array::{Array, RecordBatch};
pub(crate) use newest::Newest;

use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{ident, lit};
use futures::StreamExt;
use hashbrown::{HashMap, HashSet};
use storage::TimeRange;
use storage::schema::column;

use super::condition::Condition;
use super::forest::{Forest, Kind, Span, Texts, Trace};
use super::load::Source;
use super::read::{integers, texts};
use super::rows::Columns;
use super::sweep::{Harvest, Sweep};
use super::tree::Tree;
use crate::spans::Tables;

/// Traces up to this number are read by their ids; more, by reading all of the range.
const TRACES_BY_ID_MAX: usize = 1_000;

/// The question.
#[derive(Debug)]
pub(crate) struct Descendants {
    /// What stands above.
    pub(crate) above: Condition,
    /// What stands below it, directly or not, and starts within the range.
    pub(crate) below: Condition,
    /// Where the spans below start.
    pub(crate) range: TimeRange,
}

/// A span as marks know it: its id, its start, and whether it is the called side. Zipkin's pairs share an id, and so do spans of
/// broken senders.
type Key = (u64, i64, bool);

/// Spans that satisfy a condition, by trace.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    traces: HashMap<[u8; 16], HashSet<Key>>,
    spans: usize,
}

impl Marks {
    /// The spans within `range` that satisfy `condition`; where `only` is given, of its traces.
    pub(crate) async fn of(
        source: &Source,
        range: TimeRange,
        condition: &Condition,
        only: Option<&Self>,
    ) -> Result<Self> {
        let frame = source.tables.spans(&source.context, range)?;
        let frame = frame.clone().filter(condition.plan(&frame)?)?;
        Self::read(source, frame, only).await
    }

    /// The spans of `part` within `range` that satisfy `condition` and are of one of these traces.
    pub(crate) async fn of_traces(
        source: &Source,
        part: &Tables,
        range: TimeRange,
        (condition, traces): (&Condition, &[[u8; 16]]),
    ) -> Result<Self> {
        let frame = part.spans(&source.context, range)?;
        let ids = traces.iter().map(|trace| lit(hex::encode(trace))).collect();
        let is_one = ident(column::TRACE_ID).in_list(ids, false);
        let frame = frame.clone().filter(is_one.and(condition.plan(&frame)?))?;
        Self::read(source, frame, None).await
    }

    async fn read(source: &Source, frame: DataFrame, only: Option<&Self>) -> Result<Self> {
        let columns = [column::TRACE_ID, column::SPAN_ID, column::KIND, column::START].map(ident);
        let frame = frame.select(columns.to_vec())?;
        let mut batches = frame.execute_stream().await?;
        let mut marks = Self::default();
        while let Some(batch) = batches.next().await {
            marks.add(&batch?, only)?;
            source.hold(marks.bytes() + only.map_or(0, Self::bytes))?;
        }
        Ok(marks)
    }

    fn add(&mut self, batch: &RecordBatch, only: Option<&Self>) -> Result<()> {
        let traces = texts(batch, column::TRACE_ID)?;
        let spans = texts(batch, column::SPAN_ID)?;
        let kinds = texts(batch, column::KIND)?;
        let starts = integers(batch, column::START)?;
        for row in 0..batch.num_rows() {
            let mut trace = [0; 16];
            // Our own hex is always right.
            let _ = hex::decode_to_slice(traces.value(row), &mut trace);
            if only.is_some_and(|only| !only.traces.contains_key(&trace)) {
                continue;
            }
            let id = u64::from_str_radix(spans.value(row), 16).unwrap_or(0);
            let called = kinds.is_valid(row) && Kind::of(kinds.value(row)).is_called();
            self.spans += 1;
            self.traces.entry(trace).or_default().insert((id, starts.value(row), called));
        }
        Ok(())
    }

    /// Their traces.
    pub(crate) fn traces(&self) -> impl ExactSizeIterator<Item = [u8; 16]> {
        self.traces.keys().copied()
    }

    /// True where the trace has a marked span.
    pub(crate) fn has_trace(&self, trace: &[u8; 16]) -> bool {
        self.traces.contains_key(trace)
    }

    /// True where the span is marked.
    pub(crate) fn has(&self, trace: &[u8; 16], span: &Span) -> bool {
        self.traces
            .get(trace)
            .is_some_and(|spans| spans.contains(&(span.id, span.start, span.kind.is_called())))
    }

    /// Memory held, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.traces.capacity() * 96 + self.spans * 2 * (size_of::<Key>() + 1)
    }
}

/// A span and the nearest one of those asked for above it.
#[derive(Debug)]
pub(crate) struct Pair {
    trace: u128,
    above: Span,
    below: Span,
    distance: i64,
}

impl Pair {
    /// Oldest first.
    fn order(&self) -> (i64, u128, u64) {
        (self.below.start, self.trace, self.below.id)
    }
}

/// All pairs of some traces.
struct Pairs<'a> {
    above: &'a Marks,
    below: &'a Marks,
    pairs: Vec<Pair>,
}

impl Pairs<'_> {
    fn add_trace(&mut self, forest: &Forest, trace: &Trace<'_>) {
        let id = forest.trace_id(trace.index());
        let marked = |marks: &Marks, own: u32| marks.has(&id, trace.span(own));
        let tree = Tree::of(trace);
        // For each span the nearest of those asked for above it, with the distance.
        let mut nearest: Vec<Option<(u32, i64)>> = vec![None; trace.len() as usize];
        for own in tree.order() {
            let Some(above) = tree.above(*own) else { continue };
            nearest[*own as usize] = match nearest[above as usize] {
                _ if marked(self.above, above) => Some((above, 1)),
                Some((far, distance)) => Some((far, distance + 1)),
                None => None,
            };
            if let Some((above, distance)) = nearest[*own as usize]
                && marked(self.below, *own)
            {
                self.pairs.push(Pair {
                    trace: u128::from_be_bytes(id),
                    above: *trace.span(above),
                    below: *trace.span(*own),
                    distance,
                });
            }
        }
    }
}

impl Harvest for Pairs<'_> {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in forest.traces() {
            if self.below.has_trace(&forest.trace_id(trace.index())) {
                self.add_trace(forest, &trace);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.pairs.capacity() * size_of::<Pair>()
    }
}

impl Descendants {
    /// One row a span below, oldest first.
    pub(crate) async fn answer(&self, source: Source) -> Result<Vec<RecordBatch>> {
        let window = super::load::window(self.range);
        let above = Marks::of(&source, window, &self.above, None).await?;
        let below = Marks::of(&source, self.range, &self.below, Some(&above)).await?;
        let none = || Pairs { above: &above, below: &below, pairs: Vec::new() };
        let held = above.bytes() + below.bytes();
        let mut pairs = Vec::new();
        if below.traces.len() <= TRACES_BY_ID_MAX {
            let forest = source.few(below.traces()).await?;
            let mut found = none();
            found.add(&forest, true);
            return batches(&forest.texts, found.pairs);
        }
        let mut sweep = Sweep::new(source, self.range, Default::default());
        sweep.keep(held)?;
        while let Some(slice) = sweep.next(none).await? {
            pairs.extend(slice.pairs);
            sweep.keep(held + pairs.capacity() * size_of::<Pair>())?;
        }
        batches(&sweep.forest.texts, pairs)
    }
}

fn batches(texts: &Texts, mut pairs: Vec<Pair>) -> Result<Vec<RecordBatch>> {
    pairs.sort_unstable_by_key(Pair::order);
    pairs.chunks(8_192).map(|pairs| batch(texts, pairs)).collect()
}

/// The columns.
pub(crate) fn batch(texts: &Texts, pairs: &[Pair]) -> Result<RecordBatch> {
    Columns::of(pairs)
        .text("trace_id", |pair| format!("{:032x}", pair.trace))
        .text("span_id", |pair| format!("{:016x}", pair.below.id))
        .text("service", |pair| texts.text(pair.below.service))
        .text("name", |pair| texts.text(pair.below.name))
        .time("start_time", |pair| pair.below.start)
        .big("duration_nano", |pair| pair.below.duration)
        .flag("error", |pair| pair.below.error)
        .text("ancestor_span_id", |pair| format!("{:016x}", pair.above.id))
        .text("ancestor_service", |pair| texts.text(pair.above.service))
        .text("ancestor_name", |pair| texts.text(pair.above.name))
        .big("ancestor_duration_nano", |pair| pair.above.duration)
        .big("distance", |pair| pair.distance)
        .finish()
}
