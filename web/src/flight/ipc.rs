//! Arrow IPC messages, the payload of Flight.
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
    write_message,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use query::Answer;

use super::grpc::Status;
use super::messages::FlightData;
use crate::encode::binary;

/// Clients take messages of 4 MiB at least; rows are cut so that one stays well below.
const MESSAGE_BYTES: usize = 1 << 20;

/// A schema as FlightInfo and the like have it: a whole IPC message.
pub(super) fn schema_message(schema: &Schema) -> Result<Bytes, ArrowError> {
    let mut bytes = Vec::new();
    write_message(&mut bytes, encoded(schema), &IpcWriteOptions::default())?;
    Ok(bytes.into())
}

/// The same of an answer's schema, after its views became plain.
pub(super) fn answer_schema(schema: &SchemaRef) -> Result<Bytes, ArrowError> {
    schema_message(&plain(schema))
}

/// `schema` without views and dictionaries, which not all clients know.
fn plain(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, values) => {
            Arc::new(Field::clone(field).with_data_type(values.as_ref().clone()))
        }
        _ => Arc::clone(field),
    });
    let fields: Vec<_> = fields.collect();
    binary::plain_schema(&Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn encoded(schema: &Schema) -> EncodedData {
    let mut tracker = DictionaryTracker::new(false);
    IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
        schema,
        &mut tracker,
        &IpcWriteOptions::default(),
    )
}

fn flight_data(encoded: EncodedData) -> FlightData {
    FlightData {
        data_header: encoded.ipc_message.into(),
        data_body: encoded.arrow_data.into(),
        ..FlightData::default()
    }
}

/// An answer on its way.
struct Work {
    answer: Answer,
    schema: SchemaRef,
    ready: VecDeque<Result<FlightData, Status>>,
    is_over: bool,
}

/// The messages of an answer: its schema, then its rows as they come.
pub(super) fn stream(answer: Answer) -> BoxStream<'static, Result<FlightData, Status>> {
    let schema = plain(&answer.schema);
    let ready = VecDeque::from([Ok(flight_data(encoded(&schema)))]);
    let work = Work { answer, schema, ready, is_over: false };
    stream::unfold(work, |mut work| async move {
        while work.ready.is_empty() && !work.is_over {
            match work.answer.batches.next().await {
                Some(Ok(batch)) => {
                    if let Err(error) = append(&mut work, &batch) {
                        work.fail(error.into());
                    }
                }
                Some(Err(error)) => work.fail(error.into()),
                None => work.is_over = true,
            }
        }
        Some((work.ready.pop_front()?, work))
    })
    .boxed()
}

impl Work {
    fn fail(&mut self, status: Status) {
        self.ready.push_back(Err(status));
        self.is_over = true;
    }
}

/// The messages of one batch.
fn append(work: &mut Work, batch: &RecordBatch) -> Result<(), ArrowError> {
    let batch = binary::plain_batch(&work.schema, batch)?;
    let messages = (batch.get_array_memory_size() / MESSAGE_BYTES).max(1);
    let rows = batch.num_rows().div_ceil(messages).max(1);
    let options = IpcWriteOptions::default();
    for from in (0..batch.num_rows()).step_by(rows) {
        let piece = batch.slice(from, rows.min(batch.num_rows() - from));
        let mut tracker = DictionaryTracker::new(false);
        let mut context = IpcWriteContext::default();
        let (_, rows) =
            IpcDataGenerator::default().encode(&piece, &mut tracker, &options, &mut context)?;
        work.ready.push_back(Ok(flight_data(rows)));
    }
    Ok(())
}
