//! Conditions on SQL's columns, said over the stored ones, so that files can be pruned by them.
use arrow::datatypes::TimeUnit;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};
use storage::schema::column as c;

use crate::spans::columns::{Columns, END_TIME, RECEIVED_TIME, START_TIME, stored};

/// `filter` over presented columns as conjuncts over stored ones with the same truth, row by row.
pub(crate) fn conjuncts(columns: &Columns, filter: &Expr) -> Result<Vec<Expr>> {
    let mut all = Vec::new();
    for part in split_conjunction_owned(filter.clone()) {
        let part = part.unalias_nested().data;
        all.push(over_stored(columns, split_coalesce(part))?);
    }
    Ok(all)
}

/// `filter` over stored columns, where names of operations mean what is shown.
pub(crate) fn as_shown(columns: &Columns, filter: &Expr) -> Result<Expr> {
    let shown = filter.clone().transform_down(|expr| match &expr {
        Expr::Column(Column { name, .. }) => match columns.shown_as(name) {
            Some((_, shown)) => Ok(Transformed::new(shown.clone(), true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(shown.data)
}

/// True where every column is one of ours and nothing is volatile, so that the scan can decide it.
pub(crate) fn is_decidable(columns: &Columns, filter: &Expr) -> bool {
    let own = filter.column_refs().iter().all(|column| columns.made_of(&column.name).is_some());
    own && !filter.is_volatile() && !has_subquery(filter)
}

fn has_subquery(filter: &Expr) -> bool {
    filter
        .exists(|expr| {
            Ok(matches!(
                expr,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::OuterReferenceColumn(_, _)
                    | Expr::AggregateFunction(_)
                    | Expr::WindowFunction(_)
            ))
        })
        .unwrap_or(true)
}

/// `coalesce(column, other) = literal`, true only where `column = literal` or `column` is null and `other = literal`.
/// Only for whole conjuncts: there, null and false are the same.
fn split_coalesce(part: Expr) -> Expr {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &part else { return part };
    let (Expr::ScalarFunction(call), Expr::Literal(..)) = (left.as_ref(), right.as_ref()) else {
        return part;
    };
    let is_coalesce = call.name() == "coalesce" && call.args.len() == 2;
    if !is_coalesce || !op.supports_propagation() {
        return part;
    }
    let with = |operand: &Expr| {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(operand.clone()), *op, right.clone()))
    };
    let (column, other) = (&call.args[0], &call.args[1]);
    with(column).or(column.clone().is_null().and(with(other)))
}

fn over_stored(columns: &Columns, filter: Expr) -> Result<Expr> {
    let translated = filter.transform_down(|expr| {
        if let Some(better) = comparison(&expr).or_else(|| membership(&expr)) {
            return Ok(Transformed::new(better, true, TreeNodeRecursion::Jump));
        }
        if let Expr::Column(Column { name, .. }) = &expr
            && let Some(made_of) = columns.made_of(name)
        {
            return Ok(Transformed::new(made_of.clone(), true, TreeNodeRecursion::Jump));
        }
        Ok(Transformed::no(expr))
    })?;
    Ok(translated.data)
}

/// `column OP literal` (either way round) on an id or a time.
fn comparison(expr: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let (name, op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (&column.name, *op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (&column.name, op.swap()?, value),
        _ => return None,
    };
    let (operand, value) = operand(name, value)?;
    let is_time = matches!(value, ScalarValue::Int64(_));
    let supported = match op {
        Operator::Eq | Operator::NotEq => true,
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => is_time,
        _ => false,
    };
    supported
        .then(|| Expr::BinaryExpr(BinaryExpr::new(Box::new(operand), op, Box::new(lit(value)))))
}

/// `column IN (literals)` on an id or a time.
fn membership(expr: &Expr) -> Option<Expr> {
    let Expr::InList(InList { expr, list, negated }) = expr else { return None };
    let Expr::Column(column) = expr.as_ref() else { return None };
    let mut values = Vec::with_capacity(list.len());
    let mut over = None;
    for item in list {
        let Expr::Literal(value, _) = item else { return None };
        let (stored, value) = operand(&column.name, value)?;
        over = Some(stored);
        values.push(lit(value));
    }
    Some(over?.in_list(values, *negated))
}

/// The stored side of a comparison of the presented column `name` with `value`.
fn operand(name: &str, value: &ScalarValue) -> Option<(Expr, ScalarValue)> {
    let nanos = || match value {
        ScalarValue::TimestampNanosecond(Some(nanos), _) => Some(ScalarValue::Int64(Some(*nanos))),
        other => match other.data_type() {
            arrow::datatypes::DataType::Timestamp(unit, _) => scaled(other, unit),
            _ => None,
        },
    };
    match name {
        c::TRACE_ID => Some((stored(name), id(value, 16)?)),
        c::SPAN_ID | c::PARENT_SPAN_ID => Some((stored(name), id(value, 8)?)),
        START_TIME => Some((stored(c::START), nanos()?)),
        END_TIME => Some((stored(c::START) + stored(c::DURATION), nanos()?)),
        RECEIVED_TIME => Some((stored(c::RECEIVED), nanos()?)),
        _ => None,
    }
}

fn scaled(value: &ScalarValue, unit: TimeUnit) -> Option<ScalarValue> {
    let (count, factor) = match (value, unit) {
        (ScalarValue::TimestampSecond(Some(count), _), _) => (*count, 1_000_000_000),
        (ScalarValue::TimestampMillisecond(Some(count), _), _) => (*count, 1_000_000),
        (ScalarValue::TimestampMicrosecond(Some(count), _), _) => (*count, 1_000),
        _ => return None,
    };
    Some(ScalarValue::Int64(Some(count.checked_mul(factor)?)))
}

/// The bytes of an id written as lower-case hex; `None` where the text is no such id: then the comparison
/// is left as one of texts, which is false without being an error.
fn id(value: &ScalarValue, length: i32) -> Option<ScalarValue> {
    let text = value.try_as_str()??;
    if text.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    let bytes = hex::decode(text).ok()?;
    (bytes.len() == usize::try_from(length).ok()?)
        .then_some(ScalarValue::FixedSizeBinary(length, Some(bytes)))
}
