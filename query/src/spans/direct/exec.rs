//! Reads whole numbers of files at the rows that dictionaries choose.
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
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

use super::Numbers;
use crate::spans::integers;
use crate::spans::parts::{Parts, RowGroup};
use crate::spans::select;

/// See the module.
#[derive(Debug)]
pub(super) struct NumbersExec {
    numbers: Numbers,
    parts: Arc<Parts>,
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
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&numbers.schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = numbers.source.scan_metrics().clone();
        Self {
            parts: Arc::new(Parts::of(&numbers.scan)),
            numbers,
            rows_at_once,
            metrics,
            properties: Arc::new(properties),
        }
    }
}

/// Reads one part after the other.
struct Reading {
    numbers: Numbers,
    parts: Arc<Parts>,
    rows_at_once: usize,
    context: Arc<TaskContext>,
    metrics: ExecutionPlanMetricsSet,
}

impl Reading {
    /// What the next row group has; `None` after the last.
    async fn next(&self) -> Result<Option<SendableRecordBatchStream>> {
        let readers = self.numbers.source.readers();
        let Some(mut row_group) = self.parts.next(readers, &self.metrics).await? else {
            return Ok(None);
        };
        let schema = Arc::clone(&self.numbers.schema);
        let Some(batch) = self.of_row_group(&mut row_group).await? else {
            let Some(part) = row_group.part() else {
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
    async fn of_row_group(&self, row_group: &mut RowGroup) -> Result<Option<RecordBatch>> {
        let (numbers, number) = (&self.numbers, row_group.number);
        let metadata = Arc::clone(&row_group.metadata);
        let of = metadata.row_group(number);
        let place = (row_group.file.object_meta.location.as_ref(), &numbers.source.known().chosen);
        let reader = &mut row_group.reader;
        let ranges = select::exactly(place, (&mut *reader, of), &numbers.texts).await?;
        let Some(ranges) = ranges else { return Ok(None) };
        let mut places = Vec::with_capacity(numbers.columns.fields().len());
        for field in numbers.columns.fields() {
            let Some((place, _)) = select::chunk_of(of, field.name()) else {
                return Ok(None);
            };
            places.push(place);
        }
        let read = integers::read_all(reader, &metadata, (number, &places), &ranges).await?;
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

impl DisplayAs for NumbersExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.parts.files();
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
            parts: Arc::clone(&self.parts),
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
