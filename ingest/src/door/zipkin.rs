//! `POST /api/v2/spans`: Zipkin's door, <https://zipkin.io/zipkin-api/#/default/post_spans>.
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use http::header::CONTENT_ENCODING;

use super::body::{self, Encoding, Limits};
use super::otlp_http::{content_length, media_type, set_retry_after};
use super::{Door, Ingest, Outcome};
use crate::decode::Format;
use crate::{Error, Result};

/// The route over `ingest`.
pub(super) fn router(ingest: Ingest) -> Router {
    Router::new().route("/api/v2/spans", post(spans)).with_state(ingest)
}

async fn spans(State(ingest): State<Ingest>, request: Request) -> Response {
    let outcome = take(&ingest, request).await;
    match ingest.counted(Door::Zipkin, outcome) {
        // Zipkin knows no partial success: refused spans are named in the body of the 202.
        Ok(outcome) => (StatusCode::ACCEPTED, outcome.message).into_response(),
        Err(error) => {
            let mut response = (error.status(), error.for_sender()).into_response();
            set_retry_after(response.headers_mut(), &error);
            response
        }
    }
}

async fn take(ingest: &Ingest, request: Request) -> Result<Outcome> {
    match media_type(request.headers()).as_str() {
        "" | "application/json" => {}
        other => return Err(Error::ZipkinContentType(other.to_owned())),
    }
    let encoding = Encoding::parse(request.headers().get(CONTENT_ENCODING))?;
    let announced = content_length(request.headers());
    let limits = Limits {
        bytes_max: ingest.config.zipkin_body_bytes_max,
        expansion_max: ingest.config.expansion_max,
    };
    let mut held = ingest.flight.hold()?;
    let body = body::read(request.into_body(), announced, limits.bytes_max, &mut held).await?;
    let taken = body::inflate(encoding, body, limits, held).await?;
    ingest.store_checked(Door::Zipkin, Format::ZipkinJson, taken, None).await
}
