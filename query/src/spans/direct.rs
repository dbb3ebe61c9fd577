//! Whole numbers of the rows that dictionaries choose, for an aggregate: read from the pages that hold them, without the
//! stock reader, which looks at all columns of a file before it reads two.
//!
//! ```text
//! AggregateExec: Partial, aggr=[quantile(duration_nano)]             the same
//!   DataSourceExec: files, predicate=service = 'cart'         ->       NumbersExec: files, service = 'cart'
//!                                                                      (a row group whose keys do not tell: as before)
//! ```
//! Quantiles by time take a step less still ([`mod@quantiles`]).
mod exec;
mod narrow;
mod quantiles;
mod runs;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::select::{Condition, conditions, over_numbers};
use super::source::SelectiveSource;
use exec::NumbersExec;
use quantiles::QuantilesExec;
use runs::Runs;

/// See the module.
#[derive(Debug)]
pub(crate) struct DirectNumbers;

impl PhysicalOptimizerRule for DirectNumbers {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = with_quantiles(plan, true)?;
        let direct = plan.transform_up(|node| {
            Ok(match direct(&node)? {
                Some(direct) => Transformed::yes(direct),
                None => Transformed::no(node),
            })
        })?;
        Ok(direct.data)
    }

    fn name(&self) -> &str {
        "direct_numbers"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same aggregate over scans that are read so; `None` where `node` is none, or there are no such scans.
fn direct(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let Some(input) = input(aggregate.input(), (ROWS_AT_ONCE, 1))? else { return Ok(None) };
    replace_children_if_necessary(Arc::clone(node), vec![input]).map(Some)
}

/// `plan` with quantiles by time in one step. Unless `is_free`, something above relies on how rows are spread.
fn with_quantiles(plan: Arc<dyn ExecutionPlan>, is_free: bool) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(found) = quantiles(&plan)? {
        let spread = plan.output_partitioning();
        if is_free || spread.partition_count() == 1 {
            return Ok(found);
        }
        return Ok(Arc::new(RepartitionExec::try_new(found, spread.clone())?));
    }
    let is_passed = plan.is::<ProjectionExec>()
        || plan.is::<SortExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<CoalescePartitionsExec>();
    let (mut below, mut is_any) = (Vec::new(), false);
    for child in plan.children() {
        let changed = with_quantiles(Arc::clone(child), is_free && is_passed)?;
        is_any |= !Arc::ptr_eq(child, &changed);
        below.push(changed);
    }
    if is_any { replace_children_if_necessary(plan, below) } else { Ok(plan) }
}

/// The same as `node`; `None` where that is no aggregate of quantiles by time.
fn quantiles(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(last) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let first = match last.mode() {
        AggregateMode::Single => last,
        AggregateMode::Final | AggregateMode::FinalPartitioned => {
            let mut below = last.input();
            while below.is::<RepartitionExec>() || below.is::<CoalescePartitionsExec>() {
                let [child] = below.children()[..] else { return Ok(None) };
                below = child;
            }
            match below.downcast_ref::<AggregateExec>() {
                Some(first) if *first.mode() == AggregateMode::Partial => first,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let Some(runs) = Runs::of(first).filter(|_| last.limit_options().is_none()) else {
        return Ok(None);
    };
    let Some(input) = input(first.input(), (usize::MAX, 1))? else { return Ok(None) };
    Ok(Some(Arc::new(QuantilesExec::over(input, Arc::new(runs), last.schema()))))
}

/// Rows that are handed on at once.
const ROWS_AT_ONCE: usize = 32_768;

/// The same rows as those of `node`, where some of them can be read so, in so many partitions at least.
fn input(
    node: &Arc<dyn ExecutionPlan>,
    (rows_at_once, partitions): (usize, usize),
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(numbers) = Numbers::of(node)? {
        return Ok(Some(NumbersExec::over(numbers, partitions, rows_at_once)));
    }
    if let Some(spread) = node.downcast_ref::<RepartitionExec>() {
        // Partitions share the files anyway.
        return match spread.partitioning() {
            Partitioning::RoundRobinBatch(count) => input(spread.input(), (rows_at_once, *count)),
            _ => Ok(None),
        };
    }
    if !node.is::<ProjectionExec>() && !node.is::<UnionExec>() {
        return Ok(None);
    }
    let (mut below, mut is_any) = (Vec::new(), false);
    for child in node.children() {
        let read = input(child, (rows_at_once, partitions))?;
        is_any |= read.is_some();
        below.push(read.unwrap_or_else(|| Arc::clone(child)));
    }
    if !is_any {
        return Ok(None);
    }
    replace_children_if_necessary(Arc::clone(node), below).map(Some)
}

/// What is read of files.
#[derive(Debug, Clone)]
struct Numbers {
    scan: FileScanConfig,
    source: SelectiveSource,
    /// Conditions that dictionaries decide.
    texts: Arc<[Condition]>,
    /// Conditions on `columns`.
    numbers: Arc<[Condition]>,
    /// Stored columns.
    columns: SchemaRef,
    /// What is shown, over `columns`.
    shown: Arc<[Arc<dyn PhysicalExpr>]>,
    /// Its schema.
    schema: SchemaRef,
}

impl Numbers {
    /// What `scan` reads; `None` where it reads other columns, or its rows are chosen otherwise.
    fn of(scan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let schema = scan.schema();
        let Some(scan) = scan.downcast_ref::<DataSourceExec>() else { return Ok(None) };
        let Some((config, source)) = scan.downcast_to_file_source::<SelectiveSource>() else {
            return Ok(None);
        };
        let (Some(made_of), None) = (config.file_source().projection(), config.limit) else {
            return Ok(None);
        };
        let stored = config.file_source().table_schema().table_schema();
        let chosen = conditions(source.condition(), stored);
        let Some((texts, numbers)) = chosen.filter(|(texts, _)| !texts.is_empty()) else {
            return Ok(None);
        };
        let shown: Vec<_> = made_of.as_ref().iter().map(|made| Arc::clone(&made.expr)).collect();
        let read = over_numbers(&shown, &numbers, stored);
        let is_any = |(columns, shown): &(SchemaRef, Vec<_>)| {
            !columns.fields().is_empty() && !shown.is_empty()
        };
        let Some((columns, shown)) = read.filter(is_any) else { return Ok(None) };
        Ok(Some(Self {
            scan: config.clone(),
            source: source.clone(),
            texts: texts.into(),
            numbers: numbers.into(),
            columns,
            shown: shown.into(),
            schema,
        }))
    }
}

#[cfg(test)]
mod tests;
