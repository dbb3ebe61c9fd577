//! `TraceService/Export`: OTLP over gRPC, <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>.
//!
//! One unary method needs of gRPC only its framing, so that is written out here: a body is then read under the same
//! limits (bytes in flight, expansion) as at the other doors, and never becomes a message struct.
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};

use super::body::Encoding;
use super::intake::{Intake, Parcel};
use super::otlp_http::media_type;
use super::{Door, Ingest, Outcome, answer};
use crate::decode::Format;
use crate::{Error, Result};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// gRPC's code for what does not exist here.
const UNIMPLEMENTED: u64 = 12;

/// The service over `ingest`; every other path is answered with gRPC's `UNIMPLEMENTED`.
pub(super) fn router(ingest: Ingest) -> Router {
    Router::new().route(PATH, post(export)).fallback(unknown).with_state(ingest)
}

async fn unknown() -> Response {
    let words = "only opentelemetry.proto.collector.trace.v1.TraceService/Export lives here";
    failure(UNIMPLEMENTED, words)
}

async fn export(State(ingest): State<Ingest>, request: Request) -> Response {
    let kind = media_type(request.headers());
    if kind != "application/grpc" && kind != "application/grpc+proto" {
        let mut response = Response::new(Body::from("send application/grpc"));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let mut intake = Intake::new(&ingest, Door::OtlpGrpc, request.headers());
    let parcel = parcel(&ingest, request.headers());
    let outcome = intake.receive(parcel, request.into_body()).await;
    match intake.counted(outcome) {
        Ok(outcome) => success(&outcome),
        Err(error @ Error::ContentEncoding(_)) => failure(UNIMPLEMENTED, &error.to_string()),
        Err(error) => {
            let mut response = failure(error.grpc_code(), &error.for_sender());
            if let Some(after) = error.retry_after() {
                let headers = response.headers_mut();
                let details = answer::status_protobuf(&error, Some(after));
                insert_binary(headers, "grpc-status-details-bin", &details);
                // Where Python's exporter looks for it.
                insert_binary(headers, "google.rpc.retryinfo-bin", &answer::retry_info(after));
            }
            response
        }
    }
}

fn parcel(ingest: &Ingest, headers: &HeaderMap) -> Result<Parcel> {
    let encoding = Encoding::parse(headers.get("grpc-encoding"))?;
    let limits = ingest.otlp_limits();
    Ok(Parcel { format: Format::OtlpProtobuf, encoding, limits, framed: true })
}

fn success(outcome: &Outcome) -> Response {
    let message = answer::response_protobuf(outcome);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    set_common(response.headers_mut());
    response
}

/// A response without a message: all is in the headers.
fn failure(code: u64, words: &str) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    set_common(headers);
    headers.insert("grpc-status", HeaderValue::from(code));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(words)) {
        headers.insert("grpc-message", message);
    }
    response
}

/// gRPC's form of bytes in a header.
fn insert_binary(headers: &mut HeaderMap, name: &'static str, bytes: &[u8]) {
    if let Ok(value) = HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes)) {
        headers.insert(name, value);
    }
}

fn set_common(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd"));
}

/// gRPC's form of a message in a header: bytes outside printable ASCII as `%XX`.
fn percent_encoded(words: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(words.len());
    for byte in words.bytes().take(1 << 10) {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    encoded
}
