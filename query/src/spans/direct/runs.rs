//! The first half of an aggregate of quantiles by time: what belongs to one group mostly lies together, so that groups are
//! found by looking at the ends of pieces, and no number is touched.
//!
//! ```text
//! AggregateExec: Partial, gby=[date_trunc(minute, start_time)], aggr=[quantiles(duration_nano, ...)]
//!   -> RunsExec: a row a run: its minute, and where its numbers lie (the bytes of them: no copy)
//! ```
//! The other half takes a run as it takes what the stock plan adds up, so that the answer is the same, whatever the order
//! of rows is; it only costs more where runs are short. Then numbers are sorted by group first.
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryViewBuilder, Int64Array, RecordBatch, UInt32Array};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef, TimeUnit, TimestampNanosecondType};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::sort_properties::SortProperties;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;

use crate::quantile;

/// In pieces of so many rows of rising times, the first and the last tell whether all are of one group.
const PIECE_ROWS: usize = 16;
/// Runs that have fewer rows than this on average are put together first.
const RUN_ROWS_MIN: usize = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct RunsExec {
    input: Arc<dyn ExecutionPlan>,
    runs: Runs,
    properties: Arc<PlanProperties>,
}

/// How rows are grouped, and what is made of a group.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    /// Never falls where the time does not; over `time_alone`.
    group: Arc<dyn PhysicalExpr>,
    /// Place of the column that it is made of.
    time: usize,
    /// That column.
    time_alone: SchemaRef,
    /// What quantiles are asked of.
    values: Vec<Arc<dyn PhysicalExpr>>,
    /// Of what this stands for.
    schema: SchemaRef,
}

impl RunsExec {
    /// Groups the rows of `input`, which shows the same as the input of the aggregate that `runs` were made for.
    pub(super) fn over(input: Arc<dyn ExecutionPlan>, runs: Runs) -> Arc<dyn ExecutionPlan> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&runs.schema)),
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Arc::new(Self { input, runs, properties: Arc::new(properties) })
    }
}

impl Runs {
    /// What `aggregate` does; `None` where that is something else.
    pub(super) fn of(aggregate: &AggregateExec) -> Option<Self> {
        let input = aggregate.input_schema();
        let by = aggregate.group_expr();
        let [(group, _)] = by.expr() else { return None };
        let is_partial = *aggregate.mode() == AggregateMode::Partial;
        if !is_partial || !by.is_single() || aggregate.limit_options().is_some() {
            return None;
        }
        let columns = collect_columns(group);
        let (Some(column), 1) = (columns.iter().next(), columns.len()) else { return None };
        let is_whole = |kind: &DataType| {
            matches!(kind, DataType::Int64 | DataType::Timestamp(TimeUnit::Nanosecond, _))
        };
        let time = input.field(column.index());
        if !is_whole(time.data_type())
            || time.is_nullable()
            || !is_whole(&group.data_type(&input).ok()?)
            || !never_falls(group, column, &input)
        {
            return None;
        }
        let mut values = Vec::with_capacity(aggregate.aggr_expr().len());
        for (call, filter) in aggregate.aggr_expr().iter().zip(aggregate.filter_expr()) {
            let value = call.expressions().into_iter().next()?;
            let is_plain = filter.is_none() && !call.is_distinct() && call.order_bys().is_empty();
            let is_number = value.data_type(&input).ok()? == DataType::Int64;
            if !is_plain
                || !is_number
                || value.nullable(&input).ok()?
                || !quantile::is_quantile(call.fun())
            {
                return None;
            }
            values.push(value);
        }
        let time_alone = Arc::new(Schema::new(vec![time.clone()]));
        let group = reassign_expr_columns(Arc::clone(group), &time_alone).ok()?;
        let (time, schema) = (column.index(), aggregate.schema());
        Some(Self { group, time, time_alone, values, schema })
    }

