//! Spans below others, file by file, the newest first, where the conditions are about service, name and kind.
//!
//! ```text
//! hot spans that satisfy the lower condition -> their traces, from spans                   -.
//! files in the range, newest first -> rows that satisfy either condition, by dictionaries    |
//!   -> of the lower ones their starts -> for each the way up by the file's shape             |-> filter -> columns
//!   -> for what is found the columns, row by row                                             |
//! traces that a file alone does not tell, once such a row is reached -> from spans          -'
//! ```
//! Nothing of a file is read once the filter says that no span in it can be wanted. At any time one file's rows are in
//! memory, and those of a few traces.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use futures::StreamExt;
use hashbrown::{HashMap, HashSet};
use storage::rollup::SpanKind;
use storage::schema::column;
use storage::{DataFile, TimeRange};

use super::{Descendants, Pair, batch};
use crate::spans::Tables;
use crate::spans::provider::Shape as Shown;
use crate::spans::rows::FileRows;
use crate::spans::select::Condition;
use crate::spans::shape::Shape;
use crate::views::Notes;
use crate::views::forest::{Forest, Span, Texts};
use crate::views::load::{self, Source};
use crate::views::read::{ids, named, texts, trace_bytes};
use crate::views::router::Cache;
use crate::views::traces::filter::Filter;
use crate::views::tree::Tree;

/// What conditions may be about: what a dictionary tells, and what a span of a forest knows.
const COLUMNS: [&str; 3] = [column::SERVICE, column::NAME, column::KIND];
/// Traces that are read together.
const TRACES_AT_ONCE: usize = 1_000;
/// Memory that a file's shape takes for each span while it is made.
const SHAPING_BYTES: usize = 32;
/// The first rows are few, so that a sort that wants few soon knows which others it does not.
const FIRST_STEP: usize = 64;
const STEP_MAX: usize = 4_096;

/// See the module.
pub(crate) struct Newest {
    source: Source,
    cache: Arc<Cache>,
    above: Vec<Condition>,
    below: Vec<Condition>,
    /// The lower condition as a filter of stored spans.
    below_filter: Option<Expr>,
    range: TimeRange,
    /// Files that are still to be read, the newest last.
    files: Vec<Arc<DataFile>>,
    /// Traces that no single file tells.
    open: HashSet<[u8; 16]>,
    /// Traces that were shown from their spans.
    shown: HashSet<[u8; 16]>,
    /// Traces that are to be shown so.
    waiting: Vec<[u8; 16]>,
    file: Option<File>,
    ready: Vec<RecordBatch>,
    step: usize,
    seen: Seen,
}

/// What was looked at.
#[derive(Debug, Default)]
struct Seen {
    files: usize,
    files_in_range: usize,
    from_spans: usize,
}

/// The file that is being read.
struct File {
    rows: FileRows,
    shape: Arc<Shape>,
    from: i64,
    /// Rows that satisfy the upper condition.
    above: Vec<Range<usize>>,
    /// Starts and rows of what satisfies the lower one and was not looked at yet; the newest last.
    below: Vec<(i64, usize)>,
}

/// A span found: its row, that of the nearest above, and how far up that is.
struct Found {
    below: usize,
    above: usize,
    distance: i64,
}

