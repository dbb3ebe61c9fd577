//! All spans of one trace, by a plan made by hand: no SQL, no optimizer.
//!
//! A file that may hold the trace is asked twice: its keys of trace ids tell the rows, and of the other columns only those
//! are read that have a value on one of the pages with such a row. Most of the attribute columns have none.
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{
    SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result as PlanResult, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::{col, lit};
use datafusion::physical_expr::expressions::col as physical_col;
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExpr;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use futures::{StreamExt, TryStreamExt, stream};
use storage::schema::column as c;
use storage::{DataFile, TimeRange, TraceId};

use crate::Result;
use crate::spans::Tables;
use crate::spans::picker::{Picker, lost};
use crate::spans::provider::{Shape, present};
use crate::spans::reader::Readers;
use crate::spans::traced;

/// Beyond this many rows of one file, a scan reads it: in pieces, and with memory that is accounted for.
const ROWS_MAX: usize = 20_000;

/// The spans of `trace` in the columns of SQL `spans`, ordered by start, then span id.
pub(crate) async fn stream(
    (state, task): (&SessionState, Arc<TaskContext>),
    tables: &Tables,
    trace: TraceId,
) -> Result<SendableRecordBatchStream> {
    let table = tables.table(TimeRange::ALL, Shape::Presented);
    let (made_of, needed) = table.presented()?;
    let lookup = Lookup::new(state, tables, &[trace], &needed)?;
    let mut files = tables.snapshot.files.to_vec();
    files.retain(|file| file.may_hold_trace(&trace));
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for file in look_up(&lookup, files, state.config().target_partitions()).await? {
        match file {
            (Some(batches), _) => found.extend(batches),
            (None, file) => others.push(file),
        }
    }
    let filter = col(c::TRACE_ID).eq(lit(ScalarValue::FixedSizeBinary(16, Some(trace.0.to_vec()))));
    let in_files = others.is_empty();
    let rest = tables.part(others.into(), Arc::clone(&tables.snapshot.hot));
    let rest = rest.table(TimeRange::ALL, Shape::Stored).stored_rows(state, &needed, filter)?;
    if in_files {
        let hot = execute_stream(rest, Arc::clone(&task))?;
        found.extend(hot.try_collect::<Vec<_>>().await?);
        let stored = concat_batches(lookup.picker.projected(), &found)?;
        return Ok(at_once(&task, (stored, table.stored_schema()), made_of, table.schema())?);
    }
    let found: Arc<dyn ExecutionPlan> =
        MemorySourceConfig::try_new_exec(&[found], Arc::clone(lookup.picker.projected()), None)?;
    let scan = present(made_of, UnionExec::try_new(vec![found, rest])?)?;
    let by = ORDER.map(|name| physical_col(name, &scan.schema()));
    let by = by.into_iter().collect::<PlanResult<Vec<_>>>()?;
    let all: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(scan));
    let Some(order) = LexOrdering::new(by.into_iter().map(PhysicalSortExpr::new_default)) else {
        return Ok(execute_stream(all, task)?);
    };
    Ok(execute_stream(Arc::new(SortExec::new(order, all)), task)?)
}

type LookedUp = (Option<Vec<RecordBatch>>, Arc<DataFile>);

/// What is in each of `files`; some are read at a time, each on a thread of its own.
async fn look_up(
    lookup: &Lookup,
    mut files: Vec<Arc<DataFile>>,
    at_a_time: usize,
) -> Result<Vec<LookedUp>> {
    if files.len() <= 1 {
        // Most traces lie in one file, and waking a thread takes a while.
        let Some(file) = files.pop() else { return Ok(Vec::new()) };
        return Ok(vec![(lookup.of_file(&file).await?, file)]);
    }
    let looked_up = stream::iter(files)
        .map(|file| {
            let lookup = lookup.clone();
            let found = async move { lookup.of_file(&file).await.map(|found| (found, file)) };
            SpawnedTask::spawn(found).join()
        })
        .buffered(at_a_time);
    let looked_up: Vec<PlanResult<_>> = looked_up.try_collect().await.map_err(lost)?;
    Ok(looked_up.into_iter().collect::<PlanResult<_>>()?)
}

/// What the spans of a trace are ordered by.
const ORDER: [&str; 2] = [c::START, c::SPAN_ID];

/// The rows of `stored` as SQL shows them, in order: no plan is made for so few. `all` are the columns that `made_of` is over.
fn at_once(
    task: &TaskContext,
    (stored, all): (RecordBatch, SchemaRef),
    made_of: Vec<ProjectionExpr>,
    schema: SchemaRef,
) -> PlanResult<SendableRecordBatchStream> {
    let held = MemoryConsumer::new("trace by id").register(task.memory_pool());
    held.try_grow(stored.get_array_memory_size())?;
    let (rows, is_all) = (stored.num_rows(), stored.num_columns() == all.fields().len());
    let mut columns = Vec::with_capacity(made_of.len());
    for ProjectionExpr { expr, .. } in made_of {
        let expr = if is_all { expr } else { reassign_expr_columns(expr, stored.schema_ref())? };
        columns.push(expr.evaluate(&stored)?.into_array(rows)?);
    }
    let shown = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let by = ORDER.map(|name| shown.column_by_name(name));
    let by = by.into_iter().flatten().map(|values| SortColumn {
        values: Arc::clone(values),
        options: Some(SortOptions::default()),
    });
    let order = lexsort_to_indices(&by.collect::<Vec<_>>(), None)?;
    let sorted = take_record_batch(&shown, &order)?;
    let rows = stream::once(async move {
        let _held = held;
        Ok(sorted)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Reads the rows of a few traces. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    picker: Picker,
    traces: Arc<[TraceId]>,
}

impl Lookup {
    /// For the spans of `traces`, with the stored columns at `columns`.
    ///
    /// # Errors
    /// There are no such columns: a mistake of ours.
    pub(crate) fn new(
        state: &dyn Session,
        tables: &Tables,
        traces: &[TraceId],
        columns: &[usize],
    ) -> PlanResult<Self> {
        let stored = tables.table(TimeRange::ALL, Shape::Stored).stored_schema();
        let projected: SchemaRef = Arc::new(stored.project(columns)?);
        let readers = Readers::new(state, Arc::clone(&tables.snapshot.object_store));
        let readers = readers.near(tables.snapshot.folder.as_ref());
        let picker = Picker::new(Arc::new(readers), Arc::clone(&tables.known), projected);
        let picker = match traces {
            [trace] => picker.of_trace(*trace),
            _ => picker,
        };
        Ok(Self { picker, traces: traces.into() })
    }

    /// The rows of a file; `None` where it is better scanned.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read.
    pub(crate) async fn of_file(
        &self,
        file: &Arc<DataFile>,
    ) -> PlanResult<Option<Vec<RecordBatch>>> {
        let (mut reader, metadata) = self.picker.open(file).await?;
        let known = (&file.path.as_str().into(), self.picker.dictionaries());
        let (mut found, mut count) = (Vec::new(), 0);
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let Some(rows) = traced::rows(&mut reader, group, known, &self.traces).await? else {
                return Ok(None);
            };
            count += rows.len();
            found.push((number, rows));
        }
        if count > ROWS_MAX {
            return Ok(None);
        }
        let mut batches = Vec::new();
        for (number, rows) in found.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            batches.extend(self.picker.rows(file, (&metadata, number), rows).await?);
        }
        Ok(Some(batches))
    }
}

#[cfg(test)]
mod tests;
