//! Quantiles by time, in one step: both halves of the aggregate, without handing values from one to the other.
//!
//! ```text
//! AggregateExec: FinalPartitioned        QuantilesExec: each partition keeps the values of its groups (four bytes each),
//!   RepartitionExec                  ->    then groups are put together and their quantiles selected
//!     AggregateExec: Partial                 (where the values do not fit: narrow)
//!       scan                                 scan
//! ```
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, reset_plan_states};
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, stream};
use hashbrown::HashMap;

use super::narrow::Narrowing;
use super::runs::{Key, Runs};
use crate::quantile::values::Values;
use crate::spans::picker::lost;

/// See the module.
#[derive(Debug)]
pub(super) struct QuantilesExec {
    input: Arc<dyn ExecutionPlan>,
    runs: Arc<Runs>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl QuantilesExec {
    /// Groups the rows of `input` as `runs` says, into rows of `schema`.
    pub(super) fn over(input: Arc<dyn ExecutionPlan>, runs: Arc<Runs>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { input, runs, schema, properties: Arc::new(properties), metrics }
    }
}

/// Of each group the quantiles, by place of what they are asked of.
pub(super) type Found = BTreeMap<Key, Vec<Vec<Option<i64>>>>;

/// Reads all rows, as often as is needed.
pub(super) struct Passes {
    input: Arc<dyn ExecutionPlan>,
    pub(super) runs: Arc<Runs>,
    task: Arc<TaskContext>,
    pub(super) held: MemoryReservation,
    passes: Count,
}

/// What one partition keeps of the rows that it reads.
pub(super) trait Keep: Send + 'static {
    /// Adds values of the group `key`, of the quantiles at `place`.
    fn add(&mut self, key: Key, place: usize, values: &[i64]);

    /// Bytes that it occupies.
    fn bytes(&self) -> usize;
}

impl Passes {
    /// Reads all rows once, each partition into what `make` makes; `None` where that becomes more than memory holds.
    ///
    /// # Errors
    /// The input fails.
    pub(super) async fn read<K: Keep>(&mut self, make: impl Fn() -> K) -> Result<Option<Vec<K>>> {
        let input = match self.passes.value() {
            0 => Arc::clone(&self.input),
            _ => reset_plan_states(Arc::clone(&self.input))?,
        };
        self.passes.add(1);
        let is_full = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for partition in 0..input.output_partitioning().partition_count() {
            let mut rows = input.execute(partition, Arc::clone(&self.task))?;
            let (mut kept, held) = (make(), self.held.new_empty());
            let runs = Arc::clone(&self.runs);
            let is_full = Arc::clone(&is_full);
            tasks.push(SpawnedTask::spawn(async move {
                while let Some(rows) = rows.next().await {
                    runs.each(&rows?, |key, place, values| kept.add(key, place, values))?;
                    if is_full.load(Relaxed) || held.try_resize(kept.bytes()).is_err() {
                        is_full.store(true, Relaxed);
                        return Ok(None);
                    }
                }
                Ok::<_, datafusion::common::DataFusionError>(Some((kept, held)))
            }));
        }
        let mut all = Vec::with_capacity(tasks.len());
        // Each has ended, and holds nothing, before this does: the next pass needs all room.
        for task in tasks {
            if let Some((kept, held)) = task.join().await.map_err(lost)?? {
                self.held.grow(held.free());
                all.push(kept);
            }
        }
        Ok(Some(all).filter(|_| !is_full.load(Relaxed)))
    }

    async fn found(&mut self) -> Result<Found> {
        let kept = self.read(Groups::default).await?;
        match kept {
            Some(kept) => selected(&self.runs, kept).await,
            None => {
                self.held.free();
                Narrowing::new(self).found().await
            }
        }
    }
}

/// All values of some groups, by place.
#[derive(Debug, Default)]
struct Groups {
    by_key: HashMap<Key, Vec<Values>>,
    bytes: usize,
}

/// What a group takes beside its values.
pub(super) const GROUP_BYTES: usize = 128;

