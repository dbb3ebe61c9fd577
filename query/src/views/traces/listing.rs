//! Traces from the rows that rollups keep of them, file by file, the newest first.
//!
//! ```text
//! traces with spans in the hot buffer -> from their spans                          -.
//! files in the range, newest first    -> the rows of their rollups                   |-> filter -> columns
//! open traces of such a file, and those of its rows that are open in another file   -'
//!                                     -> from their spans, kept in [`super::open`]
//! ```
//! Nothing of a file is read once the filter says that no trace in it can be wanted. An open trace is shown with the first
//! file that has something of it, and with the file that has its root at the latest.
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Result, exec_err};
use hashbrown::HashSet;
use storage::rollup::TraceRow;
use storage::{DataFile, TimeRange, TraceId};

use super::filter::Filter;
use super::{Incomplete, Row, extent, rows};
use crate::views::edge::Moved;
use crate::views::forest::{Forest, Texts};
use crate::views::load::{self, Source};
use crate::views::read::Admit;
use crate::views::router::Cache;
use crate::views::sweep::is_exhausted;
use crate::views::{Ask, Notes};

/// A list, or where to read spans in its place, and why.
pub(crate) type Prepared = std::result::Result<Listing, (Box<Source>, &'static str)>;

/// See the module.
pub(crate) struct Listing {
    source: Source,
    ask: Ask,
    cache: Arc<Cache>,
    /// Files that are still to be read, the newest last.
    files: Vec<Arc<DataFile>>,
    /// Traces that rows of rollups do not tell.
    open: HashSet<[u8; 16]>,
    /// Those of them that were shown.
    shown: HashSet<[u8; 16]>,
    texts: Texts,
    /// Rows that are still to be shown, the newest last.
    rows: Vec<Row>,
    /// How many are shown next.
    step: usize,
    seen: Seen,
}

/// What was looked at.
#[derive(Debug, Default)]
struct Seen {
    incomplete: Incomplete,
    files: usize,
    files_in_range: usize,
    from_spans: usize,
}

/// The first rows are few, so that a sort that wants few soon knows which others it does not.
const FIRST_STEP: usize = 64;
const STEP_MAX: usize = 8_192;
/// Of these newest files a trace of the hot buffer may have spans although it looks whole.
const NEWEST: usize = 16;
/// So many of the newest files are read ahead: some 30 MiB of rows.
const FILES_WARM_MAX: usize = 64;

impl Listing {
    /// Prepares the list; gives `source` back with a reason where rollups do not tell it.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn new(source: Source, ask: Ask) -> Result<Prepared> {
        let Some(cache) = source.tables.rollups.clone() else {
            return Ok(Err((Box::new(source), "rollups are off")));
        };
        if !source.tables.snapshot.patches.renames().is_empty() {
            return Ok(Err((
                Box::new(source),
                "operations were renamed, which rollups do not know",
            )));
        }
        let snapshot = Arc::clone(&source.tables.snapshot);
        let near = load::window(ask.range);
        let (mut files, mut open) = (Vec::new(), HashSet::new());
        for file in snapshot.files.iter().filter(|file| file.start.overlaps(&near)) {
            let Some(rollup) = snapshot.rollups.whole(file).await else {
                return Ok(Err((Box::new(source), "a file has no rollup")));
            };
            if !rollup.has_traces() {
                return Ok(Err((
                    Box::new(source),
                    "the rollup of a file is older than lists of traces",
                )));
            }
            open.extend(rollup.open().iter().map(|trace| trace.0));
            if file.start.overlaps(&ask.range) {
                files.push(Arc::clone(file));
            }
        }
        files.sort_by_key(|file| file.start.until);
        let seen = Seen { files_in_range: files.len(), ..Seen::default() };
        let mut listing = Self {
            source,
            ask,
            cache,
            files,
            open,
            shown: HashSet::new(),
            texts: Texts::default(),
            rows: Vec::new(),
            step: FIRST_STEP,
            seen,
        };
        match listing.read_hot().await {
            Err(error) if is_exhausted(&error) => Ok(Err((
                Box::new(listing.source),
                "the spans in memory are too many for one query",
            ))),
            read => read.map(|()| Ok(listing)),
        }
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
                let mut rows = self.rows.split_off(self.rows.len().saturating_sub(self.step));
                rows.reverse();
                self.step = (self.step * 8).min(STEP_MAX);
                let batch = filter.rows(&self.texts, &rows)?;
                if batch.num_rows() > 0 {
                    return Ok(Some(batch));
                }
                continue;
            }
            let Some(file) = self.files.pop() else {
                self.seen.incomplete.note(notes);
                notes.push(("source", self.source()));
                return Ok(None);
            };
            if filter.admits(file.start)? {
                self.read_file(&file, filter.shortest()?).await?;
                self.rows.sort_by_key(|row| (row.start, std::cmp::Reverse(row.key)));
            }
        }
    }

    /// The rows of all traces of the next file, in no order; `None` after the last file.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn next_rows(&mut self) -> Result<Option<Vec<Row>>> {
        if self.rows.is_empty() {
            let Some(file) = self.files.pop() else { return Ok(None) };
            self.read_file(&file, i64::MIN).await?;
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
        self.source.hold(bytes)
    }

    /// Where rows came from so far, in words.
    pub(crate) fn source(&self) -> String {
        let Seen { files, files_in_range, from_spans, .. } = self.seen;
        if files < files_in_range {
            format!("rollups of {files} of {files_in_range} files; {from_spans} traces from spans")
        } else {
            format!("rollups of {files} files; {from_spans} traces from spans")
        }
    }

    /// Reads the rows of one file. Of its whole traces, those shorter than `shortest` are left out.
    async fn read_file(&mut self, file: &DataFile, shortest: i64) -> Result<()> {
        let rollups = Arc::clone(&self.source.tables.snapshot.rollups);
        let (Some(whole), Some(told)) = (rollups.whole(file).await, rollups.traces(file).await)
        else {
            return exec_err!("the list of a file's traces cannot be read; ask again");
        };
        self.seen.files += 1;
        let keys: Vec<u32> = told.names().iter().map(|name| self.texts.id(name)).collect();
        let is_open = |trace: &[u8; 16]| self.open.contains(trace);
        let (mut rows, mut open) = (Vec::new(), Vec::new());
        for row in told.rows() {
            if is_open(&row.id.0) {
                open.push(row.id.0);
            } else if row.duration >= shortest && self.ask.range.contains(row.start) {
                rows.push(told_row(row, &keys));
            }
        }
        open.extend(whole.open().iter().map(|trace| trace.0));
        open.retain(|trace| self.shown.insert(*trace));
        self.rows = rows;
        self.seen.from_spans += open.len();
        let open = self.whole(open).await?;
        self.show(open);
        self.source.hold(self.rows.capacity() * size_of::<Row>())
    }

    /// Adds rows to those that are shown.
    fn show(&mut self, rows: Vec<Row>) {
        let range = self.ask.range;
        for row in rows.into_iter().filter(|row| range.contains(row.start)) {
            self.seen.incomplete.add(&row);
            self.rows.push(row);
        }
    }

    /// The rows of `traces`, which have no span in the hot buffer, wherever their spans lie.
    async fn whole(&mut self, traces: Vec<[u8; 16]>) -> Result<Vec<Row>> {
        let files = Arc::clone(&self.source.tables.snapshot.files);
        let of = (&files, self.ask.bytes);
        let mut found = Vec::new();
        let unknown = self.cache.open.find(of, traces, (&mut self.texts, &mut found));
        let mut pieces = vec![unknown];
        while let Some(mut piece) = pieces.pop().filter(|piece| !piece.is_empty()) {
            let mut forest = Forest::with_texts(std::mem::take(&mut self.texts));
            let read = self.read_files(&mut forest, &piece).await;
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

    /// Reads the spans of `traces` in files.
    async fn read_files(&self, forest: &mut Forest, traces: &[[u8; 16]]) -> Result<()> {
        let held = self.rows.capacity() * size_of::<Row>();
        let extent = extent(self.ask.bytes);
        for file in self.source.tables.snapshot.files.iter() {
            let here = traces.iter().copied();
            let here = here.filter(|trace| file.may_hold_trace(&TraceId(*trace)));
            let here: HashSet<[u8; 16]> = here.collect();
            if !here.is_empty() {
                let part = self.source.tables.part([Arc::clone(file)].into(), Arc::new([]));
                let read = (TimeRange::ALL, extent, Admit::Traces(&here));
                self.source.read(forest, &part, read, held).await?;
            }
        }
        Ok(())
    }

    /// The rows of all traces with spans in the hot buffer.
    async fn read_hot(&mut self) -> Result<()> {
        let snapshot = Arc::clone(&self.source.tables.snapshot);
        if snapshot.hot.is_empty() {
            return Ok(());
        }
        let mut forest = Forest::default();
        let hot = self.source.tables.part(Arc::new([]), Arc::clone(&snapshot.hot));
        let read = (TimeRange::ALL, extent(self.ask.bytes), Admit::All);
        self.source.read(&mut forest, &hot, read, 0).await?;
        forest.group();
        let traces: Vec<[u8; 16]> =
            forest.traces().map(|trace| forest.trace_id(trace.index())).collect();
        let others = self.elsewhere(&forest);
        self.seen.from_spans += traces.len();
        self.read_files(&mut forest, &others).await?;
        forest.group();
        let rows: Vec<Row> = rows(&forest, self.ask.range).collect();
        self.texts = forest.texts;
        self.show(rows);
        self.rows.sort_by_key(|row| (row.start, std::cmp::Reverse(row.key)));
        self.shown.extend(&traces);
        self.open.extend(traces);
        self.source.hold(self.rows.capacity() * size_of::<Row>())
    }

    /// The traces of hot batches that may have spans in files. As in a flush, one with a root and all parents here is
    /// taken to be elsewhere only where one of the newest files may hold it, or where it was open there.
    fn elsewhere(&self, forest: &Forest) -> Vec<[u8; 16]> {
        let mut newest: Vec<_> = self.source.tables.snapshot.files.iter().collect();
        newest.sort_by_key(|file| std::cmp::Reverse(file.modified_unix_milli));
        newest.truncate(NEWEST);
        let mut others = Vec::new();
        for trace in forest.traces() {
            let id = forest.trace_id(trace.index());
            let is_whole = trace.root().1 && trace.missing() == 0;
            let is_here = || newest.iter().any(|file| file.may_hold_trace(&TraceId(id)));
            if !is_whole || self.open.contains(&id) || is_here() {
                others.push(id);
            }
        }
        others
    }
}

fn told_row(told: &TraceRow, keys: &[u32]) -> Row {
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
