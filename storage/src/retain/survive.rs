//! What stays in spite of a drop: pinned traces, and the latest traces of each root operation.
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use object_store::ObjectStore;
use parquet::errors::ParquetError;

use super::scan::{self, Traces};
use crate::error::Result;
use crate::schema::column;
use crate::snapshot::DataFile;

/// Columns that say which operation started a trace, and when.
const WANTED: [&str; 5] =
    [column::TRACE_ID, column::PARENT_SPAN_ID, column::START, column::SERVICE, column::NAME];

/// Start and id of traces, the oldest on top.
type OldestFirst = BinaryHeap<Reverse<(i64, [u8; 16])>>;

/// The latest traces of some root operations.
#[derive(Debug)]
pub(super) struct Latest {
    number: usize,
    /// By service and name: start and trace, the oldest on top.
    operations: HashMap<(String, String), OldestFirst, RandomState>,
}

impl Latest {
    /// Of the operations that have a root in `leaving`, the latest `number` traces in `leaving` and `staying`
    /// together. Only as many of the files that stay are read as it takes to know.
    pub(super) async fn of(
        store: &Arc<dyn ObjectStore>,
        number: u64,
        leaving: &[Arc<DataFile>],
        staying: &[Arc<DataFile>],
    ) -> Result<Self> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let mut latest = Self { number, operations: HashMap::default() };
        if number == 0 {
            return Ok(latest);
        }
        for file in leaving {
            let read =
                scan::columns(Arc::clone(store), file, &WANTED, |batch| latest.take(batch, true));
            if let Err(error) = read.await {
                super::carry_out::tolerate(file, error)?;
            }
        }
        let mut staying: Vec<&Arc<DataFile>> = staying.iter().collect();
        staying.sort_by_key(|file| Reverse(file.start.until));
        for file in staying {
            if latest.is_settled(file.start.until) {
                break;
            }
            let read =
                scan::columns(Arc::clone(store), file, &WANTED, |batch| latest.take(batch, false));
            if let Err(error) = read.await {
                super::carry_out::tolerate(file, error)?;
            }
        }
        Ok(latest)
    }

    /// Adds the traces to `traces`.
    pub(super) fn add_to(&self, traces: &mut Traces) {
        traces.extend(self.operations.values().flatten().map(|Reverse((_, trace))| *trace));
    }

    /// True where no trace that starts before `until` can still be among the latest.
    fn is_settled(&self, until: i64) -> bool {
        self.operations.values().all(|latest| {
            latest.len() >= self.number
                && latest.peek().is_some_and(|Reverse((start, _))| *start >= until)
        })
    }

    /// Takes the roots of a batch; those of operations not seen so far only where `new` says so.
    fn take(&mut self, batch: &RecordBatch, new: bool) -> std::result::Result<(), ParquetError> {
        let parents = batch.column_by_name(column::PARENT_SPAN_ID);
        let lacks = |what: &str| ParquetError::General(format!("no column {what}"));
        let text = |name: &str| {
            let texts = batch.column_by_name(name).ok_or_else(|| lacks(name))?;
            Ok::<_, ParquetError>(arrow::compute::cast(texts, &DataType::Utf8)?)
        };
        let (services, names) = (text(column::SERVICE)?, text(column::NAME)?);
        let (services, names) = (services.as_string::<i32>(), names.as_string::<i32>());
        let starts = batch.column_by_name(column::START).ok_or_else(|| lacks(column::START))?;
        let starts = starts.as_primitive_opt::<Int64Type>().ok_or_else(|| lacks(column::START))?;
        for (row, trace) in scan::ids(batch)?.enumerate() {
            if parents.is_some_and(|parents| parents.is_valid(row)) {
                continue;
            }
            let operation = (services.value(row).to_owned(), names.value(row).to_owned());
            self.add(operation, (starts.value(row), trace), new);
        }
        Ok(())
    }

    fn add(&mut self, operation: (String, String), root: (i64, [u8; 16]), new: bool) {
        let latest = if new {
            self.operations.entry(operation).or_default()
        } else {
            let Some(latest) = self.operations.get_mut(&operation) else { return };
            latest
        };
        if latest.len() < self.number {
            latest.push(Reverse(root));
        } else if latest.peek().is_some_and(|Reverse(oldest)| *oldest < root) {
            latest.pop();
            latest.push(Reverse(root));
        }
    }
}
