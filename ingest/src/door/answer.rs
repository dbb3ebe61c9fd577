//! Answers in the words of OTLP: `ExportTraceServiceResponse` and `google.rpc.Status`, as protobuf and as JSON.
use std::time::Duration;

use super::Outcome;
use crate::Error;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
/// A message of this size at most goes back; the rest is in the log.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// `ExportTraceServiceResponse { partial_success { rejected_spans, error_message } }` in protobuf.
pub(super) fn response_protobuf(outcome: &Outcome) -> Vec<u8> {
    if outcome.rejected_spans == 0 {
        return Vec::new();
    }
    let mut partial = Vec::new();
    number(&mut partial, 1, outcome.rejected_spans);
    bytes(&mut partial, 2, short(&outcome.message).as_bytes());
    let mut response = Vec::new();
    bytes(&mut response, 1, &partial);
    response
}

/// The same in JSON; 64-bit numbers are strings there.
pub(super) fn response_json(outcome: &Outcome) -> Vec<u8> {
    if outcome.rejected_spans == 0 {
        return b"{}".to_vec();
    }
    let partial = serde_json::json!({
        "partialSuccess": {
            "rejectedSpans": outcome.rejected_spans.to_string(),
            "errorMessage": short(&outcome.message),
        }
    });
    partial.to_string().into_bytes()
}

/// `google.rpc.Status { code, message, details }` in protobuf; `after` is when to try again, which may be random: asked for once.
pub(super) fn status_protobuf(error: &Error, after: Option<Duration>) -> Vec<u8> {
    let mut status = Vec::new();
    number(&mut status, 1, error.grpc_code());
    bytes(&mut status, 2, short(&error.for_sender()).as_bytes());
    if let Some(after) = after {
        bytes(&mut status, 3, &any_retry_info(after));
    }
    status
}

/// The same in JSON.
pub(super) fn status_json(error: &Error, after: Option<Duration>) -> Vec<u8> {
    let mut status =
        serde_json::json!({"code": error.grpc_code(), "message": short(&error.for_sender())});
    if let Some(after) = after {
        let delay = format!("{:.3}s", after.as_secs_f64());
        status["details"] = serde_json::json!([{"@type": RETRY_INFO, "retryDelay": delay}]);
    }
    status.to_string().into_bytes()
}

/// `google.rpc.RetryInfo { retry_delay { seconds, nanos } }`.
pub(super) fn retry_info(after: Duration) -> Vec<u8> {
    let mut delay = Vec::new();
    number(&mut delay, 1, after.as_secs());
    number(&mut delay, 2, u64::from(after.subsec_nanos()));
    let mut info = Vec::new();
    bytes(&mut info, 1, &delay);
    info
}

/// It as a `google.protobuf.Any`.
fn any_retry_info(after: Duration) -> Vec<u8> {
    let mut any = Vec::new();
    bytes(&mut any, 1, RETRY_INFO.as_bytes());
    bytes(&mut any, 2, &retry_info(after));
    any
}

fn short(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
