//! Rows of files by their place, with some stored columns: one by one where they are few, by the stock reader otherwise.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{
    Array, ArrayRef, Date32Array, FixedSizeBinaryBuilder, RecordBatch, RecordBatchOptions,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use hashbrown::HashMap;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelectionPolicy, RowSelector,
};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::ParquetMetaData;
use storage::schema::column as c;
use storage::{DataFile, TraceId};
use tokio::task::JoinError;

use super::files::partitioned;
use super::known::Known;
use super::pick::dictionaries::Dictionaries;
use super::pick::{Filled, Pick, filled};
use super::prune::date_days;
use super::reader::{Reader, Readers};

/// More rows of a row group than this are read in one go.
const PICKED_ROWS_MAX: usize = 20_000;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Picker {
    readers: Arc<Readers>,
    known: Arc<Known>,
    metrics: ExecutionPlanMetricsSet,
    /// What is read, with the types that readers see.
    projected: SchemaRef,
    /// Those of the columns that are read.
    in_files: SchemaRef,
    /// Of which all rows are.
    trace: Option<TraceId>,
}

impl Picker {
    /// Reads the columns of `projected`, a part of the stored ones.
    pub(super) fn new(readers: Arc<Readers>, known: Arc<Known>, projected: SchemaRef) -> Self {
        let in_files = in_files(&projected, None);
        let metrics = ExecutionPlanMetricsSet::new();
        Self { readers, known, metrics, projected, in_files, trace: None }
    }

    /// The same for rows that are all of `trace`: its id is not read again for each.
    pub(super) fn of_trace(self, trace: TraceId) -> Self {
        let in_files = in_files(&self.projected, Some(trace));
        Self { in_files, trace: Some(trace), ..self }
    }

    /// What is known of dictionaries.
    pub(super) fn dictionaries(&self) -> &Dictionaries {
        &self.known.dictionaries
    }

    /// The same, which counts what it reads.
    pub(super) fn with_metrics(self, metrics: ExecutionPlanMetricsSet) -> Self {
        Self { metrics, ..self }
    }

    /// What is read.
    pub(super) fn projected(&self) -> &SchemaRef {
        &self.projected
    }

    /// Opens a file.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub(super) async fn open(
        &self,
        file: &Arc<DataFile>,
    ) -> Result<(Reader, Arc<ParquetMetaData>)> {
        let mut reader = self.reader(file)?;
        let metadata = reader.get_metadata(None).await?;
        Ok((reader, metadata))
    }

    fn reader(&self, file: &Arc<DataFile>) -> Result<Reader> {
        self.readers.create_reader(0, partitioned(file), None, &self.metrics)
    }

    /// The rows at `rows`, which rise, of a row group.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn rows(
        &self,
        file: &Arc<DataFile>,
        (metadata, group): (&Arc<ParquetMetaData>, usize),
        rows: Vec<usize>,
    ) -> Result<Vec<RecordBatch>> {
        if rows.len() <= PICKED_ROWS_MAX
            && let Some(picked) = self.picked(file, (metadata, group), rows.clone()).await?
        {
            return Ok(vec![picked]);
        }
        let all = usize::try_from(metadata.row_group(group).num_rows()).unwrap_or(0);
        let ranges = rows.into_iter().map(|row| row..row + 1);
        let selection = RowSelection::from_consecutive_ranges(ranges, all);
        self.read(Part { file, metadata, number: group, selection }).await
    }

    /// Some rows of a row group, one by one; `None` where the stock reader has to read them. Two threads share the columns.
    async fn picked(
        &self,
        file: &Arc<DataFile>,
        (metadata, group): (&Arc<ParquetMetaData>, usize),
        rows: Vec<usize>,
    ) -> Result<Option<RecordBatch>> {
        let filled = filled(metadata, group, &self.in_files);
        let (count, portions) = (rows.len(), portions(filled, self.readers.is_near()));
        let is_little = portions.len() < 2;
        let (file, metadata) = (Arc::clone(file), Arc::clone(metadata));
        let own = self.clone();
        let next = AtomicUsize::new(0);
        let work = Arc::new(Work { own, file, metadata, group, rows, portions, next });
        let mut read = HashMap::new();
        if is_little {
            let Some(columns) = work.read().await? else { return Ok(None) };
            read.extend(columns.into_iter().map(named));
            return self.with_types((&read, count), &work.file).map(Some);
        }
        // Both are tasks: what one task starts and waits for, no other thread takes from it.
        let both = [0, 1].map(|_| {
            let work = Arc::clone(&work);
            SpawnedTask::spawn(async move { work.read().await })
        });
        for part in both {
            let Some(columns) = part.join().await.map_err(lost)?? else { return Ok(None) };
            read.extend(columns.into_iter().map(named));
        }
        self.with_types((&read, count), &work.file).map(Some)
    }

    async fn read(&self, part: Part<'_>) -> Result<Vec<RecordBatch>> {
        let reader: Box<dyn AsyncFileReader> = self.reader(part.file)?;
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
        let typed = |batch: &RecordBatch| {
            let fields = batch.schema_ref().fields().iter().map(Arc::clone);
            let read = fields.zip(batch.columns().iter().map(Arc::clone)).map(named).collect();
            self.with_types((&read, batch.num_rows()), part.file)
        };
        batches.iter().map(typed).collect()
    }

    /// The columns in order, with their types, of `read`, which have so many rows; those that were not read are null.
    fn with_types(
        &self,
        (read, rows): (&HashMap<String, ArrayRef>, usize),
        file: &DataFile,
    ) -> Result<RecordBatch> {
        let column = |field: &FieldRef| -> Result<ArrayRef> {
            match read.get(field.name().as_str()) {
                _ if field.name() == c::DATE => {
                    Ok(Arc::new(Date32Array::from_value(date_days(file.date), rows)))
                }
                None if let Some(trace) = self.trace
                    && field.name() == c::TRACE_ID =>
                {
                    let mut ids = FixedSizeBinaryBuilder::with_capacity(rows, 16);
                    (0..rows).try_for_each(|_| ids.append_value(trace.0))?;
                    Ok(Arc::new(ids.finish()))
                }
                Some(read) if read.data_type() == field.data_type() => Ok(Arc::clone(read)),
                Some(read) => Ok(cast(read, field.data_type())?),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        };
        let columns = self.projected.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.projected), columns, &options)?)
    }
}

