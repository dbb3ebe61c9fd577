//! Reads data files back as batches, strings as dictionaries.
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::rest;
use crate::batch::SpanBatch;
use crate::error::{Error, Result};
use crate::schema::{AttributeColumns, fixed_fields};
use crate::snapshot::DataFile;

/// Rows of one batch.
const BATCH_ROWS: usize = 64 << 10;

/// All spans of `file`, after a look at its checksum.
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Parquet`] where the file is damaged, or has columns that are not ours.
pub(crate) async fn read(
    store: &dyn ObjectStore,
    file: &DataFile,
    attributes: &Arc<AttributeColumns>,
) -> Result<Vec<Arc<SpanBatch>>> {
    let bytes = file.read_checked(store).await?;
    let (attributes, path) = (Arc::clone(attributes), file.path.clone());
    let decode = move || decode(bytes, &attributes);
    let decoded = tokio::task::spawn_blocking(decode).await;
    let decoded = decoded.map_err(|error| Error::Table { step: "read", source: error.into() })?;
    decoded.map_err(|source| Error::Parquet { step: "read", path, source })
}

fn decode(
    bytes: Bytes,
    attributes: &AttributeColumns,
) -> std::result::Result<Vec<Arc<SpanBatch>>, ParquetError> {
    let stored = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?;
    let wanted = in_memory(stored.schema(), &attributes.schema())?;
    let options = ArrowReaderOptions::new().with_schema(wanted);
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(stored.metadata()), options)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
        .with_batch_size(BATCH_ROWS)
        .build()?;
    let batches = reader.map(|batch| {
        let batch = complete(&batch?)?;
        let rest = rest::count(&batch, attributes);
        Ok(Arc::new(SpanBatch::new(batch, rest)))
    });
    batches.collect()
}

/// The stored columns with the types that they have in memory.
fn in_memory(stored: &Schema, schema: &Schema) -> std::result::Result<SchemaRef, ParquetError> {
    let mut fields = Vec::with_capacity(stored.fields().len());
    for field in stored.fields() {
        let Ok(known) = schema.field_with_name(field.name()) else {
            return Err(ParquetError::General(format!("there is no column {}", field.name())));
        };
        let wanted = match known.data_type() {
            DataType::Dictionary(_, _) => known.data_type(),
            _ => field.data_type(),
        };
        fields.push(Field::new(field.name(), wanted.clone(), field.is_nullable()));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// All fixed columns in order, those that the file lacks as nulls; then its attribute columns.
fn complete(batch: &RecordBatch) -> std::result::Result<RecordBatch, ParquetError> {
    let fixed = fixed_fields();
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for field in &fixed {
        arrays.push(match batch.column_by_name(field.name()) {
            Some(array) => Arc::clone(array),
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
        fields.push(Arc::clone(field));
    }
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if !fixed.iter().any(|fixed| fixed.name() == field.name()) {
            fields.push(Arc::clone(field));
            arrays.push(Arc::clone(array));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
