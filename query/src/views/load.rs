//! Where views read from: the scans of one snapshot, the memory of one query.
use std::sync::Arc;

use datafusion::common::{Result, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use hashbrown::HashSet;
use storage::schema::column;
use storage::time::NANOS_PER_SECOND;
use storage::{DataFile, TimeRange, TraceId};

use super::forest::{Caller, Forest};
pub(crate) use super::read::Extent;
use super::read::{self, Admit};
use crate::spans::Tables;
use crate::spans::by_id::Lookup;
use crate::spans::provider::Shape;

/// Spans of a trace count when they start at most this much before the range that was asked for...
pub(crate) const LOOK_BEHIND_NANO: i64 = 900 * NANOS_PER_SECOND;
/// ... or this much after it. Parents, roots and linked spans are found however far away they are.
pub(crate) const LOOK_AHEAD_NANO: i64 = 3_600 * NANOS_PER_SECOND;

/// Trace ids up to this number are handed to the scan, which then skips files that hold none of them.
const TRACE_IDS_PUSHED_MAX: usize = 1_000;
/// Traces up to this number are read row by row.
const LOOKED_UP_MAX: usize = 64;

/// Where a view reads from.
pub(crate) struct Source {
    /// Session of the query.
    pub(crate) context: SessionContext,
    /// Its state, which plans are made with.
    state: SessionState,
    /// The snapshot of the query.
    pub(crate) tables: Tables,
    /// Memory that the view has taken from the query pool.
    pub(crate) reservation: MemoryReservation,
}

impl Source {
    /// Reads `tables` in the session `context`.
    pub(crate) fn new(
        context: SessionContext,
        tables: Tables,
        reservation: MemoryReservation,
    ) -> Self {
        let state = context.state();
        Self { context, state, tables, reservation }
    }

    /// The same of `part` of the snapshot, with memory of its own.
    pub(crate) fn of(&self, part: Tables) -> Self {
        Self::new(self.context.clone(), part, self.reservation.new_empty())
    }

    /// The traces with hot spans.
    ///
    /// # Errors
    /// They are more than one query may hold.
    pub(crate) async fn hot_traces(&self) -> Result<HashSet<[u8; 16]>> {
        let mut traces = HashSet::new();
        if self.tables.snapshot.hot.is_empty() {
            return Ok(traces);
        }
        let hot = self.tables.part(Arc::new([]), Arc::clone(&self.tables.snapshot.hot));
        let mut batches = self.scan_part(&hot, TimeRange::ALL, &[column::TRACE_ID], None)?;
        while let Some(batch) = batches.next().await {
            let ids = read::ids(read::named(&batch?, column::TRACE_ID)?)?;
            traces.extend(ids.iter().flatten().map(read::trace_bytes));
            self.hold(traces.capacity() * 17)?;
        }
        Ok(traces)
    }

    /// The named stored columns of the spans that start within `range`.
    pub(crate) fn scan(
        &self,
        range: TimeRange,
        columns: &[&str],
        filter: Option<Expr>,
    ) -> Result<SendableRecordBatchStream> {
        self.scan_part(&self.tables, range, columns, filter)
    }

    /// The same of a part of the snapshot. Planned by hand: there may be hundreds of parts.
    pub(crate) fn scan_part(
        &self,
        part: &Tables,
        range: TimeRange,
        columns: &[&str],
        filter: Option<Expr>,
    ) -> Result<SendableRecordBatchStream> {
        let table = part.table(range, Shape::Stored);
        let schema = datafusion::catalog::TableProvider::schema(&table);
        let columns = columns.iter().map(|name| schema.index_of(name));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let plan = table.plan(&self.state, Some(&columns), filter.as_slice(), None)?;
        execute_stream(plan, self.context.task_ctx())
    }

    /// Accounts for `bytes` in place of what was accounted for before.
    pub(crate) fn hold(&self, bytes: usize) -> Result<()> {
        self.reservation.try_resize(bytes)
    }

    /// Memory that one query may use.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self.context.runtime_env().memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        }
    }

    /// All spans of the traces that have a span within `range` (see [`LOOK_AHEAD_NANO`] for what *all* means),
    /// and some of other traces, at once: refused where they are many. [`super::sweep::Sweep`] takes any number.
    #[allow(dead_code, reason = "for views of few traces; those that take any number sweep")]
    pub(crate) async fn forest(&self, range: TimeRange, extent: Extent) -> Result<Forest> {
        let window = window(range);
        let mut forest = Forest::default();
        self.read(&mut forest, &self.tables, (window, extent, Admit::All), 0).await?;
        forest.group();
        if !self.covers_everything(window) {
            let linked = forest.links.iter().filter(|link| {
                range.contains(forest.spans[link.span as usize].start)
                    && forest.find(&link.trace, link.id).is_none()
            });
            let linked: Vec<[u8; 16]> = linked.map(|link| link.trace).collect();
            let mut open: HashSet<u32> =
                linked.into_iter().map(|trace| forest.trace_index(trace)).collect();
            open.extend(
                (0..u32::try_from(forest.trace_count()).unwrap_or(u32::MAX)).filter(|trace| {
                    forest.trace(*trace).is_some_and(|trace| is_open(&trace, range))
                }),
            );
            self.complete(&mut forest, &open, (window, extent), 0).await?;
            forest.group();
        }
        self.hold(forest.bytes())?;
        Ok(forest)
    }

    /// All spans of a few traces, wherever they lie.
    ///
    /// # Errors
    /// They cannot be read, or do not fit into the memory of one query.
    pub(crate) async fn few(&self, traces: impl IntoIterator<Item = [u8; 16]>) -> Result<Forest> {
        let mut forest = Forest::default();
        let only: HashSet<u32> = traces.into_iter().map(|id| forest.trace_index(id)).collect();
        let read = (TimeRange::ALL, Extent::default(), Admit::Only(&only));
        match self.look_up(&mut forest, &only).await? {
            Some(rest) => self.read(&mut forest, &rest, read, 0).await?,
            None => self.read(&mut forest, &self.tables, read, 0).await?,
        }
        forest.group();
        Ok(forest)
    }

    /// The spans of a few traces that lie in `part`.
    ///
    /// # Errors
    /// As [`Self::few`].
    pub(crate) async fn few_of(&self, part: &Tables, traces: &[[u8; 16]]) -> Result<Forest> {
        let mut forest = Forest::default();
        let only: HashSet<u32> = traces.iter().map(|id| forest.trace_index(*id)).collect();
        let read = (TimeRange::ALL, Extent::default(), Admit::Only(&only));
        self.read(&mut forest, part, read, 0).await?;
        forest.group();
        Ok(forest)
    }

    /// Reads the spans of very few traces row by row, where files allow that; returns what is still to be scanned. `None`
    /// where that is everything.
    async fn look_up(&self, forest: &mut Forest, only: &HashSet<u32>) -> Result<Option<Tables>> {
        let snapshot = &self.tables.snapshot;
        if only.len() > LOOKED_UP_MAX || !snapshot.patches.renames().is_empty() {
            return Ok(None);
        }
        let traces: Vec<_> = only.iter().map(|trace| TraceId(forest.trace_id(*trace))).collect();
        let extent = Extent::default();
        let stored = self.tables.table(TimeRange::ALL, Shape::Stored).stored_schema();
        let columns = extent.columns(snapshot).into_iter().map(|name| stored.index_of(&name));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let lookup = Lookup::new(&self.state, &self.tables, &traces, &columns)?;
        let may_hold = |file: &&Arc<DataFile>| traces.iter().any(|id| file.may_hold_trace(id));
        let mut others = Vec::new();
        for file in snapshot.files.iter().filter(may_hold) {
            let Some(batches) = lookup.of_file(file).await? else {
                others.push(Arc::clone(file));
                continue;
            };
            for batch in batches {
                read::read(&batch, &snapshot.columns, extent, Admit::Only(only), forest)?;
                self.hold(forest.bytes())?;
            }
        }
        Ok(Some(self.tables.part(others.into(), Arc::clone(&snapshot.hot))))
    }

    /// State of the session.
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// Reads the spans of the traces in `open` that lie outside of `window`.
    pub(crate) async fn complete(
        &self,
        forest: &mut Forest,
        open: &HashSet<u32>,
        (window, extent): (TimeRange, Extent),
        held_bytes: usize,
    ) -> Result<()> {
        for outside in outside(window).filter(|_| !open.is_empty()) {
            let admit = Admit::Only(open);
            self.read(forest, &self.tables, (outside, extent, admit), held_bytes).await?;
        }
        Ok(())
    }

    /// True where no stored span lies outside of `window`.
    pub(crate) fn covers_everything(&self, window: TimeRange) -> bool {
        let inside = |range: &TimeRange| {
            range.from >= range.until || (window.from <= range.from && range.until <= window.until)
        };
        let snapshot = &self.tables.snapshot;
        snapshot.files.iter().all(|file| inside(&file.start))
            && snapshot.hot.iter().all(|batch| inside(&batch.start()))
    }

    /// Adds the spans of `part` that start within the range to `forest`. `held_bytes` are held beside it.
    pub(crate) async fn read(
        &self,
        forest: &mut Forest,
        part: &Tables,
        (range, extent, admit): (TimeRange, Extent, Admit<'_>),
        held_bytes: usize,
    ) -> Result<()> {
        let columns = extent.columns(&part.snapshot);
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let filter = match admit {
            Admit::Only(only) => trace_filter(only.iter().map(|trace| forest.trace_id(*trace))),
            Admit::Traces(only) => trace_filter(only.iter().copied()),
            Admit::Spans(only) => trace_filter(only.iter().map(|(trace, _)| *trace)),
            Admit::All | Admit::Slice(_) => None,
        };
        let mut batches = self.scan_part(part, range, &columns, filter)?;
        while let Some(batch) = batches.next().await {
            read::read(&batch?, &part.snapshot.columns, extent, admit, forest)?;
            self.hold(forest.bytes() + held_bytes)?;
        }
        Ok(())
    }
}

/// Where the spans of the traces that touch `range` lie, mostly.
pub(crate) fn window(range: TimeRange) -> TimeRange {
    TimeRange {
        from: range.from.saturating_sub(LOOK_BEHIND_NANO),
        until: range.until.saturating_add(LOOK_AHEAD_NANO),
    }
}

/// True where `trace` touches `range` and misses a parent.
pub(crate) fn is_open(trace: &super::forest::Trace<'_>, range: TimeRange) -> bool {
    trace.spans().any(|span| range.contains(span.start))
        && (0..trace.len()).any(|own| trace.caller(own) == Caller::Missing)
}

/// What lies before and after `window`.
fn outside(window: TimeRange) -> impl Iterator<Item = TimeRange> {
    let before = TimeRange { from: i64::MIN, until: window.from };
    let after = TimeRange { from: window.until, until: i64::MAX };
    [before, after].into_iter().filter(|range| range.from < range.until)
}

/// A condition on the trace id, where there are few.
pub(crate) fn trace_filter(traces: impl ExactSizeIterator<Item = [u8; 16]>) -> Option<Expr> {
    if traces.len() > TRACE_IDS_PUSHED_MAX {
        return None;
    }
    let id = |trace: [u8; 16]| lit(ScalarValue::FixedSizeBinary(16, Some(trace.to_vec())));
    Some(col(column::TRACE_ID).in_list(traces.map(id).collect(), false))
}