impl Descendants {
    /// Prepares the list; gives `source` back with a reason where conditions or files do not allow it.
    ///
    /// # Errors
    /// A condition is wrong, or something cannot be read.
    pub(crate) async fn newest(
        &self,
        source: Source,
    ) -> Result<std::result::Result<Newest, (Box<Source>, &'static str)>> {
        let Some(cache) = source.tables.rollups.clone() else {
            return Ok(Err((Box::new(source), "rollups are off")));
        };
        if !source.tables.snapshot.patches.renames().is_empty() {
            return Ok(Err((Box::new(source), "operations were renamed")));
        }
        let frame = source.tables.spans(&source.context, TimeRange::ALL)?;
        let (above, below) = (self.above.parts(&frame)?, self.below.parts(&frame)?);
        let told = (conditions(&source, &above)?, conditions(&source, &below)?);
        let (Some(above), Some(below_told)) = told else {
            return Ok(Err((Box::new(source), "a condition is not about service, name or kind")));
        };
        let snapshot = Arc::clone(&source.tables.snapshot);
        let near = load::window(self.range);
        let (mut files, mut open) = (Vec::new(), HashSet::new());
        for file in snapshot.files.iter().filter(|file| file.start.overlaps(&near)) {
            let Some(rollup) = snapshot.rollups.whole(file).await else {
                return Ok(Err((Box::new(source), "a file has no rollup")));
            };
            open.extend(rollup.open().iter().map(|trace| trace.0));
            if file.start.overlaps(&self.range) {
                files.push(Arc::clone(file));
            }
        }
        files.sort_by_key(|file| file.start.until);
        let mut newest = Newest {
            seen: Seen { files_in_range: files.len(), ..Seen::default() },
            below_filter: below.into_iter().reduce(Expr::and),
            source,
            cache,
            above,
            below: below_told,
            range: self.range,
            files,
            open,
            shown: HashSet::new(),
            waiting: Vec::new(),
            file: None,
            ready: Vec::new(),
            step: FIRST_STEP,
        };
        newest.read_hot().await?;
        Ok(Ok(newest))
    }
}

/// `parts` as conditions that dictionaries decide; `None` where one is of another kind.
fn conditions(source: &Source, parts: &[Expr]) -> Result<Option<Vec<Condition>>> {
    let table = source.tables.table(TimeRange::ALL, Shown::Presented);
    let all: Vec<&Expr> = parts.iter().collect();
    let decided = table.supports_filters_pushdown(&all)?;
    if decided.iter().any(|decided| *decided != TableProviderFilterPushDown::Exact) {
        return Ok(None);
    }
    let physical = table.physical_filters(source.state(), parts)?;
    let told = physical.iter().map(|part| Condition::of(part, &table.stored_schema()));
    let told = told.map(|told| told.filter(|told| COLUMNS.contains(&told.column())));
    Ok(told.collect())
}