impl Keep for Groups {
    fn add(&mut self, key: Key, place: usize, values: &[i64]) {
        let by_place = self.by_key.entry(key).or_insert_with(|| {
            self.bytes += GROUP_BYTES;
            Vec::new()
        });
        if by_place.len() <= place {
            by_place.resize_with(place + 1, Values::default);
        }
        let own = &mut by_place[place];
        let before = own.bytes();
        own.extend(values);
        self.bytes += own.bytes() - before;
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// With fewer values than this, another thread is not worth its waking.
const VALUES_A_TASK: usize = 50_000;

/// The quantiles of the groups of all partitions.
async fn selected(runs: &Arc<Runs>, kept: Vec<Groups>) -> Result<Found> {
    let mut together: HashMap<Key, Vec<Vec<Values>>> = HashMap::new();
    let mut all = 0;
    for (key, values) in kept.into_iter().flat_map(|groups| groups.by_key) {
        all += values.iter().map(Values::len).sum::<usize>();
        together.entry(key).or_default().push(values);
    }
    let mut groups: Vec<_> = together.into_iter().collect();
    let rest = if all > VALUES_A_TASK { groups.split_off(groups.len() / 2) } else { Vec::new() };
    let own = Arc::clone(runs);
    let rest = SpawnedTask::spawn(async move { quantiles(&own, rest) });
    let mut found = quantiles(runs, groups);
    found.extend(rest.join().await.map_err(lost)?);
    Ok(found)
}

fn quantiles(runs: &Runs, groups: Vec<(Key, Vec<Vec<Values>>)>) -> Found {
    let of_group = |parts: Vec<Vec<Values>>| {
        let mut parts = parts.into_iter();
        let mut whole = parts.next().unwrap_or_default();
        for part in parts {
            whole.iter_mut().zip(&part).for_each(|(whole, part)| whole.append(part));
        }
        let by_place = whole.iter_mut().zip(&runs.shapes);
        by_place.map(|(values, shape)| shape.of_values(values)).collect()
    };
    groups.into_iter().map(|(key, parts)| (key, of_group(parts))).collect()
}

/// A row a group.
fn batch(found: Found, runs: &Runs, schema: &SchemaRef) -> Result<RecordBatch> {
    let (keys, answers): (Vec<Key>, Vec<_>) = found.into_iter().unzip();
    let keys: ArrayRef = Arc::new(Int64Array::from(keys));
    let mut columns = vec![cast(&keys, schema.field(0).data_type())?];
    for (place, shape) in runs.shapes.iter().enumerate() {
        let own: Vec<Vec<Option<i64>>> =
            answers.iter().map(|by_place| by_place[place].clone()).collect();
        columns.push(shape.answers(&own));
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

impl DisplayAs for QuantilesExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut exprs = self.runs.exprs().map(ToString::to_string);
        let group = exprs.next().unwrap_or_default();
        let values: Vec<String> = exprs.collect();
        write!(f, "QuantilesExec: gby=[{group}], values=[{}]", values.join(", "))
    }
}

impl ExecutionPlan for QuantilesExec {
    fn name(&self) -> &'static str {
        "QuantilesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("QuantilesExec has one child");
        };
        let (runs, schema) = (Arc::clone(&self.runs), Arc::clone(&self.schema));
        Ok(Arc::new(Self::over(input, runs, schema)))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.runs.exprs().try_fold(TreeNodeRecursion::Continue, |told, expr| match told {
            TreeNodeRecursion::Stop => Ok(told),
            _ => visit(expr),
        })
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let held = MemoryConsumer::new("quantile").register(context.memory_pool());
        let passes = MetricBuilder::new(&self.metrics).global_counter("passes");
        let (input, runs) = (Arc::clone(&self.input), Arc::clone(&self.runs));
        let mut passes = Passes { input, runs, task: context, held, passes };
        let schema = Arc::clone(&self.schema);
        let made = async move { batch(passes.found().await?, &passes.runs, &schema) };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(made))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
