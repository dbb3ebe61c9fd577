//! Computes several quantiles of the same values together.
//!
//! ```text
//! Aggregate: quantile(duration, 0.5), quantile(duration, 0.99), count(*)
//!   -> Projection: quantiles["0"], quantiles["1"], count(*)
//!        Aggregate: quantiles(duration, 0.5, 0.99), count(*)
//! ```
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, LogicalPlan, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// See the module.
#[derive(Debug)]
pub(crate) struct QuantilesTogether {
    quantiles: Arc<AggregateUDF>,
}

impl Default for QuantilesTogether {
    fn default() -> Self {
        Self { quantiles: Arc::new(super::several()) }
    }
}

/// Quantiles of one value: where they stand among the aggregates, and their second arguments.
struct OfOne {
    value: Expr,
    places: Vec<usize>,
    ps: Vec<Expr>,
}

impl OptimizerRule for QuantilesTogether {
    fn name(&self) -> &str {
        "quantiles_together"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let groups = by_value(aggregate);
        let is_set = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
        if groups.is_empty() || is_set {
            return Ok(Transformed::no(plan));
        }
        self.together(aggregate, &groups).map(Transformed::yes)
    }
}

impl QuantilesTogether {
    fn together(&self, aggregate: &Aggregate, groups: &[OfOne]) -> Result<LogicalPlan> {
        let of = |place: usize| {
            groups.iter().find_map(|group| {
                let own = group.places.iter().position(|own| *own == place)?;
                Some((group, own))
            })
        };
        let mut aggregates = Vec::new();
        for (place, expr) in aggregate.aggr_expr.iter().enumerate() {
            match of(place) {
                Some((group, 0)) => aggregates.push(self.call(group)),
                Some(_) => {}
                None => aggregates.push(expr.clone()),
            }
        }
        let input = Arc::clone(&aggregate.input);
        let below = Aggregate::try_new(input, aggregate.group_expr.clone(), aggregates)?;
        let first = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
        let shown = aggregate.schema.iter().enumerate().map(|(column, (qualifier, field))| {
            let Some((group, own)) = column.checked_sub(first).and_then(of) else {
                return Expr::Column(Column::from((qualifier, field)));
            };
            let all = Column::new_unqualified(self.call(group).schema_name().to_string());
            get_field(Expr::Column(all), own.to_string()).alias(field.name())
        });
        let (shown, below) = (shown.collect(), Arc::new(LogicalPlan::Aggregate(below)));
        let schema = Arc::clone(&aggregate.schema);
        Ok(LogicalPlan::Projection(Projection::try_new_with_schema(shown, below, schema)?))
    }

    fn call(&self, group: &OfOne) -> Expr {
        let arguments = std::iter::once(&group.value).chain(&group.ps).cloned().collect();
        let quantiles = Arc::clone(&self.quantiles);
        let call = AggregateFunction::new_udf(quantiles, arguments, false, None, vec![], None);
        Expr::AggregateFunction(call)
    }
}

/// The values of which there are several quantiles.
fn by_value(aggregate: &Aggregate) -> Vec<OfOne> {
    let mut groups: Vec<OfOne> = Vec::new();
    for (place, expr) in aggregate.aggr_expr.iter().enumerate() {
        let Some((value, p)) = plain_quantile(expr) else { continue };
        match groups.iter_mut().find(|group| group.value == *value) {
            Some(group) => {
                group.places.push(place);
                group.ps.push(p.clone());
            }
            None => groups.push(OfOne {
                value: value.clone(),
                places: vec![place],
                ps: vec![p.clone()],
            }),
        }
    }
    groups.retain(|group| group.places.len() > 1);
    groups
}

/// The arguments of `quantile(value, p)`, where all values count.
fn plain_quantile(expr: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::AggregateFunction(call) = expr else { return None };
    let params = &call.params;
    let is_plain = !params.distinct && params.filter.is_none() && params.order_by.is_empty();
    let [value, p @ Expr::Literal(..)] = params.args.as_slice() else { return None };
    (call.func.name() == "quantile" && is_plain && params.null_treatment.is_none())
        .then_some((value, p))
}
