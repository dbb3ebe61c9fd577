//! Traces from the rows that rollups keep of them, file by file, the newest first (or, in [`super::slowest`], the file with the
//! slowest trace first).
//!
//! ```text
//! traces with spans in the hot buffer -> from their spans                          -.
//! files in the range, newest first    -> the rows of their rollups                   |-> filter -> columns
//! open traces of such a file, and those of its rows that are open in another file   -'
//!                                     -> from their spans, kept in [`super::open`]
//! ```
//! Nothing of a file is read once the filter says that no trace in it can be wanted: by its time, or because no wanted trace
//! begins with an operation that it has, or because none in it lasts long enough. An open trace is shown with the first file
//! that has something of it, and with the file that has its root at the latest.
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Result, exec_err};
use futures::StreamExt;
use hashbrown::HashSet;
use storage::rollup::{Rollup, RollupTraces, TraceRow};
use storage::schema::column;
use storage::{DataFile, TimeRange};

use super::filter::Filter;
use super::heads::{Beginning, Heads, Possible};
use super::hot::{Left, read_files};
use super::slowest::Slowest;
use super::{Incomplete, Row, moment, rows};
use crate::views::edge::Moved;
use crate::views::forest::{Forest, Texts};
use crate::views::load::Source;
use crate::views::near::{Near, Open, Rolled, Steps};
use crate::views::read::{ids, named, trace_bytes};
use crate::views::router::Cache;
use crate::views::sweep::is_exhausted;
use crate::views::{Ask, Notes};

/// A list, or where to read spans in its place, and why.
pub(crate) type Prepared = std::result::Result<Listing, (Box<Source>, &'static str)>;

/// See the module.
pub(crate) struct Listing {
    pub(super) source: Source,
    pub(super) ask: Ask,
    pub(super) cache: Arc<Cache>,
    /// Files that are still to be read, the newest last.
    pub(super) files: Vec<Rolled>,
    /// Traces that rows of rollups do not tell.
    pub(super) open: Open,
    /// Those of them that were shown.
    pub(super) shown: HashSet<[u8; 16]>,
    pub(super) texts: Texts,
    /// Rows that are still to be shown, those that come first last.
    pub(super) rows: Vec<Row>,
    /// Rows of traces with hot spans that come before.
    hot: Left,
    hot_bytes: usize,
    /// How old the list is, where it is not of now.
    age: Option<String>,
    pub(super) steps: Steps,
    order: Option<Order>,
    pub(super) seen: Seen,
}

/// In which order files are read.
enum Order {
    Newest(Heads),
    Slowest(Box<Slowest>),
}

/// What was looked at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) incomplete: Incomplete,
    pub(super) files: usize,
    pub(super) files_in_range: usize,
    pub(super) from_spans: usize,
}

const STEP_MAX: usize = 8_192;
/// So many of the newest files are read ahead: some 30 MiB of rows.
const FILES_WARM_MAX: usize = 64;
/// So many open traces are read from their spans without asking first which of them may be wanted.
pub(super) const READ_AT_ONCE_MAX: usize = 256;

