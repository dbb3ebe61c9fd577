//! `POST /v1/traces`: OTLP over HTTP, <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::body::Encoding;
use super::intake::{Intake, Parcel};
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
    let mut intake = Intake::new(&ingest, Door::OtlpHttp, request.headers());
    let parcel = format.and_then(|format| parcel(&ingest, format, request.headers()));
    let close = request.version() < Version::HTTP_2;
    let outcome = intake.receive(parcel, request.into_body()).await;
    match intake.counted(outcome) {
        Ok(outcome) => success(shape, &outcome),
        Err(error) => {
            let mut response = failure(shape, &error);
            set_connection(response.headers_mut(), intake.unread && close);
            response
        }
    }
}

fn parcel(ingest: &Ingest, format: Format, headers: &HeaderMap) -> Result<Parcel> {
    let encoding = Encoding::parse(headers.get(CONTENT_ENCODING))?;
    Ok(Parcel { format, encoding, limits: ingest.otlp_limits(), framed: false })
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
    let (status, after) = (error.status(), error.retry_after());
    let mut response = match format {
        Format::OtlpProtobuf => respond(status, PROTOBUF, answer::status_protobuf(error, after)),
        _ => respond(status, JSON, answer::status_json(error, after)),
    };
    set_retry_after(response.headers_mut(), after);
    response
}

/// Sets `Retry-After` where trying again makes sense.
pub(super) fn set_retry_after(headers: &mut HeaderMap, after: Option<Duration>) {
    if let Some(after) = after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
}

/// Says that the connection ends with this answer.
pub(super) fn set_connection(headers: &mut HeaderMap, close: bool) {
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
