//! Encodes sorted Parquet files, a column at a time, columns in parallel.
//!
//! The settings are those that measured smallest and fastest for files sorted by service, name and start; each has
//! its figure in docs/format.md#file.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions,
    compute_leaves,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::schema::column;

/// Rows of a row group at most.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 20;
/// Rows of a page at most: what a lookup of one trace has to decode.
const PAGE_ROWS: usize = 20_000;
const PAGE_BYTES: usize = 1 << 20;
/// Trace ids of a million spans fit, so that all pages use the dictionary (10.3 -> 2.0 bytes a span).
const TRACE_DICTIONARY_BYTES: usize = 8 << 20;
/// More threads than this would only wait for the few wide columns.
const THREADS_MAX: usize = 4;

/// Makes a whole column when its turn comes, so that few are in memory at a time.
pub(crate) type LoadColumn<'a> =
    Box<dyn FnOnce() -> std::result::Result<ArrayRef, ArrowError> + Send + 'a>;

/// One column of all files.
pub(crate) struct Column<'a> {
    pub(crate) field: FieldRef,
    pub(crate) load: LoadColumn<'a>,
}

/// One file to be written: which rows of the columns, in which order.
#[derive(Debug)]
pub(crate) struct FileRows {
    /// Row numbers; each of at most [`ROW_GROUP_ROWS`].
    pub(crate) row_groups: Vec<UInt32Array>,
    /// Distinct traces in them, for the size of the bloom filter.
    pub(crate) traces: u64,
}

/// A finished file.
#[derive(Debug)]
pub(crate) struct EncodedFile {
    pub(crate) bytes: Bytes,
    pub(crate) metadata: ParquetMetaData,
}

/// Encodes `files` from `columns`.
pub(crate) fn encode(columns: Vec<Column<'_>>, files: &[FileRows]) -> Result<Vec<EncodedFile>> {
    let fields: Vec<FieldRef> = columns.iter().map(|column| Arc::clone(&column.field)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut writers = Vec::with_capacity(files.len());
    for file in files {
        writers.push(open(&schema, file)?);
    }
    let jobs = jobs(columns, files, &writers)?;
    let mut chunks = run(&jobs)?;
    let mut encoded = Vec::with_capacity(files.len());
    for (index, (writer, _)) in writers.into_iter().enumerate() {
        let groups: Vec<_> =
            chunks.iter_mut().map(|column| std::mem::take(&mut column[index])).collect();
        encoded.push(assemble(writer, groups, files[index].row_groups.len())?);
    }
    Ok(encoded)
}

type FileWriter = SerializedFileWriter<Vec<u8>>;

fn open(schema: &Arc<Schema>, file: &FileRows) -> Result<(FileWriter, ArrowRowGroupWriterFactory)> {
    let options = ArrowWriterOptions::new()
        .with_properties(properties(schema, file.traces))
        .with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(schema), options)?
        .into_serialized_writer()
}

/// Settings for files with `schema`.
pub(crate) fn properties(schema: &Schema, traces: u64) -> WriterProperties {
    let path = |name: &str| ColumnPath::from(name);
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(concat!("spanlake ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns(Some(sorting_columns(schema)))
        .set_column_dictionary_page_size_limit(path(column::TRACE_ID), TRACE_DICTIONARY_BYTES)
        .set_column_bloom_filter_enabled(path(column::TRACE_ID), true)
        .set_column_bloom_filter_fpp(path(column::TRACE_ID), 0.01)
        .set_column_bloom_filter_max_ndv(path(column::TRACE_ID), traces.max(1))
        .set_column_compression(path(column::SPAN_ID), Compression::UNCOMPRESSED)
        .set_column_statistics_enabled(path(column::SPAN_ID), EnabledStatistics::None);
    for (name, encoding) in [
        (column::SPAN_ID, Encoding::PLAIN),
        (column::PARENT_SPAN_ID, Encoding::PLAIN),
        (column::START, Encoding::DELTA_BINARY_PACKED),
        (column::DURATION, Encoding::DELTA_BINARY_PACKED),
        (column::ATTRIBUTES, Encoding::PLAIN),
    ] {
        builder = builder
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), encoding);
    }
    for name in [column::PARENT_SPAN_ID, column::ATTRIBUTES, column::RESOURCE] {
        builder = builder.set_column_statistics_enabled(path(name), EnabledStatistics::None);
    }
    builder.build()
}

