//! Arrow IPC stream and Parquet. Views become plain texts, so that older readers understand them.
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Encode;

/// Whole batches of DataFusion's usual size: many small ones would make large answers.
const ROWS_A_PIECE: usize = 8_192;

pub(super) struct ArrowStream {
    schema: SchemaRef,
    writer: Option<StreamWriter<Vec<u8>>>,
}

impl ArrowStream {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { schema: plain_schema(schema), writer: None }
    }

    fn with(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut StreamWriter<Vec<u8>>) -> Result<(), ArrowError>,
    ) -> Result<(), ArrowError> {
        if let Some(writer) = &mut self.writer {
            write(writer)?;
            out.append(writer.get_mut());
        }
        Ok(())
    }
}

impl Encode for ArrowStream {
    fn rows_a_piece(&self, _columns: usize) -> usize {
        ROWS_A_PIECE
    }

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.writer = Some(StreamWriter::try_new(Vec::new(), &self.schema)?);
        self.with(out, |_| Ok(()))
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let batch = plain_batch(&self.schema, batch)?;
        self.with(out, |writer| writer.write(&batch))
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.with(out, StreamWriter::finish)
    }
}

/// A row group ends when its encoded bytes reach this.
const ROW_GROUP_BYTES: usize = 16 << 20;

pub(super) struct ParquetFile {
    schema: SchemaRef,
    written: Written,
    writer: Option<ArrowWriter<Written>>,
}

/// Where the Parquet writer writes and the stream reads.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn drain(&self, out: &mut Vec<u8>) {
        out.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ParquetFile {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { schema: plain_schema(schema), written: Written::default(), writer: None }
    }
}

impl Encode for ParquetFile {
    fn rows_a_piece(&self, _columns: usize) -> usize {
        ROWS_A_PIECE
    }

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_created_by("spanlake".to_owned())
            .build();
        let schema = SchemaRef::clone(&self.schema);
        self.writer = Some(ArrowWriter::try_new(self.written.clone(), schema, Some(properties))?);
        self.written.drain(out);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let batch = plain_batch(&self.schema, batch)?;
        if let Some(writer) = &mut self.writer {
            writer.write(&batch)?;
            if writer.in_progress_size() >= ROW_GROUP_BYTES {
                writer.flush()?;
            }
        }
        self.written.drain(out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if let Some(writer) = self.writer.take() {
            writer.close()?;
        }
        self.written.drain(out);
        Ok(())
    }
}

pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let kind = plain_type(field.data_type());
    Arc::new(Field::clone(field).with_data_type(kind))
}

fn plain_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(field) => DataType::List(plain_field(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}

pub(crate) fn plain_batch(
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let fields = schema.fields().iter().zip(batch.columns());
    let columns = fields.map(|(field, column)| cast(column, field.data_type()));
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)
}
