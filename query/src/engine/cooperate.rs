//! Joins give way. One batch that a join reads can become millions that it gives, and nothing below it is asked meanwhile:
//! whoever reads them in a loop would never let go of its thread, and a query that was stopped would run on.
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// Puts a node that gives way after some batches above every node that multiplies rows.
#[derive(Debug)]
pub(crate) struct Cooperate;

fn multiplies(node: &dyn ExecutionPlan) -> bool {
    let name = node.name();
    name.ends_with("JoinExec") || name == "UnnestExec"
}

impl PhysicalOptimizerRule for Cooperate {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|node| {
            if multiplies(node.as_ref()) {
                return Ok(Transformed::yes(
                    Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>
                ));
            }
            Ok(Transformed::no(node))
        })?;
        Ok(wrapped.data)
    }

    fn name(&self) -> &str {
        "cooperate"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
