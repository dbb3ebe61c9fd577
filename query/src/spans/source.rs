//! The stock Parquet source, which first asks the dictionaries of a file which rows it has to read.
//!
//! Where a sort wants only its first rows, a file is opened when those before it are read: then it is known what the file
//! must have to be of use, and mostly it is left out.
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileSource, ParquetFileReaderFactory,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::{
    snapshot_generation, snapshot_physical_expr,
};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use storage::DataFile;

use super::candidates::Search;
use super::first::First;
use super::known::Known;
use super::picker::Picker;
use super::prune::{Pruned, Pruner};
use super::reader::Readers;
use super::select::{Rows, is_changing};

/// See the module. Everything but the choice of rows is the inner source's.
#[derive(Clone)]
pub(super) struct SelectiveSource {
    inner: Arc<dyn FileSource>,
    readers: Arc<Readers>,
    known: Arc<Known>,
    /// What a sort above wants.
    first: Option<First>,
}

impl SelectiveSource {
    /// The same files as `inner`.
    pub(super) fn over(
        inner: Arc<dyn FileSource>,
        readers: Arc<Readers>,
        known: Arc<Known>,
    ) -> Self {
        Self { inner, readers, known, first: None }
    }

    /// The same, of which only the first rows of a sort are wanted.
    pub(super) fn told(&self, first: First) -> Arc<dyn FileSource> {
        Arc::new(Self { first: Some(first), ..self.clone() })
    }

    /// True where not all rows are wanted.
    pub(super) fn has_filter(&self) -> bool {
        self.inner.filter().is_some()
    }

    /// Which rows are wanted.
    pub(super) fn condition(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    /// What opens the files.
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// What the scan counts.
    pub(super) fn scan_metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    /// What was learnt of the files.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    fn search(&self) -> Search {
        self.search_for(self.first.clone())
    }

    /// The search for the first rows of a sort.
    pub(super) fn search_of(&self, first: &First) -> Search {
        self.search_for(Some(first.clone()))
    }

    fn search_for(&self, first: Option<First>) -> Search {
        let schema = self.inner.table_schema().table_schema();
        let (filter, known) = (self.inner.filter(), Arc::clone(&self.known));
        Search::new(filter.as_ref(), schema, first, known)
    }

    /// Reads single rows of the files, with the columns of `projected`.
    pub(super) fn picker(&self, projected: SchemaRef) -> Picker {
        Picker::new(Arc::clone(&self.readers), Arc::clone(&self.known), projected)
    }

    fn with(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { inner, ..self.clone() })
    }
}

impl fmt::Debug for SelectiveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SelectiveSource")
    }
}

/// Opens one file.
type Open = Box<dyn Fn(PartitionedFile) -> FileOpenFuture + Send + Sync>;

struct Opener(Open);

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        Ok((self.0)(file))
    }
}

/// What is known before a file is opened.
struct Narrow {
    readers: Arc<Readers>,
    search: Search,
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// The filter may say another thing later.
    is_changing: bool,
    /// What the filter last said of files, and when that was.
    said: Mutex<Option<(u64, Arc<Option<Pruner>>)>>,
    /// The columns of the filter.
    schema: SchemaRef,
    metrics: ExecutionPlanMetricsSet,
}

impl Narrow {
    /// The file with what of it to read; `None` where that is nothing.
    async fn narrowed(&self, file: PartitionedFile) -> Result<Option<PartitionedFile>> {
        let path = file.object_meta.location.clone();
        if self.leaves_out(&file)? || self.search.is_absent(path.as_ref()) {
            return Ok(None);
        }
        // A part of a file is read as it is.
        if self.search.is_open() || file.range.is_some() {
            return Ok(Some(file));
        }
        let mut reader = self.readers.create_reader(0, file.clone(), None, &self.metrics)?;
        let metadata = reader.get_metadata(None).await?;
        let rows = self.search.rows(path.as_ref(), &mut reader, &metadata).await?;
        Ok(with_rows(file, rows))
    }