    /// A row a run.
    fn batch(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let Some(times) = whole(rows.column(self.time)) else {
            return internal_err!("{} is no time", self.group);
        };
        let runs = self.runs(rows, times)?;
        let columns: Result<Vec<ArrayRef>> = self
            .values
            .iter()
            .map(|value| value.evaluate(rows)?.into_array(rows.num_rows()))
            .collect();
        let mut runs = Sorted { runs, columns: columns? };
        if runs.runs.len() > 1 && rows.num_rows() / runs.runs.len() < RUN_ROWS_MIN {
            runs = runs.put_together();
        }
        let firsts = runs.runs.iter().map(|run| u32::try_from(run.shown_by).unwrap_or(0));
        let mut shown = vec![self.groups(rows, &firsts.collect())?];
        for column in &runs.columns {
            shown.push(states(column, &runs.runs)?);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), shown)?)
    }

    /// Rows that follow one another and are of one group.
    fn runs(&self, rows: &RecordBatch, times: &[i64]) -> Result<Vec<Run>> {
        // Both ends of pieces whose times rise; every row of the others.
        let ends = Places::of(times, |piece| piece.is_sorted());
        let keys = self.keys(rows, &ends)?;
        // Every row of pieces whose ends differ, too.
        let mut keys_of = keys.iter();
        let mut same = Vec::with_capacity(ends.is_known.len());
        for (is_known, rows) in ends.pieces() {
            let own: Vec<i64> =
                keys_of.by_ref().take(if is_known { 2 } else { rows.len() }).copied().collect();
            same.push(is_known && own.first() == own.last());
        }
        let mut all = same.iter();
        let places = Places::of(times, |_| all.next() == Some(&true));
        let keys = self.keys(rows, &places)?;
        let mut keys = keys.into_iter();
        let mut runs: Vec<Run> = Vec::new();
        let mut push = |rows: Range<usize>, key: i64| match runs.last_mut() {
            Some(last) if last.key == key && last.rows.end == rows.start => {
                last.rows.end = rows.end
            }
            _ => runs.push(Run { key, shown_by: rows.start, rows }),
        };
        for (is_one, rows) in places.pieces() {
            let mut next = || keys.next().unwrap_or_default();
            if is_one {
                let key = next();
                next();
                push(rows, key);
            } else {
                rows.for_each(|row| push(row..row + 1, next()));
            }
        }
        Ok(runs)
    }

    /// The groups of the rows at `places`.
    fn keys(&self, rows: &RecordBatch, places: &Places) -> Result<Vec<i64>> {
        match whole(&self.groups(rows, &places.rows)?) {
            Some(keys) => Ok(keys.to_vec()),
            None => internal_err!("{} gives no times", self.group),
        }
    }

    /// The same as SQL shows them.
    fn groups(&self, rows: &RecordBatch, places: &UInt32Array) -> Result<ArrayRef> {
        let times = take(rows.column(self.time), places, None)?;
        let times = RecordBatch::try_new(Arc::clone(&self.time_alone), vec![times])?;
        self.group.evaluate(&times)?.into_array(times.num_rows())
    }
}

/// Rows that are looked at: of a piece of which something is known its first and its last, otherwise all.
struct Places {
    rows: UInt32Array,
    is_known: Vec<bool>,
    all: usize,
}

impl Places {
    fn of(times: &[i64], is_known: impl FnMut(&[i64]) -> bool) -> Self {
        let is_known: Vec<bool> = times.chunks(PIECE_ROWS).map(is_known).collect();
        let mut places = Self { rows: Vec::<u32>::new().into(), is_known, all: times.len() };
        let mut rows = Vec::new();
        for (is_known, piece) in places.pieces() {
            if is_known {
                rows.extend([piece.start, piece.end - 1]);
            } else {
                rows.extend(piece);
            }
        }
        places.rows = rows.into_iter().map(|row| u32::try_from(row).unwrap_or(u32::MAX)).collect();
        places
    }

    fn pieces(&self) -> impl Iterator<Item = (bool, Range<usize>)> {
        let starts = (0..self.all).step_by(PIECE_ROWS);
        let pieces = starts.map(|from| from..(from + PIECE_ROWS).min(self.all));
        self.is_known.iter().copied().zip(pieces)
    }
}

