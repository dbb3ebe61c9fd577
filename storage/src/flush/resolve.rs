//! Finds each span's parent and root among the spans of one flush, while whole traces are in memory.
//!
//! The parent of a span is the span of the same trace whose id is the span's parent id. Where several spans of a trace
//! share an id (Zipkin's client and server halves; the server half names the shared id as its parent too), a span
//! is never its own parent, and other children belong to the half whose parent id is its own id: the server half.
use std::hash::BuildHasher;

use arrow::array::{Array, FixedSizeBinaryArray, Int64Array};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// The columns that decide.
pub(crate) struct Spans<'a> {
    pub(crate) trace: &'a FixedSizeBinaryArray,
    pub(crate) span: &'a FixedSizeBinaryArray,
    pub(crate) parent: &'a FixedSizeBinaryArray,
    pub(crate) start: &'a Int64Array,
}

/// By row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// A number for each distinct trace, from 0.
    pub(crate) trace: Vec<u32>,
    /// Row of the parent span, where it is here.
    pub(crate) parent: Vec<Option<u32>>,
    /// By trace number: row of the root span; of several the earliest.
    pub(crate) root: Vec<Option<u32>>,
}

impl Resolved {
    /// Row of the root span of the trace that `row` belongs to.
    pub(crate) fn root_of(&self, row: usize) -> Option<u32> {
        self.root[self.trace[row] as usize]
    }
}

/// Resolves all rows; at most `u32::MAX` of them.
pub(crate) fn resolve(spans: &Spans<'_>) -> Resolved {
    let (trace, root) = number_traces(spans);
    let index = SpanIndex::new(spans, &trace);
    let parent = (0..spans.span.len())
        .map(|row| {
            if spans.parent.is_null(row) {
                return None;
            }
            index.parent_of(row_number(row), spans.parent.value(row))
        })
        .collect();
    Resolved { trace, parent, root }
}

/// Rows of one flush fit into 32 bits by far: hot memory is bounded.
fn row_number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

/// Numbers the traces and finds their roots.
fn number_traces(spans: &Spans<'_>) -> (Vec<u32>, Vec<Option<u32>>) {
    let hasher = foldhash::fast::RandomState::default();
    let mut numbers: HashTable<(u64, u32, u32)> = HashTable::new(); // hash, number, a row of the trace
    let mut roots: Vec<Option<u32>> = Vec::new();
    let mut trace = Vec::with_capacity(spans.trace.len());
    for row in 0..spans.trace.len() {
        let id = spans.trace.value(row);
        let hash = hasher.hash_one(id);
        let entry = numbers.entry(
            hash,
            |(other, _, example)| *other == hash && spans.trace.value(*example as usize) == id,
            |(other, _, _)| *other,
        );
        let number = match entry {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let number = row_number(roots.len());
                entry.insert((hash, number, row_number(row)));
                roots.push(None);
                number
            }
        };
        trace.push(number);
        if spans.parent.is_null(row) {
            let root = &mut roots[number as usize];
            let order = |row: usize| (spans.start.value(row), spans.span.value(row));
            if root.is_none_or(|best| order(row) < order(best as usize)) {
                *root = Some(row_number(row));
            }
        }
    }
    (trace, roots)
}

/// Rows by trace and span id.
struct SpanIndex<'a> {
    spans: &'a Spans<'a>,
    trace: &'a [u32],
    hasher: foldhash::fast::RandomState,
    /// Hash; the row that children belong to; another row with the same id.
    rows: HashTable<(u64, u32, Option<u32>)>,
}

impl<'a> SpanIndex<'a> {
    fn new(spans: &'a Spans<'a>, trace: &'a [u32]) -> Self {
        let rows = HashTable::with_capacity(trace.len());
        let mut index = Self { spans, trace, hasher: foldhash::fast::RandomState::default(), rows };
        for row in 0..trace.len() {
            index.insert(row_number(row));
        }
        index
    }

    fn insert(&mut self, row: u32) {
        let (spans, trace) = (self.spans, self.trace);
        let id = spans.span.value(row as usize);
        let hash = self.hasher.hash_one((trace[row as usize], id));
        let entry = self.rows.entry(
            hash,
            |(other, first, _)| {
                *other == hash
                    && trace[*first as usize] == trace[row as usize]
                    && spans.span.value(*first as usize) == id
            },
            |(other, _, _)| *other,
        );
        match entry {
            Entry::Vacant(entry) => {
                entry.insert((hash, row, None));
            }
            Entry::Occupied(mut entry) => {
                let (_, first, second) = entry.get_mut();
                if self.spans.rank(row) < self.spans.rank(*first) {
                    *second = Some(*first);
                    *first = row;
                } else if second.is_none_or(|other| self.spans.rank(row) < self.spans.rank(other)) {
                    *second = Some(row);
                }
            }
        }
    }

    fn parent_of(&self, row: u32, parent: &[u8]) -> Option<u32> {
        let trace = self.trace[row as usize];
        let hash = self.hasher.hash_one((trace, parent));
        let (_, first, second) = self.rows.find(hash, |(other, first, _)| {
            *other == hash
                && self.trace[*first as usize] == trace
                && self.spans.span.value(*first as usize) == parent
        })?;
        if *first == row { *second } else { Some(*first) }
    }
}

impl Spans<'_> {
    /// Among spans with the same id the lowest rank is the one that children belong to.
    fn rank(&self, row: u32) -> (bool, i64) {
        let row = row as usize;
        let shared = self.parent.is_valid(row) && self.parent.value(row) == self.span.value(row);
        (!shared, self.start.value(row))
    }
}

#[cfg(test)]
mod tests;