    /// True where the filter, as it is by now, certainly leaves out the file.
    fn leaves_out(&self, file: &PartitionedFile) -> Result<bool> {
        let known = file.extensions.get::<Arc<DataFile>>();
        let (Some(filter), Some(known), true) = (&self.filter, known, self.is_changing) else {
            return Ok(false);
        };
        let pruner = self.pruner(filter)?;
        let Some(pruner) = pruner.as_ref() else { return Ok(false) };
        let left = pruner.prune(vec![Arc::clone(known)], &mut Pruned::default())?;
        Ok(left.is_empty())
    }

    /// What the filter says of files by now.
    fn pruner(&self, filter: &Arc<dyn PhysicalExpr>) -> Result<Arc<Option<Pruner>>> {
        // Asked before the filter: what it says then is at least as new.
        let generation = snapshot_generation(filter);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pruner)) = said.as_ref().filter(|(when, _)| *when == generation) {
            return Ok(Arc::clone(pruner));
        }
        let filter = snapshot_physical_expr(Arc::clone(filter))?;
        let pruner = Arc::new(Pruner::new(&filter, &self.schema));
        *said = Some((generation, Arc::clone(&pruner)));
        Ok(pruner)
    }
}

fn with_rows(file: PartitionedFile, rows: Vec<Rows>) -> Option<PartitionedFile> {
    if rows.iter().all(|rows| matches!(rows, Rows::None)) {
        return None;
    }
    let access = rows.into_iter().map(|rows| match rows {
        Rows::All => RowGroupAccess::Scan,
        Rows::None => RowGroupAccess::Skip,
        Rows::Some(selection) => RowGroupAccess::Selection(selection),
    });
    Some(file.with_extension(ParquetAccessPlan::new(access.collect())))
}

impl FileSource for SelectiveSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let filter = self.inner.filter();
        let is_changing = filter.as_ref().is_some_and(is_changing);
        let narrow = Arc::new(Narrow {
            readers: Arc::clone(&self.readers),
            search: self.search(),
            filter,
            is_changing,
            said: Mutex::default(),
            schema: Arc::clone(self.inner.table_schema().table_schema()),
            metrics: self.metrics().clone(),
        });
        let inner = self.inner.create_morselizer(object_store, base_config, partition)?;
        let inner = Arc::new(inner);
        let open = move |file: PartitionedFile| -> FileOpenFuture {
            let (narrow, inner) = (Arc::clone(&narrow), Arc::clone(&inner));
            let opened = async move {
                let Some(file) = narrow.narrowed(file).await? else {
                    return Ok(stream::empty().boxed());
                };
                let mut planners = vec![inner.plan_file(file)?];
                let mut streams = Vec::new();
                while let Some(planner) = planners.pop() {
                    let Some(mut plan) = planner.plan()? else { continue };
                    streams.extend(plan.take_morsels().into_iter().map(|part| part.into_stream()));
                    planners.extend(plan.take_ready_planners().into_iter().rev());
                    if let Some(pending) = plan.take_pending_planner() {
                        planners.push(pending.await?);
                    }
                }
                Ok(stream::iter(streams).flatten().boxed())
            };
            if !is_changing {
                return Box::pin(opened);
            }
            // Nothing happens before the first row is asked for.
            Box::pin(async move { Ok(stream::once(opened).try_flatten().boxed()) })
        };
        Ok(Arc::new(Opener(Box::new(open))))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.with(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(kind, f)?;
        self.first.iter().try_for_each(|first| write!(f, ", {first}"))
    }

    /// Halves of a file would both ask its dictionaries.
    fn supports_repartitioning(&self) -> bool {
        self.search().is_open() && self.inner.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_filters(filters, config)?;
        let updated_node = pushed.updated_node.map(|inner| self.with(inner));
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_sort(order, properties)?;
        Ok(pushed.map(|inner| self.with(inner)))
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_projection(projection)?;
        Ok(pushed.map(|inner| self.with(inner)))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(visit)
    }
}