/// Rows of one group that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    key: i64,
    /// A row of the group.
    shown_by: usize,
    rows: Range<usize>,
}

/// Runs, and the columns that they are of.
struct Sorted {
    runs: Vec<Run>,
    columns: Vec<ArrayRef>,
}

impl Sorted {
    /// The same with one run a group.
    fn put_together(mut self) -> Self {
        self.runs.sort_by_key(|run| run.key);
        let columns = self.columns.iter().map(|column| {
            let values = column.as_primitive::<Int64Type>().values();
            let mut sorted: Vec<i64> = Vec::with_capacity(values.len());
            self.runs.iter().for_each(|run| sorted.extend_from_slice(&values[run.rows.clone()]));
            Arc::new(Int64Array::from(sorted)) as ArrayRef
        });
        let columns = columns.collect();
        let mut runs: Vec<Run> = Vec::new();
        let mut next = 0;
        for Run { key, shown_by, rows } in self.runs {
            let rows = next..next + rows.len();
            next = rows.end;
            match runs.last_mut() {
                Some(last) if last.key == key => last.rows.end = rows.end,
                _ => runs.push(Run { key, shown_by, rows }),
            }
        }
        Self { runs, columns }
    }
}

/// By run the bytes of its values, as [`quantile`] hands groups on.
fn states(values: &ArrayRef, runs: &[Run]) -> Result<ArrayRef> {
    let values: &ScalarBuffer<i64> = values.as_primitive::<Int64Type>().values();
    let bytes: Buffer = values.inner().clone();
    let mut states = BinaryViewBuilder::with_capacity(runs.len());
    let block = states.append_block(bytes);
    let place = |rows: usize| u32::try_from(rows.saturating_mul(size_of::<i64>()));
    for run in runs {
        let (Ok(from), Ok(length)) = (place(run.rows.start), place(run.rows.len())) else {
            return internal_err!("{} rows at once", values.len());
        };
        states.try_append_view(block, from, length)?;
    }
    Ok(Arc::new(states.finish()))
}

/// The numbers of a column of whole numbers or times.
fn whole(column: &ArrayRef) -> Option<&[i64]> {
    let numbers = column.as_primitive_opt::<Int64Type>().map(|numbers| &numbers.values()[..]);
    let times = || column.as_primitive_opt::<TimestampNanosecondType>();
    numbers.or_else(|| times().map(|times| &times.values()[..]))
}

/// True where `expr` certainly does not fall while `column` rises.
fn never_falls(expr: &Arc<dyn PhysicalExpr>, column: &Column, schema: &SchemaRef) -> bool {
    let rising = SortOptions { descending: false, nulls_first: false };
    let column: Arc<dyn PhysicalExpr> = Arc::new(column.clone());
    let order = [PhysicalSortExpr::new(column, rising)];
    let known = EquivalenceProperties::new_with_orderings(Arc::clone(schema), [order]);
    let told = known.get_expr_properties(Arc::clone(expr)).sort_properties;
    matches!(told, SortProperties::Ordered(options) if !options.descending)
}

impl DisplayAs for RunsExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.runs.values.iter().map(ToString::to_string).collect();
        write!(f, "RunsExec: gby=[{}], values=[{}]", self.runs.group, values.join(", "))
    }
}

impl ExecutionPlan for RunsExec {
    fn name(&self) -> &'static str {
        "RunsExec"
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
            return internal_err!("RunsExec has one child");
        };
        let (runs, properties) = (self.runs.clone(), Arc::clone(&self.properties));
        Ok(Arc::new(Self { input, runs, properties }))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut all = std::iter::once(&self.runs.group).chain(&self.runs.values);
        all.try_fold(TreeNodeRecursion::Continue, |told, expr| match told {
            TreeNodeRecursion::Stop => Ok(told),
            _ => visit(expr),
        })
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let runs = self.runs.clone();
        let made = input.map(move |rows| runs.batch(&rows?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), made)))
    }
}
