//! `POST /v1/traces`: OTLP over HTTP, <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::body::{self, Encoding, Limits};
use super::{Door, Ingest, Outcome, answer};
use crate::decode::Format;
use crate::{Error, Result};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The route over `ingest`.
pub(super) fn router(ingest: Ingest) -> Router {
    Router::new().route("/v1/traces", post(export)).with_state(ingest)
}

async fn export(State(ingest): State<Ingest>, request: Request) -> Response {
    // What cannot be read as a type of ours is answered in JSON, which people can read.
    let format = format(request.headers());
    let shape = *format.as_ref().unwrap_or(&Format::OtlpJson);
    let outcome = match format {
        Ok(format) => take(&ingest, format, request).await,
        Err(error) => Err(error),
    };
    match ingest.counted(Door::OtlpHttp, outcome) {
        Ok(outcome) => success(shape, &outcome),
        Err(error) => failure(shape, &error),
    }
}

async fn take(ingest: &Ingest, format: Format, request: Request) -> Result<Outcome> {
    let encoding = Encoding::parse(request.headers().get(CONTENT_ENCODING))?;
    let announced = content_length(request.headers());
    let limits = Limits {
        bytes_max: ingest.config.otlp_body_bytes_max,
        expansion_max: ingest.config.expansion_max,
    };
    let mut held = ingest.flight.hold()?;
    let body = body::read(request.into_body(), announced, limits.bytes_max, &mut held).await?;
    let taken = body::inflate(encoding, body, limits, held).await?;
    ingest.store_checked(Door::OtlpHttp, format, taken, None).await
}

/// The length that the sender announced.
pub(super) fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The media type of the body without parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let media_type = value.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase().chars().take(64).collect()
}

fn format(headers: &HeaderMap) -> Result<Format> {
    match media_type(headers) {
        kind if kind == PROTOBUF => Ok(Format::OtlpProtobuf),
        kind if kind == JSON => Ok(Format::OtlpJson),
        other => Err(Error::ContentType(other)),
    }
}

fn success(format: Format, outcome: &Outcome) -> Response {
    match format {
        Format::OtlpProtobuf => {
            respond(StatusCode::OK, PROTOBUF, answer::response_protobuf(outcome))
        }
        _ => respond(StatusCode::OK, JSON, answer::response_json(outcome)),
    }
}

fn failure(format: Format, error: &Error) -> Response {
    let mut response = match format {
        Format::OtlpProtobuf => respond(error.status(), PROTOBUF, answer::status_protobuf(error)),
        _ => respond(error.status(), JSON, answer::status_json(error)),
    };
    set_retry_after(response.headers_mut(), error);
    response
}

/// Sets `Retry-After` where trying again makes sense.
pub(super) fn set_retry_after(headers: &mut HeaderMap, error: &Error) {
    if let Some(after) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
