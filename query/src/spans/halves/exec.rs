//! Adds up row groups of files by a shorter way, where they allow it.
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};

use super::over_file;
use crate::spans::parts::{Parts, RowGroup};
use crate::spans::source::SelectiveSource;

/// A shorter way to what the first half of an aggregate makes of files.
pub(in crate::spans) trait Shorter: fmt::Debug + Send + Sync + 'static {
    /// Of the plan that goes it.
    fn name(&self) -> &'static str;

    /// What is to be said of it beside.
    fn detail(&self) -> String;

    /// The files, and how they are read.
    fn scan(&self) -> (&FileScanConfig, &SelectiveSource);

    /// What there is of a row group; `None` where it has to be read as before.
    fn of_row_group<'a>(
        &'a self,
        row_group: &'a mut RowGroup,
        schema: &'a SchemaRef,
    ) -> BoxFuture<'a, Result<Option<RecordBatch>>>;
}

/// See the module.
#[derive(Debug)]
pub(super) struct ShortExec {
    way: Arc<dyn Shorter>,
    /// What it stands for.
    plain: Arc<dyn ExecutionPlan>,
    parts: Arc<Parts>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl ShortExec {
    /// Makes what `plain` makes.
    pub(super) fn new(way: Arc<dyn Shorter>, plain: Arc<dyn ExecutionPlan>) -> Self {
        let (scan, source) = way.scan();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plain.schema()),
            Partitioning::UnknownPartitioning(scan.file_groups.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (parts, metrics) = (Arc::new(Parts::of(scan)), source.scan_metrics().clone());
        Self { way, plain, parts, metrics, properties: Arc::new(properties) }
    }
}

/// Takes one row group after the other.
struct Going {
    way: Arc<dyn Shorter>,
    plain: Arc<dyn ExecutionPlan>,
    parts: Arc<Parts>,
    context: Arc<TaskContext>,
    metrics: ExecutionPlanMetricsSet,
}

impl Going {
    /// What the next row group gives; `None` after the last.
    async fn next(&self) -> Result<Option<SendableRecordBatchStream>> {
        let (_, source) = self.way.scan();
        let Some(mut row_group) = self.parts.next(source.readers(), &self.metrics).await? else {
            return Ok(None);
        };
        let schema = self.plain.schema();
        if let Some(batch) = self.way.of_row_group(&mut row_group, &schema).await? {
            let one = stream::iter([Ok(batch)]);
            return Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, one))));
        }
        let Some(part) = row_group.part() else {
            return internal_err!("a row group lies nowhere");
        };
        let plain = over_file(&self.plain, &part)?;
        execute_stream(plain, Arc::clone(&self.context)).map(Some)
    }
}

impl DisplayAs for ShortExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: files={}{}", self.way.name(), self.parts.files(), self.way.detail())?;
        match self.way.scan().1.condition() {
            Some(condition) => write!(f, ", predicate={condition}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ShortExec {
    fn name(&self) -> &'static str {
        self.way.name()
    }

    crate::leaf::leaf_plan!(no expressions);

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let going = Going {
            way: Arc::clone(&self.way),
            plain: Arc::clone(&self.plain),
            parts: Arc::clone(&self.parts),
            context,
            metrics: self.metrics.clone(),
        };
        let made = stream::try_unfold(going, |going| async move {
            Ok::<_, DataFusionError>(going.next().await?.map(|made| (made, going)))
        });
        let stream = RecordBatchStreamAdapter::new(self.schema(), made.try_flatten().boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(Arc::clone(&self.way), Arc::clone(&self.plain))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
