//! Reads hot batches: those that no file holds yet.
//! Filters before it copies: a wanted row costs its columns, another one only the condition's.
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch, RecordBatchOptions};
use arrow::array::{BooleanArray, PrimitiveArray, new_null_array};
use arrow::compute::{cast, filter, prep_null_mask_filter};
use arrow::datatypes::{Field, Int64Type, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, assert_or_internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    SendableRecordBatchStream, StatisticsArgs,
};
use futures::stream;
use storage::SpanBatch;
use storage::schema::column as c;
use storage::time::NANOS_PER_DAY;

/// Scan of hot batches, in the stored columns as readers see them.
#[derive(Debug)]
pub(crate) struct HotExec {
    /// The batches of each partition.
    partitions: Vec<Vec<Arc<SpanBatch>>>,
    reader: Arc<Reader>,
    properties: Arc<PlanProperties>,
}

impl HotExec {
    /// A scan of `batches` for the columns of `projected`, rows where `predicate` (over `stored`) holds.
    pub(crate) fn new(
        batches: &[Arc<SpanBatch>],
        projected: SchemaRef,
        predicate: Option<&Arc<dyn PhysicalExpr>>,
        stored: &SchemaRef,
        partitions_max: usize,
    ) -> Result<Self> {
        let count = batches.len().min(partitions_max).max(1);
        let mut partitions = vec![Vec::new(); count];
        for (index, batch) in batches.iter().enumerate() {
            partitions[index % count].push(Arc::clone(batch));
        }
        let condition = predicate.map(|predicate| Condition::new(predicate, stored)).transpose()?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&projected)),
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let reader = Arc::new(Reader { projected, condition });
        Ok(Self { partitions, reader, properties: Arc::new(properties) })
    }

    fn rows(&self, partition: Option<usize>) -> usize {
        let rows = |batches: &Vec<Arc<SpanBatch>>| -> usize {
            batches.iter().map(|batch| batch.rows()).sum()
        };
        match partition {
            Some(index) => self.partitions.get(index).map_or(0, rows),
            None => self.partitions.iter().map(rows).sum(),
        }
    }
}

impl DisplayAs for HotExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batches: usize = self.partitions.iter().map(Vec::len).sum();
        if matches!(kind, DisplayFormatType::TreeRender) {
            return writeln!(f, "batches={batches}");
        }
        write!(f, "HotExec: batches={batches}")?;
        match &self.reader.condition {
            Some(condition) => write!(f, ", predicate={}", condition.predicate),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for HotExec {
    fn name(&self) -> &'static str {
        "HotExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        match &self.reader.condition {
            Some(condition) => visit(&condition.predicate),
            None => Ok(TreeNodeRecursion::Continue),
        }
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_or_internal_err!(children.is_empty(), "a scan has no children");
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_or_internal_err!(children.is_empty(), "a scan has no children");
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let batches = self.partitions.get(partition).cloned().unwrap_or_default();
        let rows_max = context.session_config().batch_size();
        let reader = Arc::clone(&self.reader);
        let read = batches.into_iter().filter_map(move |batch| reader.read(&batch).transpose());
        let pieces = read.flat_map(move |records| pieces(records, rows_max));
        let schema = Arc::clone(&self.reader.projected);
        let stream = RecordBatchStreamAdapter::new(schema, stream::iter(pieces));
        Ok(Box::pin(cooperative(stream)))
    }

    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let rows = Precision::Exact(self.rows(args.partition()));
        let exact = self.reader.condition.is_none();
        let known = Statistics::new_unknown(&self.reader.projected);
        Ok(Arc::new(known.with_num_rows(if exact { rows } else { rows.to_inexact() })))
    }
}

/// A condition over stored columns, with the few that it needs.
#[derive(Debug)]
struct Condition {
    predicate: Arc<dyn PhysicalExpr>,
    columns: SchemaRef,
}

impl Condition {
    fn new(predicate: &Arc<dyn PhysicalExpr>, stored: &SchemaRef) -> Result<Self> {
        let mut needed: Vec<usize> =
            collect_columns(predicate).iter().map(|column| column.index()).collect();
        needed.sort_unstable();
        let columns = Arc::new(stored.project(&needed)?);
        let predicate = reassign_expr_columns(Arc::clone(predicate), &columns)?;
        Ok(Self { predicate, columns })
    }

    fn holds(&self, batch: &SpanBatch) -> Result<BooleanArray> {
        let columns = with_columns(batch, &self.columns, None)?;
        let mask = self.predicate.evaluate(&columns)?.into_array(batch.rows())?;
        let mask = mask.as_boolean();
        Ok(if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() })
    }
}

/// `records` in pieces of at most `rows_max` rows.
fn pieces(
    records: Result<RecordBatch>,
    rows_max: usize,
) -> impl Iterator<Item = Result<RecordBatch>> {
    let (records, error) = match records {
        Ok(records) => (Some(records), None),
        Err(error) => (None, Some(Err(error))),
    };
    let pieces = records.into_iter().flat_map(move |records| {
        let rows = records.num_rows();
        let starts = (0..rows).step_by(rows_max.max(1));
        starts.map(move |from| Ok(records.slice(from, rows_max.min(rows - from))))
    });
    error.into_iter().chain(pieces)
}

#[derive(Debug)]
struct Reader {
    projected: SchemaRef,
    condition: Option<Condition>,
}

impl Reader {
    /// The wanted rows of `batch`, or `None` where there are none.
    fn read(&self, batch: &SpanBatch) -> Result<Option<RecordBatch>> {
        let Some(condition) = &self.condition else {
            return with_columns(batch, &self.projected, None).map(Some);
        };
        let mask = condition.holds(batch)?;
        match mask.true_count() {
            0 => Ok(None),
            all if all == batch.rows() => with_columns(batch, &self.projected, None).map(Some),
            _ => with_columns(batch, &self.projected, Some(&mask)).map(Some),
        }
    }
}

/// The columns of `schema` out of `batch`, cast to their read types, rows where `mask` is set.
pub(super) fn with_columns(
    batch: &SpanBatch,
    schema: &SchemaRef,
    mask: Option<&BooleanArray>,
) -> Result<RecordBatch> {
    let rows = mask.map_or(batch.rows(), BooleanArray::true_count);
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(column(batch, field, mask, rows)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn column(
    batch: &SpanBatch,
    field: &Field,
    mask: Option<&BooleanArray>,
    rows: usize,
) -> Result<ArrayRef> {
    let stored = match field.name().as_str() {
        c::DATE => dates(batch),
        name => match batch.column(name) {
            Some(stored) => stored,
            None => return Ok(new_null_array(field.data_type(), rows)),
        },
    };
    let wanted = match mask {
        Some(mask) => filter(&stored, mask)?,
        None => stored,
    };
    if wanted.data_type() == field.data_type() {
        return Ok(wanted);
    }
    Ok(cast(&wanted, field.data_type())?)
}

/// The partition that each span will be in.
fn dates(batch: &SpanBatch) -> ArrayRef {
    let starts = batch.column(c::START);
    let starts = starts.as_ref().and_then(|starts| starts.as_primitive_opt());
    let starts: &[i64] = starts.map_or(&[], |starts: &PrimitiveArray<Int64Type>| starts.values());
    let day = |start: &i64| i32::try_from(start.div_euclid(NANOS_PER_DAY)).unwrap_or_default();
    Arc::new(Date32Array::from_iter_values(starts.iter().map(day)))
}
