//! Aggregates by texts: rows of one value mostly lie together, so that groups are found by runs of keys, and what is
//! asked of a group is added up at once.
//!
//! ```text
//! AggregateExec: Partial, gby=[service, name], aggr=[quantile(duration_nano)]        GroupRunsExec: files, gby=...
//!   DataSourceExec: files                                                     ->       (a row group whose keys do not
//!                                                                                       tell: as before)
//! ```
mod runs;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::halves;
use super::select::{Condition, conditions, over_numbers};
use super::source::SelectiveSource;
use crate::quantile;

/// More texts than this are grouped as before.
const TEXTS_MAX: usize = 3;
/// Functions whose two ways of adding up keep the same between them.
const KNOWN: [&str; 6] = ["count", "sum", "min", "max", "avg", "histogram"];

/// See the module.
#[derive(Debug)]
pub(crate) struct GroupRuns;

impl PhysicalOptimizerRule for GroupRuns {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        halves::replaced(plan, |aggregate| {
            if !is_known(aggregate) {
                return Ok(None);
            }
            halves::by_scan(aggregate, |scan| Grouped::of(aggregate, scan))
        })
    }

    fn name(&self) -> &str {
        "group_runs"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_known(aggregate: &AggregateExec) -> bool {
    let by = aggregate.group_expr();
    let is_known = |call: &Arc<AggregateFunctionExpr>| {
        let function = call.fun();
        let is_known = KNOWN.contains(&function.name()) || quantile::is_quantile(function);
        is_known && !call.is_distinct() && call.order_bys().is_empty()
    };
    (1..=TEXTS_MAX).contains(&by.expr().len())
        && by.is_single()
        && aggregate.limit_options().is_none()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.aggr_expr().iter().all(is_known)
}

/// What is added up of files.
#[derive(Debug, Clone)]
struct Grouped {
    scan: FileScanConfig,
    source: SelectiveSource,
    /// Conditions that dictionaries decide.
    texts: Arc<[Condition]>,
    /// Conditions on `columns`.
    numbers: Arc<[Condition]>,
    /// Stored columns that rows are grouped by.
    by: Arc<[String]>,
    /// Stored columns of numbers.
    columns: SchemaRef,
    /// What calls see, over `columns`.
    shown: Arc<[Arc<dyn PhysicalExpr>]>,
    /// Its schema.
    seen: SchemaRef,
    /// Each with its arguments, over `seen`.
    calls: Arc<[Call]>,
}

type Call = (Arc<AggregateFunctionExpr>, Vec<Arc<dyn PhysicalExpr>>);

impl Grouped {
    /// What `aggregate` adds up of `scan`; `None` where that needs other columns, or rows are chosen otherwise.
    fn of(aggregate: &AggregateExec, scan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let input = scan.schema();
        let projection = scan.downcast_ref::<ProjectionExec>();
        let scan = projection.map_or(scan, ProjectionExec::input);
        let scan = scan.downcast_ref::<DataSourceExec>()?;
        let (config, source) = scan.downcast_to_file_source::<SelectiveSource>()?;
        if config.limit.is_some() || (source.has_filter() && source.condition().is_none()) {
            return None;
        }
        let stored_as = config.file_source().projection()?.as_ref();
        let made_of = match projection {
            None => stored_as,
            // Names are those of stored columns, then.
            Some(projection) if stored_as.iter().all(is_stored) => projection.expr(),
            Some(_) => return None,
        };
        let stored = config.file_source().table_schema().file_schema();
        let by: Option<Arc<[String]>> = aggregate
            .group_expr()
            .expr()
            .iter()
            .map(|(expr, _)| {
                let place = expr.downcast_ref::<Column>()?.index();
                let column = made_of.get(place)?.expr.downcast_ref::<Column>()?.name();
                let field = stored.field_with_name(column).ok()?;
                (*field.data_type() == DataType::Utf8View).then(|| column.to_owned())
            })
            .collect();
        let (texts, numbers) = conditions(source.condition(), stored)?;
        let mut places: Vec<usize> = Vec::new();
        for argument in aggregate.aggr_expr().iter().flat_map(|call| call.expressions()) {
            places.extend(collect_columns(&argument).iter().map(Column::index));
        }
        places.sort_unstable();
        places.dedup();
        let seen = Arc::new(input.project(&places).ok()?);
        let shown: Option<Vec<_>> =
            places.iter().map(|place| Some(Arc::clone(&made_of.get(*place)?.expr))).collect();
        let (columns, shown) = over_numbers(&shown?, &numbers, stored)?;
        let calls: Option<Arc<[Call]>> = aggregate
            .aggr_expr()
            .iter()
            .map(|call| {
                let arguments = call.expressions().into_iter();
                let arguments = arguments.map(|expr| reassign_expr_columns(expr, &seen).ok());
                Some((Arc::clone(call), arguments.collect::<Option<Vec<_>>>()?))
            })
            .collect();
        Some(Self {
            scan: config.clone(),
            source: source.clone(),
            texts: texts.into(),
            numbers: numbers.into(),
            by: by?,
            columns,
            shown: shown.into(),
            seen,
            calls: calls?,
        })
    }
}

/// True where a stored column is shown under its name.
fn is_stored(shown: &ProjectionExpr) -> bool {
    shown.expr.downcast_ref::<Column>().is_some_and(|column| *column.name() == shown.alias)
}

#[cfg(test)]
mod tests;
