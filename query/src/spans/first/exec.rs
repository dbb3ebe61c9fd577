//! The first rows of a sort, out of files: their places by the columns of conditions and order, then the other columns of
//! these rows only.
//!
//! ```text
//! files, the most promising first -> places and ranks of rows (candidates) -> the first of all files -> their columns
//!        a file that cannot have a row among the first is not opened    '-> undecided: scanned as before
//! ```
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use storage::DataFile;
use storage::schema::column as c;

use super::First;
use crate::spans::candidates::{Candidate, Search};
use crate::spans::picker::{Picker, lost};
use crate::spans::source::SelectiveSource;

/// See the module.
#[derive(Debug)]
pub(super) struct FirstExec {
    work: Arc<Work>,
    properties: Arc<PlanProperties>,
}

/// What is to be done.
#[derive(Debug)]
struct Work {
    scan: FileScanConfig,
    first: First,
    search: Search,
    /// Each once, the most promising first.
    files: Vec<(PartitionedFile, Arc<DataFile>)>,
    picker: Picker,
    /// How the columns are made of those that are read.
    made_of: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    metrics: ExecutionPlanMetricsSet,
}

impl FirstExec {
    /// The first rows of `scan`, whose source is `source`; `None` where more than its conditions decides on them.
    pub(super) fn over(
        scan: &FileScanConfig,
        source: &SelectiveSource,
        first: &First,
    ) -> Result<Option<Self>> {
        let search = source.search_of(first);
        if !search.tells_first() || first.count > FIRST_ROWS_MAX {
            return Ok(None);
        }
        let Some(files) = files_of(scan, first) else { return Ok(None) };
        let table = scan.file_source().table_schema().table_schema();
        let made_of: Vec<Arc<dyn PhysicalExpr>> = match scan.file_source().projection() {
            Some(made_of) => made_of.as_ref().iter().map(|one| Arc::clone(&one.expr)).collect(),
            None => return Ok(None),
        };
        let read = made_of.iter().flat_map(collect_columns).map(|column| column.index());
        let mut read: Vec<usize> = read.collect();
        read.sort_unstable();
        read.dedup();
        let projected: SchemaRef = Arc::new(table.project(&read)?);
        let made_of = made_of.into_iter().map(|expr| reassign_expr_columns(expr, &projected));
        let made_of = made_of.collect::<Result<_>>()?;
        let schema = DataSourceExec::from_data_source(scan.clone()).schema();
        let metrics = source.scan_metrics().clone();
        let picker = source.picker(projected).with_metrics(metrics.clone());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (scan, first) = (scan.clone(), first.clone());
        let work = Work { scan, first, search, files, picker, made_of, schema, metrics };
        Ok(Some(Self { work: Arc::new(work), properties: Arc::new(properties) }))
    }
}

/// Of more rows than these, columns are read by the page and not by the row.
const FIRST_ROWS_MAX: usize = 1_000;

/// The files of a scan, the most promising first; `None` where one of them is not known to us.
fn files_of(scan: &FileScanConfig, first: &First) -> Option<Vec<(PartitionedFile, Arc<DataFile>)>> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for file in scan.file_groups.iter().flat_map(FileGroup::iter) {
        // A large file may be in several groups, a part in each.
        if seen.insert(file.object_meta.location.clone()) {
            let known = Arc::clone(file.extensions.get::<Arc<DataFile>>()?);
            let mut whole = file.clone();
            whole.range = None;
            files.push((whole, known));
        }
    }
    files.sort_by_key(|(_, file)| std::cmp::Reverse(best_of(first, file)));
    Some(files)
}

/// The rank that a row of the file has at most; `None` where nothing is known.
fn best_of(first: &First, file: &DataFile) -> Option<i64> {
    if first.column != c::START {
        return None;
    }
    let last = file.start.until.saturating_sub(1);
    Some(first.rank(file.start.from).max(first.rank(last)))
}

/// A row of a file.
#[derive(Debug, Clone, Copy)]
struct Place {
    rank: i64,
    file: usize,
    group: usize,
    row: usize,
}

/// The best rows so far: as many as are wanted, and those as good as the last of them.
#[derive(Debug)]
struct Best {
    wanted: usize,
    places: Vec<Place>,
    /// The rank that a row needs at least; `None` while there are too few.
    least: Option<i64>,
}

impl Best {
    fn add(&mut self, file: usize, found: &[Candidate], held: &MemoryReservation) -> Result<()> {
        let place = |&Candidate { rank, group, row }: &Candidate| Place { rank, file, group, row };
        self.places.extend(found.iter().map(place));
        if self.places.len() >= self.wanted {
            let last = self.wanted - 1;
            let ranks = |place: &Place| std::cmp::Reverse(place.rank);
            let least = self.places.select_nth_unstable_by_key(last, ranks).1.rank;
            self.places.retain(|place| place.rank >= least);
            self.least = Some(least);
        }
        held.try_resize(self.places.len() * size_of::<Place>())
    }

