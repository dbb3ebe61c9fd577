//! Reads spans for views: the columns asked for, the traces that a range touches, whole.

use std::num::NonZeroU64;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringViewArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::{Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use hashbrown::HashSet;
use storage::TimeRange;
use storage::schema::column;
use storage::time::NANOS_PER_SECOND;

use super::attribute::{Attributes, Wanted};
use super::forest::{Caller, Forest, Kind, Link, Span};
use crate::spans::Tables;

/// Spans of a trace count when they start at most this much before the range that was asked for...
pub(crate) const LOOK_BEHIND_NANO: i64 = 900 * NANOS_PER_SECOND;
/// ... or this much after it. Parents, roots and linked spans are found however far away they are.
pub(crate) const LOOK_AHEAD_NANO: i64 = 3_600 * NANOS_PER_SECOND;

/// Trace ids up to this number are handed to the scan, which then skips files that hold none of them.
const TRACE_IDS_PUSHED_MAX: usize = 1_000;

/// Where a view reads from.
pub(crate) struct Source {
    /// Session of the query.
    pub(crate) context: SessionContext,
    /// The snapshot of the query.
    pub(crate) tables: Tables,
    /// Memory that the view has taken from the query pool.
    pub(crate) reservation: MemoryReservation,
}

/// What a forest is to hold beside the fixed columns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    /// Attributes.
    pub(crate) wanted: Wanted,
    /// Links of CONSUMER spans.
    pub(crate) links: bool,
}

impl Source {
    /// The named stored columns of the spans that start within `range`.
    pub(crate) async fn scan(
        &self,
        range: TimeRange,
        columns: &[&str],
        filter: Option<Expr>,
    ) -> Result<SendableRecordBatchStream> {
        let spans = self.tables.stored(&self.context, range)?;
        let spans = match filter {
            Some(filter) => spans.filter(filter)?,
            None => spans,
        };
        spans.select_columns(columns)?.execute_stream().await
    }

    /// Accounts for `bytes` in place of what was accounted for before.
    pub(crate) fn hold(&self, bytes: usize) -> Result<()> {
        self.reservation.try_resize(bytes)
    }

    /// All spans of the traces that have a span within `range` (see [`LOOK_AHEAD_NANO`] for what *all* means),
    /// and some of other traces.
    pub(crate) async fn forest(&self, range: TimeRange, extent: Extent) -> Result<Forest> {
        let window = TimeRange {
            from: range.from.saturating_sub(LOOK_BEHIND_NANO),
            until: range.until.saturating_add(LOOK_AHEAD_NANO),
        };
        let mut forest = Forest::default();
        self.read(&mut forest, window, extent, None).await?;
        forest.group();
        if !self.covers_everything(window) {
            let open = open_traces(&forest, range);
            for outside in outside(window).filter(|_| !open.is_empty()) {
                self.read(&mut forest, outside, extent, Some(&open)).await?;
            }
            forest.group();
        }
        self.hold(forest.bytes())?;
        Ok(forest)
    }

    /// True where no stored span lies outside of `window`.
    fn covers_everything(&self, window: TimeRange) -> bool {
        let inside = |range: &TimeRange| {
            range.from >= range.until || (window.from <= range.from && range.until <= window.until)
        };
        let snapshot = &self.tables.snapshot;
        snapshot.files.iter().all(|file| inside(&file.start))
            && snapshot.hot.iter().all(|batch| inside(&batch.start()))
    }

    async fn read(
        &self,
        forest: &mut Forest,
        range: TimeRange,
        extent: Extent,
        only: Option<&HashSet<u32>>,
    ) -> Result<()> {
        let known = &self.tables.snapshot.columns;
        let attributes = extent.wanted.columns(known);
        let mut columns = FIXED.to_vec();
        columns.extend(extent.links.then_some(column::LINKS));
        columns.extend(attributes.iter().map(String::as_str));
        let filter = only.and_then(|only| trace_filter(forest, only));
        let mut batches = self.scan(range, &columns, filter).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let attributes = Attributes::of(&batch, extent.wanted, known)?;
            let links = if extent.links { Links::of(&batch)? } else { None };
            let rows =
                Rows { spans: Columns::of(&batch)?, attributes, links, wanted: extent.wanted };
            rows.read_into(forest, only);
            self.hold(forest.bytes())?;
        }
        Ok(())
    }
}