impl Newest {
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
            } else if !self.waiting.is_empty() {
                let rest = self.waiting.len().saturating_sub(TRACES_AT_ONCE);
                let traces = self.waiting.split_off(rest);
                self.read_traces(traces).await?;
            } else if let Some(mut file) = self.file.take() {
                let last = file.below.last().map(|(start, _)| start.saturating_add(1));
                let Some(until) = last else { continue };
                if filter.admits(TimeRange { from: file.from, until })? {
                    self.read_rows(&mut file).await?;
                    self.file = Some(file);
                }
            } else if let Some(file) = self.files.pop() {
                if filter.admits(file.start)? {
                    self.open_file(&file).await?;
                }
            } else {
                let Seen { files, files_in_range, from_spans } = self.seen;
                let words = format!(
                    "shapes of {files} of {files_in_range} files; {from_spans} traces from spans"
                );
                notes.push(("source", words));
                return Ok(None);
            }
        }
    }

    /// Traces with hot spans: those of the lower condition are shown first, and none of them is told by a file.
    async fn read_hot(&mut self) -> Result<()> {
        let snapshot = Arc::clone(&self.source.tables.snapshot);
        if snapshot.hot.is_empty() {
            return Ok(());
        }
        let hot = self.source.tables.part(Arc::new([]), Arc::clone(&snapshot.hot));
        let mut batches = self.source.scan_part(&hot, TimeRange::ALL, &[column::TRACE_ID], None)?;
        while let Some(batch) = batches.next().await {
            let traces = ids(named(&batch?, column::TRACE_ID)?)?;
            self.open.extend(traces.iter().flatten().map(trace_bytes));
            self.source.hold(self.open.capacity() * 17)?;
        }
        self.wait_for_all(&hot).await
    }

    /// All traces of `part` with a span of the lower condition are to be shown from their spans.
    async fn wait_for_all(&mut self, part: &Tables) -> Result<()> {
        let filter = self.below_filter.clone();
        let mut batches = self.source.scan_part(part, self.range, &[column::TRACE_ID], filter)?;
        while let Some(batch) = batches.next().await {
            let traces = ids(named(&batch?, column::TRACE_ID)?)?;
            for trace in traces.iter().flatten().map(trace_bytes) {
                if self.shown.insert(trace) {
                    self.waiting.push(trace);
                }
            }
        }
        Ok(())
    }

    async fn open_file(&mut self, file: &Arc<DataFile>) -> Result<()> {
        self.seen.files += 1;
        self.step = FIRST_STEP;
        let Some(opened) = self.file_of(file).await? else {
            let part = self.source.tables.part([Arc::clone(file)].into(), Arc::new([]));
            return self.wait_for_all(&part).await;
        };
        self.source.hold(opened.bytes() + self.open.capacity() * 17)?;
        self.file = Some(opened);
        Ok(())
    }

    /// `None` where the file is not as we write files.
    async fn file_of(&self, file: &Arc<DataFile>) -> Result<Option<File>> {
        let rows = FileRows::open(self.source.state(), &self.source.tables, file).await?;
        let Some(below) = rows.matching(&self.below).await? else { return Ok(None) };
        if below.is_empty() {
            return Ok(Some(File::empty(rows, file)));
        }
        let Some(above) = rows.matching(&self.above).await? else { return Ok(None) };
        if above.is_empty() {
            return Ok(Some(File::empty(rows, file)));
        }
        let shape = match self.cache.shapes.find(&file.path) {
            Some(shape) => shape,
            None => {
                let rows_max = usize::try_from(file.rows).unwrap_or(usize::MAX);
                self.source.hold(rows_max.saturating_mul(SHAPING_BYTES))?;
                let Some(shape) = rows.shape().await? else { return Ok(None) };
                let shape = Arc::new(shape);
                self.cache.shapes.put(&file.path, &shape);
                shape
            }
        };
        let wanted: Vec<usize> = below.into_iter().flatten().collect();
        let schema = self.schema(&[column::START])?;
        let Some(starts) = rows.pick(&wanted, &schema).await? else { return Ok(None) };
        let starts = starts
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
        let mut below: Vec<(i64, usize)> =
            starts.zip(wanted).filter(|(start, _)| self.range.contains(*start)).collect();
        below.sort_unstable();
        Ok(Some(File { rows, shape, from: file.start.from, above, below }))
    }

    fn schema(&self, columns: &[&str]) -> Result<SchemaRef> {
        let stored = self.source.tables.table(TimeRange::ALL, Shown::Stored).stored_schema();
        let fields = columns.iter().map(|name| stored.field_with_name(name).cloned());
        let fields = fields.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Looks at the next rows of the lower condition.
    async fn read_rows(&mut self, file: &mut File) -> Result<()> {
        let rest = file.below.len().saturating_sub(self.step);
        self.step = (self.step * 4).min(STEP_MAX);
        let mut found = Vec::new();
        for (_, row) in file.below.split_off(rest) {
            let Some(trace) = file.shape.trace(row) else { continue };
            if !file.shape.is_told(row) || self.open.contains(trace) {
                if self.shown.insert(*trace) {
                    self.waiting.push(*trace);
                }
                continue;
            }
            let nearest =
                (1..).zip(file.shape.above(row)).find(|(_, above)| within(&file.above, *above));
            if let Some((distance, above)) = nearest {
                found.push(Found { below: row, above, distance });
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let batch = self.pairs(file, &found).await?;
        self.ready.push(batch);
        Ok(())
    }

    /// Reads what is shown of the rows found.
    async fn pairs(&self, file: &File, found: &[Found]) -> Result<RecordBatch> {
        let mut rows: Vec<usize> =
            found.iter().flat_map(|found| [found.below, found.above]).collect();
        rows.sort_unstable();
        rows.dedup();
        let columns = [
            column::SPAN_ID,
            column::SERVICE,
            column::NAME,
            column::START,
            column::DURATION,
            column::STATUS,
        ];
        let schema = self.schema(&columns)?;
        let Some(read) = file.rows.pick(&rows, &schema).await? else {
            return exec_err!("a file changed while it was read; ask again");
        };
        let mut all = Texts::default();
        let mut spans = Vec::with_capacity(rows.len());
        for batch in &read {
            add_spans(batch, &mut all, &mut spans)?;
        }
        let span = |row: usize| rows.binary_search(&row).ok().and_then(|at| spans.get(at)).copied();
        let pairs = found.iter().filter_map(|found| {
            let trace = u128::from_be_bytes(*file.shape.trace(found.below)?);
            let (above, below) = (span(found.above)?, span(found.below)?);
            Some(Pair { trace, above, below, distance: found.distance })
        });
        batch(&all, &pairs.collect::<Vec<_>>())
    }

    /// Shows traces from their spans, wherever these lie.
    async fn read_traces(&mut self, traces: Vec<[u8; 16]>) -> Result<()> {
        self.seen.from_spans += traces.len();
        let forest = self.source.few(traces).await?;
        let mut holds = Holds { above: &self.above, below: &self.below, known: HashMap::new() };
        let mut pairs = Vec::new();
        for trace in forest.traces() {
            let id = u128::from_be_bytes(forest.trace_id(trace.index()));
            let tree = Tree::of(&trace);
            for own in tree.order() {
                let below = trace.span(*own);
                if !self.range.contains(below.start) || !holds.of(&forest, below)?.1 {
                    continue;
                }
                let ways = std::iter::successors(tree.above(*own), |above| tree.above(*above));
                for (distance, above) in (1..).zip(ways) {
                    let above = trace.span(above);
                    if holds.of(&forest, above)?.0 {
                        pairs.push(Pair { trace: id, above: *above, below: *below, distance });
                        break;
                    }
                }
            }
        }
        pairs.sort_unstable_by_key(Pair::order);
        self.ready.push(batch(&forest.texts, &pairs)?);
        Ok(())
    }
}

impl File {
    /// Without anything that is wanted.
    fn empty(rows: FileRows, file: &DataFile) -> Self {
        let (above, below) = (Vec::new(), Vec::new());
        Self { rows, shape: Arc::default(), from: file.start.from, above, below }
    }

    fn bytes(&self) -> usize {
        let (above, below) = (size_of::<Range<usize>>(), size_of::<(i64, usize)>());
        self.shape.bytes() + self.above.capacity() * above + self.below.capacity() * below
    }
}

/// True where `row` lies in one of `ranges`, which rise.
fn within(ranges: &[Range<usize>], row: usize) -> bool {
    let place = ranges.partition_point(|range| range.end <= row);
    ranges.get(place).is_some_and(|range| range.contains(&row))
}

/// Adds the spans of `batch`; of a trace and a parent they know nothing.
fn add_spans(batch: &RecordBatch, all: &mut Texts, spans: &mut Vec<Span>) -> Result<()> {
    let [service, name, status] = [column::SERVICE, column::NAME, column::STATUS];
    let (services, names, statuses) =
        (texts(batch, service)?, texts(batch, name)?, texts(batch, status)?);
    let number =
        |name: &str| -> Result<_> { Ok(named(batch, name)?.as_primitive::<Int64Type>().clone()) };
    let (starts, durations) = (number(column::START)?, number(column::DURATION)?);
    let own = ids(named(batch, column::SPAN_ID)?)?;
    for row in 0..batch.num_rows() {
        let id = own.value(row).first_chunk().map_or(0, |id| u64::from_be_bytes(*id));
        spans.push(Span {
            trace: 0,
            id,
            parent: None,
            start: starts.value(row),
            duration: durations.value(row),
            service: all.id(services.value(row)),
            name: all.id(names.value(row)),
            kind: SpanKind::Unspecified,
            error: statuses.is_valid(row) && statuses.value(row) == "ERROR",
            weight: 1.0,
        });
    }
    Ok(())
}

/// Both conditions on spans of a forest; found out once for each service, name and kind.
struct Holds<'a> {
    above: &'a [Condition],
    below: &'a [Condition],
    known: HashMap<(u32, u32, SpanKind), (bool, bool)>,
}

impl Holds<'_> {
    /// Whether the upper, and whether the lower one holds.
    fn of(&mut self, forest: &Forest, span: &Span) -> Result<(bool, bool)> {
        let key = (span.service, span.name, span.kind);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let text = |condition: &Condition| match condition.column() {
            column::SERVICE => forest.texts.text(span.service),
            column::NAME => forest.texts.text(span.name),
            _ => span.kind.word(),
        };
        let all = |conditions: &[Condition]| -> Result<bool> {
            for condition in conditions {
                let value: ArrayRef =
                    Arc::new(StringViewArray::from_iter_values([text(condition)]));
                if condition.holds(value)? != [true] {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let found = (all(self.above)?, all(self.below)?);
        self.known.insert(key, found);
        Ok(found)
    }
}
