//! Reads whole numbers of files at the rows that dictionaries choose.
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, ParquetFileReaderFactory};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt, stream};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::Numbers;
use crate::spans::integers;
use crate::spans::reader::Reader;
use crate::spans::select;

/// Rows that are handed on at once.
const ROWS_AT_ONCE: usize = 32_768;

/// See the module.
#[derive(Debug)]
pub(super) struct NumbersExec {
    numbers: Numbers,
    /// By partition.
    files: Vec<Vec<PartitionedFile>>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl NumbersExec {
    /// Reads what `numbers` says.
    pub(super) fn over(numbers: Numbers) -> Arc<dyn ExecutionPlan> {
        let groups = &numbers.scan.file_groups;
        let files: Vec<Vec<PartitionedFile>> =
            groups.iter().map(|group| group.iter().cloned().collect()).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&numbers.schema)),
            Partitioning::UnknownPartitioning(files.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = numbers.source.scan_metrics().clone();
        Arc::new(Self { numbers, files, metrics, properties: Arc::new(properties) })
    }
}

/// Reads one file after the other.
struct Reading {
    numbers: Numbers,
    context: Arc<TaskContext>,
    metrics: ExecutionPlanMetricsSet,
}

/// The row groups of a file that are still to be read.
struct Rest {
    file: PartitionedFile,
    reader: Reader,
    metadata: Arc<ParquetMetaData>,
    next: usize,
}

impl Reading {
    async fn of_file(self: Arc<Self>, file: PartitionedFile) -> Result<SendableRecordBatchStream> {
        // A part of a file is read as it is.
        if file.range.is_some() {
            return self.plainly(file);
        }
        let readers = self.numbers.source.readers();
        let mut reader = readers.create_reader(0, file.clone(), None, &self.metrics)?;
        let metadata = reader.get_metadata(None).await?;
        let schema = Arc::clone(&self.numbers.schema);
        let rest = Rest { file, reader, metadata, next: 0 };
        let groups = stream::try_unfold((self, rest), |(reading, mut rest)| async move {
            let group = reading.next_group(&mut rest).await?;
            Ok::<_, datafusion::common::DataFusionError>(
                group.map(|group| (group, (reading, rest))),
            )
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, groups.try_flatten())))
    }

    async fn next_group(&self, rest: &mut Rest) -> Result<Option<SendableRecordBatchStream>> {
        let number = rest.next;
        if number >= rest.metadata.num_row_groups() {
            return Ok(None);
        }
        rest.next += 1;
        let metadata = Arc::clone(&rest.metadata);
        let Some(batch) = self.of_row_group(&mut rest.reader, (&metadata, number)).await? else {
            let Some(part) = part_of(&rest.file, metadata.row_group(number)) else {
                return internal_err!("a row group lies nowhere");
            };
            return self.plainly(part).map(Some);
        };
        let rows = batch.num_rows();
        let pieces: Vec<Result<RecordBatch>> = (0..rows)
            .step_by(ROWS_AT_ONCE)
            .map(|from| Ok(batch.slice(from, ROWS_AT_ONCE.min(rows - from))))
            .collect();
        let schema = Arc::clone(&self.numbers.schema);
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(pieces)))))
    }

    /// `None` where it has to be read otherwise.
    async fn of_row_group(
        &self,
        reader: &mut Reader,
        (metadata, number): (&ParquetMetaData, usize),
    ) -> Result<Option<RecordBatch>> {
        let numbers = &self.numbers;
        let row_group = metadata.row_group(number);
        let Some(ranges) = select::exactly(reader, row_group, &numbers.texts).await? else {
            return Ok(None);
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(numbers.columns.fields().len());
        for field in numbers.columns.fields() {
            let is_it = |path: &[String]| matches!(path, [name] if name == field.name());
            let mut chunks = row_group.columns().iter();
            let Some(place) = chunks.position(|chunk| is_it(chunk.column_path().parts())) else {
                return Ok(None);
            };
            let values = integers::read(reader, metadata, (number, place), &ranges).await?;
            let Some(values) = values else { return Ok(None) };
            columns.push(Arc::new(Int64Array::from(values)));
        }
        let mut batch = RecordBatch::try_new(Arc::clone(&numbers.columns), columns)?;
        for condition in numbers.numbers.iter() {
            let column = numbers.columns.index_of(condition.column())?;
            let held = condition.holds(Arc::clone(batch.column(column)))?;
            batch = filter_record_batch(&batch, &BooleanArray::from(held))?;
        }
        let shown = numbers.shown.iter();
        let shown: Result<Vec<ArrayRef>> =
            shown.map(|expr| expr.evaluate(&batch)?.into_array(batch.num_rows())).collect();
        Ok(Some(RecordBatch::try_new(Arc::clone(&numbers.schema), shown?)?))
    }

    /// The file, or the part of it, as it would be read otherwise.
    fn plainly(&self, file: PartitionedFile) -> Result<SendableRecordBatchStream> {
        let mut scan = self.numbers.scan.clone();
        scan.file_groups = vec![FileGroup::new(vec![file])];
        execute_stream(DataSourceExec::from_data_source(scan), Arc::clone(&self.context))
    }
}

/// The part of `file` that is this row group.
fn part_of(file: &PartitionedFile, row_group: &RowGroupMetaData) -> Option<PartitionedFile> {
    let first = row_group.columns().first()?;
    let start = first.dictionary_page_offset().unwrap_or_else(|| first.data_page_offset());
    Some(file.clone().with_range(start, start.checked_add(1)?))
}

impl DisplayAs for NumbersExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.files.iter().map(Vec::len).sum();
        let columns: Vec<&str> =
            self.numbers.columns.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "NumbersExec: files={files}, columns=[{}]", columns.join(", "))?;
        match self.numbers.source.condition() {
            Some(condition) => write!(f, ", predicate={condition}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for NumbersExec {
    crate::leaf::leaf_plan!("NumbersExec");

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let files = self.files.get(partition).cloned().unwrap_or_default();
        let reading = Arc::new(Reading {
            numbers: self.numbers.clone(),
            context,
            metrics: self.metrics.clone(),
        });
        let read = stream::iter(files).then(move |file| Arc::clone(&reading).of_file(file));
        let stream = RecordBatchStreamAdapter::new(self.schema(), read.try_flatten().boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
