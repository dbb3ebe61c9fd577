//! Conditions on rows of `traces` (and of `descendants`), asked before a row is made: what the statement says, and what a sort by which only the
//! first rows are wanted has found so far.
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampNanosecondArray};
use arrow::compute::{filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column as ColumnExpr, DynamicFilterPhysicalExpr, Literal,
};
use datafusion::physical_expr::utils::{
    collect_columns, conjunction_opt, reassign_expr_columns, split_conjunction,
};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use storage::TimeRange;

use super::{DURATION, HEAD, Row, START_TIME, batch_of};
use crate::views::forest::Texts;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// Over the columns of `schema`; `None` where everything is wanted.
    condition: Option<Arc<dyn PhysicalExpr>>,
    /// The columns of the answer, and their places among all.
    schema: SchemaRef,
    projection: Vec<usize>,
}

impl Filter {
    /// `condition` is over the columns at `projection`, which are `schema`.
    pub(crate) fn new(
        condition: Option<Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
        projection: Vec<usize>,
    ) -> Self {
        Self { condition, schema, projection }
    }

    /// The columns that are wanted, of the rows that are.
    pub(super) fn rows(&self, texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
        let Some(wanted) = self.wanted(texts, rows)? else {
            return batch_of(texts, rows, &self.projection);
        };
        let places = wanted.iter().zip(rows).filter(|(is_wanted, _)| *is_wanted == Some(true));
        let rows: Vec<Row> = places.map(|(_, row)| row.clone()).collect();
        batch_of(texts, &rows, &self.projection)
    }

    /// The same of rows that are made already, with all columns.
    pub(crate) fn batch(&self, all: &RecordBatch) -> Result<RecordBatch> {
        let batch = all.project(&self.projection)?;
        let Some(condition) = &self.condition else { return Ok(batch) };
        Ok(filter_record_batch(&batch, &holds(condition, &batch)?)?)
    }

    /// False only where nothing that starts (a trace by its root) within `range` can be wanted, as far as is known now.
    pub(crate) fn admits(&self, range: TimeRange) -> Result<bool> {
        let Some(condition) = &self.condition else { return Ok(true) };
        let known = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&self.schema))
            .build(snapshot_physical_expr(Arc::clone(condition))?);
        let Some(known) = known else { return Ok(true) };
        Ok(known.prune(&Starts(range))? != [false])
    }

    /// A duration that every wanted trace has at least, as far as is known now.
    pub(super) fn shortest(&self) -> Result<i64> {
        let Some(condition) = &self.condition else { return Ok(i64::MIN) };
        let condition = snapshot_physical_expr(Arc::clone(condition))?;
        Ok(least(&condition, DURATION).unwrap_or(i64::MIN))
    }

    /// The only trace that is wanted, where the condition names one.
    pub(crate) fn only_trace(&self) -> Result<Option<[u8; 16]>> {
        let Some(condition) = &self.condition else { return Ok(None) };
        let condition = snapshot_physical_expr(Arc::clone(condition))?;
        Ok(split_conjunction(&condition).into_iter().find_map(trace_of))
    }

    /// True where a sort by duration wants its first rows.
    pub(super) fn is_by_duration(&self) -> bool {
        let Some(condition) = &self.condition else { return false };
        split_conjunction(condition).into_iter().any(|part| {
            let sort = part.downcast_ref::<DynamicFilterPhysicalExpr>();
            let by = sort.and_then(|sort| sort.children().first().map(|by| Arc::clone(by)));
            let by = by.as_ref().and_then(|by| by.downcast_ref::<ColumnExpr>());
            by.is_some_and(|by| by.name() == DURATION)
        })
    }

    /// The conditions that are about what a trace begins with alone; `None` where there are none.
    pub(super) fn heads(&self) -> Result<Option<HeadCondition>> {
        let Some(condition) = &self.condition else { return Ok(None) };
        let condition = snapshot_physical_expr(Arc::clone(condition))?;
        let about_heads = split_conjunction(&condition).into_iter().filter(|part| {
            let columns = collect_columns(part);
            !columns.is_empty() && columns.iter().all(|column| HEAD.contains(&column.name()))
        });
        Ok(conjunction_opt(about_heads.map(Arc::clone)).map(HeadCondition))
    }

    /// By row whether `condition` holds of its head.
    pub(super) fn holds_of(
        &self,
        condition: &HeadCondition,
        texts: &Texts,
        rows: &[Row],
    ) -> Result<BooleanArray> {
        self.holds(Arc::clone(&condition.0), texts, rows)
    }

    /// By row whether it is wanted; `None` where all are.
    fn wanted(&self, texts: &Texts, rows: &[Row]) -> Result<Option<BooleanArray>> {
        let Some(condition) = &self.condition else { return Ok(None) };
        let condition = snapshot_physical_expr(Arc::clone(condition))?;
        self.holds(condition, texts, rows).map(Some)
    }

    fn holds(
        &self,
        condition: Arc<dyn PhysicalExpr>,
        texts: &Texts,
        rows: &[Row],
    ) -> Result<BooleanArray> {
        let mut needed: Vec<usize> =
            collect_columns(&condition).iter().map(|column| column.index()).collect();
        needed.sort_unstable();
        let places: Vec<usize> = needed.iter().map(|own| self.projection[*own]).collect();
        let columns = batch_of(texts, rows, &places)?;
        let condition = reassign_expr_columns(condition, &columns.schema())?;
        holds(&condition, &columns)
    }
}

