//! The traces of a range, whole, in bounded memory: forest by forest.
//!
//! The snapshot is read in parts, a few files each, in the order of time. A trace is shown when the last part with a span
//! of it has been read, and held back until then; a first reading of the trace ids alone tells which part that is. Where
//! memory does not suffice, the traces are cut in halves by a hash of their ids, and everything is read for each half.
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use futures::StreamExt;
use hashbrown::{HashMap, HashSet};
use storage::TimeRange;
use storage::schema::column;

use super::forest::Forest;
use super::load::{self, Source};
use super::read::{Admit, Extent, Slice, hash, ids, named, trace_bytes};
use crate::spans::Tables;

/// What a view makes of traces.
pub(crate) trait Harvest: Send {
    /// Adds the traces that `forest` shows. `alone`: it holds all traces of the range, shown at once.
    fn add(&mut self, forest: &Forest, alone: bool);

    /// Memory held.
    fn bytes(&self) -> usize;
}

/// See the module.
pub(crate) struct Sweep {
    /// Where it reads.
    pub(crate) source: Source,
    /// Texts of everything read so far; between two calls of [`Sweep::next`] no spans.
    pub(crate) forest: Forest,
    range: TimeRange,
    extent: Extent,
    /// Where the spans of these traces lie, mostly.
    window: TimeRange,
    /// No span lies outside of the window.
    covers_everything: bool,
    parts: Vec<Tables>,
    /// Slices that are still to be read.
    slices: Vec<Slice>,
    /// Memory that the view holds of earlier slices.
    kept_bytes: usize,
}

/// Beyond so many slices memory is missing for another reason.
pub(crate) const SLICES_MAX: u64 = 1 << 12;

impl Sweep {
    /// All traces that have a span within `range`, with what `extent` says.
    pub(crate) fn new(source: Source, range: TimeRange, extent: Extent) -> Self {
        let window = load::window(range);
        let covers_everything = source.covers_everything(window);
        let memory_rows = (source.memory_bytes() / extent.bytes_of_span()) as u64;
        // All at once where that fits; otherwise a quarter, because held back traces and what the view makes of all
        // need memory, too.
        let alone = source.tables.snapshot.rows() <= memory_rows / 8 * 7;
        let rows_max = if alone { memory_rows } else { memory_rows / 4 };
        let parts = parts(&source.tables, window, rows_max.max(1));
        Self {
            source,
            forest: Forest::default(),
            range,
            extent,
            window,
            covers_everything,
            parts,
            slices: vec![Slice::ALL],
            kept_bytes: 0,
        }
    }

    /// What comes of the next slice; `None` after the last.
    ///
    /// # Errors
    /// Something cannot be read, or memory does not suffice for the smallest slice.
    pub(crate) async fn next<H: Harvest>(&mut self, new: impl Fn() -> H) -> Result<Option<H>> {
        while let Some(slice) = self.slices.pop() {
            match self.slice(slice, new()).await {
                Err(error) if is_exhausted(&error) && self.may_halve(slice) => {
                    self.forest.forget_all();
                    self.slices.extend(slice.halves());
                }
                done => return done.map(Some),
            }
        }
        Ok(None)
    }

    /// True where smaller slices help: not where what the view keeps is what takes the memory.
    fn may_halve(&self, slice: Slice) -> bool {
        slice.of < SLICES_MAX && self.kept_bytes < self.source.memory_bytes() / 2
    }

    /// Accounts for what the view holds of the slices so far.
    ///
    /// # Errors
    /// That is more than one query may use.
    pub(crate) fn keep(&mut self, bytes: usize) -> Result<()> {
        self.kept_bytes = bytes;
        self.source.hold(bytes)
    }

    /// The spans with these ids, wherever they lie, as a forest with the texts of the sweep: give it back by
    /// [`Self::take_texts`].
    pub(crate) async fn find(&mut self, wanted: &HashSet<([u8; 16], u64)>) -> Result<Forest> {
        let mut found = Forest::with_texts(std::mem::take(&mut self.forest.texts));
        let held = self.kept_bytes + wanted.capacity() * 25;
        let read = (TimeRange::ALL, Extent::default(), Admit::Spans(wanted));
        if !wanted.is_empty() {
            self.source.read(&mut found, &self.source.tables, read, held).await?;
        }
        found.group();
        Ok(found)
    }

    /// Takes back the texts that [`Self::find`] has lent.
    pub(crate) fn take_texts(&mut self, found: Forest) {
        self.forest.texts = found.texts;
    }

