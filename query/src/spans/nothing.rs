//! A scan that has nothing to read, and says why.
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, Partitioning,
    PlanProperties,
};

use crate::spans::prune::Pruned;

/// No rows: no batch is in memory, and every file was pruned.
#[derive(Debug)]
pub(crate) struct NothingExec {
    pruned: Pruned,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl NothingExec {
    pub(crate) fn new(schema: SchemaRef, pruned: Pruned) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        for (name, count) in pruned.figures() {
            MetricBuilder::new(&metrics).global_counter(name).add(count);
        }
        Self { pruned, metrics, properties: Arc::new(properties) }
    }
}

impl DisplayAs for NothingExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NothingExec: files=0 of {}", self.pruned.files)
    }
}

impl ExecutionPlan for NothingExec {
    crate::leaf::leaf_plan!("NothingExec", no expressions);

    fn execute(
        &self,
        _partition: usize,
        _task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(EmptyRecordBatchStream::new(self.schema())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
