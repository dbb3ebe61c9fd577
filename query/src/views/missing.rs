//! `missing_parents`: parents that spans name and that are not there, each with why, as far as the ledger of refusals
//! knows (`storage::ledger`).
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::TimeRange;
use storage::ledger::{Absence, Ledger, Missing};

use super::forest::{Caller, Forest, Texts, Trace};
use super::load::Source;
use super::rows::Columns;
use super::sweep::{Harvest, Sweep};
use super::{Notes, in_range};

/// One parent that is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    missing: Missing,
    absence: Absence,
    children: i64,
    /// Of the earliest child.
    service: u32,
    name: u32,
    start: i64,
}

/// All of them.
struct Absent {
    range: TimeRange,
    rows: Vec<Row>,
}

/// The parents that are missing in the traces of a range, the latest first.
pub(crate) async fn answer(
    source: Source,
    range: TimeRange,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let (ledger, now) = (Arc::clone(&source.tables.snapshot.ledger), source.tables.now_unix_nano);
    let mut sweep = Sweep::new(source, range, Default::default());
    let none = || Absent { range, rows: Vec::new() };
    let mut rows = Vec::new();
    while let Some(slice) = sweep.next(none).await? {
        rows.extend(slice.rows);
        sweep.keep(rows.capacity() * size_of::<Row>())?;
    }
    let absences = ledger.explain_all(rows.iter().map(|row| &row.missing), now);
    let mut counts = Counts::default();
    for (row, absence) in rows.iter_mut().zip(absences) {
        row.absence = absence;
        counts.add(absence, row.children);
    }
    rows.sort_unstable_by_key(|row| {
        (std::cmp::Reverse(row.start), row.missing.trace, row.missing.span)
    });
    counts.note(&ledger, notes);
    Ok(vec![batch(&sweep.forest.texts, &rows)?])
}

/// Notes why parents are missing in the traces of a range; nothing where `notes` say that none is.
pub(crate) async fn note(source: Source, range: TimeRange, notes: &mut Notes) -> Result<()> {
    if !lacks_parents(notes) {
        return Ok(());
    }
    let mut own = Notes::new();
    answer(source, range, &mut own).await?;
    notes.extend(own);
    Ok(())
}

