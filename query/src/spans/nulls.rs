//! `ORDER BY start_time DESC` puts NULLs first, by SQL. Of what is never NULL they may as well come last: a sort that wants
//! only its first rows then knows `start_time > X`, which leaves out whole files, and not `start_time IS NULL OR ...`.
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// See the module.
#[derive(Debug)]
pub(crate) struct NullsLast;

impl AnalyzerRule for NullsLast {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|plan| {
            let LogicalPlan::Sort(mut sort) = plan else { return Ok(Transformed::no(plan)) };
            let mut is_new = false;
            for by in sort.expr.iter_mut().filter(|by| by.nulls_first) {
                // What cannot be told is left as it is.
                if by.expr.nullable(sort.input.schema().as_ref()).is_ok_and(|nullable| !nullable) {
                    by.nulls_first = false;
                    is_new = true;
                }
            }
            let plan = LogicalPlan::Sort(sort);
            Ok(if is_new { Transformed::yes(plan) } else { Transformed::no(plan) })
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &'static str {
        "nulls_last"
    }
}
