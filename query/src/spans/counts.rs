//! `count(*) ... GROUP BY` one text column: counted by the keys of its dictionaries, without making a value for each row.
//!
//! ```text
//! AggregateExec: Partial, gby=[http_route], aggr=[count(1)]        CountKeysExec: files, column=http_route
//!   DataSourceExec: files, no filter                          ->     (a file whose pages hold values: as before)
//! ```
mod keys;
pub(super) mod learnt;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use super::halves;
use super::source::SelectiveSource;

/// See the module.
#[derive(Debug)]
pub(crate) struct CountKeys;

impl PhysicalOptimizerRule for CountKeys {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        halves::replaced(plan, |aggregate| match group_of(aggregate) {
            None => Ok(None),
            Some(group) => halves::by_scan(aggregate, |scan| column_of(scan, group)),
        })
    }

    fn name(&self) -> &str {
        "count_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// True where nothing but rows is counted.
pub(super) fn counts_rows(aggregate: &AggregateExec) -> bool {
    let counts_rows = aggregate.aggr_expr().iter().all(|call| {
        let arguments = call.expressions();
        let is_value = |argument: &Arc<dyn PhysicalExpr>| {
            argument.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
        };
        call.fun().name() == "count" && !call.is_distinct() && arguments.iter().all(is_value)
    });
    counts_rows
        && !aggregate.aggr_expr().is_empty()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.limit_options().is_none()
}

/// The place of the one column that rows are grouped by, where nothing but rows is counted.
fn group_of(aggregate: &AggregateExec) -> Option<usize> {
    let [(group, _)] = aggregate.group_expr().expr() else { return None };
    let is_plain = *aggregate.mode() == AggregateMode::Partial
        && aggregate.group_expr().is_single()
        && counts_rows(aggregate);
    is_plain.then(|| group.downcast_ref::<Column>().map(Column::index))?
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
