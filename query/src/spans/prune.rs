//! Which files can hold a wanted span, by what the table and the sidecars say about them.
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, StringViewArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use chrono::{Datelike, NaiveDate};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use storage::schema::column as c;
use storage::{DataFile, TimeRange, TraceId};

/// How many files need not be opened, by the first reason found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Files of the snapshot.
    pub(crate) files: usize,
    /// They start at other times.
    pub(crate) by_time: usize,
    /// They hold other services.
    pub(crate) by_service: usize,
    /// Their filters know none of the traces.
    pub(crate) by_trace: usize,
}

impl Pruned {
    /// Its figures by name, for EXPLAIN ANALYZE.
    pub(crate) fn figures(&self) -> [(&'static str, usize); 4] {
        [
            ("files_in_table", self.files),
            ("files_pruned_by_time", self.by_time),
            ("files_pruned_by_service", self.by_service),
            ("files_pruned_by_trace_id", self.by_trace),
        ]
    }
}

/// The files that start within `range` and may satisfy `predicate` (over the stored columns), and why not the others.
pub(crate) fn prune(
    files: &[Arc<DataFile>],
    range: TimeRange,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    stored: &SchemaRef,
) -> Result<(Vec<Arc<DataFile>>, Pruned)> {
    let mut left: Vec<_> =
        files.iter().filter(|file| file.start.overlaps(&range)).map(Arc::clone).collect();
    let mut pruned = Pruned { files: files.len(), ..Pruned::default() };
    pruned.by_time = files.len() - left.len();
    if let Some(pruner) = predicate.and_then(|predicate| Pruner::new(predicate, stored)) {
        left = pruner.prune(left, &mut pruned)?;
    }
    Ok((left, pruned))
}

/// A predicate, ready to be asked of files.
#[derive(Debug)]
pub(crate) struct Pruner {
    predicate: Arc<PruningPredicate>,
    columns: HashSet<String>,
}

impl Pruner {
    /// `None` where `predicate` (over the stored columns) tells nothing of files.
    pub(crate) fn new(predicate: &Arc<dyn PhysicalExpr>, stored: &SchemaRef) -> Option<Self> {
        let columns = collect_columns(predicate);
        let columns = columns.iter().map(|column| column.name().to_owned()).collect();
        let built = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(stored))
            .build(Arc::clone(predicate));
        built.map(|predicate| Self { predicate, columns })
    }

    /// Those of `files` that may satisfy it; counts the others.
    pub(crate) fn prune(
        &self,
        mut left: Vec<Arc<DataFile>>,
        pruned: &mut Pruned,
    ) -> Result<Vec<Arc<DataFile>>> {
        for reason in [Reason::Time, Reason::Service, Reason::Trace] {
            if !reason.columns().iter().any(|column| self.columns.contains(*column)) {
                continue;
            }
            let keep = self.predicate.prune(&Known { files: &left, through: reason })?;
            let before = left.len();
            let kept = left.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file);
            left = kept.collect();
            *reason.count(pruned) += before - left.len();
        }
        Ok(left)
    }
}

/// What is looked at, from the cheapest to the dearest; each step knows what those before it know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Time,
    Service,
    Trace,
}

impl Reason {
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Time => &[c::START, c::DATE],
            Self::Service => &[c::SERVICE],
            Self::Trace => &[c::TRACE_ID],
        }
    }

    fn count(self, pruned: &mut Pruned) -> &mut usize {
        match self {
            Self::Time => &mut pruned.by_time,
            Self::Service => &mut pruned.by_service,
            Self::Trace => &mut pruned.by_trace,
        }
    }
}

/// Days since the epoch, as Arrow counts dates.
pub(crate) fn date_days(date: NaiveDate) -> i32 {
    const EPOCH: i32 = 719_163;
    date.num_days_from_ce() - EPOCH
}

/// What is known of each file without opening it.
struct Known<'a> {
    files: &'a [Arc<DataFile>],
    through: Reason,
}

impl Known<'_> {
    fn bound(&self, column: &Column, of: Bound) -> Option<ArrayRef> {
        let files = self.files.iter();
        Some(match column.name() {
            c::START => Arc::new(Int64Array::from_iter_values(files.map(|file| match of {
                Bound::Low => file.start.from,
                Bound::High => file.start.until.saturating_sub(1),
            }))),
            c::DATE => {
                Arc::new(Date32Array::from_iter_values(files.map(|file| date_days(file.date))))
            }
            c::SERVICE if self.through >= Reason::Service => {
                Arc::new(StringViewArray::from_iter(files.map(|file| {
                    let services = file.services.as_ref()?;
                    Some(match of {
                        Bound::Low => services.0.as_str(),
                        Bound::High => services.1.as_str(),
                    })
                })))
            }
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
        self.files.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.files.iter().map(|file| file.rows))))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        if column.name() != c::TRACE_ID || self.through < Reason::Trace {
            return None;
        }
        let traces: Vec<TraceId> = values.iter().map(trace_id).collect::<Option<_>>()?;
        // `Some(false)`: holds none of them. That it holds only them is never known.
        let absent = |file: &Arc<DataFile>| !traces.iter().any(|trace| file.may_hold_trace(trace));
        Some(self.files.iter().map(|file| absent(file).then_some(false)).collect())
    }
}

fn trace_id(value: &ScalarValue) -> Option<TraceId> {
    match value {
        ScalarValue::FixedSizeBinary(_, Some(bytes)) => TraceId::from_slice(bytes),
        _ => None,
    }
}
