//! `POST /api/v2/spans`: Zipkin's door, <https://zipkin.io/zipkin-api/#/default/post_spans>.
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode, Version};

use super::body::{Encoding, Limits};
use super::intake::{Intake, Parcel};
use super::otlp_http::{media_type, set_connection, set_retry_after};
use super::{Door, Ingest};
use crate::decode::Format;
use crate::{Error, Result};

/// The route over `ingest`.
pub(super) fn router(ingest: Ingest) -> Router {
    Router::new().route("/api/v2/spans", post(spans)).with_state(ingest)
}

async fn spans(State(ingest): State<Ingest>, request: Request) -> Response {
    let mut intake = Intake::new(&ingest, Door::Zipkin, request.headers());
    let parcel = parcel(&ingest, request.headers());
    let close = request.version() < Version::HTTP_2;
    let outcome = intake.receive(parcel, request.into_body()).await;
    match intake.counted(outcome) {
        Ok(outcome) => (StatusCode::ACCEPTED, outcome.message).into_response(),
        Err(error) => {
            let mut response = (error.status(), error.for_sender()).into_response();
            set_retry_after(response.headers_mut(), error.retry_after());
            set_connection(response.headers_mut(), intake.unread && close);
            response
        }
    }
}

fn parcel(ingest: &Ingest, headers: &HeaderMap) -> Result<Parcel> {
    let format = match media_type(headers).as_str() {
        "" | "application/json" => Format::ZipkinJson,
        "application/x-protobuf" => Format::ZipkinProtobuf,
        other => return Err(Error::ZipkinContentType(other.to_owned())),
    };
    let encoding = Encoding::parse(headers.get(CONTENT_ENCODING))?;
    let limits = Limits {
        bytes_max: ingest.config.zipkin_body_bytes_max,
        expansion_max: ingest.config.expansion_max,
    };
    Ok(Parcel { format, encoding, limits, framed: false })
}
