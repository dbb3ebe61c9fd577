//! `latency_heatmap`: how long traces took over time, cell by cell, with an example in each.
//!
//! Columns of time have equal widths and begin at whole multiples of them since 1970. Rows of durations are the buckets of
//! the histogram, several of them together, so that they nest: `low < duration <= high`. A cell's example is its slowest
//! trace (of several, the one with the smallest id), which is what one looks at first. Cells add up the rows of `traces`,
//! from rollups where these tell them.
use std::cmp::Reverse;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::{Snapshot, TimeRange};

use super::critical_path::Roots;
use super::forest::Forest;
use super::load::Source;
use super::rows::{Columns, Estimate, Weight};
use super::sweep::{Harvest, Sweep};
use super::traces::listing::Listing;
use super::traces::{self, Incomplete, Row as TraceRow};
use super::{Ask, Notes};
use crate::histogram::rows::{bounds_of, merged_of, row_of};

/// Rows from each power of two to the next, where nothing else is asked for: their bounds are 19 % apart.
const ROWS: i64 = 4;
/// Columns at most where no width is asked for.
const COLUMNS: i64 = 60;
/// Columns at most.
const COLUMNS_MAX: i64 = 10_000;
/// The smallest width.
const MILLI: i64 = 1_000_000;
/// Widths that people can read a time off, in milliseconds.
const WIDTHS: [i64; 30] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
    2_419_200_000,
];

/// A heatmap that somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Heatmap {
    /// Which traces.
    pub(crate) roots: Roots,
    /// Width of a column in nanoseconds; chosen by the range where absent.
    step_nano: Option<i64>,
    /// Buckets in a row.
    merged: u16,
}

/// What lies in one cell.
#[derive(Debug, Default)]
struct Cell {
    traces: i64,
    errors: i64,
    weight: Weight,
    /// Duration and id of the example. Of equal durations the smallest id is the greatest here.
    example: Option<(i64, Reverse<u128>)>,
}

/// One row of the answer.
#[derive(Debug)]
pub(crate) struct Row {
    from: i64,
    until: i64,
    bounds: (i64, i64),
    traces: i64,
    errors: i64,
    weight: Estimate,
    example: String,
    longest: i64,
}

impl Heatmap {
    /// Checks width and rows.
    ///
    /// # Errors
    /// Words about what is wrong with them.
    pub(crate) fn new(
        roots: Roots,
        step_nano: Option<i64>,
        rows: Option<i64>,
    ) -> std::result::Result<Self, String> {
        if step_nano.is_some_and(|step| step < MILLI) {
            return Err("a column is at least 1ms wide".to_owned());
        }
        let rows = rows.unwrap_or(ROWS);
        let wrong = || format!("rows a doubling are 1, 2, 4, 8, 16, 32 or 64, not {rows}");
        Ok(Self { roots, step_nano, merged: merged_of(rows).ok_or_else(wrong)? })
    }

    /// The cells with something in them, by time, then duration.
    ///
    /// # Errors
    /// There would be too many columns, or something cannot be read.
    pub(crate) async fn answer(
        &self,
        source: Source,
        notes: &mut Notes,
    ) -> Result<Vec<RecordBatch>> {
        let extent = extent(&source.tables.snapshot, self.roots.range);
        let step = self.step_nano.unwrap_or_else(|| width(extent));
        if extent.until.saturating_sub(extent.from) / step > COLUMNS_MAX {
            const WORDS: &str = "more than 10000 columns: take a greater step or a smaller range";
            return Err(crate::Error::new(storage::Kind::Invalid, WORDS).into());
        }
        let ask = Ask { range: self.roots.range, exact: false, bytes: false };
        let cells = match Listing::new(source, ask).await? {
            Ok(listing) => self.of_rows(listing, step, notes).await?,
            Err((source, reason)) => {
                notes.push(("source", format!("spans: {reason}")));
                self.of_spans(*source, step).await?
            }
        };
        cells.incomplete.note(notes);
        notes.push(("step_nano", step.to_string()));
        Ok(vec![batch(&cells.rows())?])
    }

