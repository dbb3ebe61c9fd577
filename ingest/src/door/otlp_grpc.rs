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

use super::body::{self, Encoding, Limits};
use super::otlp_http::{content_length, media_type};
use super::{Door, Ingest, Outcome, answer};
use crate::decode::Format;
use crate::{Error, Result};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// Compressed flag and length before each message.
const PREFIX_BYTES: usize = 5;
/// gRPC's code for what does not exist here.
const UNIMPLEMENTED: u64 = 12;

/// The service over `ingest`; every other path is answered with gRPC's `UNIMPLEMENTED`.
pub(super) fn router(ingest: Ingest) -> Router {
    Router::new().route(PATH, post(export)).fallback(unknown).with_state(ingest)
}

async fn unknown() -> Response {
    let words = "only opentelemetry.proto.collector.trace.v1.TraceService/Export lives here";
    failure(UNIMPLEMENTED, words, None)
}

async fn export(State(ingest): State<Ingest>, request: Request) -> Response {
    let kind = media_type(request.headers());
    if kind != "application/grpc" && kind != "application/grpc+proto" {
        let mut response = Response::new(Body::from("send application/grpc"));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let outcome = take(&ingest, request).await;
    match ingest.counted(Door::OtlpGrpc, outcome) {
        Ok(outcome) => success(&outcome),
        Err(error @ Error::ContentEncoding(_)) => failure(UNIMPLEMENTED, &error.to_string(), None),
        Err(error) => {
            let details = error.retry_after().map(|_| answer::status_protobuf(&error));
            failure(error.grpc_code(), &error.for_sender(), details)
        }
    }
}

async fn take(ingest: &Ingest, request: Request) -> Result<Outcome> {
    let encoding = Encoding::parse(request.headers().get("grpc-encoding"))?;
    let announced = content_length(request.headers());
    let limits = Limits {
        bytes_max: ingest.config.otlp_body_bytes_max,
        expansion_max: ingest.config.expansion_max,
    };
    let mut held = ingest.flight.hold()?;
    let bytes_max = limits.bytes_max.saturating_add(PREFIX_BYTES);
    let mut body = body::read(request.into_body(), announced, bytes_max, &mut held).await?;
    let encoding = if remove_prefix(&mut body)? { encoding } else { Encoding::Identity };
    let taken = body::inflate(encoding, body, limits, held).await?;
    ingest.store_checked(Door::OtlpGrpc, Format::OtlpProtobuf, taken, None).await
}

/// Takes the prefix off the one message that the body must hold; true where the message is compressed.
fn remove_prefix(body: &mut Vec<u8>) -> Result<bool> {
    let Some(&[flag, a, b, c, d]) = body.first_chunk::<PREFIX_BYTES>() else {
        return Err(Error::Malformed("gRPC: the request message is missing".to_owned()));
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if flag > 1 || length != body.len() - PREFIX_BYTES {
        return Err(Error::Malformed("gRPC: the call must carry exactly one message".to_owned()));
    }
    body.drain(..PREFIX_BYTES);
    Ok(flag == 1)
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
fn failure(code: u64, words: &str, details: Option<Vec<u8>>) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    set_common(headers);
    headers.insert("grpc-status", HeaderValue::from(code));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(words)) {
        headers.insert("grpc-message", message);
    }
    let details = details.map(|details| STANDARD_NO_PAD.encode(details));
    if let Some(Ok(details)) = details.map(HeaderValue::try_from) {
        headers.insert("grpc-status-details-bin", details);
    }
    response
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