/// The error where work on another thread ended without an answer.
pub(super) fn lost(error: JoinError) -> DataFusionError {
    DataFusionError::ExecutionJoin(Box::new(error))
}

fn named((field, array): (FieldRef, ArrayRef)) -> (String, ArrayRef) {
    (field.name().clone(), array)
}

/// Those of the columns that are read.
fn in_files(schema: &SchemaRef, trace: Option<TraceId>) -> SchemaRef {
    let is_told = |name: &str| name == c::DATE || (trace.is_some() && name == c::TRACE_ID);
    let columns = schema.fields().iter().filter(|field| !is_told(field.name()));
    Arc::new(Schema::new(columns.map(Arc::clone).collect::<Vec<_>>()))
}

/// What is read at a time. Where each read is a request to a distant store, two halves that cost about the same: neighbours
/// are much alike. Otherwise single columns, for whoever is free, lists first, which take longest.
fn portions(filled: Vec<Filled>, is_near: bool) -> Vec<Vec<Filled>> {
    if filled.is_empty() {
        return Vec::new();
    }
    if is_near {
        let (lists, others): (Vec<_>, Vec<_>) =
            filled.into_iter().partition(|(field, _)| field.data_type().is_nested());
        return lists.into_iter().chain(others).map(|column| vec![column]).collect();
    }
    let mut halves = vec![Vec::new(), Vec::new()];
    for (place, column) in filled.into_iter().enumerate() {
        halves[place % 2].push(column);
    }
    halves
}

/// Rows of one row group that several threads read.
struct Work {
    own: Picker,
    file: Arc<DataFile>,
    metadata: Arc<ParquetMetaData>,
    group: usize,
    rows: Vec<usize>,
    portions: Vec<Vec<Filled>>,
    /// The portion that nobody has begun.
    next: AtomicUsize,
}

impl Work {
    /// The columns of one portion after the other, as long as there are some; `None` where the stock reader has to read one.
    async fn read(&self) -> Result<Option<Vec<(FieldRef, ArrayRef)>>> {
        let Self { own, file, metadata, .. } = self;
        let pick = Pick {
            open: &|| own.reader(file),
            open_pages: &|| own.readers.pages_of(file, &own.metrics),
            metadata,
            group: self.group,
            rows: self.rows.clone(),
            path: file.path.as_str().into(),
            dictionaries: &own.known.dictionaries,
        };
        let reader = &mut (pick.open_pages)()?;
        let mut made = Vec::new();
        while let Some(portion) = self.portions.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let Some(columns) = pick.arrays(reader, portion).await? else { return Ok(None) };
            made.extend(columns);
        }
        Ok(Some(made))
    }
}

/// Rows of one row group.
struct Part<'a> {
    file: &'a Arc<DataFile>,
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