    fn none(&self, step: i64) -> Cells<'_> {
        Cells {
            roots: &self.roots,
            step,
            merged: self.merged,
            cells: HashMap::new(),
            incomplete: Incomplete::default(),
        }
    }

    /// From the rows that rollups have of traces.
    async fn of_rows(
        &self,
        mut listing: Listing,
        step: i64,
        notes: &mut Notes,
    ) -> Result<Cells<'_>> {
        let mut cells = self.none(step);
        while let Some(rows) = listing.next_rows().await? {
            let own = |row: &&TraceRow| self.roots.are(listing.texts(), (row.service, row.name));
            rows.iter().filter(own).for_each(|row| cells.add_row(row));
            listing.hold(cells.bytes())?;
        }
        notes.push(("source", listing.source()));
        Ok(cells)
    }

    async fn of_spans(&self, source: Source, step: i64) -> Result<Cells<'_>> {
        let mut sweep = Sweep::new(source, self.roots.range, Default::default());
        let mut all = self.none(step);
        while let Some(slice) = sweep.next(|| self.none(step)).await? {
            all.merge(slice);
            sweep.keep(all.bytes())?;
        }
        Ok(all)
    }
}

/// All cells: by number of the column and of the row.
struct Cells<'a> {
    roots: &'a Roots,
    step: i64,
    /// Buckets in a row.
    merged: u16,
    cells: HashMap<(i64, u16), Cell>,
    incomplete: Incomplete,
}

impl Cells<'_> {
    fn add_row(&mut self, row: &TraceRow) {
        self.incomplete.add(row);
        let key = (row.start.div_euclid(self.step), row_of(row.duration, self.merged));
        let cell = self.cells.entry(key).or_default();
        cell.traces += 1;
        cell.errors += i64::from(row.error);
        cell.weight.add(row.key, row.weight);
        cell.example = cell.example.max(Some((row.duration, Reverse(row.key))));
    }

    fn merge(&mut self, other: Self) {
        self.incomplete.merge(other.incomplete);
        for (key, more) in other.cells {
            let cell = self.cells.entry(key).or_default();
            cell.traces += more.traces;
            cell.errors += more.errors;
            cell.weight.merge(&more.weight);
            cell.example = cell.example.max(more.example);
        }
    }

    fn rows(self) -> Vec<Row> {
        let (step, merged) = (self.step, self.merged);
        let mut cells: Vec<((i64, u16), Cell)> = self.cells.into_iter().collect();
        cells.sort_unstable_by_key(|(key, _)| *key);
        let row = |((column, row), cell): ((i64, u16), Cell)| {
            let (longest, Reverse(id)) = cell.example.unwrap_or_default();
            Row {
                from: column.saturating_mul(step),
                until: column.saturating_add(1).saturating_mul(step),
                bounds: bounds_of(row, merged),
                traces: cell.traces,
                errors: cell.errors,
                weight: cell.weight.into(),
                example: hex::encode(id.to_be_bytes()),
                longest,
            }
        };
        cells.into_iter().map(row).collect()
    }
}

impl Harvest for Cells<'_> {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for row in traces::rows(forest, self.roots.range) {
            if self.roots.are(&forest.texts, (row.service, row.name)) {
                self.add_row(&row);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.cells.capacity() * (size_of::<((i64, u16), Cell)>() + 1)
    }
}

/// What of `range` may have spans in it.
fn extent(snapshot: &Snapshot, range: TimeRange) -> TimeRange {
    let files = snapshot.files.iter().map(|file| file.start);
    let all = files.chain(snapshot.hot.iter().map(|batch| batch.start()));
    let all = all.filter(|part| part.from < part.until && part.overlaps(&range));
    let all =
        all.reduce(|a, b| TimeRange { from: a.from.min(b.from), until: a.until.max(b.until) });
    all.map_or(TimeRange { from: 0, until: 0 }, |all| TimeRange {
        from: all.from.max(range.from),
        until: all.until.min(range.until),
    })
}

/// The smallest width with which `extent` has no more than [`COLUMNS`] columns.
fn width(extent: TimeRange) -> i64 {
    let least = extent.until.saturating_sub(extent.from) / COLUMNS;
    let widths = WIDTHS.map(|width| width * MILLI);
    let found = widths.into_iter().find(|width| *width >= least);
    found.unwrap_or_else(|| {
        widths[widths.len() - 1].saturating_mul(1 + least / widths[widths.len() - 1])
    })
}

/// The columns.
pub(crate) fn batch(rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .time("from_time", |row| row.from)
        .time("to_time", |row| row.until)
        .big("low_nano", |row| row.bounds.0)
        .big("high_nano", |row| row.bounds.1)
        .big("traces", |row| row.traces)
        .big("errors", |row| row.errors)
        .float("weighted_traces", |row| row.weight.total)
        .float("weighted_traces_error", |row| row.weight.error)
        .text("trace_id", |row| row.example.as_str())
        .big("max_nano", |row| row.longest)
        .finish()
}

#[cfg(test)]
mod tests;
