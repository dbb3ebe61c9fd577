//! All spans of one trace, by a plan made by hand: no SQL, no optimizer.
//!
//! A file that may hold the trace is asked twice: its keys of trace ids tell the rows, and of the other columns only those
//! are read that have a value on one of the pages with such a row. Most of the attribute columns have none.
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, RecordBatch, new_null_array};
use arrow::compute::{
    SortColumn, SortOptions, cast, concat_batches, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result as PlanResult, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::{Operator, col, lit};
use datafusion::physical_expr::expressions::{
    binary, col as physical_col, in_list, lit as physical_lit,
};
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::ProjectionExpr;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelectionPolicy, RowSelector,
};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::ParquetMetaData;
use storage::schema::column as c;
use storage::{DataFile, TimeRange, TraceId};
use tokio::task::JoinError;

use crate::Result;
use crate::spans::Tables;
use crate::spans::files::partitioned;
use crate::spans::pick::dictionaries::Dictionaries;
use crate::spans::pick::{self, Pick};
use crate::spans::provider::{Shape, present};
use crate::spans::prune::date_days;
use crate::spans::reader::{Reader, Readers};
use crate::spans::select::{Condition, Rows, select};

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
    let looked_up = stream::iter(files)
        .map(|file| {
            let lookup = lookup.clone();
            let found = async move { lookup.of_file(&file).await.map(|found| (found, file)) };
            SpawnedTask::spawn(found).join()
        })
        .buffered(state.config().target_partitions());
    let looked_up: Vec<_> = looked_up.try_collect().await.map_err(lost)?;
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for file in looked_up {
        match file? {
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
        let stored = concat_batches(&lookup.projected, &found)?;
        return Ok(at_once(&task, (stored, table.stored_schema()), made_of, table.schema())?);
    }
    let found: Arc<dyn ExecutionPlan> =
        MemorySourceConfig::try_new_exec(&[found], lookup.projected, None)?;
    let scan = present(made_of, UnionExec::try_new(vec![found, rest])?)?;
    let by = ORDER.map(|name| physical_col(name, &scan.schema()));
    let by = by.into_iter().collect::<PlanResult<Vec<_>>>()?;
    let all: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(scan));
    let Some(order) = LexOrdering::new(by.into_iter().map(PhysicalSortExpr::new_default)) else {
        return Ok(execute_stream(all, task)?);
    };
    Ok(execute_stream(Arc::new(SortExec::new(order, all)), task)?)
}

/// What the spans of a trace are ordered by.
const ORDER: [&str; 2] = [c::START, c::SPAN_ID];

fn lost(error: JoinError) -> DataFusionError {
    DataFusionError::ExecutionJoin(Box::new(error))
}

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

/// The condition that a span is of one of `traces`.
fn is_of(traces: &[TraceId], stored: &SchemaRef) -> PlanResult<Condition> {
    let id =
        |trace: &TraceId| physical_lit(ScalarValue::FixedSizeBinary(16, Some(trace.0.to_vec())));
    let own = physical_col(c::TRACE_ID, stored)?;
    let among = match traces {
        [trace] => binary(own, Operator::Eq, id(trace), stored)?,
        _ => in_list(own, traces.iter().map(id).collect(), &false, stored)?,
    };
    let told = Condition::of(&among, stored);
    told.ok_or_else(|| datafusion::common::internal_datafusion_err!("a trace id has 16 bytes"))
}

