//! Spans below others, file by file, the newest first.
//!
//! ```text
//! hot spans that satisfy the lower condition -> their traces, from spans                   -.
//! files in the range, newest first -> rows that satisfy either condition, by dictionaries    |
//!   -> of the lower ones their starts -> for each the way up by the file's shape             |-> filter -> columns
//!   -> for what is found the columns, row by row                                             |
//!   (other conditions: traces that satisfy both -> from the spans of the file, newest first) |
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
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, ident};
use futures::StreamExt;
use hashbrown::HashMap;
use storage::rollup::SpanKind;
use storage::schema::column;
use storage::{DataFile, TimeRange};

use super::{Descendants, Marks, Pair, Pairs, batch};
use crate::spans::Tables;
use crate::spans::provider::Shape as Shown;
use crate::spans::rows::FileRows;
use crate::spans::select::Condition;
use crate::spans::shape::Shape;
use crate::views::Notes;
use crate::views::condition::Condition as Text;
use crate::views::forest::{Forest, Span, Texts};
use crate::views::load::Source;
use crate::views::near::{Near, Open, Rolled, Steps};
use crate::views::read::{ids, integers, named, texts};
use crate::views::router::Cache;
use crate::views::sweep::Harvest;
use crate::views::traces::filter::Filter;
use crate::views::tree::Tree;
use crate::views::waiting::{TRACES_AT_ONCE, Waiting};

/// What a span of a forest knows of itself.
const COLUMNS: [&str; 3] = [column::SERVICE, column::NAME, column::KIND];
/// Memory that a file's shape takes for each span while it is made.
const SHAPING_BYTES: usize = 32;
const STEP_MAX: usize = 4_096;

/// See the module.
pub(crate) struct Newest {
    source: Source,
    cache: Arc<Cache>,
    /// What dictionaries tell of both conditions; `None` where they do not tell all.
    told: Option<Told>,
    asked: Asked,
    range: TimeRange,
    /// Files that are still to be read, the newest last.
    files: Vec<Rolled>,
    /// Traces that no single file tells.
    open: Open,
    /// Traces that are to be shown from their spans.
    waiting: Waiting,
    file: Option<File>,
    untold: Option<Untold>,
    ready: Vec<RecordBatch>,
    steps: Steps,
    seen: Seen,
}

/// Both conditions as they were asked.
struct Asked {
    above: Text,
    below: Text,
}

/// Both conditions as dictionaries decide them.
struct Told {
    above: Vec<Condition>,
    below: Vec<Condition>,
    /// All are about what a span of a forest knows.
    of_forest: bool,
}

/// A file of which dictionaries do not tell the conditions.
struct Untold {
    part: Tables,
    from: i64,
    /// Traces that are still to be shown, by the last span that satisfies the lower condition; the newest last.
    traces: Vec<(i64, [u8; 16])>,
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
        let frame = source.tables.spans(&source.context, TimeRange::ALL)?;
        let (above, below) = (self.above.parts(&frame)?, self.below.parts(&frame)?);
        let told = Told::of(&source, [&above, &below])?;
        let near = match Near::of(&source, &cache, self.range, |_| Ok(())).await {
            Ok(near) => near,
            Err(reason) => return Ok(Err((Box::new(source), reason))),
        };
        let mut newest = Newest {
            seen: Seen { files_in_range: near.files.len(), ..Seen::default() },
            source,
            cache,
            told,
            asked: Asked { above: self.above.clone(), below: self.below.clone() },
            range: self.range,
            files: near.files,
            open: near.open,
            waiting: Waiting::default(),
            file: None,
            untold: None,
            ready: Vec::new(),
            steps: Steps::up_to(STEP_MAX),
        };
        newest.read_hot().await?;
        Ok(Ok(newest))
    }
}

impl Told {
    /// What dictionaries tell of the parts of both conditions; `None` where they do not tell all: then names may be shown
    /// otherwise than they are stored, too.
    fn of(source: &Source, [above, below]: [&[Expr]; 2]) -> Result<Option<Self>> {
        if !source.tables.snapshot.patches.renames().is_empty() {
            return Ok(None);
        }
        let (Some(above), Some(below)) = (conditions(source, above)?, conditions(source, below)?)
        else {
            return Ok(None);
        };
        let mut all = above.iter().chain(&below);
        let of_forest = all.all(|condition| COLUMNS.contains(&condition.column()));
        Ok(Some(Self { above, below, of_forest }))
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
                let traces = self.waiting.take();
                self.read_traces(traces).await?;
            } else if let Some(mut untold) = self.untold.take() {
                let Some((last, _)) = untold.traces.last() else { continue };
                let until = last.saturating_add(1);
                if filter.admits(TimeRange { from: untold.from, until })? {
                    self.read_untold(&mut untold).await?;
                    self.untold = Some(untold);
                }
            } else if let Some(mut file) = self.file.take() {
                let last = file.below.last().map(|(start, _)| start.saturating_add(1));
                let Some(until) = last else { continue };
                if filter.admits(TimeRange { from: file.from, until })? {
                    self.read_rows(&mut file).await?;
                    self.file = Some(file);
                }
            } else if let Some((file, _)) = self.files.pop() {
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
        let hot = self.source.hot_traces().await?;
        if hot.is_empty() {
            return Ok(());
        }
        self.open.add_hot(Arc::new(hot));
        self.source.hold(self.open.bytes())?;
        let snapshot = &self.source.tables.snapshot;
        let hot = self.source.tables.part(Arc::new([]), Arc::clone(&snapshot.hot));
        let below = self.traces_of(&hot, self.range, &self.asked.below).await?;
        self.waiting.add(below.into_keys());
        Ok(())
    }