    fn wants(&self, best: Option<i64>) -> bool {
        self.least.is_none_or(|least| best.is_none_or(|best| best >= least))
    }
}

/// What one file has; `None` where it is to be scanned.
type Found = (usize, Option<Vec<Candidate>>);

impl Work {
    async fn rows(self: Arc<Self>, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = MemoryConsumer::new("first rows").register(task.memory_pool());
        let mut best = Best { wanted: self.first.count, places: Vec::new(), least: None };
        let (mut waiting, mut undecided) = (self.files.iter().enumerate(), Vec::new());
        let mut running = FuturesUnordered::new();
        let opened = MetricBuilder::new(&self.metrics).global_counter("files_opened");
        // The most promising file alone is often enough.
        let mut together = if self.first.column == c::START { 1 } else { self.threads(&task) };
        loop {
            while running.len() < together
                && let Some((number, (file, known))) = waiting.next()
            {
                let path = file.object_meta.location.as_ref();
                if best.wants(best_of(&self.first, known)) && !self.search.is_absent(path) {
                    opened.add(1);
                    let (own, least) = (Arc::clone(&self), best.least);
                    let found = async move { own.candidates(number, least).await };
                    running.push(SpawnedTask::spawn(found).join());
                }
            }
            let Some(found) = running.next().await else { break };
            let (number, found): Found = found.map_err(lost)??;
            match found {
                Some(found) => best.add(number, &found, &held)?,
                None => undecided.push(self.files[number].0.clone()),
            }
            together = self.threads(&task);
        }
        let batches = self.columns(best, &held).await?;
        let baseline = BaselineMetrics::new(&self.metrics, 0);
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        baseline.record_output(rows);
        let schema = Arc::clone(&self.schema);
        let batches = stream::iter(batches.into_iter().map(Ok)).inspect(move |_| {
            // Held until the rows are handed on.
            let _ = &held;
        });
        if undecided.is_empty() {
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)));
        }
        let mut scan = self.scan.clone();
        scan.file_groups = vec![FileGroup::new(undecided)];
        let scanned = execute_stream(DataSourceExec::from_data_source(scan), task)?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.chain(scanned))))
    }

    fn threads(&self, task: &TaskContext) -> usize {
        task.session_config().target_partitions().max(1)
    }

    /// The rows of one file that can be among the first; they are if their rank is `least` at least.
    async fn candidates(&self, number: usize, least: Option<i64>) -> Result<Found> {
        let (file, known) = &self.files[number];
        let (mut reader, metadata) = self.picker.open(known).await?;
        let path = file.object_meta.location.as_ref();
        let found = self.search.first_rows(path, (&mut reader, &metadata), least).await?;
        Ok((number, found))
    }

    /// The columns of the best rows.
    async fn columns(
        self: &Arc<Self>,
        best: Best,
        held: &MemoryReservation,
    ) -> Result<Vec<RecordBatch>> {
        let mut by_place: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for Place { file, group, row, .. } in best.places {
            by_place.entry((file, group)).or_default().push(row);
        }
        let mut tasks = Vec::with_capacity(by_place.len());
        for ((file, group), mut rows) in by_place {
            rows.sort_unstable();
            let own = Arc::clone(self);
            tasks.push(SpawnedTask::spawn(async move { own.of_group(file, group, rows).await }));
        }
        let mut batches = Vec::new();
        for task in tasks {
            for batch in task.join().await.map_err(lost)?? {
                held.try_grow(batch.get_array_memory_size())?;
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    async fn of_group(
        &self,
        file: usize,
        group: usize,
        rows: Vec<usize>,
    ) -> Result<Vec<RecordBatch>> {
        let (_, file) = &self.files[file];
        let (_, metadata) = self.picker.open(file).await?;
        let read = self.picker.rows(file, (&metadata, group), rows).await?;
        let shown = read.iter().map(|batch| {
            let made =
                |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(batch.num_rows());
            let columns = self.made_of.iter().map(made).collect::<Result<Vec<_>>>()?;
            Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
        });
        shown.collect()
    }
}

impl DisplayAs for FirstExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Work { files, first, scan, .. } = self.work.as_ref();
        write!(f, "FirstExec: files={}, {first}, file_type=parquet", files.len())?;
        match scan.file_source().filter() {
            Some(filter) => write!(f, ", predicate={filter}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for FirstExec {
    crate::leaf::leaf_plan!("FirstExec", no expressions);

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = stream::once(Arc::clone(&self.work).rows(context)).try_flatten().boxed();
        let stream = RecordBatchStreamAdapter::new(self.schema(), rows);
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.work.metrics.clone_inner())
    }
}
