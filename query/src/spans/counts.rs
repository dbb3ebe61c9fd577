//! `count(*) ... GROUP BY` one text column: counted by the keys of its dictionaries, without making a value for each row.
//!
//! ```text
//! AggregateExec: Partial, gby=[http_route], aggr=[count(1)]        CountKeysExec: files, column=http_route
//!   DataSourceExec: files, no filter                          ->     (a file whose pages hold values: as before)
//! ```
mod exec;
pub(super) mod learnt;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::union::UnionExec;

use super::source::SelectiveSource;
use exec::CountKeysExec;

/// See the module.
#[derive(Debug)]
pub(crate) struct CountKeys;

impl PhysicalOptimizerRule for CountKeys {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let counted = plan.transform_up(|node| {
            Ok(match counted(&node)? {
                Some(counted) => Transformed::yes(counted),
                None => Transformed::no(node),
            })
        })?;
        Ok(counted.data)
    }

    fn name(&self) -> &str {
        "count_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same counts by keys, where some of what `node` reads can be counted so.
fn counted(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let Some(group) = group_of(aggregate) else { return Ok(None) };
    let scans = match aggregate.input().downcast_ref::<UnionExec>() {
        Some(_) => aggregate.input().children().into_iter().map(Arc::clone).collect(),
        None => vec![Arc::clone(aggregate.input())],
    };
    let columns: Vec<_> = scans.iter().map(|scan| column_of(scan, group)).collect();
    if columns.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::with_capacity(scans.len());
    for (scan, column) in scans.iter().zip(columns) {
        let plain = replace_children_if_necessary(Arc::clone(node), vec![Arc::clone(scan)])?;
        parts.push(match column {
            Some(column) => Arc::new(CountKeysExec::new(column, plain)),
            None => plain,
        });
    }
    match parts.len() {
        1 => Ok(parts.pop()),
        _ => UnionExec::try_new(parts).map(Some),
    }
}

/// The place of the one column that rows are grouped by, where nothing but rows is counted.
fn group_of(aggregate: &AggregateExec) -> Option<usize> {
    let [(group, _)] = aggregate.group_expr().expr() else { return None };
    let counts_rows = aggregate.aggr_expr().iter().all(|call| {
        let arguments = call.expressions();
        let is_value = |argument: &Arc<dyn datafusion::physical_expr::PhysicalExpr>| {
            argument.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
        };
        call.fun().name() == "count" && !call.is_distinct() && arguments.iter().all(is_value)
    });
    let is_plain = *aggregate.mode() == AggregateMode::Partial
        && !aggregate.aggr_expr().is_empty()
        && aggregate.group_expr().is_single()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.limit_options().is_none();
    (counts_rows && is_plain).then(|| group.downcast_ref::<Column>().map(Column::index))?
}

/// A text column of files that are read whole.
#[derive(Debug, Clone)]
struct FileColumn {
    scan: FileScanConfig,
    source: SelectiveSource,
    name: String,
}

/// The stored column at `place` of what `scan` gives.
fn column_of(scan: &Arc<dyn ExecutionPlan>, place: usize) -> Option<FileColumn> {
    let scan = scan.downcast_ref::<DataSourceExec>()?;
    let (config, source) = scan.downcast_to_file_source::<SelectiveSource>()?;
    if config.limit.is_some() || source.has_filter() {
        return None;
    }
    let schema = config.file_source().table_schema().table_schema();
    let stored = match config.file_source().projection() {
        Some(made_of) => made_of.as_ref().get(place)?.expr.downcast_ref::<Column>()?.index(),
        None => place,
    };
    let field = schema.fields().get(stored)?;
    (*field.data_type() == DataType::Utf8View).then(|| FileColumn {
        scan: config.clone(),
        source: source.clone(),
        name: field.name().clone(),
    })
}