const FIXED: [&str; 10] = [
    column::TRACE_ID,
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
    column::START,
    column::DURATION,
    column::SERVICE,
    column::NAME,
    column::KIND,
    column::STATUS,
    column::WEIGHT,
];

/// The fixed columns of one batch.
struct Columns {
    trace: FixedSizeBinaryArray,
    id: FixedSizeBinaryArray,
    parent: FixedSizeBinaryArray,
    start: Int64Array,
    duration: Int64Array,
    service: StringViewArray,
    name: StringViewArray,
    kind: StringViewArray,
    status: StringViewArray,
    weight: arrow::array::Float64Array,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self> {
        Ok(Self {
            trace: ids(named(batch, column::TRACE_ID)?)?,
            id: ids(named(batch, column::SPAN_ID)?)?,
            parent: ids(named(batch, column::PARENT_SPAN_ID)?)?,
            start: integers(batch, column::START)?,
            duration: integers(batch, column::DURATION)?,
            service: texts(batch, column::SERVICE)?,
            name: texts(batch, column::NAME)?,
            kind: texts(batch, column::KIND)?,
            status: texts(batch, column::STATUS)?,
            weight: named(batch, column::WEIGHT)?.as_primitive::<Float64Type>().clone(),
        })
    }
}

/// One batch, ready to be read row by row.
struct Rows {
    spans: Columns,
    attributes: Attributes,
    links: Option<Links>,
    wanted: Wanted,
}

impl Rows {
    /// Adds the spans to `forest`; those of other traces than `only` are left out.
    fn read_into(&self, forest: &mut Forest, only: Option<&HashSet<u32>>) {
        let mut memory = Memory::default();
        if only.is_none() {
            forest.reserve(self.spans.start.len());
        }
        for row in 0..self.spans.start.len() {
            let id = trace_bytes(self.spans.trace.value(row));
            let trace = match only {
                Some(only) => forest.known_trace(&id).filter(|trace| only.contains(trace)),
                None => Some(forest.trace_index(id)),
            };
            if let Some(trace) = trace {
                self.push(forest, &mut memory, row, trace);
            }
        }
    }

    fn push(&self, forest: &mut Forest, memory: &mut Memory, row: usize, trace: u32) {
        let columns = &self.spans;
        let position = u32::try_from(forest.spans.len()).unwrap_or(u32::MAX);
        let parent = columns.parent.is_valid(row).then(|| columns.parent.value(row)).map(number);
        let span = Span {
            trace,
            id: number(columns.id.value(row)),
            parent: parent.and_then(NonZeroU64::new),
            start: columns.start.value(row),
            duration: columns.duration.value(row),
            service: memory.service.id(&mut forest.texts, &columns.service, row),
            name: memory.name.id(&mut forest.texts, &columns.name, row),
            kind: Kind::of(columns.kind.value(row)),
            error: columns.status.value(row) == "ERROR",
            weight: columns.weight.value(row),
        };
        forest.spans.push(span);
        if self.wanted.sizes {
            forest.push_sizes(self.attributes.sizes(row));
        }
        if self.wanted.peers {
            let peer = span.kind.calls().then(|| self.attributes.peer(row, &mut forest.texts));
            forest.push_peer(peer.flatten());
        }
        if let Some(links) = self.links.as_ref().filter(|_| span.kind == Kind::Consumer) {
            links.read_into(forest, row, position);
        }
    }
}

/// Remembers the last text of a column: files are sorted by service and name, so it is mostly the next one, too.
#[derive(Default)]
struct Memory {
    service: Last,
    name: Last,
}

#[derive(Default)]
struct Last(Option<(u128, u32)>);

impl Last {
    fn id(&mut self, texts: &mut super::forest::Texts, array: &StringViewArray, row: usize) -> u32 {
        // Equal views of one array are equal texts.
        let view = array.views()[row];
        if let Some((_, id)) = self.0.filter(|(last, _)| *last == view) {
            return id;
        }
        let id = texts.id(array.value(row));
        self.0 = Some((view, id));
        id
    }
}

