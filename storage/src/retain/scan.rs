//! Reads single columns of data files, and the spans of single traces.
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use foldhash::fast::RandomState;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
#[expect(deprecated, reason = "see columns")]
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;

use crate::batch::SpanBatch;
use crate::compact::source::Source;
use crate::error::{Error, Result};
use crate::id::TraceId;
use crate::schema::{AttributeColumns, column};
use crate::snapshot::DataFile;

/// Distinct traces.
pub(crate) type Traces = HashSet<[u8; 16], RandomState>;

/// Calls `each` with the columns `wanted`, as far as the file has them, batch by batch.
///
/// # Errors
/// The file could not be read.
pub(super) async fn columns(
    store: Arc<dyn ObjectStore>,
    file: &DataFile,
    wanted: &[&str],
    mut each: impl FnMut(&RecordBatch) -> std::result::Result<(), ParquetError>,
) -> Result<()> {
    let read = async {
        #[expect(
            deprecated,
            reason = "its successor is an example to be copied; this one is maintained until then"
        )]
        let reader = ParquetObjectReader::new(store, Path::from(file.path.as_str()));
        // Azure cannot be asked for the end of an object of unknown size.
        let reader = reader.with_file_size(file.bytes);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
        let schema = builder.parquet_schema();
        let fields = schema.root_schema().get_fields().iter().enumerate();
        let places: Vec<usize> = fields
            .filter(|(_, field)| wanted.contains(&field.name()))
            .map(|(place, _)| place)
            .collect();
        let mask = ProjectionMask::roots(schema, places);
        let mut batches = builder.with_projection(mask).with_batch_size(65_536).build()?;
        while let Some(batch) = batches.try_next().await? {
            each(&batch)?;
        }
        Ok(())
    };
    let failed = |source| Error::Parquet { step: "read", path: file.path.clone(), source };
    read.await.map_err(failed)
}

/// The trace ids of a batch.
pub(super) fn ids(
    batch: &RecordBatch,
) -> std::result::Result<std::vec::IntoIter<[u8; 16]>, ParquetError> {
    let id = |id: Option<&[u8]>| id.and_then(|id| id.try_into().ok()).unwrap_or_default();
    let column = batch.column_by_name(column::TRACE_ID);
    let ids: Option<Vec<[u8; 16]>> = column.and_then(|column| {
        if let Some(ids) = column.as_fixed_size_binary_opt() {
            return Some(ids.iter().map(id).collect());
        }
        // As other engines write them.
        column.as_binary_opt::<i32>().map(|ids| ids.iter().map(id).collect())
    });
    ids.map(Vec::into_iter).ok_or_else(|| ParquetError::General("no trace ids".into()))
}

/// Adds the traces of `file` to `traces`.
///
/// # Errors
/// The file could not be read.
pub(super) async fn traces(
    store: Arc<dyn ObjectStore>,
    file: &DataFile,
    traces: &mut Traces,
) -> Result<()> {
    columns(store, file, &[column::TRACE_ID], |batch| {
        traces.extend(ids(batch)?);
        Ok(())
    })
    .await
}

/// False only where `file` certainly holds none of `traces`.
pub(super) fn may_hold(file: &DataFile, traces: &Traces) -> bool {
    !traces.is_empty() && traces.iter().any(|trace| file.may_hold_trace(&TraceId(*trace)))
}

/// The spans of `file` whose trace passes `wanted`, complete.
///
/// # Errors
/// The file is damaged, has columns that are not ours, or could not be read.
pub(super) async fn spans(
    store: Arc<dyn ObjectStore>,
    file: &Arc<DataFile>,
    attributes: &AttributeColumns,
    wanted: impl Fn(&[u8; 16]) -> bool,
) -> Result<Vec<Arc<SpanBatch>>> {
    let source = Source::open(store, file).await?;
    let mut found = Vec::new();
    for group in 0..source.groups() {
        found.extend(spans_of(&source, group, attributes, &wanted).await?);
    }
    Ok(found)
}

/// The same of one row group.
pub(super) async fn spans_of(
    source: &Source,
    group: usize,
    attributes: &AttributeColumns,
    wanted: impl Fn(&[u8; 16]) -> bool,
) -> Result<Vec<Arc<SpanBatch>>> {
    let failed = |source_error| Error::Parquet {
        step: "read",
        path: source.file.path.clone(),
        source: source_error,
    };
    let mut found = Vec::new();
    for batch in source.spans(group, &|_| true, None, attributes).await? {
        let records = batch.records();
        let keep: BooleanArray =
            ids(records).map_err(failed)?.map(|id| Some(wanted(&id))).collect();
        if keep.true_count() == keep.len() {
            found.push(batch);
        } else if keep.true_count() > 0 {
            let records =
                filter_record_batch(records, &keep).map_err(|error| failed(error.into()))?;
            found.push(Arc::new(SpanBatch::new(records, batch.rest().to_vec())));
        }
    }
    Ok(found)
}
