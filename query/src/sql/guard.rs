//! What may be asked: one statement that only reads, of bounded size and depth. Everything else is refused before
//! it is planned.
use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, SetExpr, Statement as Ast, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use storage::Kind;

use crate::sql::RECURSION_MAX;
use crate::{Config, Error, Result};

/// Items of one `IN (...)`.
const IN_ITEMS_MAX: usize = 1_000;
/// Tables, subqueries and table functions of one statement.
const TABLES_MAX: usize = 20;
/// Columns of one SELECT.
const COLUMNS_MAX: usize = 1_000;
/// Branches of UNION, INTERSECT and EXCEPT.
const BRANCHES_MAX: usize = 100;

/// A statement that passed.
#[derive(Debug)]
pub(crate) struct Checked(Statement);

impl Checked {
    pub(crate) fn into_statement(self) -> Statement {
        self.0
    }
}

/// Reads `sql` and refuses what is not a single, bounded, reading statement. Needs a thread with a large stack.
///
/// # Errors
/// [`Kind::TooLarge`] for a too long text, otherwise [`Kind::Invalid`] with words for the user.
pub(crate) fn check(sql: &str, config: &Config) -> Result<Checked> {
    check_as(sql, &GenericDialect {}, config)
}

/// As [`check`], of a text in `dialect`.
///
/// # Errors
/// As there.
pub(crate) fn check_as(sql: &str, dialect: &dyn Dialect, config: &Config) -> Result<Checked> {
    if sql.len() > config.sql_bytes_max {
        let limit = config.sql_bytes_max;
        return Err(Error::new(Kind::TooLarge, format!("the statement exceeds {limit} bytes")));
    }
    let tokens = tokens(sql, dialect)?;
    check_operators(&tokens, config.depth_max)?;
    let mut statements = DFParserBuilder::new(tokens)
        .with_dialect(dialect)
        .with_recursion_limit(RECURSION_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())?;
    let statement = match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => return Err(Error::invalid("the statement is empty")),
        _ => return Err(Error::invalid("one statement at a time, please")),
    };
    check_reads(&statement, 0)?;
    let mut limits = Limits { depth: 0, depth_max: config.depth_max, tables: 0 };
    let broken = match innermost(&statement) {
        Statement::Statement(ast) => ast.visit(&mut limits),
        _ => ControlFlow::Continue(()),
    };
    match broken {
        ControlFlow::Break(words) => Err(Error::invalid(words)),
        ControlFlow::Continue(()) => Ok(Checked(statement)),
    }
}

/// Checks a condition, such as `service = 'cart'`, as a part of a statement. (That it is one expression is for who plans it
/// to see: parsed alone.)
///
/// # Errors
/// As [`check`].
pub(crate) fn check_condition(text: &str) -> Result<()> {
    check(&format!("SELECT 1 FROM spans WHERE {text}\n"), &Config::default()).map(drop)
}

fn tokens(sql: &str, dialect: &dyn Dialect) -> Result<Vec<TokenWithSpan>> {
    Tokenizer::new(dialect, sql)
        .tokenize_with_location()
        .map_err(|error| Error::invalid(format!("the statement cannot be read: {error}")))
}

/// A chain of operators is read in a loop but makes a tree as deep as it is long, which even dropping follows:
/// so it is counted before anything is built. Several chains of one statement share four times the depth.
fn check_operators(tokens: &[TokenWithSpan], depth_max: usize) -> Result<()> {
    let is_operator = |token: &Token| match token {
        Token::Word(word) => {
            let is = |name| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name);
            ["and", "or", "not", "union", "except", "intersect", "is", "like", "join"]
                .into_iter()
                .any(is)
        }
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::Whitespace(_)
        | Token::Placeholder(_)
        | Token::SemiColon
        | Token::EOF => false,
        _ => true,
    };
    let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
    if operators > depth_max.saturating_mul(4) {
        return Err(Error::invalid(format!(
            "the statement has {operators} operators, at most {} are taken; use IN (...) for long lists",
            depth_max.saturating_mul(4)
        )));
    }
    Ok(())
}