/// Reads the rows of a few traces. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lookup {
    readers: Arc<Readers>,
    conditions: Arc<[Condition]>,
    dictionaries: Arc<Dictionaries>,
    /// What is read, with the types that readers see.
    projected: SchemaRef,
    /// Those of the columns that lie in files, in two parts that cost about the same.
    halves: [SchemaRef; 2],
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
        Ok(Self {
            readers: Arc::new(Readers::new(state, Arc::clone(&tables.snapshot.object_store))),
            conditions: [is_of(traces, &stored)?].into(),
            dictionaries: Arc::clone(&tables.dictionaries),
            halves: [0, 1].map(|half| in_files(&projected, half)),
            projected,
        })
    }

    /// The rows of a file; `None` where it is better scanned.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read.
    pub(crate) async fn of_file(
        &self,
        file: &Arc<DataFile>,
    ) -> PlanResult<Option<Vec<RecordBatch>>> {
        let metrics = ExecutionPlanMetricsSet::new();
        let mut reader = self.readers.create_reader(0, partitioned(file), None, &metrics)?;
        let metadata = reader.get_metadata(None).await?;
        let rows = select(&mut reader, &metadata, &self.conditions).await?;
        let groups = metadata.row_groups().iter().map(|group| usize::try_from(group.num_rows()));
        let groups = groups.collect::<std::result::Result<Vec<_>, _>>().unwrap_or_default();
        let count: usize = rows.iter().zip(&groups).map(|(rows, all)| rows.count(*all)).sum();
        if count > ROWS_MAX || rows.iter().any(|rows| matches!(rows, Rows::All)) {
            return Ok(None);
        }
        let mut batches = Vec::new();
        for (number, rows) in rows.into_iter().enumerate() {
            if let Rows::Some(selection) = rows {
                let place = (&metadata, number);
                if let Some(picked) = self.picked(file, place, pick::rows(&selection)).await? {
                    batches.push(picked);
                    continue;
                }
                let part = Part { file, metadata: &metadata, number, selection };
                let reader = self.readers.create_reader(0, partitioned(file), None, &metrics)?;
                batches.extend(self.read(reader, part).await?);
            }
        }
        Ok(Some(batches))
    }

    /// Some rows of a row group, one by one; `None` where the stock reader has to read them. Two threads share the columns.
    async fn picked(
        &self,
        file: &Arc<DataFile>,
        (metadata, group): (&Arc<ParquetMetaData>, usize),
        rows: Vec<usize>,
    ) -> PlanResult<Option<RecordBatch>> {
        let half = |schema: &SchemaRef, rows: Vec<usize>| {
            let (lookup, schema) = (self.clone(), Arc::clone(schema));
            let (file, metadata) = (Arc::clone(file), Arc::clone(metadata));
            async move {
                let metrics = ExecutionPlanMetricsSet::new();
                let readers = &lookup.readers;
                let pick = Pick {
                    open: &|| readers.create_reader(0, partitioned(&file), None, &metrics),
                    metadata: &metadata,
                    group,
                    rows,
                    path: file.path.as_str().into(),
                    dictionaries: &lookup.dictionaries,
                };
                pick.read(&schema).await
            }
        };
        let [first, second] = &self.halves;
        let second = SpawnedTask::spawn(half(second, rows.clone()));
        let first = half(first, rows).await?;
        let second = second.join().await.map_err(lost)??;
        let (Some(first), Some(second)) = (first, second) else { return Ok(None) };
        self.with_types(&[first, second], file).map(Some)
    }

    async fn read(&self, reader: Reader, part: Part<'_>) -> PlanResult<Vec<RecordBatch>> {
        let reader: Box<dyn AsyncFileReader> = reader;
        let schema = part.metadata.file_metadata().schema_descr();
        let roots = schema.root_schema().get_fields().iter().enumerate();
        let wanted =
            roots.filter(|(_, field)| self.projected.column_with_name(field.name()).is_some());
        let filled = wanted.map(|(root, _)| root).filter(|root| part.has_values(*root));
        let mask = ProjectionMask::roots(schema, filled);
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(part.metadata), ArrowReaderOptions::new())?;
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
            .with_projection(mask)
            .with_row_groups(vec![part.number])
            .with_row_selection_policy(RowSelectionPolicy::Selectors)
            .with_row_selection(part.selection)
            .build()?;
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        let typed = |batch: &RecordBatch| self.with_types(std::slice::from_ref(batch), part.file);
        batches.iter().map(typed).collect()
    }

    /// The columns of `parts`, which have the same rows, in order, with their types; those that were not read are null.
    fn with_types(&self, parts: &[RecordBatch], file: &DataFile) -> PlanResult<RecordBatch> {
        let rows = parts.first().map_or(0, RecordBatch::num_rows);
        let mut read = HashMap::new();
        for part in parts {
            let names = part.schema_ref().fields().iter().map(|field| field.name().as_str());
            read.extend(names.zip(part.columns()));
        }
        let column = |field: &FieldRef| -> PlanResult<ArrayRef> {
            match read.get(field.name().as_str()) {
                _ if field.name() == c::DATE => {
                    Ok(Arc::new(Date32Array::from_value(date_days(file.date), rows)))
                }
                Some(read) if read.data_type() == field.data_type() => Ok(Arc::clone(*read)),
                Some(read) => Ok(cast(*read, field.data_type())?),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        };
        let columns = self.projected.fields().iter().map(column).collect::<PlanResult<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.projected), columns)?)
    }
}

/// Those of the columns that lie in files, every other one: neighbours are much alike.
fn in_files(schema: &SchemaRef, half: usize) -> SchemaRef {
    let columns = schema.fields().iter().filter(|field| field.name() != c::DATE);
    Arc::new(Schema::new(columns.skip(half).step_by(2).map(Arc::clone).collect::<Vec<_>>()))
}

/// Rows of one row group.
struct Part<'a> {
    file: &'a DataFile,
    metadata: &'a Arc<ParquetMetaData>,
    number: usize,
    selection: RowSelection,
}

impl Part<'_> {
    /// False only where no selected row has a value in the column `root`, by the page index.
    fn has_values(&self, root: usize) -> bool {
        let schema = self.metadata.file_metadata().schema_descr();
        let mut leaves =
            (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == root);
        let (Some(leaf), None) = (leaves.next(), leaves.next()) else { return true };
        if schema.column(leaf).max_rep_level() > 0 {
            return true;
        }
        let group = self.metadata.row_group(self.number);
        let statistics = group.column(leaf).statistics();
        let nulls = statistics.and_then(|statistics| statistics.null_count_opt());
        if nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(group.num_rows())) {
            return false;
        }
        self.has_values_on_pages(leaf).unwrap_or(true)
    }

    fn has_values_on_pages(&self, leaf: usize) -> Option<bool> {
        let pages = self.metadata.offset_index()?.get(self.number)?.get(leaf)?.page_locations();
        let nulls = self.metadata.column_index()?.get(self.number)?.get(leaf)?.null_counts()?;
        let all = self.metadata.row_group(self.number).num_rows();
        let mut row = 0_i64;
        for RowSelector { row_count, skip } in self.selection.iter() {
            let until = row.saturating_add(i64::try_from(*row_count).ok()?);
            if !skip {
                let first =
                    pages.partition_point(|page| page.first_row_index <= row).checked_sub(1)?;
                let here = pages.iter().enumerate().skip(first);
                for (at, page) in here.take_while(|(_, page)| page.first_row_index < until) {
                    let next = pages.get(at + 1).map_or(all, |next| next.first_row_index);
                    if *nulls.get(at)? < next - page.first_row_index {
                        return Some(true);
                    }
                }
            }
            row = until;
        }
        Some(false)
    }
}
