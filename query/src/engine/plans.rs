//! Plans of statements that were asked before, so that a search asked again is not parsed, analysed and optimised again.
//!
//! What a plan depends on is its key: the text, the parameters, and the columns of the tables. The settings of an engine
//! never change. Spans are no part of it: a plan is kept over tables without any, and put over those of each question.
//! Not kept are plans that say something else at another time (`now()`), and those that read anything but spans.
use std::sync::{Mutex, PoisonError};

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, Volatility};
use hashbrown::HashMap;
use storage::metrics::{Counter, Metric};

use crate::spans::Tables;
use crate::spans::provider::SpansTable;

/// Plans kept; of a search some 20 KiB each.
const PLANS_MAX: usize = 128;
/// A statement that is longer, with its parameters, was made by a program and hardly comes again.
const BYTES_MAX: usize = 8 << 10;

/// A statement as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) params: Vec<ScalarValue>,
    /// Asked by a client of PostgreSQL, for which some names mean something else.
    pub(crate) has_catalogue: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    held: Mutex<Held>,
    hits: Counter,
    misses: Counter,
}

#[derive(Debug, Default)]
struct Held {
    plans: HashMap<Statement, Kept>,
    /// Counts the questions.
    now: u64,
    /// The columns that all plans have, without spans.
    tables: Option<Tables>,
}

#[derive(Debug)]
struct Kept {
    plan: LogicalPlan,
    last: u64,
}

impl Plans {
    /// The optimised plan of `statement` over `tables`, where it was asked before.
    ///
    /// # Errors
    /// A plan cannot be put over other spans: a mistake of ours.
    pub(crate) fn find(
        &self,
        statement: &Statement,
        tables: &Tables,
    ) -> Result<Option<LogicalPlan>> {
        let plan = self.plan_of(statement);
        let found = plan.map(|plan| over(plan, tables)).transpose()?.flatten();
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.add(1);
        Ok(found)
    }

    fn plan_of(&self, statement: &Statement) -> Option<LogicalPlan> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.now += 1;
        let now = held.now;
        let kept = held.plans.get_mut(statement)?;
        kept.last = now;
        Some(kept.plan.clone())
    }

    /// Keeps `plan`, the optimised plan of `statement` over `tables`.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(crate) fn put(
        &self,
        statement: Statement,
        plan: &LogicalPlan,
        tables: &Tables,
    ) -> Result<()> {
        let params: usize = statement.params.iter().map(ScalarValue::size).sum();
        if statement.text.len() + params > BYTES_MAX {
            return Ok(());
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.tables.take().filter(|known| known.has_columns_of(tables));
        if known.is_none() {
            held.plans.clear();
        }
        // A kept snapshot would keep its hot batches.
        let empty = known.unwrap_or_else(|| tables.without_spans());
        if let Some(plan) = over(plan.clone(), &empty)? {
            if held.plans.len() >= PLANS_MAX {
                let oldest = held.plans.iter().min_by_key(|(_, kept)| kept.last);
                if let Some(oldest) = oldest.map(|(statement, _)| statement.clone()) {
                    held.plans.remove(&oldest);
                }
            }
            let last = held.now;
            held.plans.insert(statement, Kept { plan, last });
        }
        held.tables = Some(empty);
        Ok(())
    }

    /// Figures for `/metrics`.
    pub(crate) fn metrics(&self) -> [Metric; 2] {
        [("hit", &self.hits), ("miss", &self.misses)].map(|(found, counter)| {
            let mut metric = counter.metric(
                "spanlake_query_plans_total",
                "Statements, by whether their plan was known from before.",
            );
            metric.labels.push(("found", found.to_owned()));
            metric
        })
    }
}

/// Whether the plan of a statement, before it is optimised, says the same whenever it is asked.
///
/// # Errors
/// None of its own.
pub(crate) fn is_lasting(plan: &LogicalPlan) -> Result<bool> {
    let mut lasting = true;
    plan.apply_with_subqueries(|node| {
        lasting &= match node {
            LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => false,
            _ => !node.expressions().iter().any(changes),
        };
        Ok(if lasting { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(lasting)
}

/// True where `expr` asks anything but its arguments.
fn changes(expr: &Expr) -> bool {
    let asks = expr.exists(|expr| {
        Ok(match expr {
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            Expr::AggregateFunction(call) => {
                call.func.signature().volatility != Volatility::Immutable
            }
            Expr::Placeholder(_) | Expr::ScalarVariable(..) | Expr::HigherOrderFunction(_) => true,
            _ => false,
        })
    });
    asks.unwrap_or(true)
}

/// `plan` over the spans of `tables`; `None` where it reads other tables, or other columns.
fn over(plan: LogicalPlan, tables: &Tables) -> Result<Option<LogicalPlan>> {
    let mut fits = true;
    let plan = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let spans = provider.downcast_ref::<SpansTable>().and_then(|table| table.over(tables));
        let Some(spans) = spans else {
            fits = false;
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        let source = provider_as_source(std::sync::Arc::new(spans));
        Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
    })?;
    Ok(fits.then_some(plan.data))
}

#[cfg(test)]
mod tests;