/// The links column of one batch.
struct Links {
    lists: arrow::array::ListArray,
    traces: FixedSizeBinaryArray,
    spans: FixedSizeBinaryArray,
}

impl Links {
    fn of(batch: &RecordBatch) -> Result<Option<Self>> {
        let Some(lists) = named(batch, column::LINKS)?.as_list_opt::<i32>() else {
            return internal_err!("links are no list");
        };
        if lists.values().is_empty() {
            return Ok(None);
        }
        let values = lists.values().as_struct();
        let (Some(traces), Some(spans)) =
            (values.column_by_name("trace_id"), values.column_by_name("span_id"))
        else {
            return internal_err!("links have no ids");
        };
        Ok(Some(Self { lists: lists.clone(), traces: ids(traces)?, spans: ids(spans)? }))
    }

    fn read_into(&self, forest: &mut Forest, row: usize, span: u32) {
        if self.lists.is_null(row) {
            return;
        }
        let offsets = self.lists.offsets();
        let (first, end) = (offsets[row].unsigned_abs(), offsets[row + 1].unsigned_abs());
        for link in (first as usize)..(end as usize) {
            let trace = forest.trace_index(trace_bytes(self.traces.value(link)));
            forest.links.push(Link { span, trace, id: number(self.spans.value(link)) });
        }
    }
}

/// Traces that touch `range` and miss a parent or a linked span, so far.
fn open_traces(forest: &Forest, range: TimeRange) -> HashSet<u32> {
    let mut open: HashSet<u32> = forest
        .traces()
        .filter(|trace| trace.spans().any(|span| range.contains(span.start)))
        .filter(|trace| (0..trace.len()).any(|own| trace.caller(own) == Caller::Missing))
        .map(|trace| trace.index())
        .collect();
    for link in &forest.links {
        let asked = range.contains(forest.spans[link.span as usize].start);
        if asked && forest.find(link.trace, link.id).is_none() {
            open.insert(link.trace);
        }
    }
    open
}

/// What lies before and after `window`.
fn outside(window: TimeRange) -> impl Iterator<Item = TimeRange> {
    let before = TimeRange { from: i64::MIN, until: window.from };
    let after = TimeRange { from: window.until, until: i64::MAX };
    [before, after].into_iter().filter(|range| range.from < range.until)
}

/// A condition on the trace id, where there are few.
fn trace_filter(forest: &Forest, only: &HashSet<u32>) -> Option<Expr> {
    if only.len() > TRACE_IDS_PUSHED_MAX {
        return None;
    }
    let id =
        |trace: &u32| lit(ScalarValue::FixedSizeBinary(16, Some(forest.trace_id(*trace).to_vec())));
    Some(col(column::TRACE_ID).in_list(only.iter().map(id).collect(), false))
}

/// A text column as views see it, whatever it is in memory.
pub(crate) fn text(array: &ArrayRef) -> Result<StringViewArray> {
    if let Some(view) = array.as_string_view_opt() {
        return Ok(view.clone());
    }
    Ok(arrow::compute::cast(array, &DataType::Utf8View)?.as_string_view().clone())
}

/// The text column `name`.
pub(crate) fn texts(batch: &RecordBatch, name: &str) -> Result<StringViewArray> {
    text(named(batch, name)?)
}

/// The BIGINT column `name`.
pub(crate) fn integers(batch: &RecordBatch, name: &str) -> Result<Int64Array> {
    match named(batch, name)?.as_primitive_opt::<Int64Type>() {
        Some(integers) => Ok(integers.clone()),
        None => internal_err!("column {name} is no BIGINT"),
    }
}

/// The column `name`.
pub(crate) fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    match batch.column_by_name(name) {
        Some(array) => Ok(array),
        None => internal_err!("column {name} is not there"),
    }
}

/// A column of trace ids or span ids.
pub(crate) fn ids(array: &ArrayRef) -> Result<FixedSizeBinaryArray> {
    match array.as_fixed_size_binary_opt() {
        Some(ids) => Ok(ids.clone()),
        None => internal_err!("ids are {}", array.data_type()),
    }
}

fn trace_bytes(id: &[u8]) -> [u8; 16] {
    id.try_into().unwrap_or_default()
}

fn number(id: &[u8]) -> u64 {
    id.try_into().map_or(0, u64::from_be_bytes)
}
