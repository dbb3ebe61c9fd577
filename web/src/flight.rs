//! Arrow Flight SQL: the door for ADBC, JDBC and other Arrow clients. It only reads.
//!
//! ```text
//! POST /arrow.flight.protocol.FlightService/X -> grpc (frames) -> auth -> service (commands) -> query::Engine
//! FlightData <- ipc (Arrow IPC messages)                                                     <- Answer
//! ```
//! <https://arrow.apache.org/docs/format/FlightSql.html>. The frames and the few messages are written out here: the
//! ready-made server changes the features of half the dependencies (docs/decisions/0013-sql-doors-by-hand.md). Nothing
//! is kept between two calls: a ticket carries its statement, and a prepared statement's handle its values as well.
mod grpc;
mod ipc;
mod messages;
mod metadata;
mod parameters;
mod service;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::post;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use query::Engine;

use self::grpc::Status;
use crate::{Auth, Role};

/// Go's client leaves the padding out.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the handlers work with.
struct Shared {
    engine: Engine,
    auth: Auth,
    version: &'static str,
}

/// The door to `engine`; `auth` says who may enter.
pub fn router(engine: Engine, auth: Auth, version: &'static str) -> Router {
    let shared = Arc::new(Shared { engine, auth, version });
    Router::new()
        .route("/arrow.flight.protocol.FlightService/{method}", post(call))
        .fallback(|| async { Status::unimplemented("only FlightService lives here").response() })
        .with_state(shared)
}

async fn call(
    State(shared): State<Arc<Shared>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = grpc::check(&parts.headers) {
        return refusal;
    }
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let headers = bearer(parts.headers);
    if let Err(error) = shared.auth.check(Role::Query, &headers, peer) {
        return Status::from(error).response();
    }
    let answer = match method.as_str() {
        "Handshake" => Ok(greet(&headers)),
        _ => answer(&shared, &method, body).await,
    };
    answer.unwrap_or_else(|status| status.response())
}

async fn answer(shared: &Shared, method: &str, body: Body) -> Result<Response, Status> {
    match method {
        "GetFlightInfo" => {
            let descriptor = grpc::message(body).await?;
            Ok(grpc::one(&service::info(shared, descriptor).await?))
        }
        "GetSchema" => {
            let descriptor = grpc::message(body).await?;
            let schema = service::info(shared, descriptor).await?.schema;
            Ok(grpc::one(&messages::SchemaResult { schema }))
        }
        "DoGet" => service::get(shared, grpc::message(body).await?).await,
        "DoPut" => Ok(grpc::one(&service::put(shared, grpc::messages(body).await?).await?)),
        "DoAction" => service::act(shared, grpc::message(body).await?).await,
        "ListActions" => Ok(grpc::many(&service::actions())),
        other => Err(Status::unimplemented(format!("{other} is not there"))),
    }
}

/// Clients that know user and password only send the token as the password; the handshake tells them what to send later.
fn bearer(mut headers: HeaderMap) -> HeaderMap {
    let password = || {
        let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, pair) = basic.split_once(' ')?;
        let pair = String::from_utf8(BASIC.decode(pair.trim()).ok()?).ok()?;
        let (_, password) = pair.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| password.to_owned())
    };
    if let Some(password) = password()
        && let Ok(value) = HeaderValue::try_from(format!("Bearer {password}"))
    {
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

/// The answer to a handshake: the header that further calls carry.
fn greet(headers: &HeaderMap) -> Response {
    let mut response = grpc::one(&messages::HandshakeResponse::default());
    if let Some(token) = headers.get(header::AUTHORIZATION) {
        response.headers_mut().insert(header::AUTHORIZATION, token.clone());
    }
    response
}