    /// The traces of `part` with a span in `range` that satisfies `condition`, and the start of the last such.
    async fn traces_of(
        &self,
        part: &Tables,
        range: TimeRange,
        condition: &Text,
    ) -> Result<HashMap<[u8; 16], i64>> {
        let frame = part.spans(&self.source.context, range)?;
        let columns = [column::TRACE_ID, column::START].map(ident).to_vec();
        let frame = frame.clone().filter(condition.plan(&frame)?)?.select(columns)?;
        let mut batches = frame.execute_stream().await?;
        let mut found: HashMap<[u8; 16], i64> = HashMap::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let (traces, starts) =
                (texts(&batch, column::TRACE_ID)?, integers(&batch, column::START)?);
            for row in 0..batch.num_rows() {
                let mut trace = [0; 16];
                // Our own hex is always right.
                let _ = hex::decode_to_slice(traces.value(row), &mut trace);
                let last = found.entry(trace).or_insert(i64::MIN);
                *last = (*last).max(starts.value(row));
            }
            self.source.hold(found.capacity() * 33 + self.open.bytes())?;
        }
        Ok(found)
    }

    /// Which traces of a file are to be shown, where dictionaries do not tell the conditions.
    async fn open_untold(&mut self, file: &Arc<DataFile>) -> Result<()> {
        let part = self.source.tables.part([Arc::clone(file)].into(), Arc::new([]));
        let mut below = self.traces_of(&part, self.range, &self.asked.below).await?;
        let open: Vec<[u8; 16]> =
            below.keys().filter(|trace| self.open.contains(trace)).copied().collect();
        below.retain(|trace, _| !self.open.contains(trace));
        self.waiting.add(open);
        if !below.is_empty() {
            let above = self.traces_of(&part, TimeRange::ALL, &self.asked.above).await?;
            below.retain(|trace, _| above.contains_key(trace));
        }
        let mut traces: Vec<_> = below.into_iter().map(|(trace, last)| (last, trace)).collect();
        traces.sort_unstable();
        self.source.hold(traces.capacity() * 24 + self.open.bytes())?;
        self.untold = Some(Untold { part, from: file.start.from, traces });
        Ok(())
    }

    /// Shows the newest traces of the file that are left.
    async fn read_untold(&mut self, untold: &mut Untold) -> Result<()> {
        let rest = untold.traces.len().saturating_sub(TRACES_AT_ONCE);
        let traces: Vec<_> =
            untold.traces.split_off(rest).into_iter().map(|(_, trace)| trace).collect();
        self.seen.from_spans += traces.len();
        let forest = self.source.few_of(&untold.part, &traces).await?;
        self.show_marked(&untold.part, &forest, &traces).await
    }

    /// Shows what the conditions say of the traces of `forest`, whose spans are in `part`.
    async fn show_marked(
        &mut self,
        part: &Tables,
        forest: &Forest,
        traces: &[[u8; 16]],
    ) -> Result<()> {
        let Asked { above, below } = &self.asked;
        let (source, range) = (&self.source, self.range);
        let above = Marks::of_traces(source, part, TimeRange::ALL, (above, traces)).await?;
        let below = Marks::of_traces(source, part, range, (below, traces)).await?;
        let mut found = Pairs { above: &above, below: &below, pairs: Vec::new() };
        found.add(forest, true);
        let mut pairs = found.pairs;
        pairs.sort_unstable_by_key(Pair::order);
        self.ready.push(batch(&forest.texts, &pairs)?);
        Ok(())
    }

    async fn open_file(&mut self, file: &Arc<DataFile>) -> Result<()> {
        self.seen.files += 1;
        self.steps.restart();
        let Some(opened) = self.file_of(file).await? else {
            return self.open_untold(file).await;
        };
        self.source.hold(opened.bytes() + self.open.bytes())?;
        self.file = Some(opened);
        Ok(())
    }

    /// `None` where dictionaries do not tell the conditions, or the file is not as we write files.
    async fn file_of(&self, file: &Arc<DataFile>) -> Result<Option<File>> {
        let Some(told) = &self.told else { return Ok(None) };
        let rows = FileRows::open(self.source.state(), &self.source.tables, file).await?;
        let Some(below) = rows.matching(&told.below).await? else { return Ok(None) };
        if below.is_empty() {
            return Ok(Some(File::empty(rows, file)));
        }
        let Some(above) = rows.matching(&told.above).await? else { return Ok(None) };
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
        let mut found = Vec::new();
        for (_, row) in self.steps.take(&mut file.below) {
            let Some(trace) = file.shape.trace(row) else { continue };
            if !file.shape.is_told(row) || self.open.contains(trace) {
                self.waiting.add([*trace]);
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
        let forest = self.source.few(traces.iter().copied()).await?;
        let Some(told) = self.told.as_ref().filter(|told| told.of_forest) else {
            let all = self.source.tables.clone();
            return self.show_marked(&all, &forest, &traces).await;
        };
        let mut holds = Holds { above: &told.above, below: &told.below, known: HashMap::new() };
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
