//! Reads data files back as batches, strings as dictionaries.
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use object_store::ObjectStore;
use parquet::errors::ParquetError;

use super::rest;
use super::source::Source;
use crate::batch::SpanBatch;
use crate::error::Result;
use crate::schema::{AttributeColumns, fixed_fields};
use crate::snapshot::DataFile;

/// All spans of `file`, after a look at its checksum.
///
/// # Errors
/// [`Error::Corrupt`](crate::Error::Corrupt) or [`Error::Parquet`](crate::Error::Parquet) where the file is damaged, or has
/// columns that are not ours.
pub(crate) async fn read(
    store: Arc<dyn ObjectStore>,
    file: &Arc<DataFile>,
    attributes: &AttributeColumns,
) -> Result<Vec<Arc<SpanBatch>>> {
    let source = Source::open(store, file).await?;
    let mut batches = Vec::new();
    for group in 0..source.groups() {
        batches.extend(source.spans(group, &|_| true, None, attributes).await?);
    }
    Ok(batches)
}

/// A stored batch as spans: columns that it lacks are null.
pub(super) fn to_spans(
    batch: &RecordBatch,
    attributes: &AttributeColumns,
) -> std::result::Result<Arc<SpanBatch>, ParquetError> {
    let batch = complete(batch)?;
    let rest = rest::count(&batch, attributes);
    Ok(Arc::new(SpanBatch::new(batch, rest)))
}

/// The stored columns with the types that they have in memory.
pub(super) fn in_memory(
    stored: &Schema,
    schema: &Schema,
) -> std::result::Result<SchemaRef, ParquetError> {
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