    async fn slice<H: Harvest>(&mut self, slice: Slice, mut harvest: H) -> Result<H> {
        let last = self.last_parts(slice).await?;
        let alone = self.parts.len() == 1 && slice == Slice::ALL && self.covers_everything;
        let admit = if slice == Slice::ALL { Admit::All } else { Admit::Slice(slice) };
        for (number, part) in (0u32..).zip(&self.parts) {
            let held = self.kept_bytes + harvest.bytes() + last.bytes();
            let read = (self.window, self.extent, admit);
            self.source.read(&mut self.forest, part, read, held).await?;
            self.forest.group();
            let (range, complete) = (self.range, self.covers_everything);
            self.forest.hold_back(|forest, trace| {
                let id = forest.trace_id(trace);
                last.is_after(&id, number)
                    || !complete && forest.trace(trace).is_some_and(|t| load::is_open(&t, range))
            });
            harvest.add(&self.forest, alone);
            self.forest.forget_shown();
        }
        self.complete(&mut harvest).await?;
        self.forest.forget_all();
        Ok(harvest)
    }

    /// Looks outside of the window for what is missing in the traces that are left.
    async fn complete<H: Harvest>(&mut self, harvest: &mut H) -> Result<()> {
        let left = u32::try_from(self.forest.trace_count()).unwrap_or(u32::MAX);
        if left == 0 {
            return Ok(());
        }
        let open: HashSet<u32> = (0..left).collect();
        let held = self.kept_bytes + harvest.bytes();
        let read = (self.window, self.extent);
        self.source.complete(&mut self.forest, &open, read, held).await?;
        self.forest.group();
        harvest.add(&self.forest, false);
        Ok(())
    }

    /// The last part of every trace that lies in several.
    async fn last_parts(&self, slice: Slice) -> Result<LastParts> {
        let mut seen: Vec<(u64, u32)> = Vec::new();
        if self.parts.len() == 1 {
            return Ok(LastParts::default());
        }
        for (number, part) in (0u32..).zip(&self.parts) {
            let mut own = Vec::new();
            let mut batches =
                self.source.scan_part(part, self.window, &[column::TRACE_ID], None)?;
            while let Some(batch) = batches.next().await {
                let traces = ids(named(&batch?, column::TRACE_ID)?)?;
                let hashes = traces.iter().flatten().map(|id| hash(&trace_bytes(id)));
                own.extend(hashes.filter(|hash| slice.contains(*hash)));
                let bytes = own.capacity() * 8 + seen.capacity() * 16;
                self.source.hold(self.kept_bytes + bytes)?;
            }
            own.sort_unstable();
            own.dedup();
            seen.extend(own.into_iter().map(|hash| (hash, number)));
        }
        seen.sort_unstable();
        let several = seen.chunk_by(|a, b| a.0 == b.0).filter(|parts| parts.len() > 1);
        Ok(LastParts(several.filter_map(|parts| parts.last().copied()).collect()))
    }
}

/// By hash of its id, the last part of a trace that lies in several parts.
#[derive(Debug, Default)]
struct LastParts(HashMap<u64, u32>);

impl LastParts {
    /// True where spans of `trace` come after the part with this number.
    fn is_after(&self, trace: &[u8; 16], part: u32) -> bool {
        !self.0.is_empty() && self.0.get(&hash(trace)).is_some_and(|last| *last > part)
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * 17
    }
}

/// The files and batches that overlap `window`, in the order of time, at most `rows_max` spans together, if they are
/// several.
fn parts(tables: &Tables, window: TimeRange, rows_max: u64) -> Vec<Tables> {
    let snapshot = &tables.snapshot;
    let files = snapshot.files.iter().filter(|file| file.start.overlaps(&window));
    let mut files: Vec<_> = files.map(Arc::clone).collect();
    files.sort_by_key(|file| (file.start.from, file.start.until));
    let hot: Vec<_> = snapshot.hot.iter().map(Arc::clone).collect();
    let rows = |batch: &Arc<storage::SpanBatch>| batch.rows() as u64;
    let mut parts: Vec<Tables> = cut(files, rows_max, |file| file.rows)
        .into_iter()
        .map(|files| tables.part(files.into(), Arc::new([])))
        .collect();
    let mut hot = cut(hot, rows_max, rows);
    // All of it fits: one part.
    let together = snapshot.rows() <= rows_max;
    if let ([files], true) = (&mut parts[..], together && hot.len() == 1) {
        *files = tables.part(Arc::clone(&files.snapshot.files), hot.remove(0).into());
    }
    parts.extend(hot.into_iter().map(|hot| tables.part(Arc::new([]), hot.into())));
    if parts.is_empty() {
        parts.push(tables.without_spans());
    }
    parts
}

/// `all` in pieces of at most `rows_max` rows, or of one.
fn cut<T>(all: Vec<T>, rows_max: u64, rows: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut pieces: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for one in all {
        let own = rows(&one);
        match pieces.last_mut() {
            Some(piece) if own <= room => {
                room -= own;
                piece.push(one);
            }
            _ => {
                room = rows_max.saturating_sub(own);
                pieces.push(vec![one]);
            }
        }
    }
    pieces
}

/// True where memory ran out.
pub(crate) fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}
