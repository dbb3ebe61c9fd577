//! Which traces have parts in several of the files that become one, and where their spans are.
//!
//! Traces are told apart by 64 bits of XXH3 of their ids, as in filters: two that share them are taken for one, which
//! only makes more work.
use std::collections::HashSet;
use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use foldhash::fast::RandomState;
use parquet::arrow::arrow_reader::RowSelection;
use xxhash_rust::xxh3::xxh3_64;

use super::source::Source;
use crate::error::Result;
use crate::id::TraceId;
use crate::schema::{AttributeColumns, column};

/// Hashes of traces.
pub(crate) type Hashes = HashSet<u64, RandomState>;

/// The hash of a trace.
pub(crate) fn hash(trace: &TraceId) -> u64 {
    xxh3_64(&trace.0)
}

/// The traces of every row of some files.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// By file, row group, row.
    files: Vec<Vec<Vec<u64>>>,
    links: Vec<Link>,
}

/// A span links to another trace.
#[derive(Debug, Clone, Copy)]
struct Link {
    file: usize,
    from: u64,
    to: u64,
}

/// Traces to be looked at again.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// These have parts in several files, or links from one file to another.
    pub(crate) traces: Vec<u64>,
    /// Trace of these, trace that one of its spans links to.
    links: Vec<(u64, u64)>,
}

impl Rows {
    /// Reads the trace ids and the links of `sources`.
    pub(crate) async fn of(sources: &[Source], attributes: &AttributeColumns) -> Result<Self> {
        let mut rows = Self::default();
        for (file, source) in sources.iter().enumerate() {
            let mut groups = Vec::with_capacity(source.groups());
            for group in 0..source.groups() {
                let wanted = |name: &str| name == column::TRACE_ID || name == column::LINKS;
                let mut hashes = Vec::with_capacity(source.rows(group));
                for batch in source.read(group, &wanted, None, attributes).await? {
                    let first = hashes.len();
                    hashes_of(&batch, &mut hashes);
                    rows.links.extend(links_of(&batch, file, &hashes[first..]));
                }
                groups.push(hashes);
            }
            rows.files.push(groups);
        }
        Ok(rows)
    }

    /// Every trace once, ascending.
    pub(crate) fn distinct(&self) -> Vec<u64> {
        sorted(self.files.iter().flatten().flatten().copied().collect())
    }

    /// Traces with rows in more than one row group.
    pub(crate) fn in_several_groups(&self) -> Hashes {
        let groups = self.files.iter().flatten().map(|rows| sorted(rows.clone()));
        several(groups).into_iter().collect()
    }

    /// Traces with rows in more than one file, or whose links lead to another file; of the files `whole`, all.
    pub(crate) fn split(&self, whole: &[usize]) -> Split {
        let files = self.files.iter().map(|groups| sorted(groups.concat()));
        let several: Hashes = several(files).into_iter().collect();
        let mut traces = several.clone();
        traces.extend(whole.iter().flat_map(|file| self.files[*file].iter().flatten()));
        if !self.links.is_empty() {
            let targets: Hashes = self.links.iter().map(|link| link.to).collect();
            let here: HashSet<(usize, u64), RandomState> = self.places(&targets).collect();
            let leaves = |link: &&Link| {
                let is_in = |file| here.contains(&(file, link.to));
                several.contains(&link.to)
                    || (!is_in(link.file) && (0..self.files.len()).any(is_in))
            };
            traces.extend(self.links.iter().filter(leaves).map(|link| link.from));
        }
        let links = self.links.iter().filter(|link| traces.contains(&link.from));
        let links = links.map(|link| (link.from, link.to)).collect();
        Split { traces: sorted(traces.into_iter().collect()), links }
    }

    fn places(&self, traces: &Hashes) -> impl Iterator<Item = (usize, u64)> {
        let files = self.files.iter().enumerate();
        let rows = files.flat_map(|(file, rows)| rows.iter().flatten().map(move |row| (file, row)));
        rows.filter(|(_, row)| traces.contains(*row)).map(|(file, row)| (file, *row))
    }

    /// Rows of `traces` in all files.
    pub(crate) fn count(&self, traces: &Hashes) -> usize {
        self.places(traces).count()
    }

    /// Where rows of `traces` are in a row group.
    pub(crate) fn of_group(
        &self,
        (file, group): (usize, usize),
        traces: &Hashes,
    ) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (row, _) in
            self.files[file][group].iter().enumerate().filter(|(_, hash)| traces.contains(*hash))
        {
            match ranges.last_mut() {
                Some(last) if last.end == row => last.end += 1,
                _ => ranges.push(row..row + 1),
            }
        }
        ranges
    }
}

impl Split {
    /// One of `of` slices of the traces: they, and they with all that they link to.
    pub(crate) fn slice(&self, number: u64, of: u64) -> (Hashes, Hashes) {
        let is_own = |trace: &u64| (trace >> 32) % of == number;
        let own: Hashes = self.traces.iter().copied().filter(is_own).collect();
        let linked = self.links.iter().filter(|(from, _)| own.contains(from)).map(|(_, to)| *to);
        let all = own.iter().copied().chain(linked).collect();
        (own, all)
    }
}

/// Selects `ranges` of so many rows.
pub(crate) fn selection(ranges: Vec<Range<usize>>, rows: usize) -> RowSelection {
    RowSelection::from_consecutive_ranges(ranges.into_iter(), rows)
}

fn sorted(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// What is in more than one of `sets`, each without doubles.
fn several(sets: impl Iterator<Item = Vec<u64>>) -> Vec<u64> {
    let mut all: Vec<u64> = sets.flatten().collect();
    all.sort_unstable();
    let mut several: Vec<u64> =
        all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    several.dedup();
    several
}

fn hashes_of(batch: &RecordBatch, hashes: &mut Vec<u64>) {
    let ids = batch.column_by_name(column::TRACE_ID);
    match ids.and_then(|ids| ids.as_fixed_size_binary_opt()) {
        Some(ids) => hashes.extend((0..ids.len()).map(|row| xxh3_64(ids.value(row)))),
        // Every file of ours has them; without them all rows are one trace.
        None => hashes.resize(hashes.len() + batch.num_rows(), 0),
    }
}

fn links_of(batch: &RecordBatch, file: usize, hashes: &[u64]) -> Vec<Link> {
    let mut links = Vec::new();
    let lists = batch.column_by_name(column::LINKS).and_then(|links| links.as_list_opt::<i32>());
    let Some(lists) = lists else { return links };
    let Some(traces) = lists.values().as_struct_opt().and_then(|s| s.column_by_name("trace_id"))
    else {
        return links;
    };
    let Some(traces) = traces.as_fixed_size_binary_opt() else { return links };
    for (row, bounds) in lists.offsets().windows(2).enumerate() {
        if lists.is_null(row) {
            continue;
        }
        for link in bounds[0].unsigned_abs()..bounds[1].unsigned_abs() {
            let to = xxh3_64(traces.value(link as usize));
            links.push(Link { file, from: hashes[row], to });
        }
    }
    links
}

#[cfg(test)]
mod tests;
