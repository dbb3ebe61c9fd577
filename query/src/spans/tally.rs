//! `count(*)` of rows that bounds of whole numbers and values of texts choose: told by statistics, page indexes and
//! dictionaries as far as these go; numbers are read of those pages alone that a bound cuts.
//!
//! ```text
//! AggregateExec: Partial, gby=[], aggr=[count(1)]            CountRowsExec: files, predicate=start_time >= a, ...
//!   DataSourceExec: files, predicate=start_time >= a    ->     (a row group that does not tell: as before)
//! ```
mod count;

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::counts::counts_rows;
use super::halves;
use super::select::Condition;
use super::source::SelectiveSource;

/// See the module.
#[derive(Debug)]
pub(crate) struct CountRows;

impl PhysicalOptimizerRule for CountRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        halves::replaced(plan, |aggregate| {
            if !aggregate.group_expr().is_true_no_grouping() || !counts_rows(aggregate) {
                return Ok(None);
            }
            halves::by_scan(aggregate, Chosen::of)
        })
    }

    fn name(&self) -> &str {
        "count_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Rows of files.
#[derive(Debug, Clone)]
struct Chosen {
    scan: FileScanConfig,
    source: SelectiveSource,
    /// Conditions that dictionaries decide.
    texts: Arc<[Condition]>,
    /// One for a column.
    bounds: Arc<[Bound]>,
}

impl Chosen {
    /// The rows of `scan`; `None` where they are chosen otherwise.
    fn of(scan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let scan = scan.downcast_ref::<DataSourceExec>()?;
        let (config, source) = scan.downcast_to_file_source::<SelectiveSource>()?;
        let filter = source.condition()?;
        if config.limit.is_some() {
            return None;
        }
        let stored = config.file_source().table_schema().table_schema();
        let (mut texts, mut bounds): (_, Vec<Bound>) = (Vec::new(), Vec::new());
        for part in split_conjunction(&filter) {
            if let Some(text) = Condition::of(part, stored) {
                texts.push(text);
                continue;
            }
            let bound = Bound::of(part, stored)?;
            match bounds.iter_mut().find(|known| known.column == bound.column) {
                Some(known) => known.narrow(&bound),
                None => bounds.push(bound),
            }
        }
        let (texts, bounds) = (texts.into(), bounds.into());
        Some(Self { scan: config.clone(), source: source.clone(), texts, bounds })
    }
}

/// What numbers of a column are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    column: String,
    within: RangeInclusive<i64>,
}

/// How many of some numbers lie within a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    Some,
    None,
}

impl Bound {
    /// `filter`, where it compares a column of whole numbers with one number.
    fn of(filter: &Arc<dyn PhysicalExpr>, table: &Schema) -> Option<Self> {
        let compared = filter.downcast_ref::<BinaryExpr>()?;
        let (column, operator, number) = match (number(compared.left()), number(compared.right())) {
            (None, Some(number)) => (compared.left(), *compared.op(), number),
            (Some(number), None) => (compared.right(), compared.op().swap()?, number),
            _ => return None,
        };
        let column = column.downcast_ref::<Column>()?.name();
        let field = table.field_with_name(column).ok()?;
        let (lowest, highest) = (i64::MIN, i64::MAX);
        let within = match operator {
            Operator::Eq => number..=number,
            Operator::GtEq => number..=highest,
            Operator::Gt => number.checked_add(1)?..=highest,
            Operator::LtEq => lowest..=number,
            Operator::Lt => lowest..=number.checked_sub(1)?,
            _ => return None,
        };
        let is_whole = *field.data_type() == DataType::Int64;
        is_whole.then(|| Self { column: column.to_owned(), within })
    }

    /// What lies within both.
    fn narrow(&mut self, other: &Self) {
        let low = *self.within.start().max(other.within.start());
        let high = *self.within.end().min(other.within.end());
        self.within = low..=high;
    }

    /// How many of the numbers from `low` to `high` it admits.
    fn share(&self, low: i64, high: i64) -> Share {
        if low > high || high < *self.within.start() || low > *self.within.end() {
            Share::None
        } else if self.within.contains(&low) && self.within.contains(&high) {
            Share::All
        } else {
            Share::Some
        }
    }
}

/// The number that an expression is.
fn number(expr: &Arc<dyn PhysicalExpr>) -> Option<i64> {
    match expr.downcast_ref::<Literal>()?.value() {
        ScalarValue::Int64(number) => *number,
        _ => None,
    }
}

#[cfg(test)]
mod tests;
