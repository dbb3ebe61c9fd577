//! `attributes['http.route']` and `resource['k8s.pod.name']`: rewritten to the attribute's column before planning.
//!
//! Where some file or hot batch may hold the attribute outside its column (it has another type there, or is older than
//! the column), the JSON is asked as well. Without a column it is a lookup in the JSON, as text.
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ExprSchema, Result, TableReference};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use storage::Snapshot;
use storage::schema::{AttributeScope, META_KEY, META_SCOPE, column as c};

use crate::function::{As, META_JSON, attribute_udf, concat_udf};
use crate::spans::Tables;
use crate::spans::columns::ATTRIBUTES_REST;

/// Plans subscripts of `attributes` and `resource` for one snapshot.
#[derive(Debug)]
pub(crate) struct AttributePlanner {
    snapshot: Arc<Snapshot>,
}

impl AttributePlanner {
    /// Nothing is looked at before a statement has a subscript: most have none.
    pub(crate) fn new(tables: &Tables) -> Self {
        Self { snapshot: Arc::clone(&tables.snapshot) }
    }

    fn plan(&self, column: &Column, scope: AttributeScope, key: &str, schema: &DFSchema) -> Expr {
        let json = Expr::Column(column.clone());
        if scope == AttributeScope::Resource && key == "service.name" {
            let service = sibling(schema, column, c::SERVICE);
            if let Some(service) = service {
                return service;
            }
        }
        let Some((own, kind)) = attribute_column(schema, column.relation.as_ref(), scope, key)
        else {
            let rest = match scope {
                // Without a column it can only lie in the rest.
                AttributeScope::Span => sibling(schema, column, ATTRIBUTES_REST),
                AttributeScope::Resource => None,
            };
            return lookup(rest.unwrap_or(json), key, As::Text);
        };
        if !is_mixed(&self.snapshot, scope, key) {
            return own;
        }
        let rest = match scope {
            AttributeScope::Span => sibling(schema, column, ATTRIBUTES_REST).unwrap_or(json),
            AttributeScope::Resource => json,
        };
        coalesce(vec![own, lookup(rest, key, kind)])
    }
}

/// True where a file or hot batch may hold a value of this attribute, which has a column, in its JSON.
fn is_mixed(snapshot: &Snapshot, scope: AttributeScope, key: &str) -> bool {
    let in_hot = || {
        let mut counts = snapshot.hot.iter().flat_map(|batch| batch.rest());
        counts.any(|count| count.scope == scope && count.key == key)
    };
    snapshot.files.iter().any(|file| file.may_hold_rest(scope, key)) || in_hot()
}

/// The column of the same table beside `column`, where the query still has it.
fn sibling(schema: &DFSchema, column: &Column, name: &str) -> Option<Expr> {
    let found = Column::new(column.relation.clone(), name);
    schema.has_column(&found).then_some(Expr::Column(found))
}

fn attribute_column(
    schema: &DFSchema,
    relation: Option<&TableReference>,
    scope: AttributeScope,
    key: &str,
) -> Option<(Expr, As)> {
    let wanted = match scope {
        AttributeScope::Span => "span",
        AttributeScope::Resource => "resource",
    };
    let (at, field) = schema.iter().find(|(at, field)| {
        let metadata = field.metadata();
        relation.is_none_or(|relation| *at == Some(relation))
            && metadata.get(META_KEY).is_some_and(|name| name == key)
            && metadata.get(META_SCOPE).is_some_and(|scope| scope == wanted)
    })?;
    let kind = match field.data_type() {
        DataType::Int64 => As::Int,
        DataType::Float64 => As::Double,
        DataType::Boolean => As::Bool,
        _ => As::Text,
    };
    Some((Expr::Column(Column::from((at, field))), kind))
}

fn lookup(json: Expr, key: &str, kind: As) -> Expr {
    let arguments = vec![json, lit(key)];
    Expr::ScalarFunction(ScalarFunction::new_udf(attribute_udf(kind), arguments))
}

/// Which attributes a JSON column holds, by its name and mark.
fn scope_of(column: &Column, schema: &DFSchema) -> Option<AttributeScope> {
    let field = schema.field_from_column(column).ok()?;
    field.metadata().get(META_JSON)?;
    match column.name.as_str() {
        c::ATTRIBUTES | ATTRIBUTES_REST => Some(AttributeScope::Span),
        c::RESOURCE => Some(AttributeScope::Resource),
        _ => None,
    }
}

impl ExprPlanner for AttributePlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let GetFieldAccess::NamedStructField { name } = &access.field_access else {
            return Ok(PlannerResult::Original(access));
        };
        let (Expr::Column(column), Some(Some(key))) = (&access.expr, name.try_as_str()) else {
            return Ok(PlannerResult::Original(access));
        };
        let Some(scope) = scope_of(column, schema) else {
            return Ok(PlannerResult::Original(access));
        };
        let planned = self.plan(column, scope, key, schema);
        let name = format!("{}['{key}']", column.name);
        Ok(PlannerResult::Planned(planned.alias(name)))
    }

    /// An attribute known as text only, beside a number: read as a number where it is one.
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if matches!(expr.op, BinaryOperator::StringConcat) && joins_texts(&expr, schema) {
            let arguments = vec![expr.left, expr.right];
            let joined = ScalarFunction::new_udf(concat_udf(), arguments);
            return Ok(PlannerResult::Planned(Expr::ScalarFunction(joined)));
        }
        if !reads_numbers(&expr.op) {
            return Ok(PlannerResult::Original(expr));
        }
        if let Some(kind) = kind_beside(&expr.right, schema) {
            expr.left = read_as(expr.left, kind);
        }
        if let Some(kind) = kind_beside(&expr.left, schema) {
            expr.right = read_as(expr.right, kind);
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// `||` on arrays is another function.
fn joins_texts(expr: &RawBinaryExpr, schema: &DFSchema) -> bool {
    [&expr.left, &expr.right]
        .into_iter()
        .all(|side| side.get_type(schema).is_ok_and(|kind| !kind.is_nested()))
}

fn reads_numbers(op: &BinaryOperator) -> bool {
    use BinaryOperator as O;
    matches!(
        op,
        O::Eq
            | O::NotEq
            | O::Lt
            | O::LtEq
            | O::Gt
            | O::GtEq
            | O::Plus
            | O::Minus
            | O::Multiply
            | O::Divide
            | O::Modulo
    )
}

/// How text has to be read beside `expr`; `None` where it may stay text.
fn kind_beside(expr: &Expr, schema: &DFSchema) -> Option<As> {
    let kind = expr.get_type(schema).ok()?;
    match kind {
        DataType::Boolean => Some(As::Bool),
        kind if kind.is_numeric() => Some(As::Double),
        _ => None,
    }
}

/// `attribute(json, key)` read as `kind`; any other expression as it is.
pub(crate) fn read_as(expr: Expr, kind: As) -> Expr {
    let text = attribute_udf(As::Text);
    match expr {
        Expr::Alias(alias) => {
            let inner = read_as(alias.expr.as_ref().clone(), kind);
            inner.alias(alias.name)
        }
        Expr::ScalarFunction(call) if Arc::ptr_eq(&call.func, &text) => {
            Expr::ScalarFunction(ScalarFunction::new_udf(attribute_udf(kind), call.args))
        }
        other => other,
    }
}