impl Listing {
    /// Prepares the list; gives `source` back with a reason where rollups do not tell it.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn new(mut source: Source, ask: Ask) -> Result<Prepared> {
        let Some(cache) = source.tables.rollups.clone() else {
            return Ok(Err((Box::new(source), "rollups are off")));
        };
        if !source.tables.snapshot.patches.renames().is_empty() {
            return Ok(Err((
                Box::new(source),
                "operations were renamed, which rollups do not know",
            )));
        }
        let (moment, age) = match moment::begin(&source, &cache, ask.bytes).await {
            Ok(Ok(beginning)) => beginning,
            Ok(Err(reason)) => return Ok(Err((Box::new(source), reason))),
            Err(error) if is_exhausted(&error) => {
                const MANY: &str = "the spans in memory are too many for one query";
                return Ok(Err((Box::new(source), MANY)));
            }
            Err(error) => return Err(error),
        };
        const OLD: &str = "the rollup of a file is older than lists of traces";
        let is_usable = |rollup: &Rollup| if rollup.has_traces() { Ok(()) } else { Err(OLD) };
        // The hot spans are needed no longer.
        let all = std::mem::replace(&mut source.tables, moment.tables.clone());
        let near = match Near::of(&source, &cache, ask.range, is_usable).await {
            Ok(near) => near,
            Err(reason) => {
                source.tables = all;
                return Ok(Err((Box::new(source), reason)));
            }
        };
        drop(all);
        let hot = Left::all(&moment.hot);
        let mut listing = Self {
            seen: Seen {
                incomplete: hot.incomplete(ask.range),
                files_in_range: near.files.len(),
                from_spans: moment.hot.traces.len(),
                ..Seen::default()
            },
            source,
            ask,
            cache,
            files: near.files,
            open: near.open,
            shown: HashSet::new(),
            texts: Texts::default(),
            rows: Vec::new(),
            hot,
            hot_bytes: moment.hot.bytes(),
            age,
            steps: Steps::up_to(STEP_MAX),
            order: None,
        };
        listing.open.add_hot(Arc::clone(&moment.hot.traces));
        listing.hold(0)?;
        Ok(Ok(listing))
    }

    /// The next traces, with the columns that `filter` wants; after the last, the notes.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn next(
        &mut self,
        filter: &Filter,
        notes: &mut Notes,
    ) -> Result<Option<RecordBatch>> {
        loop {
            if !self.rows.is_empty() {
                let mut rows = self.steps.take(&mut self.rows);
                rows.reverse();
                let batch = filter.rows(&self.texts, &rows)?;
                if batch.num_rows() > 0 {
                    return Ok(Some(batch));
                }
                continue;
            }
            let of = (filter, self.ask.range);
            self.rows = self.hot.take(self.steps.next(), of, &mut self.texts)?;
            if !self.rows.is_empty() {
                continue;
            }
            let mut order = match self.order.take() {
                Some(order) => order,
                None => self.order_for(filter)?,
            };
            let is_more = match &mut order {
                Order::Newest(heads) => self.next_newest(heads, filter).await?,
                Order::Slowest(slowest) => slowest.next(self, filter).await?,
            };
            self.order = Some(order);
            if !is_more {
                self.seen.incomplete.note(notes);
                notes.push(("source", self.source()));
                return Ok(None);
            }
        }
    }

    fn order_for(&mut self, filter: &Filter) -> Result<Order> {
        let heads = Heads::of(filter)?;
        if !filter.is_by_duration() {
            return Ok(Order::Newest(heads));
        }
        Ok(Order::Slowest(Box::new(Slowest::new(self, heads, filter)?)))
    }

    /// Reads what is wanted of the newest file that is left; false after the last.
    async fn next_newest(&mut self, heads: &mut Heads, filter: &Filter) -> Result<bool> {
        let Some((file, rollup)) = self.files.pop() else { return Ok(false) };
        if !filter.admits(file.start)? {
            return Ok(true);
        }
        let shortest = filter.shortest()?;
        let possible = heads.possible(&rollup, filter, &mut self.texts)?;
        if possible.traces_nano.max(possible.spans_nano).is_some_and(|longest| longest >= shortest)
        {
            self.read_file(&file, &rollup, (shortest, Some(possible))).await?;
            self.rows.sort_by_key(|row| (row.start, std::cmp::Reverse(row.key)));
        }
        Ok(true)
    }

    /// The rows of all traces of the next file, in no order; `None` after the last file.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn next_rows(&mut self) -> Result<Option<Vec<Row>>> {
        let hot = self.hot.take_all(self.ask.range, &mut self.texts);
        self.rows.extend(hot);
        if self.rows.is_empty() {
            let Some((file, rollup)) = self.files.pop() else { return Ok(None) };
            self.read_file(&file, &rollup, (i64::MIN, None)).await?;
        }
        Ok(Some(std::mem::take(&mut self.rows)))
    }

    /// Reads the newest files, and keeps what they tell for those who ask.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn warm(mut self) -> Result<()> {
        for _ in 0..FILES_WARM_MAX {
            if self.next_rows().await?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The texts of keys.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Accounts for what is held beside it.
    ///
    /// # Errors
    /// That is more than one query may use.
    pub(crate) fn hold(&self, bytes: usize) -> Result<()> {
        let rows = self.rows.capacity() * size_of::<Row>();
        let shown = self.shown.capacity() * 17;
        self.source.hold(rows + self.hot_bytes + self.open.bytes() + shown + bytes)
    }

    /// Where rows came from so far, in words.
    pub(crate) fn source(&self) -> String {
        let Seen { files, files_in_range, from_spans, .. } = self.seen;
        let mut words = if files < files_in_range {
            format!("rollups of {files} of {files_in_range} files; {from_spans} traces from spans")
        } else {
            format!("rollups of {files} files; {from_spans} traces from spans")
        };
        if let Some(age) = &self.age {
            words.push_str("; ");
            words.push_str(age);
        }
        words
    }

    /// The rows of traces that `file` has whole.
    pub(super) async fn told(&self, file: &DataFile) -> Result<Arc<RollupTraces>> {
        match self.source.tables.snapshot.rollups.traces(file).await {
            Some(told) => Ok(told),
            None => exec_err!("the list of a file's traces cannot be read; ask again"),
        }
    }

    /// Reads the rows of one file. Of its whole traces, those shorter than `shortest` are left out; of the open ones, where
    /// they are many, those that cannot begin with a span of what is possible.
    async fn read_file(
        &mut self,
        file: &Arc<DataFile>,
        rollup: &Rollup,
        (shortest, possible): (i64, Option<Possible>),
    ) -> Result<()> {
        let told = self.told(file).await?;
        self.seen.files += 1;
        let keys: Vec<u32> = told.names().iter().map(|name| self.texts.id(name)).collect();
        let (mut rows, mut open) = (Vec::new(), Vec::new());
        for row in told.rows() {
            if self.open.contains(&row.id.0) {
                open.push(row.id.0);
            } else if row.duration >= shortest && self.ask.range.contains(row.start) {
                rows.push(told_row(row, &keys));
            }
        }
        open.extend(rollup.open().iter().map(|trace| trace.0));
        self.rows = rows;
        if let Some(beginning) = possible.and_then(|possible| possible.beginning(shortest)) {
            open.retain(|trace| !self.is_shown(trace));
            let unknown = self.show_known(open, shortest);
            self.read_open(file, unknown, beginning).await?;
        } else {
            self.show_all(open).await?;
        }
        self.hold(0)
    }

    /// Shows those of `traces` whose rows are known and that lasted `shortest` at least; returns the unknown ones.
    pub(super) fn show_known(
        &mut self,
        traces: impl IntoIterator<Item = [u8; 16]>,
        shortest: i64,
    ) -> Vec<[u8; 16]> {
        let of = (&self.source.tables.snapshot.files, self.ask.bytes);
        let mut found = Vec::new();
        let into = (&mut self.texts, &mut found);
        let unknown = self.cache.open.find(of, (traces, shortest), into);
        self.shown.extend(found.iter().map(|row| row.key.to_be_bytes()));
        self.seen.from_spans += found.len();
        self.show(found);
        unknown
    }

    /// Shows those of `traces` that begin, as far as a span of `file` tells, as `beginning` says. Few are all shown.
    pub(super) async fn read_open(
        &mut self,
        file: &Arc<DataFile>,
        mut traces: Vec<[u8; 16]>,
        beginning: Beginning,
    ) -> Result<()> {
        if traces.len() > READ_AT_ONCE_MAX {
            let begun = self.begun(file, beginning).await?;
            traces.retain(|trace| begun.contains(trace));
        }
        self.show_all(traces).await
    }

    /// The traces of which `file` has such a span.
    async fn begun(
        &self,
        file: &Arc<DataFile>,
        Beginning { filter, words, shortest }: Beginning,
    ) -> Result<Arc<HashSet<[u8; 16]>>> {
        let known = &self.cache.beginnings;
        if let Some(found) = known.find(&file.path, &words, shortest) {
            return Ok(found);
        }
        let part = self.source.tables.part([Arc::clone(file)].into(), Arc::new([]));
        let columns = [column::TRACE_ID];
        let mut batches = self.source.scan_part(&part, TimeRange::ALL, &columns, Some(filter))?;
        let mut found = HashSet::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let ids = ids(named(&batch, column::TRACE_ID)?)?;
            found.extend(ids.iter().flatten().map(trace_bytes));
        }
        let found = Arc::new(found);
        known.put((&file.path, &words), shortest, &found);
        Ok(found)
    }

    /// Shows `traces`, from their spans where their rows are not known.
    pub(super) async fn show_all(&mut self, mut traces: Vec<[u8; 16]>) -> Result<()> {
        traces.retain(|trace| !self.open.is_hot(trace) && self.shown.insert(*trace));
        self.seen.from_spans += traces.len();
        let rows = self.whole(traces).await?;
        self.show(rows);
        Ok(())
    }

    /// True where its row was shown, or comes with those of traces with hot spans.
    fn is_shown(&self, trace: &[u8; 16]) -> bool {
        self.open.is_hot(trace) || self.shown.contains(trace)
    }

    /// Adds rows to those that are shown.
    pub(super) fn show(&mut self, rows: Vec<Row>) {
        let range = self.ask.range;
        for row in rows.into_iter().filter(|row| range.contains(row.start)) {
            self.seen.incomplete.add(&row);
            self.rows.push(row);
        }
    }

    /// The rows of `traces`, which have no span in the hot buffer, wherever their spans lie.
    pub(super) async fn whole(&mut self, traces: Vec<[u8; 16]>) -> Result<Vec<Row>> {
        let files = Arc::clone(&self.source.tables.snapshot.files);
        let of = (&files, self.ask.bytes);
        let mut found = Vec::new();
        let unknown = self.cache.open.find(of, (traces, i64::MIN), (&mut self.texts, &mut found));
        let mut pieces = vec![unknown];
        while let Some(mut piece) = pieces.pop().filter(|piece| !piece.is_empty()) {
            let mut forest = Forest::with_texts(std::mem::take(&mut self.texts));
            let held = self.rows.capacity() * size_of::<Row>();
            let wanted = (&piece[..], self.ask.bytes);
            let read = read_files(&self.source, &mut forest, wanted, held).await;
            match read {
                Err(error) if is_exhausted(&error) && piece.len() > 1 => {
                    self.texts = forest.texts;
                    pieces.push(piece.split_off(piece.len() / 2));
                    pieces.push(piece);
                }
                read => {
                    read?;
                    forest.group();
                    let rows: Vec<Row> = rows(&forest, TimeRange::ALL).collect();
                    self.cache.open.put(of, &piece, (&forest.texts, &rows));
                    found.extend(rows);
                    self.texts = forest.texts;
                }
            }
        }
        Ok(found)
    }
}

/// The row of a trace that a rollup tells.
pub(super) fn told_row(told: &TraceRow, keys: &[u32]) -> Row {
    Row {
        key: u128::from_be_bytes(told.id.0),
        service: keys[told.service as usize],
        name: keys[told.name as usize],
        start: told.start,
        duration: told.duration,
        first_start: told.first_start,
        extent: told.extent,
        spans: i64::from(told.spans),
        errors: i64::from(told.errors),
        services: i64::from(told.services),
        complete: true,
        error: told.is_error,
        depth: i64::from(told.depth),
        missing: 0,
        weight: told.weight,
        moved: Moved { request: told.bytes, ..Moved::default() },
    }
}