/// True where `notes` count spans without a parent.
pub(crate) fn lacks_parents(notes: &[(&'static str, String)]) -> bool {
    notes.iter().any(|(name, count)| *name == "spans_without_parent" && count != "0")
}

impl Harvest for Absent {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in in_range(forest, self.range) {
            self.rows.extend(of_trace(forest, &trace));
        }
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
    }
}

fn of_trace(forest: &Forest, trace: &Trace<'_>) -> Vec<Row> {
    let id = forest.trace_id(trace.index());
    let first_weight = trace.span(0).weight;
    let mixed_weights = trace.spans().any(|span| span.weight != first_weight);
    let mut rows: Vec<Row> = Vec::new();
    for own in (0..trace.len()).filter(|own| trace.caller(*own) == Caller::Missing) {
        let span = trace.span(own);
        let parent = span.parent.map_or(0, std::num::NonZeroU64::get);
        let child_end_nano = span.end();
        let missing = Missing { trace: id, span: parent, child_end_nano, mixed_weights };
        match rows.iter_mut().find(|row| row.missing.span == parent) {
            Some(row) => {
                row.children += 1;
                row.missing.child_end_nano = row.missing.child_end_nano.max(child_end_nano);
                let words = |service, name| (forest.texts.text(service), forest.texts.text(name));
                let earlier = (span.start, words(span.service, span.name))
                    < (row.start, words(row.service, row.name));
                if earlier {
                    (row.start, row.service, row.name) = (span.start, span.service, span.name);
                }
            }
            None => rows.push(Row {
                missing,
                absence: Absence::Unknown,
                children: 1,
                service: span.service,
                name: span.name,
                start: span.start,
            }),
        }
    }
    rows
}

/// The columns.
pub(crate) fn batch(texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("trace_id", |row| hex::encode(row.missing.trace))
        .text("parent_span_id", |row| format!("{:016x}", row.missing.span))
        .text("reason", |row| row.absence.word())
        .big("children", |row| row.children)
        .text("service", |row| texts.text(row.service))
        .text("name", |row| texts.text(row.name))
        .time("start_time", |row| row.start)
        .finish()
}

/// Spans without a parent by why.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts([i64; Absence::ALL.len()]);

impl Counts {
    /// Adds spans.
    pub(crate) fn add(&mut self, absence: Absence, spans: i64) {
        self.0[absence as usize] += spans;
    }

    /// Notes what there is, and since when the ledger knows.
    pub(crate) fn note(&self, ledger: &Ledger, notes: &mut Notes) {
        const NAMES: [&str; Absence::ALL.len()] = [
            "parents_late",
            "parents_sampled_out",
            "parents_dropped",
            "parents_never_sent",
            "parents_unknown",
        ];
        let counts = NAMES.iter().zip(self.0).filter(|(_, count)| *count > 0);
        notes.extend(counts.map(|(name, count)| (*name, count.to_string())));
        if self.0.iter().any(|count| *count > 0)
            && let Some(since) = ledger.knows_since()
        {
            let since = chrono::DateTime::from_timestamp_nanos(since);
            let since = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            notes.push(("refusals_known_since", since));
        }
    }
}

/// Spans without a parent that are kept to be explained.
const KEPT_MAX: usize = 10_000;

/// Spans without a parent, the first [`KEPT_MAX`] of them: how often each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(HashMap<Missing, i64>);

impl Kept {
    /// Adds (or, with -1, takes away) the spans without a parent of one trace.
    pub(crate) fn add_trace(
        &mut self,
        id: [u8; 16],
        trace: &storage::rollup::Trace<'_>,
        sign: i64,
    ) {
        let first_weight = trace.spans.first().map_or(1.0, |span| span.weight);
        let mixed_weights = trace.spans.iter().any(|span| span.weight != first_weight);
        let missing = trace.callers.iter().zip(trace.spans);
        let missing = missing.filter(|(caller, _)| **caller == storage::rollup::Caller::Missing);
        let mut parents: HashMap<u64, (i64, i64)> = HashMap::new();
        for (_, span) in missing {
            let parent = span.parent.map_or(0, std::num::NonZeroU64::get);
            let (end, children) = parents.entry(parent).or_insert((i64::MIN, 0));
            *end = span.start.saturating_add(span.duration).max(*end);
            *children += 1;
        }
        for (span, (child_end_nano, children)) in parents {
            let missing = Missing { trace: id, span, child_end_nano, mixed_weights };
            self.add(missing, sign * children);
        }
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: Self) {
        for (missing, count) in other.0 {
            self.add(missing, count);
        }
    }

    fn add(&mut self, missing: Missing, count: i64) {
        if self.0.len() < KEPT_MAX || self.0.contains_key(&missing) {
            *self.0.entry(missing).or_default() += count;
        }
    }

    /// Notes why parents are missing; `all` is how many spans miss theirs.
    pub(crate) fn note(&self, all: i64, (ledger, now): (&Ledger, i64), notes: &mut Notes) {
        let kept: Vec<(&Missing, i64)> =
            self.0.iter().filter(|(_, count)| **count > 0).map(|(one, n)| (one, *n)).collect();
        let mut counts = Counts::default();
        let mut rest = all;
        let absences = ledger.explain_all(kept.iter().map(|(missing, _)| *missing), now);
        for ((_, spans), absence) in kept.iter().zip(absences) {
            counts.add(absence, *spans);
            rest -= spans;
        }
        counts.add(Absence::Unknown, rest.max(0));
        counts.note(ledger, notes);
    }
}
