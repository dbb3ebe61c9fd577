//! Which files can hold a wanted span, by what the table and the sidecars say about them.
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, StringViewArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use chrono::{Datelike, NaiveDate};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use storage::schema::column as c;
use storage::{DataFile, TimeRange, TraceId};

/// The files that start within `range` and may satisfy `predicate` (over the stored columns).
pub(crate) fn prune(
    files: &[Arc<DataFile>],
    range: TimeRange,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    stored: &SchemaRef,
) -> Result<Vec<Arc<DataFile>>> {
    let in_range: Vec<_> =
        files.iter().filter(|file| file.start.overlaps(&range)).map(Arc::clone).collect();
    let Some(predicate) = predicate else { return Ok(in_range) };
    let built = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(stored))
        .build(Arc::clone(predicate));
    let Some(predicate) = built else { return Ok(in_range) };
    let keep = predicate.prune(&Known(&in_range))?;
    let kept = in_range.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file);
    Ok(kept.collect())
}

/// Days since the epoch, as Arrow counts dates.
pub(crate) fn date_days(date: NaiveDate) -> i32 {
    const EPOCH: i32 = 719_163;
    date.num_days_from_ce() - EPOCH
}

/// What is known of each file without opening it.
struct Known<'a>(&'a [Arc<DataFile>]);

impl Known<'_> {
    fn bound(&self, column: &Column, of: Bound) -> Option<ArrayRef> {
        let files = self.0.iter();
        Some(match column.name() {
            c::START => Arc::new(Int64Array::from_iter_values(files.map(|file| match of {
                Bound::Low => file.start.from,
                Bound::High => file.start.until.saturating_sub(1),
            }))),
            c::DATE => {
                Arc::new(Date32Array::from_iter_values(files.map(|file| date_days(file.date))))
            }
            c::SERVICE => Arc::new(StringViewArray::from_iter(files.map(|file| {
                let services = file.services.as_ref()?;
                Some(match of {
                    Bound::Low => services.0.as_str(),
                    Bound::High => services.1.as_str(),
                })
            }))),
            _ => return None,
        })
    }
}

#[derive(Clone, Copy)]
enum Bound {
    Low,
    High,
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(column, Bound::Low)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(column, Bound::High)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.0.iter().map(|file| file.rows))))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        if column.name() != c::TRACE_ID {
            return None;
        }
        let traces: Vec<TraceId> = values.iter().map(trace_id).collect::<Option<_>>()?;
        // `Some(false)`: holds none of them. That it holds only them is never known.
        let absent = |file: &Arc<DataFile>| !traces.iter().any(|trace| file.may_hold_trace(trace));
        Some(self.0.iter().map(|file| absent(file).then_some(false)).collect())
    }
}

fn trace_id(value: &ScalarValue) -> Option<TraceId> {
    match value {
        ScalarValue::FixedSizeBinary(_, Some(bytes)) => TraceId::from_slice(bytes),
        _ => None,
    }
}
