//! Reads the table's files: stock Parquet scans, so that a plan can travel to other nodes.
use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::filter_pushdown::PushedDown;
use datafusion::physical_plan::metrics::MetricBuilder;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use storage::DataFile;
use storage::schema::column as c;

use crate::spans::known::Known;
use crate::spans::prune::{Pruned, date_days};
use crate::spans::reader::Readers;
use crate::spans::source::SelectiveSource;

/// The scheme under which the one object store of a query is known.
pub(crate) const STORE_URL: &str = "spanlake://spans";

type Filters = Vec<Arc<dyn PhysicalExpr>>;

/// A file as readers want it.
pub(crate) fn partitioned(file: &Arc<DataFile>) -> PartitionedFile {
    let modified = DateTime::from_timestamp_millis(file.modified_unix_milli);
    let meta = ObjectMeta {
        location: Path::from(file.path.as_str()),
        last_modified: modified.unwrap_or_default(),
        size: file.bytes,
        e_tag: None,
        version: None,
    };
    let date = ScalarValue::Date32(Some(date_days(file.date)));
    let file = Arc::clone(file);
    PartitionedFile::new_from_meta(meta).with_partition_values(vec![date]).with_extension(file)
}

/// Files of one snapshot, ready to be scanned.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    /// The files that may hold a wanted span.
    pub(crate) files: Vec<Arc<DataFile>>,
    /// Why the others may not.
    pub(crate) pruned: Pruned,
    /// The stored columns, `date` last.
    pub(crate) stored: &'a SchemaRef,
    /// Where the files lie.
    pub(crate) object_store: Arc<dyn ObjectStore>,
    /// What was learnt of them.
    pub(super) known: Arc<Known>,
}

impl Files<'_> {
    /// A scan of the columns at `projection`, rows where all `filters` hold.
    pub(crate) fn scan(
        &self,
        state: &dyn Session,
        projection: &[usize],
        filters: &[Arc<dyn PhysicalExpr>],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (source, refused) = self.source(state, filters)?;
        // Beside what the reader counts: row groups pruned by statistics and filters, pages, rows.
        for (name, count) in self.pruned.figures() {
            MetricBuilder::new(source.metrics()).global_counter(name).add(count);
        }
        // Where a filter stays above the scan, its columns have to come out of the scan as well.
        let mut read = projection.to_vec();
        for filter in &refused {
            for column in datafusion::physical_expr::utils::collect_columns(filter) {
                if !read.contains(&column.index()) {
                    read.push(column.index());
                }
            }
        }
        let groups = self.groups(state.config().target_partitions());
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_statistics(self.statistics(filters.is_empty()))
            .with_projection_indices(Some(read.clone()))?
            .with_limit(limit.filter(|_| refused.is_empty()))
            .build();
        let scan = DataSourceExec::from_data_source(config);
        if refused.is_empty() {
            return Ok(scan);
        }
        let schema = self.stored.project(&read)?;
        let predicate =
            datafusion::physical_expr::utils::reassign_expr_columns(conjunction(refused), &schema)?;
        let kept = (read.len() > projection.len()).then(|| (0..projection.len()).collect());
        let filter: FilterExec =
            FilterExecBuilder::new(predicate, scan).apply_projection(kept)?.build()?;
        Ok(Arc::new(filter))
    }

    /// The Parquet reader with the filters that it can decide, and the filters that it cannot.
    fn source(
        &self,
        state: &dyn Session,
        filters: &[Arc<dyn PhysicalExpr>],
    ) -> Result<(Arc<dyn FileSource>, Filters)> {
        let columns = self.stored.fields();
        let in_files: Vec<_> = columns.iter().filter(|f| f.name() != c::DATE).cloned().collect();
        let date = Arc::new(Field::new(c::DATE, DataType::Date32, false));
        let in_files = Arc::new(datafusion::arrow::datatypes::Schema::new(in_files));
        let schema = TableSchema::builder(in_files).with_table_partition_cols(vec![date]).build();
        let readers = Arc::new(Readers::new(state, Arc::clone(&self.object_store)));
        let own = Arc::clone(&readers);
        let known = Arc::clone(&self.known);
        let over = |inner| Arc::new(SelectiveSource::over(inner, readers, known));
        let source = ParquetSource::new(schema)
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(own);
        if filters.is_empty() {
            return Ok((over(Arc::new(source)), Vec::new()));
        }
        let pushed = source.try_pushdown_filters(filters.to_vec(), state.config_options())?;
        let refused = filters
            .iter()
            .zip(&pushed.filters)
            .filter(|(_, pushed)| matches!(pushed, PushedDown::No))
            .map(|(filter, _)| Arc::clone(filter))
            .collect();
        let source = pushed.updated_node.unwrap_or_else(|| Arc::new(source));
        Ok((over(source), refused))
    }

    /// The files dealt out over partitions, newest first, so that a search for the newest spans ends early.
    fn groups(&self, partitions: usize) -> Vec<FileGroup> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.start.until));
        let count = files.len().min(partitions).max(1);
        let mut groups = vec![(0_u64, Vec::new()); count];
        for file in files {
            if let Some(lightest) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                lightest.0 += file.bytes;
                lightest.1.push(self.partitioned(file));
            }
        }
        groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
    }

    fn partitioned(&self, file: &Arc<DataFile>) -> PartitionedFile {
        /// Beyond this many files, statistics of each would cost more than they save.
        const FILES_WITH_STATISTICS_MAX: usize = 200;
        let partitioned = partitioned(file);
        if self.files.len() > FILES_WITH_STATISTICS_MAX {
            return partitioned;
        }
        partitioned.with_statistics(Arc::new(self.file_statistics(file)))
    }

    /// What is known of one file: rows and the range of starts (bounds, perhaps not reached).
    fn file_statistics(&self, file: &DataFile) -> Statistics {
        let mut columns = vec![ColumnStatistics::new_unknown(); self.stored.fields().len() - 1];
        let bound = |nanos| Precision::Inexact(ScalarValue::Int64(Some(nanos)));
        if let Ok(start) = self.stored.index_of(c::START) {
            columns[start].min_value = bound(file.start.from);
            columns[start].max_value = bound(file.start.until.saturating_sub(1));
            columns[start].null_count = Precision::Exact(0);
        }
        Statistics {
            num_rows: Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX)),
            total_byte_size: Precision::Absent,
            column_statistics: columns,
        }
    }

    fn statistics(&self, all_rows: bool) -> Statistics {
        let rows = self.files.iter().map(|file| file.rows).sum::<u64>();
        let rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
        let rows = if all_rows { rows } else { rows.to_inexact() };
        Statistics::new_unknown(self.stored).with_num_rows(rows)
    }
}
