//! Finds each span's parent and root among the spans of one flush, while whole traces are in memory.
//!
//! The parent of a span is the span of the same trace whose id is the span's parent id. Where several spans of a trace
//! share an id (Zipkin's client and server halves; the server half names the shared id as its parent too), a span
//! is never its own parent, and other children belong to the half whose parent id is its own id: the server half.
//!
//! Rows are grouped by trace first, so that each trace is looked at while it fits into the nearest cache.
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// The columns that decide, by row.
pub(crate) struct Spans<'a> {
    pub(crate) trace: &'a [[u8; 16]],
    pub(crate) span: &'a [[u8; 8]],
    /// `None` for a root.
    pub(crate) parent: &'a [Option<[u8; 8]>],
    pub(crate) start: &'a [i64],
}

/// Who belongs to whom.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// By row: a number for each distinct trace, from 0.
    pub(crate) trace: Vec<u32>,
    /// By trace number: its id.
    pub(crate) ids: Vec<[u8; 16]>,
    /// By row: row of the parent span, or [`NONE`].
    pub(crate) parent: Vec<u32>,
    /// By trace number: row of the root span, or [`NONE`]; of several the earliest.
    root: Vec<u32>,
    /// All rows by trace, in the order of arrival within one.
    members: Vec<u32>,
    /// By trace number: where its rows end in `members`.
    ends: Vec<u32>,
    /// By trace number: some of its spans share an id.
    twins: Vec<bool>,
}

impl Resolved {
    /// Distinct traces.
    pub(crate) fn traces(&self) -> usize {
        self.root.len()
    }

    /// The rows of a trace.
    pub(crate) fn rows_of(&self, trace: usize) -> &[u32] {
        let begin = if trace == 0 { 0 } else { self.ends[trace - 1] };
        &self.members[begin as usize..self.ends[trace] as usize]
    }

    /// True where some spans of a trace share an id: then `parent` is one of several.
    pub(crate) fn has_twins(&self, trace: usize) -> bool {
        self.twins[trace]
    }

    /// True where any span's parent is here.
    pub(crate) fn has_parents(&self) -> bool {
        self.parent.iter().any(|row| *row != NONE)
    }

    /// True where any trace has a root.
    pub(crate) fn has_roots(&self) -> bool {
        self.root.iter().any(|row| *row != NONE)
    }

    /// Row of the root span of the trace that `row` belongs to, or [`NONE`].
    pub(crate) fn root_of(&self, row: usize) -> u32 {
        self.root[self.trace[row] as usize]
    }
}

/// Resolves all rows; fewer than `u32::MAX` of them.
pub(crate) fn resolve(spans: &Spans<'_>) -> Resolved {
    let (trace, ids) = number_traces(spans.trace);
    let (members, ends) = group(&trace, ids.len());
    let mut twins = Vec::with_capacity(ids.len());
    let mut parent = vec![NONE; trace.len()];
    let mut root = Vec::with_capacity(ids.len());
    let mut family = Family::default();
    let mut from = 0;
    for until in &ends {
        let rows = &members[from..*until as usize];
        from = *until as usize;
        twins.push(family.index(spans, rows));
        for row in rows {
            if let Some(id) = spans.parent[*row as usize] {
                parent[*row as usize] = family.parent_of(spans, rows, *row, id);
            }
        }
        root.push(root_of(spans, rows));
    }
    Resolved { trace, ids, parent, root, members, ends, twins }
}

/// Rows of one flush fit into 32 bits by far: hot memory is bounded.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NONE)
}

