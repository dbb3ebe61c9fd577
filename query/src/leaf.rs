//! What all plans without inputs say of themselves in the same way.

/// The methods of `ExecutionPlan` that differ in the plan's name alone, inside its `impl`; without a name, all others. The plan
/// has a field `properties`.
macro_rules! leaf_plan {
    ($name:literal, no expressions) => {
        fn name(&self) -> &'static str {
            $name
        }

        $crate::leaf::leaf_plan!(no expressions);
    };
    (no expressions) => {
        $crate::leaf::leaf_plan!();

        fn apply_expressions(
            &self,
            _visit: &mut dyn FnMut(
                &std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>,
            ) -> datafusion::common::Result<
                datafusion::common::tree_node::TreeNodeRecursion,
            >,
        ) -> datafusion::common::Result<datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }
    };
    ($name:literal) => {
        fn name(&self) -> &'static str {
            $name
        }

        $crate::leaf::leaf_plan!();
    };
    () => {
        fn properties(&self) -> &std::sync::Arc<datafusion::physical_plan::PlanProperties> {
            &self.properties
        }

        fn children(
            &self,
        ) -> Vec<&std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
            Vec::new()
        }

        fn with_new_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>>,
        ) -> datafusion::common::Result<
            std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>,
        > {
            if children.is_empty() {
                Ok(self)
            } else {
                datafusion::common::internal_err!("{} has no children", self.name())
            }
        }
    };
}

pub(crate) use leaf_plan;
