//! Lists as values of parameters: `name = ANY($1)`. The planner takes an open `$1` for a single value there, so a list is
//! written into the statement before it is planned.
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Array, CastKind, DataType, Expr, Value, Visit, VisitMut, Visitor, VisitorMut,
};

/// Writes those of `values` that are lists in the place of `$1`, `$2`, ...; gives the names that are gone.
pub(super) fn write(statement: &mut Statement, values: &[ScalarValue]) -> BTreeSet<String> {
    let mut writer = Writer { values, written: BTreeSet::new() };
    let inside = match statement {
        Statement::Explain(explain) => explain.statement.as_mut(),
        other => other,
    };
    if let Statement::Statement(ast) = inside
        && values.iter().any(|value| matches!(value, ScalarValue::List(_)))
    {
        // It never breaks off.
        let _: ControlFlow<()> = VisitMut::visit(ast.as_mut(), &mut writer);
    }
    writer.written
}

/// The indexes of parameters that stand where only a list makes sense: `= ANY($1)`.
pub(super) fn wanted(statement: &Statement) -> BTreeSet<usize> {
    let mut wanted = Wanted(BTreeSet::new());
    if let Statement::Statement(ast) = statement {
        // It never breaks off.
        let _: ControlFlow<()> = ast.visit(&mut wanted);
    }
    wanted.0
}

struct Wanted(BTreeSet<usize>);

impl Visitor for Wanted {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } = expr {
            let inside = match right.as_ref() {
                Expr::Nested(inside) => inside,
                other => other,
            };
            self.0.extend(placeholder(inside));
        }
        ControlFlow::Continue(())
    }
}

/// The index of `$1`: 0.
fn placeholder(expr: &Expr) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

struct Writer<'a> {
    values: &'a [ScalarValue],
    written: BTreeSet<String>,
}

impl VisitorMut for Writer<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let index = placeholder(expr);
        let value = index.and_then(|index| Some((index, self.values.get(index)?)));
        if let Some((index, ScalarValue::List(list))) = value {
            self.written.insert(format!("${}", index + 1));
            *expr = written(list.values(), list.value_type());
        }
        ControlFlow::Continue(())
    }
}

/// `[1, NULL]`; a list without elements has one null, which nothing is equal to either.
fn written(elements: &arrow::array::ArrayRef, kind: arrow::datatypes::DataType) -> Expr {
    let element = |index| match ScalarValue::try_from_array(elements, index) {
        Ok(ScalarValue::Int64(Some(number))) => {
            Expr::value(Value::Number(number.to_string(), false))
        }
        Ok(ScalarValue::Float64(Some(number))) => {
            Expr::value(Value::Number(format!("{number:e}"), false))
        }
        Ok(ScalarValue::Boolean(Some(yes))) => Expr::value(Value::Boolean(yes)),
        Ok(ScalarValue::Utf8(Some(text))) => Expr::value(Value::SingleQuotedString(text)),
        _ => null(&kind),
    };
    let mut elem: Vec<Expr> = (0..elements.len()).map(element).collect();
    if elem.is_empty() {
        elem.push(null(&kind));
    }
    Expr::Array(Array { elem, named: false })
}

fn null(kind: &arrow::datatypes::DataType) -> Expr {
    let data_type = match kind {
        arrow::datatypes::DataType::Int64 => DataType::BigInt(None),
        arrow::datatypes::DataType::Float64 => DataType::DoublePrecision,
        arrow::datatypes::DataType::Boolean => DataType::Boolean,
        _ => DataType::Text,
    };
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::Null)),
        data_type,
        array: false,
        format: None,
    }
}
