//! Counts the rows of files by the keys of one column.
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, new_null_array};
use arrow::compute::{concat, filter};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, ParquetFileReaderFactory};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt, stream};
use parquet::file::metadata::RowGroupMetaData;

use super::FileColumn;
use crate::spans::halves;
use crate::spans::pages;
use crate::spans::reader::Reader;

/// See the module.
#[derive(Debug)]
pub(super) struct CountKeysExec {
    column: FileColumn,
    /// What it stands for.
    plain: Arc<dyn ExecutionPlan>,
    /// By partition.
    files: Vec<Vec<PartitionedFile>>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl CountKeysExec {
    /// Counts what `plain` counts, which groups by `column`.
    pub(super) fn new(column: FileColumn, plain: Arc<dyn ExecutionPlan>) -> Self {
        let groups = column.scan.file_groups.len().max(1);
        let mut files = vec![Vec::new(); groups];
        let mut seen = HashSet::new();
        // A large file may be in several groups, a part in each.
        for file in column.scan.file_groups.iter().flat_map(FileGroup::iter) {
            if seen.insert(file.object_meta.location.clone()) {
                let place = (seen.len() - 1) % groups;
                let mut whole = file.clone();
                whole.range = None;
                files[place].push(whole);
            }
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plain.schema()),
            Partitioning::UnknownPartitioning(groups),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = column.source.scan_metrics().clone();
        Self { column, plain, files, metrics, properties: Arc::new(properties) }
    }
}

/// Counts the rows of one file after the other.
struct Counting {
    column: FileColumn,
    plain: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    metrics: ExecutionPlanMetricsSet,
}

impl Counting {
    async fn of_file(&self, file: PartitionedFile) -> Result<SendableRecordBatchStream> {
        let readers = self.column.source.readers();
        let mut reader = readers.create_reader(0, file.clone(), None, &self.metrics)?;
        let metadata = reader.get_metadata(None).await?;
        let mut batches = Vec::with_capacity(metadata.num_row_groups());
        for row_group in metadata.row_groups() {
            let path = file.object_meta.location.as_ref();
            let Some(batch) = self.of_row_group((&mut reader, path), row_group).await? else {
                return self.plainly(file);
            };
            batches.push(Ok(batch));
        }
        let schema = self.plain.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches))))
    }

    async fn of_row_group(
        &self,
        (reader, path): (&mut Reader, &str),
        row_group: &RowGroupMetaData,
    ) -> Result<Option<RecordBatch>> {
        let is_it = |path: &[String]| matches!(path, [name] if *name == self.column.name);
        let mut chunks = row_group.columns().iter();
        let Some(chunk) = chunks.find(|chunk| is_it(chunk.column_path().parts())) else {
            let none = new_null_array(&DataType::Utf8View, 0);
            return self.batch(&none, &[], row_group.num_rows()).map(Some);
        };
        if chunk.dictionary_page_offset().is_none() {
            return Ok(None);
        }
        let (start, length) = chunk.byte_range();
        let known = &self.column.source.known().counts;
        if let Some(counts) = known.find(path, start) {
            return self.batch(&counts.values, &counts.by_key, counts.nulls).map(Some);
        }
        let bytes = reader.get_bytes(start..start.saturating_add(length)).await?;
        let rows = usize::try_from(row_group.num_rows()).unwrap_or(usize::MAX);
        let Some(counts) = pages::counts(bytes, chunk, rows)? else { return Ok(None) };
        let counts = Arc::new(counts);
        known.put(path, start, &counts);
        self.batch(&counts.values, &counts.by_key, counts.nulls).map(Some)
    }

    /// One row for each value that occurs.
    fn batch(&self, values: &ArrayRef, by_key: &[i64], nulls: i64) -> Result<RecordBatch> {
        let schema = self.plain.schema();
        let null = new_null_array(&DataType::Utf8View, 1);
        let values = concat(&[values.as_ref(), null.as_ref()])?;
        let counts = Int64Array::from_iter_values(by_key.iter().copied().chain([nulls]));
        let occurs = BooleanArray::from_iter(counts.values().iter().map(|count| Some(*count > 0)));
        let counts = filter(&counts, &occurs)?;
        let mut columns = vec![filter(&values, &occurs)?];
        columns.extend((1..schema.fields().len()).map(|_| Arc::clone(&counts)));
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    /// The file as it would be counted otherwise.
    fn plainly(&self, file: PartitionedFile) -> Result<SendableRecordBatchStream> {
        let plain = halves::over_file(&self.plain, &file)?;
        execute_stream(plain, Arc::clone(&self.context))
    }
}

impl DisplayAs for CountKeysExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.files.iter().map(Vec::len).sum();
        write!(f, "CountKeysExec: files={files}, column={}", self.column.name)
    }
}

impl ExecutionPlan for CountKeysExec {
    crate::leaf::leaf_plan!("CountKeysExec", no expressions);

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let files = self.files.get(partition).cloned().unwrap_or_default();
        let counting = Arc::new(Counting {
            column: self.column.clone(),
            plain: Arc::clone(&self.plain),
            context,
            metrics: self.metrics.clone(),
        });
        let counted = stream::iter(files).then(move |file| {
            let counting = Arc::clone(&counting);
            async move { counting.of_file(file).await }
        });
        let stream = RecordBatchStreamAdapter::new(self.schema(), counted.try_flatten().boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
