//! The stock Parquet source, which first asks the dictionaries of a file which rows it has to read.
//!
//! Where a sort wants only its first rows, a file is opened when those before it are read: then it is known what the file
//! must have to be of use, and mostly it is left out.
use std::fmt;
use std::sync::Arc;

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
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use storage::{DataFile, TimeRange};

use super::prune::prune;
use super::reader::Readers;
use super::select::{Condition, Rows, is_changing, select};

/// See the module. Everything but the choice of rows is the inner source's.
#[derive(Clone)]
pub(super) struct SelectiveSource {
    inner: Arc<dyn FileSource>,
    readers: Arc<Readers>,
}

impl SelectiveSource {
    /// The same files as `inner`.
    pub(super) fn over(inner: Arc<dyn FileSource>, readers: Arc<Readers>) -> Self {
        Self { inner, readers }
    }

    /// True where not all rows are wanted.
    pub(super) fn has_filter(&self) -> bool {
        self.inner.filter().is_some()
    }

    /// What opens the files.
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// What the scan counts.
    pub(super) fn scan_metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn conditions(&self) -> Vec<Condition> {
        let schema = self.inner.table_schema().table_schema();
        let filter = self.inner.filter();
        let parts = filter.iter().flat_map(split_conjunction);
        parts.filter_map(|part| Condition::of(part, schema)).collect()
    }

    fn with(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { inner, readers: Arc::clone(&self.readers) })
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
    /// Of the whole filter those that dictionaries decide.
    conditions: Vec<Condition>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// The columns of the filter.
    schema: SchemaRef,
    metrics: ExecutionPlanMetricsSet,
}

impl Narrow {
    /// The file with what of it to read; `None` where that is nothing.
    async fn narrowed(&self, file: PartitionedFile) -> Result<Option<PartitionedFile>> {
        if self.leaves_out(&file)? {
            return Ok(None);
        }
        if self.conditions.is_empty() {
            return Ok(Some(file));
        }
        let mut reader = self.readers.create_reader(0, file.clone(), None, &self.metrics)?;
        let metadata = reader.get_metadata(None).await?;
        let rows = select(&mut reader, &metadata, &self.conditions).await?;
        Ok(with_rows(file, rows))
    }

    /// True where the filter, as it is by now, certainly leaves out the file.
    fn leaves_out(&self, file: &PartitionedFile) -> Result<bool> {
        let (Some(filter), Some(known)) = (&self.filter, file.extensions.get::<Arc<DataFile>>())
        else {
            return Ok(false);
        };
        if !is_changing(filter) {
            return Ok(false);
        }
        let filter = snapshot_physical_expr(Arc::clone(filter))?;
        let file = [Arc::clone(known)];
        let (left, _) = prune(&file, TimeRange::ALL, Some(&filter), &self.schema)?;
        Ok(left.is_empty())
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
            conditions: self.conditions(),
            filter,
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
        self.inner.fmt_extra(kind, f)
    }

    /// Halves of a file would both ask its dictionaries.
    fn supports_repartitioning(&self) -> bool {
        self.conditions().is_empty() && self.inner.supports_repartitioning()
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
