//! Reads whole numbers of files at the rows that dictionaries choose.
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, ParquetFileReaderFactory};
use datafusion::datasource::source::DataSourceExec;
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
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::Numbers;
use crate::spans::integers;
use crate::spans::reader::Reader;
use crate::spans::select;

/// See the module.
#[derive(Debug)]
pub(super) struct NumbersExec {
    numbers: Numbers,
    /// Files that no partition has taken yet, and row groups of those that one has opened.
    left: Arc<Left>,
    files: usize,
    /// How many rows are handed on at once.
    rows_at_once: usize,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl NumbersExec {
    /// Reads what `numbers` says, in so many partitions at least.
    pub(super) fn over(
        numbers: Numbers,
        partitions: usize,
        rows_at_once: usize,
    ) -> Arc<dyn ExecutionPlan> {
        let partitions = numbers.scan.file_groups.len().max(partitions);
        Arc::new(Self::new(numbers, partitions, rows_at_once))
    }

    fn new(numbers: Numbers, partitions: usize, rows_at_once: usize) -> Self {
        let groups = &numbers.scan.file_groups;
        let files: Vec<PartitionedFile> =
            groups.iter().flat_map(|group| group.iter().cloned()).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&numbers.schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = numbers.source.scan_metrics().clone();
        Self {
            files: files.len(),
            left: Arc::new(Mutex::new(files.into_iter().map(Part::File).collect())),
            numbers,
            rows_at_once,
            metrics,
            properties: Arc::new(properties),
        }
    }
}

/// What is still to be read: whichever partition is free takes the next.
type Left = Mutex<VecDeque<Part>>;

enum Part {
    File(PartitionedFile),
    RowGroup(PartitionedFile, usize),
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Part")
    }
}

/// Reads one part after the other.
struct Reading {
    numbers: Numbers,
    left: Arc<Left>,
    rows_at_once: usize,
    context: Arc<TaskContext>,
    metrics: ExecutionPlanMetricsSet,
}

impl Reading {
    fn left(&self) -> MutexGuard<'_, VecDeque<Part>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next part has; `None` after the last.
    async fn next(&self) -> Result<Option<SendableRecordBatchStream>> {
        let part = self.left().pop_front();
        let (file, number) = match part {
            None => return Ok(None),
            // A part of a file is read as it is.
            Some(Part::File(file)) if file.range.is_some() => return self.plainly(file).map(Some),
            Some(Part::File(file)) => (file, None),
            Some(Part::RowGroup(file, number)) => (file, Some(number)),
        };
        let readers = self.numbers.source.readers();
        let mut reader = readers.create_reader(0, file.clone(), None, &self.metrics)?;
        let metadata = reader.get_metadata(None).await?;
        if number.is_none() {
            let mut left = self.left();
            for number in (1..metadata.num_row_groups()).rev() {
                left.push_front(Part::RowGroup(file.clone(), number));
            }
        }
        let number = number.unwrap_or(0);
        let path = file.object_meta.location.as_ref();
        let schema = Arc::clone(&self.numbers.schema);
        if number >= metadata.num_row_groups() {
            return Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, stream::empty()))));
        }
        let Some(batch) = self.of_row_group((&mut reader, path), (&metadata, number)).await? else {
            let Some(part) = part_of(&file, metadata.row_group(number)) else {
                return internal_err!("a row group lies nowhere");
            };
            return self.plainly(part).map(Some);
        };
        let (rows, at_once) = (batch.num_rows(), self.rows_at_once);
        let pieces: Vec<Result<RecordBatch>> = (0..rows)
            .step_by(at_once)
            .map(|from| Ok(batch.slice(from, at_once.min(rows - from))))
            .collect();
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(pieces)))))
    }

    /// `None` where it has to be read otherwise.
    async fn of_row_group(
        &self,
        (reader, path): (&mut Reader, &str),
        (metadata, number): (&ParquetMetaData, usize),
    ) -> Result<Option<RecordBatch>> {
        let numbers = &self.numbers;
        let place = (path, &numbers.source.known().chosen);
        let row_group = metadata.row_group(number);
        let Some(ranges) = select::exactly(place, (reader, row_group), &numbers.texts).await?
        else {
            return Ok(None);
        };
        let mut places = Vec::with_capacity(numbers.columns.fields().len());
        for field in numbers.columns.fields() {
            let Some((place, _)) = select::chunk_of(row_group, field.name()) else {
                return Ok(None);
            };
            places.push(place);
        }
        let read = integers::read_all(reader, metadata, (number, &places), &ranges).await?;
        let Some(read) = read else { return Ok(None) };
        let columns = read.into_iter().map(|values| Arc::new(Int64Array::from(values)) as ArrayRef);
        let columns: Vec<ArrayRef> = columns.collect();
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
        let files = self.files;
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
    crate::leaf::leaf_plan!("NumbersExec", no expressions);

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let reading = Reading {
            numbers: self.numbers.clone(),
            left: Arc::clone(&self.left),
            rows_at_once: self.rows_at_once,
            context,
            metrics: self.metrics.clone(),
        };
        let parts = stream::try_unfold(reading, |reading| async move {
            Ok::<_, DataFusionError>(reading.next().await?.map(|part| (part, reading)))
        });
        let stream = RecordBatchStreamAdapter::new(self.schema(), parts.try_flatten().boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = self.properties.output_partitioning().partition_count();
        Ok(Arc::new(Self::new(self.numbers.clone(), partitions, self.rows_at_once)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
