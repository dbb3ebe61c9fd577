//! Whether a statement asks about the catalogue only.
use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, ObjectName, Query, Statement as Ast, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use super::{INFORMATION_SCHEMA, PG_CATALOG, functions, rewrite, tables};
use crate::sql::guard;
use crate::{Config, Result};

/// The statement, ready to be planned over the catalogue; `None` where it is for the spans.
///
/// # Errors
/// It asks for the catalogue but exceeds a limit or does more than read.
pub(crate) fn question(sql: &str, config: &Config) -> Result<Option<Statement>> {
    if !mentions(sql) {
        return Ok(None);
    }
    // A statement that PostgreSQL's dialect cannot read is for the engine to complain about.
    let Ok(checked) = guard::check_as(sql, &PostgreSqlDialect {}, config) else { return Ok(None) };
    let statement = checked.into_statement();
    let Statement::Statement(ast) = &statement else { return Ok(None) };
    if !is_of_catalogue(ast) {
        return Ok(None);
    }
    let Statement::Statement(ast) = statement else { return Ok(None) };
    Ok(Some(Statement::Statement(Box::new(rewrite::rewrite(*ast)))))
}

/// A first look at the text, so that ordinary questions are not read twice.
fn mentions(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    let words = ["pg_", INFORMATION_SCHEMA, "regclass", "regtype"];
    words.into_iter().chain(functions::names()).any(|word| sql.contains(word))
}

/// What a statement names.
#[derive(Default)]
struct Named {
    /// Of its WITH clauses.
    own: HashSet<String>,
    tables: Vec<Vec<String>>,
    has_function: bool,
}

fn is_of_catalogue(ast: &Ast) -> bool {
    let mut named = Named::default();
    // It never breaks off.
    let _: ControlFlow<()> = ast.visit(&mut named);
    let mut tables = named.tables.iter().filter(|path| match &path[..] {
        [name] => !named.own.contains(name),
        _ => true,
    });
    let has_tables = tables.clone().next().is_some();
    tables.all(|path| is_table(path)) && (has_tables || named.has_function)
}

/// True for tables that only the catalogue has.
pub(super) fn is_table(path: &[String]) -> bool {
    match path {
        [.., schema, _] if schema == PG_CATALOG || schema == INFORMATION_SCHEMA => true,
        [name] => tables::has(name),
        _ => false,
    }
}

/// The parts of a name in lower case.
pub(super) fn path(name: &ObjectName) -> Vec<String> {
    let parts = name.0.iter().filter_map(|part| part.as_ident());
    parts.map(|ident| ident.value.to_ascii_lowercase()).collect()
}

impl Visitor for Named {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.own.extend(with.map(|cte| cte.alias.name.value.to_ascii_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.tables.push(path(relation));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Function(function) => path(&function.name).pop(),
            Expr::Identifier(ident) => Some(ident.value.to_ascii_lowercase()),
            Expr::Cast { data_type: DataType::Regclass, .. } => Some("to_regclass".to_owned()),
            Expr::Cast { data_type: DataType::Custom(name, _), .. } => {
                path(name).pop().map(|name| format!("to_{name}"))
            }
            _ => None,
        };
        self.has_function |= name.is_some_and(|name| functions::has(&name));
        ControlFlow::Continue(())
    }
}
