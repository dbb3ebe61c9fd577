//! Tells the scans below a sort that only its first rows are wanted, and by which column.
//!
//! ```text
//! SortExec: TopK(fetch=20), start_time DESC        the same, but a file gives no more than its newest 20 rows
//!   DataSourceExec: files, status = ERROR      ->  (and those with the same start as the last of them)
//! ```
//! Where the conditions alone decide on them, they are found before any other column is read ([`exec`]).
mod exec;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;

use super::integers::Page;
use super::source::SelectiveSource;
use exec::FirstExec;

/// The first rows of a sort by a column of whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct First {
    /// The stored column.
    pub(super) column: String,
    /// The greatest come first.
    pub(super) descending: bool,
    /// How many.
    pub(super) count: usize,
}

impl First {
    /// The greater, the earlier in the order.
    pub(super) fn rank(&self, value: i64) -> i64 {
        if self.descending { value } else { !value }
    }

    /// The rank of the last of the first rows; `None` where there are no more rows than that.
    pub(super) fn last_of(&self, values: &[i64]) -> Option<i64> {
        if values.len() <= self.count || self.count == 0 {
            return None;
        }
        let mut ranks: Vec<i64> = values.iter().map(|value| self.rank(*value)).collect();
        let place = ranks.len() - self.count;
        Some(*ranks.select_nth_unstable(place).1)
    }

    /// The rank that a row of `page` has at least.
    pub(super) fn worst(&self, page: &Page) -> i64 {
        self.rank(page.low).min(self.rank(page.high))
    }

    /// The rank that a row of `page` has at most.
    pub(super) fn best(&self, page: &Page) -> i64 {
        self.rank(page.low).max(self.rank(page.high))
    }
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.descending { "greatest" } else { "least" };
        write!(f, "wanted={order} {} by {}", self.count, self.column)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FirstRows;

impl PhysicalOptimizerRule for FirstRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let told = plan.transform_down(|node| {
            Ok(match told(&node)? {
                Some(told) => Transformed::yes(told),
                None => Transformed::no(node),
            })
        })?;
        Ok(told.data)
    }

    fn name(&self) -> &str {
        "first_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same sort over scans that know of it; `None` where `node` is none, or there are no such scans.
fn told(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(sort) = node.downcast_ref::<SortExec>() else { return Ok(None) };
    let Some(count) = sort.fetch().filter(|count| *count > 0) else { return Ok(None) };
    let by = sort.expr().first();
    let first = First { column: String::new(), descending: by.options.descending, count };
    let below = told_below(sort.input(), &by.expr, &first)?;
    below.map(|below| replace_children_if_necessary(Arc::clone(node), vec![below])).transpose()
}

/// `node` with scans that know that the first rows by `expr`, over its columns, are wanted; `None` where none can use it.
fn told_below(
    node: &Arc<dyn ExecutionPlan>,
    expr: &Arc<dyn PhysicalExpr>,
    first: &First,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = node.downcast_ref::<DataSourceExec>() {
        return told_scan(scan, expr, first);
    }
    let mut children = Vec::new();
    // Neither changes columns or leaves out rows.
    let is_passed = node.downcast_ref::<RepartitionExec>().is_some();
    if is_passed || node.downcast_ref::<UnionExec>().is_some() {
        for child in node.children() {
            children.push((child, told_below(child, expr, first)?));
        }
    } else if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(None) };
        let Some(made_of) = projection.expr().get(column.index()) else { return Ok(None) };
        let child = projection.input();
        children.push((child, told_below(child, &made_of.expr, first)?));
    }
    if children.iter().all(|(_, told)| told.is_none()) {
        return Ok(None);
    }
    let children =
        children.into_iter().map(|(child, told)| told.unwrap_or_else(|| Arc::clone(child)));
    replace_children_if_necessary(Arc::clone(node), children.collect()).map(Some)
}

fn told_scan(
    scan: &DataSourceExec,
    expr: &Arc<dyn PhysicalExpr>,
    first: &First,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some((config, source)) = scan.downcast_to_file_source::<SelectiveSource>() else {
        return Ok(None);
    };
    let Some(column) = stored_column(config, expr) else { return Ok(None) };
    let first = First { column, ..first.clone() };
    let told = source.told(first.clone());
    let told = FileScanConfigBuilder::from(config.clone()).with_source(told).build();
    Ok(Some(match FirstExec::over(&told, source, &first)? {
        Some(found) => Arc::new(found),
        None => DataSourceExec::from_data_source(told),
    }))
}

/// The stored column of whole numbers that `expr`, over the columns of a scan, orders by.
fn stored_column(config: &FileScanConfig, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let schema = config.file_source().table_schema().table_schema();
    let shown = numbers_of(expr)?;
    let column = match config.file_source().projection() {
        Some(made_of) => numbers_of(&made_of.as_ref().get(shown.index())?.expr)?,
        None => shown,
    };
    let field = schema.fields().get(column.index())?;
    let fits = *field.data_type() == DataType::Int64 && config.limit.is_none();
    fits.then(|| field.name().clone())
}

/// The column whose order `expr` has: the column itself, or its numbers as times.
fn numbers_of(expr: &Arc<dyn PhysicalExpr>) -> Option<&Column> {
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        let keeps = matches!(cast.cast_type(), DataType::Timestamp(TimeUnit::Nanosecond, _));
        return keeps.then(|| cast.expr().downcast_ref::<Column>())?;
    }
    expr.downcast_ref::<Column>()
}

#[cfg(test)]
mod tests;