/// Service, name, start: what every file is sorted by.
fn sorting_columns(schema: &Schema) -> Vec<SortingColumn> {
    let mut leaf = 0;
    let mut sorting = Vec::new();
    for field in schema.fields() {
        if [column::SERVICE, column::NAME, column::START].contains(&field.name().as_str()) {
            let place = i32::try_from(leaf).unwrap_or(i32::MAX);
            sorting.push((field.name().clone(), place));
        }
        leaf += leaves(field.data_type());
    }
    // The start lies before service and name among the columns, but sorts after them.
    sorting.sort_by_key(|(name, place)| (name == column::START, *place));
    sorting
        .into_iter()
        .map(|(_, column_idx)| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect()
}

/// Parquet columns of one Arrow column.
fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(element) => leaves(element.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        _ => 1,
    }
}

/// The writers of one column for one row group.
struct GroupJob<'a> {
    rows: &'a UInt32Array,
    writers: Vec<ArrowColumnWriter>,
}

struct ColumnJob<'a> {
    column: Column<'a>,
    /// By file, then row group.
    files: Vec<Vec<GroupJob<'a>>>,
}

fn jobs<'a>(
    columns: Vec<Column<'a>>,
    files: &'a [FileRows],
    writers: &[(FileWriter, ArrowRowGroupWriterFactory)],
) -> Result<Vec<Mutex<Option<ColumnJob<'a>>>>> {
    let mut jobs: Vec<ColumnJob<'a>> =
        columns.into_iter().map(|column| ColumnJob { column, files: Vec::new() }).collect();
    for (file, (_, factory)) in files.iter().zip(writers) {
        for job in &mut jobs {
            job.files.push(Vec::new());
        }
        for (index, rows) in file.row_groups.iter().enumerate() {
            let mut leaf_writers = factory.create_column_writers(index)?.into_iter();
            for job in &mut jobs {
                let count = leaves(job.column.field.data_type());
                let writers = leaf_writers.by_ref().take(count).collect();
                if let Some(groups) = job.files.last_mut() {
                    groups.push(GroupJob { rows, writers });
                }
            }
        }
    }
    Ok(jobs.into_iter().map(|job| Mutex::new(Some(job))).collect())
}

/// Chunks of one column: by file, row group and leaf.
type ColumnChunks = Vec<Vec<Vec<ArrowColumnChunk>>>;

/// Works through the jobs on a few threads; the results are in the order of the jobs.
fn run(jobs: &[Mutex<Option<ColumnJob<'_>>>]) -> Result<Vec<ColumnChunks>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<ColumnChunks>>>> =
        jobs.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { break };
            let job = job.lock().unwrap_or_else(PoisonError::into_inner).take();
            let result = job.map(encode_column);
            *results[index].lock().unwrap_or_else(PoisonError::into_inner) = result;
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let missing = || Err(ParquetError::General("a column was not encoded".into()));
    results
        .into_iter()
        .map(|result| {
            result.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(missing)
        })
        .collect()
}

fn encode_column(job: ColumnJob<'_>) -> Result<ColumnChunks> {
    let array = (job.column.load)()?;
    let mut files = Vec::with_capacity(job.files.len());
    for groups in job.files {
        let mut chunks = Vec::with_capacity(groups.len());
        for group in groups {
            chunks.push(encode_group(&job.column.field, &array, group)?);
        }
        files.push(chunks);
    }
    Ok(files)
}

fn encode_group(
    field: &FieldRef,
    array: &ArrayRef,
    group: GroupJob<'_>,
) -> Result<Vec<ArrowColumnChunk>> {
    let sorted = arrow::compute::take(array, group.rows, None)?;
    let mut writers = group.writers;
    for (writer, leaf) in writers.iter_mut().zip(compute_leaves(field, &sorted)?) {
        writer.write(&leaf)?;
    }
    writers.into_iter().map(ArrowColumnWriter::close).collect()
}

/// Puts the chunks (by column, row group, leaf) together.
fn assemble(
    mut writer: FileWriter,
    columns: Vec<Vec<Vec<ArrowColumnChunk>>>,
    row_groups: usize,
) -> Result<EncodedFile> {
    let mut columns: Vec<_> = columns.into_iter().map(IntoIterator::into_iter).collect();
    for _ in 0..row_groups {
        let mut row_group = writer.next_row_group()?;
        for groups in &mut columns {
            for chunk in groups.next().unwrap_or_default() {
                chunk.append_to_row_group(&mut row_group)?;
            }
        }
        row_group.close()?;
    }
    let metadata = writer.finish()?;
    let bytes = std::mem::take(writer.inner_mut());
    Ok(EncodedFile { bytes: bytes.into(), metadata })
}
