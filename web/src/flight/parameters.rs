//! Values of a prepared statement: one row of Arrow, sent by DoPut, kept in the statement's handle.
use std::io::Cursor;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use query::ScalarValue;

use super::grpc::Status;
use super::messages::FlightData;

/// IPC's sign that a length follows, and how lengths are padded.
const CONTINUATION: [u8; 4] = [0xff; 4];
const PADDING: usize = 8;

/// The messages of a DoPut as one IPC stream.
pub(super) fn stream_of(messages: &[FlightData]) -> Bytes {
    let mut stream = Vec::new();
    for message in messages.iter().filter(|message| !message.data_header.is_empty()) {
        let padded = message.data_header.len().next_multiple_of(PADDING);
        stream.extend_from_slice(&CONTINUATION);
        stream.extend_from_slice(&u32::try_from(padded).unwrap_or(u32::MAX).to_le_bytes());
        stream.extend_from_slice(&message.data_header);
        stream.resize(stream.len() + padded - message.data_header.len(), 0);
        stream.extend_from_slice(&message.data_body);
    }
    stream.into()
}

/// The values in such a stream: its one row; none where the stream is empty.
pub(super) fn values(stream: &Bytes) -> Result<Vec<ScalarValue>, Status> {
    if stream.is_empty() {
        return Ok(Vec::new());
    }
    let broken = |error: &dyn std::fmt::Display| Status::invalid(format!("parameters: {error}"));
    let reader = StreamReader::try_new(Cursor::new(stream), None).map_err(|e| broken(&e))?;
    let batches: Vec<RecordBatch> =
        reader.collect::<Result<_, _>>().map_err(|error| broken(&error))?;
    let filled: Vec<_> = batches.iter().filter(|batch| batch.num_rows() > 0).collect();
    let [batch] = filled[..] else {
        return Err(Status::invalid("bind one row of parameters"));
    };
    if batch.num_rows() != 1 {
        let rows = batch.num_rows();
        return Err(Status::invalid(format!("{rows} rows of parameters; bind one and ask again")));
    }
    let value =
        |column: &ArrayRef| ScalarValue::try_from_array(column, 0).map_err(|error| broken(&error));
    batch.columns().iter().map(value).collect()
}