fn innermost(statement: &Statement) -> &Statement {
    match statement {
        Statement::Explain(explain) => innermost(&explain.statement),
        other => other,
    }
}

fn check_reads(statement: &Statement, explained: usize) -> Result<()> {
    match statement {
        Statement::Statement(ast) => check_ast(ast),
        Statement::Explain(explain) if explained == 0 => {
            check_reads(&explain.statement, explained + 1)
        }
        Statement::Explain(_) => Err(Error::invalid("EXPLAIN explains a SELECT")),
        Statement::CreateExternalTable(_) => Err(refused("CREATE EXTERNAL TABLE")),
        Statement::CopyTo(_) => Err(refused("COPY")),
        Statement::Reset(_) => Err(refused("RESET")),
    }
}

fn check_ast(ast: &Ast) -> Result<()> {
    match ast {
        Ast::Query(_) | Ast::ShowTables { .. } | Ast::ShowColumns { .. } => Ok(()),
        // DESCRIBE names a table of ours or fails; it never opens anything.
        Ast::ExplainTable { .. } => Ok(()),
        other => {
            let text = other.to_string();
            let words: Vec<_> = text.split_whitespace().take(2).collect();
            Err(refused(&words.join(" ")))
        }
    }
}

fn refused(what: &str) -> Error {
    let what: String = what.chars().take(40).collect();
    Error::invalid(format!(
        "{what} is not allowed: SQL here only reads. SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, SHOW COLUMNS \
         and DESCRIBE are"
    ))
}

/// Counts while walking, and stops the walk at the first limit.
struct Limits {
    depth: usize,
    depth_max: usize,
    tables: usize,
}

impl Limits {
    fn enter(&mut self) -> ControlFlow<String> {
        self.depth += 1;
        if self.depth > self.depth_max {
            return ControlFlow::Break(format!(
                "the statement is nested more than {} deep; use IN (...) for long lists",
                self.depth_max
            ));
        }
        ControlFlow::Continue(())
    }

    fn leave(&mut self) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

impl Visitor for Limits {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if query.with.as_ref().is_some_and(|with| with.recursive) {
            return ControlFlow::Break("WITH RECURSIVE is not allowed; it may never end".into());
        }
        if !query.locks.is_empty() {
            return ControlFlow::Break("FOR UPDATE is not allowed: SQL here only reads".into());
        }
        if branches(&query.body) > BRANCHES_MAX {
            return ControlFlow::Break(format!("more than {BRANCHES_MAX} branches of UNION"));
        }
        if let Some(words) = not_a_query(&query.body) {
            return ControlFlow::Break(words);
        }
        self.enter()
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<String> {
        self.leave()
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        if select.into.is_some() {
            return ControlFlow::Break("SELECT INTO is not allowed: SQL here only reads".into());
        }
        if select.projection.len() > COLUMNS_MAX {
            return ControlFlow::Break(format!("more than {COLUMNS_MAX} columns in one SELECT"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, _table: &TableFactor) -> ControlFlow<String> {
        self.tables += 1;
        if self.tables > TABLES_MAX {
            return ControlFlow::Break(format!("more than {TABLES_MAX} tables in one statement"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::InList { list, .. } if list.len() > IN_ITEMS_MAX => {
                ControlFlow::Break(format!("IN has {} items, at most {IN_ITEMS_MAX}", list.len()))
            }
            _ => self.enter(),
        }
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<String> {
        self.leave()
    }
}

/// Branches of a chain of set operations, without recursion along the chain.
fn branches(body: &SetExpr) -> usize {
    let mut count = 1;
    let mut left = body;
    while let SetExpr::SetOperation { left: next, .. } = left {
        count += 1;
        left = next;
    }
    count
}

/// `WITH x AS (...) INSERT ...` and the like hide below a query.
fn not_a_query(body: &SetExpr) -> Option<String> {
    match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Some("only SELECT is allowed below WITH: SQL here only reads".into())
        }
        SetExpr::Table(_) => Some("TABLE is not allowed; write SELECT * FROM".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
