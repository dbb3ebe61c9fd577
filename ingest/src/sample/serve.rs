//! The door on port 5778: Jaeger's remote sampling, for SDKs with a sampler that asks.
//!
//! `GET /sampling?service=NAME` (also `/api/sampling`, and `/` with the type as a number, as the oldest clients have it),
//! and over gRPC `jaeger.api_v2.SamplingManager/GetSamplingStrategy`, which is what Java's SDK speaks.
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};

use super::Sampler;
use super::strategy::Type;
use crate::decode::wire::{Field, Fields};

/// A request names one service.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Compressed flag and length before a gRPC message.
const PREFIX_BYTES: usize = 5;
/// gRPC's `INVALID_ARGUMENT` and `UNIMPLEMENTED`.
const INVALID: u16 = 3;
const UNIMPLEMENTED: u16 = 12;

impl Sampler {
    /// The routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(oldest))
            .route("/sampling", get(strategy))
            .route("/api/sampling", get(strategy))
            .route("/jaeger.api_v2.SamplingManager/GetSamplingStrategy", post(grpc))
            .with_state(self.clone())
    }
}

type Pairs = Query<Vec<(String, String)>>;

async fn strategy(State(sampler): State<Sampler>, query: Pairs) -> Response {
    answer(&sampler, &query, Type::Name)
}

async fn oldest(State(sampler): State<Sampler>, query: Pairs) -> Response {
    answer(&sampler, &query, Type::Number)
}

fn answer(sampler: &Sampler, query: &Pairs, strategy_type: Type) -> Response {
    let mut services = query.iter().filter(|(name, _)| name == "service");
    let (Some((_, service)), None) = (services.next(), services.next()) else {
        let words = "name the service once: /sampling?service=NAME\n";
        return (StatusCode::BAD_REQUEST, words).into_response();
    };
    let json = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, json)], sampler.strategy(service).json(strategy_type)).into_response()
}

async fn grpc(State(sampler): State<Sampler>, request: Request) -> Response {
    let Ok(body) = axum::body::to_bytes(request.into_body(), REQUEST_BYTES_MAX).await else {
        return failure(INVALID, "the request is too long");
    };
    let Some(&[compressed, a, b, c, d]) = body.first_chunk::<PREFIX_BYTES>() else {
        return failure(INVALID, "the request message is missing");
    };
    let message = &body[PREFIX_BYTES..];
    if compressed != 0 {
        return failure(UNIMPLEMENTED, "send the request without compression");
    }
    if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
        return failure(INVALID, "the call must carry exactly one message");
    }
    match service_name(message) {
        Some(service) => success(&sampler.strategy(&service).protobuf()),
        None => failure(INVALID, "the request is no SamplingStrategyParameters"),
    }
}

/// `SamplingStrategyParameters.serviceName`.
fn service_name(message: &[u8]) -> Option<String> {
    let mut fields = Fields::new(message);
    let mut name = Some(String::new());
    while let Some(field) = fields.next().ok()? {
        if let (1, Field::Bytes(bytes)) = field {
            name = String::from_utf8(bytes.to_vec()).ok();
        }
    }
    name
}

fn success(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let framed = [&[0], &length.to_be_bytes()[..], message].concat();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A response without a message: all is in the headers.
fn failure(code: u16, words: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(code));
    headers.insert("grpc-message", HeaderValue::from_static(words));
    response
}

#[cfg(test)]
mod tests;