/// A condition on `root_service`, `root_name` and `root_error` alone.
#[derive(Debug)]
pub(super) struct HeadCondition(Arc<dyn PhysicalExpr>);

fn holds(condition: &Arc<dyn PhysicalExpr>, columns: &RecordBatch) -> Result<BooleanArray> {
    let held = condition.evaluate(columns)?.into_array(columns.num_rows())?;
    let held = held.as_boolean();
    Ok(if held.null_count() > 0 { prep_null_mask_filter(held) } else { held.clone() })
}

/// A number that the column `name` has at least wherever `condition` holds; `None` where it says nothing of the kind.
fn least(condition: &Arc<dyn PhysicalExpr>, name: &str) -> Option<i64> {
    let binary = condition.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (binary.left(), binary.right());
    let is_it = |side: &Arc<dyn PhysicalExpr>| {
        side.downcast_ref::<ColumnExpr>().is_some_and(|column| column.name() == name)
    };
    let number = |side: &Arc<dyn PhysicalExpr>| match side.downcast_ref::<Literal>()?.value() {
        ScalarValue::Int64(number) => *number,
        _ => None,
    };
    match binary.op() {
        Operator::And => least(left, name).max(least(right, name)),
        Operator::Or => least(left, name).zip(least(right, name)).map(|(a, b)| a.min(b)),
        Operator::GtEq | Operator::Eq if is_it(left) => number(right),
        Operator::LtEq | Operator::Eq if is_it(right) => number(left),
        // What a sort says once it has as many rows as it wants: of those that last just as long it wants no more.
        Operator::Gt if is_it(left) => number(right)?.checked_add(1),
        Operator::Lt if is_it(right) => number(left)?.checked_add(1),
        _ => None,
    }
}

/// The id in `trace_id = '...'`.
fn trace_of(part: &Arc<dyn PhysicalExpr>) -> Option<[u8; 16]> {
    let binary = part.downcast_ref::<BinaryExpr>()?;
    if *binary.op() != Operator::Eq {
        return None;
    }
    let (left, right) = (binary.left(), binary.right());
    let column = |side: &Arc<dyn PhysicalExpr>| {
        side.downcast_ref::<ColumnExpr>().is_some_and(|column| column.name() == "trace_id")
    };
    let value = match (column(left), column(right)) {
        (true, false) => right,
        (false, true) => left,
        _ => return None,
    };
    let text = value.downcast_ref::<Literal>()?.value().try_as_str().flatten()?;
    // Ids are shown in small letters: no other text is equal to one.
    let is_shown = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    let mut trace = [0; 16];
    (is_shown && hex::decode_to_slice(text, &mut trace).is_ok()).then_some(trace)
}

/// What is known of the roots of one file.
struct Starts(TimeRange);

impl Starts {
    fn bound(column: &Column, nano: i64) -> Option<ArrayRef> {
        let time = TimestampNanosecondArray::from_value(nano, 1).with_timezone("UTC");
        (column.name() == START_TIME).then_some(Arc::new(time))
    }
}

impl PruningStatistics for Starts {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        Self::bound(column, self.0.from)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        Self::bound(column, self.0.until.saturating_sub(1))
    }

    fn num_containers(&self) -> usize {
        1
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(
        &self,
        _column: &Column,
        _values: &std::collections::HashSet<ScalarValue>,
    ) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests;