/// The number of each row's trace, and the ids by number.
fn number_traces(traces: &[[u8; 16]]) -> (Vec<u32>, Vec<[u8; 16]>) {
    let hasher = RandomState::default();
    let hash = |id: &[u8; 16]| hasher.hash_one(u128::from_ne_bytes(*id));
    let mut ids: Vec<[u8; 16]> = Vec::new();
    let mut table: HashTable<u32> = HashTable::new();
    let mut last = 0;
    let mut trace = Vec::with_capacity(traces.len());
    for id in traces {
        if ids.get(last as usize) == Some(id) {
            trace.push(last);
            continue;
        }
        let same = |number: &u32| ids[*number as usize] == *id;
        last = match table.entry(hash(id), same, |number| hash(&ids[*number as usize])) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let number = number(ids.len());
                entry.insert(number);
                ids.push(*id);
                number
            }
        };
        trace.push(last);
    }
    (trace, ids)
}

/// All rows by trace, in the order of arrival within one; and where each trace ends.
fn group(trace: &[u32], traces: usize) -> (Vec<u32>, Vec<u32>) {
    let mut ends = vec![0; traces];
    trace.iter().for_each(|trace| ends[*trace as usize] += 1);
    let mut place = 0;
    for count in &mut ends {
        place += std::mem::replace(count, place);
    }
    let mut rows = vec![0; trace.len()];
    for (row, trace) in (0u32..).zip(trace) {
        let end = &mut ends[*trace as usize];
        rows[*end as usize] = row;
        *end += 1;
    }
    (rows, ends)
}

fn root_of(spans: &Spans<'_>, rows: &[u32]) -> u32 {
    let roots = rows.iter().copied().filter(|row| spans.parent[*row as usize].is_none());
    roots.min_by_key(|row| (spans.start[*row as usize], spans.span[*row as usize])).unwrap_or(NONE)
}

/// The spans of one trace by id: a hash table whose memory serves one trace after the other.
#[derive(Default)]
struct Family {
    hasher: RandomState,
    /// Place in the trace's rows of the span that children belong to, or [`NONE`]; a power of two of them.
    slots: Vec<u32>,
    /// By place: the place of another span with the same id, or [`NONE`].
    second: Vec<u32>,
}

impl Family {
    /// Returns whether some share an id.
    fn index(&mut self, spans: &Spans<'_>, rows: &[u32]) -> bool {
        let mut twins = false;
        self.slots.clear();
        self.slots.resize((rows.len() * 2).next_power_of_two(), NONE);
        self.second.clear();
        self.second.resize(rows.len(), NONE);
        for (place, row) in (0u32..).zip(rows) {
            let slot = self.slot_of(spans, rows, spans.span[*row as usize]);
            let first = self.slots[slot];
            let rank = |place: u32| spans.rank(rows[place as usize]);
            twins |= first != NONE;
            if first == NONE {
                self.slots[slot] = place;
            } else if rank(place) < rank(first) {
                self.second[place as usize] = first;
                self.slots[slot] = place;
            } else {
                let second = &mut self.second[first as usize];
                if *second == NONE || rank(place) < rank(*second) {
                    *second = place;
                }
            }
        }
        twins
    }

    /// Where the span `id` is, or would be.
    fn slot_of(&self, spans: &Spans<'_>, rows: &[u32], id: [u8; 8]) -> usize {
        let mask = self.slots.len() - 1;
        let [a, b, c, d, ..] = self.hasher.hash_one(u64::from_ne_bytes(id)).to_ne_bytes();
        let mut slot = u32::from_ne_bytes([a, b, c, d]) as usize & mask;
        loop {
            let place = self.slots[slot];
            if place == NONE || spans.span[rows[place as usize] as usize] == id {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn parent_of(&self, spans: &Spans<'_>, rows: &[u32], row: u32, id: [u8; 8]) -> u32 {
        let first = self.slots[self.slot_of(spans, rows, id)];
        let row_at = |place: u32| if place == NONE { NONE } else { rows[place as usize] };
        if row_at(first) == row { row_at(self.second[first as usize]) } else { row_at(first) }
    }
}

impl Spans<'_> {
    /// Among spans with the same id the lowest rank is the one that children belong to.
    fn rank(&self, row: u32) -> (bool, i64) {
        let row = row as usize;
        (self.parent[row] != Some(self.span[row]), self.start[row])
    }
}

#[cfg(test)]
mod tests;
