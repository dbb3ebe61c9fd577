//! Reads hot batches: those that no file holds yet.
//! Filters before it copies: a wanted row costs its columns, another one only the condition's.
use std::fmt;
use std::ops::Range;
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
        let pieces = batches.into_iter().flat_map(move |batch| {
            let rows = batch.rows();
            let starts = (0..rows).step_by(rows_max.max(1));
            starts.map(move |from| (Arc::clone(&batch), from..rows.min(from + rows_max)))
        });
        let reader = Arc::clone(&self.reader);
        let read =
            pieces.filter_map(move |(batch, rows)| reader.read(batch.records(), rows).transpose());
        let schema = Arc::clone(&self.reader.projected);
        let stream = RecordBatchStreamAdapter::new(schema, stream::iter(read));
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

    fn holds(&self, records: &RecordBatch) -> Result<BooleanArray> {
        let columns = with_columns(records, &self.columns, None)?;
        let mask = self.predicate.evaluate(&columns)?.into_array(records.num_rows())?;
        let mask = mask.as_boolean();
        Ok(if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() })
    }
}

#[derive(Debug)]
struct Reader {
    projected: SchemaRef,
    condition: Option<Condition>,
}

impl Reader {
    /// The wanted rows of `records[rows]`, or `None` where there are none.
    fn read(&self, records: &RecordBatch, rows: Range<usize>) -> Result<Option<RecordBatch>> {
        let records = records.slice(rows.start, rows.len());
        let Some(condition) = &self.condition else {
            return with_columns(&records, &self.projected, None).map(Some);
        };
        let mask = condition.holds(&records)?;
        match mask.true_count() {
            0 => Ok(None),
            all if all == records.num_rows() => {
                with_columns(&records, &self.projected, None).map(Some)
            }
            _ => with_columns(&records, &self.projected, Some(&mask)).map(Some),
        }
    }
}

/// The columns of `schema` out of `records`, cast to their read types, rows where `mask` is set.
pub(super) fn with_columns(
    records: &RecordBatch,
    schema: &SchemaRef,
    mask: Option<&BooleanArray>,
) -> Result<RecordBatch> {
    let rows = mask.map_or(records.num_rows(), BooleanArray::true_count);
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(column(records, field, mask, rows)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn column(
    records: &RecordBatch,
    field: &Field,
    mask: Option<&BooleanArray>,
    rows: usize,
) -> Result<ArrayRef> {
    let stored = match field.name().as_str() {
        c::DATE => dates(records),
        name => match records.column_by_name(name) {
            Some(stored) => Arc::clone(stored),
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
fn dates(records: &RecordBatch) -> ArrayRef {
    let starts = records.column_by_name(c::START).and_then(|start| start.as_primitive_opt());
    let starts: &[i64] = starts.map_or(&[], |starts: &PrimitiveArray<Int64Type>| starts.values());
    let day = |start: &i64| i32::try_from(start.div_euclid(NANOS_PER_DAY)).unwrap_or_default();
    Arc::new(Date32Array::from_iter_values(starts.iter().map(day)))
}
