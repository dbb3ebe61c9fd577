//! PostgreSQL's spellings in those that the planner knows, with the same meaning over our catalogue.
use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, JoinOperator,
    ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, SetOperator, Statement,
    TableFactor, TableWithJoins, Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};

use super::question::path;
use super::{functions, tables};

/// `statement` as the planner can read it.
pub(super) fn rewrite(mut statement: Statement) -> Statement {
    // It never breaks off.
    let _: ControlFlow<()> = VisitMut::visit(&mut statement, &mut Rewriter);
    statement
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        // What reads a table that is always empty needs no plan, and could often not have one.
        if is_empty(&query.body)
            && let Some(nothing) = nothing(&query.body)
        {
            *query.body = nothing;
            query.with = None;
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let is_bare = matches!(expr, Expr::Identifier(name) if functions::is_bare(&name.value));
            if (!is_column || is_bare)
                && let Some(name) = column_name(&SelectItem::UnnamedExpr(expr.clone()))
            {
                let alias = Ident::with_quote('"', name);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        tell_apart(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let simpler = match expr {
            Expr::Subquery(query) if is_empty(&query.body) => Some(Expr::value(Value::Null)),
            Expr::Subquery(query) => {
                single(query);
                None
            }
            Expr::Exists { subquery, negated } if is_empty(&subquery.body) => {
                Some(Expr::value(Value::Boolean(*negated)))
            }
            Expr::InSubquery { subquery, negated, .. } if is_empty(&subquery.body) => {
                Some(Expr::value(Value::Boolean(*negated)))
            }
            Expr::Function(Function { args: FunctionArguments::Subquery(query), .. })
                if is_empty(&query.body) =>
            {
                Some(Expr::value(Value::Null))
            }
            Expr::Collate { expr, .. } => Some(expr.as_ref().clone()),
            Expr::Cast { expr, data_type, .. } => cast(expr, data_type),
            Expr::Identifier(ident) if functions::is_bare(&ident.value.to_ascii_lowercase()) => {
                Some(call(&ident.value, Vec::new()))
            }
            _ => None,
        };
        if let Some(simpler) = simpler {
            *expr = simpler;
        }
        match expr {
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(escape) = escape_char.take() {
                    **pattern = backslashed(pattern, escape);
                }
            }
            Expr::BinaryOp { op, .. } => {
                if let Some(plain) = operator(op) {
                    *op = plain;
                }
            }
            Expr::AnyOp { compare_op, .. } => {
                if let Some(plain) = operator(compare_op) {
                    *compare_op = plain;
                }
            }
            Expr::Function(function) => {
                if let Some(name) = path(&function.name).pop() {
                    function.name = ObjectName::from(Ident::new(name));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A subquery that stands for one value gives one row; the planner wants to see that.
fn single(query: &mut Query) {
    if query.limit_clause.is_some() {
        return;
    }
    if let SetExpr::Select(select) = query.body.as_mut()
        && !aggregates(select)
        && !select.from.is_empty()
        && let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
            &mut select.projection[..]
    {
        *expr = call("max", vec![expr.clone()]);
        query.order_by = None;
    }
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn operator(operator: &BinaryOperator) -> Option<BinaryOperator> {
    let BinaryOperator::PGCustomBinaryOperator(parts) = operator else { return None };
    Some(match parts.last()?.as_str() {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        _ => return None,
    })
}

/// A pattern whose escapes are backslashes, of one with another sign for them.
fn backslashed(pattern: &Expr, escape: ValueWithSpan) -> Expr {
    let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    let doubled = call("replace", vec![pattern.clone(), text("\\"), text("\\\\")]);
    match &escape.value {
        Value::SingleQuotedString(sign) if sign == "\\" => pattern.clone(),
        _ => call("replace", vec![doubled, Expr::Value(escape), text("\\")]),
    }
}

/// A cast to a type that only the catalogue has.
fn cast(expr: &Expr, to: &DataType) -> Option<Expr> {
    let name = match to {
        DataType::Regclass => "regclass".to_owned(),
        DataType::Custom(name, _) => path(name).pop()?,
        // Arrays of numbers of columns and the like: nothing computes with them here.
        DataType::Array(_) => "text".to_owned(),
        _ => return None,
    };
    let is_literal = matches!(expr, Expr::Value(_));
    let argument = || vec![expr.clone()];
    let as_type = |to: DataType| Expr::Cast {
        kind: CastKind::DoubleColon,
        expr: Box::new(expr.clone()),
        data_type: to,
        array: false,
        format: None,
    };
    Some(match name.as_str() {
        "regclass" if is_literal => call("to_regclass", argument()),
        "regclass" => call("spanlake_table_name", argument()),
        "regtype" if is_literal => call("to_regtype", argument()),
        "regtype" => call("format_type", argument()),
        "oid" | "xid" | "cid" | "regproc" | "regrole" | "int8" | "cardinal_number" => {
            as_type(DataType::BigInt(None))
        }
        "int2" | "int4" => as_type(DataType::Integer(None)),
        "bool" => as_type(DataType::Boolean),
        "float8" => as_type(DataType::Double(ExactNumberInfo::None)),
        _ => as_type(DataType::Text),
    })
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
    let list = FunctionArgumentList {
        duplicate_treatment: None,
        args: args.collect(),
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name.to_ascii_lowercase())),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// True where `body` gives no row because a table that it needs one of is always empty.
fn is_empty(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => !aggregates(select) && select.from.iter().any(is_nothing_joined),
        SetExpr::Query(query) => is_empty(&query.body),
        SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } => {
            is_empty(left) && is_empty(right)
        }
        SetExpr::SetOperation { op: SetOperator::Intersect, left, right, .. } => {
            is_empty(left) || is_empty(right)
        }
        SetExpr::SetOperation { left, .. } => is_empty(left),
        _ => false,
    }
}

fn is_nothing_joined(from: &TableWithJoins) -> bool {
    let mut is_empty = is_nothing(&from.relation);
    for join in &from.joins {
        is_empty = match join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                is_empty || is_nothing(&join.relation)
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => is_empty,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => is_nothing(&join.relation),
            _ => false,
        };
    }
    is_empty
}

fn is_nothing(table: &TableFactor) -> bool {
    match table {
        TableFactor::Table { name, args: None, .. } => tables::is_always_empty(&path(name)),
        TableFactor::Derived { subquery, .. } => is_empty(&subquery.body),
        TableFactor::NestedJoin { table_with_joins, .. } => is_nothing_joined(table_with_joins),
        _ => false,
    }
}

/// True where rows may come of no rows: an aggregate without groups.
fn aggregates(select: &Select) -> bool {
    let is_grouped = match &select.group_by {
        GroupByExpr::Expressions(by, _) => !by.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let finds = |item: &SelectItem| item.visit(&mut Aggregates::default()).is_break();
    !is_grouped && select.projection.iter().any(finds)
}

/// Breaks at an aggregate that is not within a subquery.
#[derive(Default)]
struct Aggregates {
    subqueries: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.subqueries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.subqueries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        const AGGREGATES: &[&str] = &[
            "count",
            "sum",
            "min",
            "max",
            "avg",
            "array_agg",
            "string_agg",
            "json_agg",
            "jsonb_agg",
            "json_object_agg",
            "bool_and",
            "bool_or",
            "every",
        ];
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = path(&function.name).pop().unwrap_or_default();
        match self.subqueries == 0 && AGGREGATES.contains(&name.as_str()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// `SELECT NULL::text AS name, ... WHERE false` with the columns of `body`; `None` where they are not named there.
fn nothing(body: &SetExpr) -> Option<SetExpr> {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::Query(query) => return nothing(&query.body),
        SetExpr::SetOperation { left, .. } => return nothing(left),
        _ => return None,
    };
    let mut empty = select.as_ref().clone();
    for item in &mut empty.projection {
        let alias = Ident::with_quote('"', column_name(item)?);
        let null = Expr::Cast {
            kind: CastKind::DoubleColon,
            expr: Box::new(Expr::value(Value::Null)),
            data_type: DataType::Text,
            array: false,
            format: None,
        };
        *item = SelectItem::ExprWithAlias { expr: null, alias };
    }
    tell_apart(&mut empty.projection);
    empty.distinct = None;
    empty.from = Vec::new();
    empty.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    empty.having = None;
    empty.selection = Some(Expr::value(Value::Boolean(false)));
    Some(SetExpr::Select(Box::new(empty)))
}

/// Equal names are no mistake in PostgreSQL, but here.
fn tell_apart(projection: &mut [SelectItem]) {
    let mut taken = HashSet::new();
    for (index, item) in projection.iter_mut().enumerate() {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            if taken.contains(&alias.value) {
                alias.value = format!("{}_{index}", alias.value);
            }
            taken.insert(alias.value.clone());
        }
    }
}

/// A column's name as PostgreSQL gives it.
fn column_name(item: &SelectItem) -> Option<String> {
    let expr = match item {
        SelectItem::ExprWithAlias { alias, .. } => return Some(alias.value.clone()),
        SelectItem::UnnamedExpr(expr) => expr,
        _ => return None,
    };
    Some(match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last()?.value.clone(),
        Expr::Function(function) => match function.name.0.last()? {
            ObjectNamePart::Identifier(ident) => ident.value.clone(),
            ObjectNamePart::Function(_) => return None,
        },
        Expr::Cast { expr, .. } => match expr.as_ref() {
            Expr::Identifier(ident) => ident.value.clone(),
            Expr::CompoundIdentifier(parts) => parts.last()?.value.clone(),
            _ => "?column?".to_owned(),
        },
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        _ => "?column?".to_owned(),
    })
}
