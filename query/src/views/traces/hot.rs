//! Rows of the traces that have hot spans: made once for a state of the table, whatever is asked of it, and shared by all who
//! ask meanwhile ([`super::moment`]).
use std::cmp::Reverse;
use std::sync::Arc;

use datafusion::common::Result;
use hashbrown::HashSet;
use storage::{DataFile, TimeRange, TraceId};

use super::filter::Filter;
use super::{Incomplete, Row, extent, rows};
use crate::spans::Tables;
use crate::views::forest::{Forest, Texts};
use crate::views::load::Source;
use crate::views::near::{Near, Open};
use crate::views::read::Admit;
use crate::views::router::Cache;

/// Of these newest files a trace of the hot buffer may have spans although it looks whole.
const NEWEST: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct HotRows {
    texts: Texts,
    /// Those that start last are last.
    rows: Vec<Row>,
    /// Places among the rows, the longest last.
    by_duration: Vec<u32>,
    /// All traces with hot spans.
    pub(super) traces: Arc<HashSet<[u8; 16]>>,
}

/// Rows, or why rollups do not tell which files have something of their traces.
pub(super) type Made = std::result::Result<HotRows, &'static str>;

impl HotRows {
    /// Reads the spans of all traces with hot spans.
    pub(super) async fn of(source: &Source, cache: &Cache, bytes: bool) -> Result<Made> {
        let tables = &source.tables;
        let near = match Near::of(source, cache, range_of(tables), |_| Ok(())).await {
            Ok(near) => near,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut forest = Forest::default();
        let hot = tables.part(Arc::new([]), Arc::clone(&tables.snapshot.hot));
        let read = (TimeRange::ALL, extent(bytes), Admit::All);
        source.read(&mut forest, &hot, read, 0).await?;
        drop(hot);
        forest.group();
        let traces: HashSet<_> =
            forest.traces().map(|trace| forest.trace_id(trace.index())).collect();
        let others = elsewhere(tables, &near.open, &forest);
        read_files(source, &mut forest, (&others, bytes), 0).await?;
        forest.group();
        let mut rows: Vec<Row> = rows(&forest, TimeRange::ALL).collect();
        rows.sort_unstable_by_key(|row| (row.start, Reverse(row.key)));
        let mut by_duration: Vec<u32> = (0u32..).zip(&rows).map(|(place, _)| place).collect();
        by_duration.sort_by_key(|place| rows[*place as usize].duration);
        Ok(Ok(Self { texts: forest.texts, rows, by_duration, traces: Arc::new(traces) }))
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * (size_of::<Row>() + size_of::<u32>())
            + self.traces.capacity() * 17
            + self.texts.bytes()
    }
}

/// The rows that a list has not shown yet.
#[derive(Debug)]
pub(super) struct Left {
    hot: Arc<HotRows>,
    /// So many of them, in the order of the list the last first.
    rows: usize,
}

impl Left {
    /// All of them.
    pub(super) fn all(hot: &Arc<HotRows>) -> Self {
        Self { hot: Arc::clone(hot), rows: hot.rows.len() }
    }

    /// What could not be known of those within `range`.
    pub(super) fn incomplete(&self, range: TimeRange) -> Incomplete {
        let mut incomplete = Incomplete::default();
        let within = self.hot.rows.iter().filter(|row| range.contains(row.start));
        within.for_each(|row| incomplete.add(row));
        incomplete
    }

    /// The next `count` rows at most, those that come first last, with keys of `texts`; none once `filter` says that
    /// none of the rest can be wanted.
    pub(super) fn take(
        &mut self,
        count: usize,
        (filter, range): (&Filter, TimeRange),
        texts: &mut Texts,
    ) -> Result<Vec<Row>> {
        let is_by_duration = filter.is_by_duration();
        while let Some(next) = self.row(self.rows, is_by_duration) {
            let none_is_wanted = if is_by_duration {
                next.duration < filter.shortest()?
            } else {
                let until = next.start.saturating_add(1);
                range.from >= until || !filter.admits(TimeRange { from: i64::MIN, until })?
            };
            if none_is_wanted {
                self.rows = 0;
                break;
            }
            let from = self.rows.saturating_sub(count);
            let taken = (from + 1..=self.rows).filter_map(|end| self.row(end, is_by_duration));
            let taken = taken.filter(|row| range.contains(row.start));
            let taken: Vec<Row> = taken.map(|row| self.own(row, texts)).collect();
            self.rows = from;
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
        Ok(Vec::new())
    }

    /// All that are left within `range`, in no order.
    pub(super) fn take_all(&mut self, range: TimeRange, texts: &mut Texts) -> Vec<Row> {
        let rest = std::mem::take(&mut self.rows);
        let within = self.hot.rows[..rest].iter().filter(|row| range.contains(row.start));
        within.map(|row| self.own(row, texts)).collect()
    }

    /// The last of the first `rows` rows.
    fn row(&self, rows: usize, is_by_duration: bool) -> Option<&Row> {
        let place = rows.checked_sub(1)?;
        if is_by_duration {
            let place = *self.hot.by_duration.get(place)?;
            return self.hot.rows.get(place as usize);
        }
        self.hot.rows.get(place)
    }

    fn own(&self, row: &Row, texts: &mut Texts) -> Row {
        let [service, name] = [row.service, row.name].map(|key| texts.id(self.hot.texts.text(key)));
        Row { service, name, ..row.clone() }
    }
}

/// From the first to the last start of a hot span.
fn range_of(tables: &Tables) -> TimeRange {
    let starts = tables.snapshot.hot.iter().map(|batch| batch.start());
    starts
        .reduce(|a, b| TimeRange { from: a.from.min(b.from), until: a.until.max(b.until) })
        .unwrap_or(TimeRange { from: 0, until: 0 })
}

/// Reads the spans of `traces` in files, and their bytes if wanted. `held_bytes` are held beside them.
pub(super) async fn read_files(
    source: &Source,
    forest: &mut Forest,
    (traces, bytes): (&[[u8; 16]], bool),
    held_bytes: usize,
) -> Result<()> {
    for file in source.tables.snapshot.files.iter() {
        let here = traces.iter().copied();
        let here = here.filter(|trace| file.may_hold_trace(&TraceId(*trace)));
        let here: HashSet<[u8; 16]> = here.collect();
        if !here.is_empty() {
            let part = source.tables.part([Arc::clone(file)].into(), Arc::new([]));
            let read = (TimeRange::ALL, extent(bytes), Admit::Traces(&here));
            source.read(forest, &part, read, held_bytes).await?;
        }
    }
    Ok(())
}

/// The traces of hot batches that may have spans in files. As in a flush, one with a root and all parents here is
/// taken to be elsewhere only where one of the newest files may hold it, or where it was open there.
fn elsewhere(tables: &Tables, open: &Open, forest: &Forest) -> Vec<[u8; 16]> {
    let mut newest: Vec<&Arc<DataFile>> = tables.snapshot.files.iter().collect();
    newest.sort_by_key(|file| Reverse(file.modified_unix_milli));
    newest.truncate(NEWEST);
    let mut others = Vec::new();
    for trace in forest.traces() {
        let id = forest.trace_id(trace.index());
        let is_whole = trace.root().1 && trace.missing() == 0;
        let is_here = || newest.iter().any(|file| file.may_hold_trace(&TraceId(id)));
        if !is_whole || open.contains(&id) || is_here() {
            others.push(id);
        }
    }
    others
}
