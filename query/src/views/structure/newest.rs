//! `structure` file by file, the newest first: the traces that a file has whole, then those that it has only a part of, from
//! their spans wherever they lie.
//!
//! Nothing of a file is read once the filter says that no span in it can be wanted; of one trace that it names, only that
//! one is read. At any time the spans of one file are in memory, of a large one those of a part of its traces.
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use storage::TimeRange;

use super::{BATCH_ROWS, Row, batch, rows};
use crate::views::Notes;
use crate::views::forest::Forest;
use crate::views::in_range;
use crate::views::load::Source;
use crate::views::near::{Near, Open, Rolled};
use crate::views::sweep::{Harvest, Sweep};
use crate::views::traces::filter::Filter;
use crate::views::waiting::Waiting;

/// See the module.
pub(crate) struct Newest {
    source: Source,
    range: TimeRange,
    /// Files that are still to be read, the newest last.
    files: Vec<Rolled>,
    open: Open,
    /// Open traces that are to be shown.
    waiting: Waiting,
    /// Of the file that is being read.
    sweep: Option<Sweep>,
    ready: Vec<RecordBatch>,
    seen: Seen,
}

/// What was looked at.
#[derive(Debug, Default)]
struct Seen {
    files: usize,
    files_in_range: usize,
    open_traces: usize,
}

/// The traces of a file.
struct Spans<'a> {
    range: TimeRange,
    open: &'a Open,
    rows: Vec<Row>,
    /// Those that it does not have whole.
    others: Vec<[u8; 16]>,
}

impl Harvest for Spans<'_> {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in forest.traces() {
            let id = forest.trace_id(trace.index());
            if self.open.contains(&id) {
                self.others.push(id);
            }
        }
        for trace in in_range(forest, self.range) {
            if !self.open.contains(&forest.trace_id(trace.index())) {
                self.rows.extend(rows(forest, &trace));
            }
        }
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>() + self.others.capacity() * 16
    }
}

impl Newest {
    /// Prepares the list; gives `source` back with a reason where it has to be read all at once.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn new(
        source: Source,
        range: TimeRange,
        filter: &Filter,
    ) -> Result<std::result::Result<Self, (Box<Source>, &'static str)>> {
        let Some(cache) = source.tables.rollups.clone() else {
            return Ok(Err((Box::new(source), "rollups are off")));
        };
        let near = match Near::of(&source, &cache, range, |_| Ok(())).await {
            Ok(near) => near,
            Err(reason) => return Ok(Err((Box::new(source), reason))),
        };
        let seen = Seen { files_in_range: near.files.len(), ..Seen::default() };
        let mut newest = Self {
            source,
            range,
            files: near.files,
            open: near.open,
            waiting: Waiting::default(),
            sweep: None,
            ready: Vec::new(),
            seen,
        };
        if let Some(trace) = filter.only_trace()? {
            newest.files.clear();
            newest.waiting.add([trace]);
            return Ok(Ok(newest));
        }
        let hot = newest.source.hot_traces().await?;
        newest.waiting.add(hot.iter().copied());
        newest.open.add_hot(Arc::new(hot));
        Ok(Ok(newest))
    }

    /// The next spans, with the columns that `filter` wants; after the last, the notes.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(crate) async fn next(
        &mut self,
        filter: &Filter,
        notes: &mut Notes,
    ) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop() {
                let batch = filter.batch(&batch)?;
                if batch.num_rows() > 0 {
                    return Ok(Some(batch));
                }
            } else if let Some(mut sweep) = self.sweep.take() {
                if self.read_slice(&mut sweep).await? {
                    self.sweep = Some(sweep);
                }
            } else if !self.waiting.is_empty() {
                self.read_waiting().await?;
            } else if let Some((file, _)) = self.files.pop() {
                if filter.admits(file.start)? {
                    self.seen.files += 1;
                    let part = self.source.tables.part([file].into(), Arc::new([]));
                    self.sweep =
                        Some(Sweep::new(self.source.of(part), self.range, Default::default()));
                }
            } else {
                let Seen { files, files_in_range, open_traces } = self.seen;
                let words = format!(
                    "spans of {files} of {files_in_range} files; {open_traces} traces across files"
                );
                notes.push(("source", words));
                return Ok(None);
            }
        }
    }

    /// False after the last slice.
    async fn read_slice(&mut self, sweep: &mut Sweep) -> Result<bool> {
        let (range, open) = (self.range, &self.open);
        let none = || Spans { range, open, rows: Vec::new(), others: Vec::new() };
        let Some(Spans { rows, others, .. }) = sweep.next(none).await? else {
            return Ok(false);
        };
        self.waiting.add(others);
        self.show(&sweep.forest, rows)?;
        Ok(true)
    }

    async fn read_waiting(&mut self) -> Result<()> {
        let traces = self.waiting.take();
        self.seen.open_traces += traces.len();
        let forest = self.source.few(traces).await?;
        let found = in_range(&forest, self.range).flat_map(|trace| rows(&forest, &trace));
        let found = found.collect();
        self.show(&forest, found)
    }

    /// A trace's rows stay together in their order.
    fn show(&mut self, forest: &Forest, mut rows: Vec<Row>) -> Result<()> {
        rows.sort_by_key(|row| row.trace);
        let mut held = rows.capacity() * size_of::<Row>() + self.open.bytes();
        for rows in rows.chunks(BATCH_ROWS) {
            let batch = batch(&forest.texts, rows)?;
            held += batch.get_array_memory_size();
            self.ready.push(batch);
        }
        self.source.hold(held)
    }
}
