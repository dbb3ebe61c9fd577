//! `attributes['k'] IN (1, 2)` and `BETWEEN 1 AND 2`: an attribute known as text only is read as a number there, as
//! [`super::attributes`] does beside operators. Without this, a text that is no number would fail the query.
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::function::As;
use crate::spans::attributes::read_as;

/// Runs before types are coerced.
#[derive(Debug)]
pub(crate) struct ReadNumbers;

impl AnalyzerRule for ReadNumbers {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let read = plan.transform_up_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let read = expr.transform_up(|expr| Ok(in_numbers(expr)))?;
                Ok(read.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(read.data)
    }

    fn name(&self) -> &'static str {
        "read_numbers"
    }
}

fn in_numbers(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::InList(InList { expr, list, negated }) if list.iter().any(is_number) => {
            let expr = Box::new(read_as(*expr, As::Double));
            Transformed::yes(Expr::InList(InList { expr, list, negated }))
        }
        Expr::Between(Between { expr, negated, low, high })
            if is_number(&low) || is_number(&high) =>
        {
            let expr = Box::new(read_as(*expr, As::Double));
            Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
        }
        other => Transformed::no(other),
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.data_type().is_numeric(),
        Expr::Negative(inner) => is_number(inner),
        _ => false,
    }
}
