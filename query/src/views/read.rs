//! Batches of stored columns -> spans of a [`Forest`].
use std::num::NonZeroU64;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float64Array, Int64Array, ListArray,
    RecordBatch, StringViewArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, internal_err};
use hashbrown::HashSet;
use storage::Snapshot;
use storage::schema::{AttributeColumns, column};

use super::attribute::{Attributes, Wanted};
use super::forest::{Forest, Kind, Link, Span};

/// What a forest is to hold beside the fixed columns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    /// Attributes.
    pub(crate) wanted: Wanted,
    /// Links of CONSUMER spans.
    pub(crate) links: bool,
}

impl Extent {
    /// The columns of `snapshot` to read.
    pub(crate) fn columns(self, snapshot: &Snapshot) -> Vec<String> {
        let mut columns: Vec<String> = FIXED.map(str::to_owned).into();
        columns.extend(self.links.then(|| column::LINKS.to_owned()));
        columns.extend(self.wanted.columns(snapshot));
        columns
    }

    /// Bytes that a span takes in a forest.
    pub(crate) fn bytes_of_span(self) -> usize {
        let sizes = if self.wanted.sizes { 24 } else { 0 };
        size_of::<Span>() + 2 * size_of::<u32>() + sizes + if self.wanted.peers { 4 } else { 0 }
    }
}

/// Which traces are taken from a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Admit<'a> {
    /// All.
    All,
    /// Those in one slice of all traces.
    Slice(Slice),
    /// Those that the forest knows by these numbers.
    Only(&'a HashSet<u32>),
    /// Those with these ids.
    Traces(&'a HashSet<[u8; 16]>),
    /// Only the spans with these ids.
    Spans(&'a HashSet<([u8; 16], u64)>),
}

/// One of `of` equal parts of all traces, by a hash of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    /// How many parts there are; a power of two.
    pub(crate) of: u64,
    /// Which one, from 0.
    pub(crate) part: u64,
}

impl Slice {
    /// The only slice.
    pub(crate) const ALL: Self = Self { of: 1, part: 0 };

    /// True where the trace with this hash is in it.
    pub(crate) fn contains(self, hash: u64) -> bool {
        hash & (self.of - 1) == self.part
    }

    /// The two halves of it.
    pub(crate) fn halves(self) -> [Self; 2] {
        let of = self.of * 2;
        [Self { of, part: self.part }, Self { of, part: self.part + self.of }]
    }
}

/// A number for a trace id that is well spread, and the same in every process.
pub(crate) fn hash(trace: &[u8; 16]) -> u64 {
    // The finalizer of MurmurHash3 over both halves: ids are random mostly, but need not be.
    let [high, low] = [0, 8].map(|at| {
        let mut half = [0; 8];
        half.copy_from_slice(&trace[at..at + 8]);
        u64::from_be_bytes(half)
    });
    let mut mixed = high.rotate_left(32) ^ low.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53u64] {
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(factor);
    }
    mixed ^ (mixed >> 33)
}

/// Adds the spans of `batch` to `forest`.
///
/// # Errors
/// The batch has other columns than [`Extent::columns`].
pub(crate) fn read(
    batch: &RecordBatch,
    known: &AttributeColumns,
    extent: Extent,
    admit: Admit<'_>,
    forest: &mut Forest,
) -> Result<()> {
    let wanted = extent.wanted;
    let attributes = Attributes::of(batch, wanted, known)?;
    let links = if extent.links { Links::of(batch)? } else { None };
    let rows = Rows { spans: Columns::of(batch)?, attributes, links, wanted };
    rows.read_into(forest, admit);
    Ok(())
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
    weight: Float64Array,
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
    fn read_into(&self, forest: &mut Forest, admit: Admit<'_>) {
        let mut memory = Memory::default();
        if matches!(admit, Admit::All) {
            forest.reserve(self.spans.start.len());
        }
        for row in 0..self.spans.start.len() {
            let id = trace_bytes(self.spans.trace.value(row));
            let trace = match admit {
                Admit::All => Some(forest.trace_index(id)),
                Admit::Slice(slice) => slice.contains(hash(&id)).then(|| forest.trace_index(id)),
                Admit::Only(only) => forest.known_trace(&id).filter(|trace| only.contains(trace)),
                Admit::Traces(only) => only.contains(&id).then(|| forest.trace_index(id)),
                Admit::Spans(only) => only
                    .contains(&(id, number(self.spans.id.value(row))))
                    .then(|| forest.trace_index(id)),
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
        let texts = &mut forest.texts;
        let span = Span {
            trace,
            id: number(columns.id.value(row)),
            parent: parent.and_then(NonZeroU64::new),
            start: columns.start.value(row),
            duration: columns.duration.value(row),
            service: memory.service.of(&columns.service, row, |text| texts.id(text)),
            name: memory.name.of(&columns.name, row, |text| texts.id(text)),
            kind: memory.kind.of(&columns.kind, row, Kind::of),
            error: memory.error.of(&columns.status, row, |status| status == "ERROR"),
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
    service: Last<u32>,
    name: Last<u32>,
    kind: Last<Kind>,
    error: Last<bool>,
}

/// The last text of a column of one batch, and what it stands for.
pub(crate) struct Last<T>(Option<(u128, T)>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Copy> Last<T> {
    /// What the text at `row` stands for.
    pub(crate) fn of(
        &mut self,
        array: &StringViewArray,
        row: usize,
        means: impl FnOnce(&str) -> T,
    ) -> T {
        // Equal views of one array are equal texts.
        let view = array.views()[row];
        if let Some((_, known)) = self.0.filter(|(last, _)| *last == view) {
            return known;
        }
        let new = means(array.value(row));
        self.0 = Some((view, new));
        new
    }
}

/// The links column of one batch.
struct Links {
    lists: ListArray,
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
            let trace = trace_bytes(self.traces.value(link));
            forest.links.push(Link { span, trace, id: number(self.spans.value(link)) });
        }
    }
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

/// The column `name` as doubles.
pub(crate) fn doubles(batch: &RecordBatch, name: &str) -> Result<Float64Array> {
    match named(batch, name)?.as_primitive_opt::<Float64Type>() {
        Some(doubles) => Ok(doubles.clone()),
        None => internal_err!("column {name} is no DOUBLE"),
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

/// A trace id of a column.
pub(crate) fn trace_bytes(id: &[u8]) -> [u8; 16] {
    id.try_into().unwrap_or_default()
}

/// A span id of a column, as a big-endian number.
pub(crate) fn number(id: &[u8]) -> u64 {
    id.try_into().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests;
