//! Why a request was refused, and the one table of statuses for this door.
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use storage::Kind;

use crate::safety;

/// Result of a route.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter or the body is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// The path has other methods.
    #[error("this path does not take the method {0}; see /api/v1/openapi.json")]
    Method(String),
    /// The body exceeds a limit.
    #[error("the body exceeds {limit_bytes} bytes")]
    TooLarge {
        /// The limit it exceeds.
        limit_bytes: usize,
    },
    /// A token is needed, and there is none or it is not valid.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The token is valid but its role does not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// Too many wrong tokens came from that address.
    #[error("too many wrong tokens from this address; try again in {} s", retry_after.as_secs())]
    TooManyAttempts {
        /// When the next attempt is taken.
        retry_after: Duration,
    },
    /// Too many do this at once.
    #[error("{0}")]
    Crowded(String),
    /// The server ends.
    #[error("the server is shutting down")]
    Ending,
    /// The request names a host that is not ours.
    #[error("this server does not answer for the host {0:?}; add it to the configured host names")]
    Misdirected(String),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// Storage refused.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The file of tokens could not be read or written.
    #[error("{step} {path}")]
    Tokens {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A mistake of ours.
    #[error("{0}")]
    Internal(String),
}

/// The body of every error answer.
#[derive(Debug, Serialize)]
pub(crate) struct Refusal {
    error: Words,
}

#[derive(Debug, Serialize)]
struct Words {
    kind: &'static str,
    message: String,
    request_id: String,
}

impl Error {
    /// The status and its name in `error.kind`.
    pub fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid(_) => of_kind(Kind::Invalid),
            Self::NotFound(_) => of_kind(Kind::NotFound),
            Self::TooLarge { .. } => of_kind(Kind::TooLarge),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::TooManyAttempts { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::Crowded(_) => of_kind(Kind::Busy),
            Self::Ending => of_kind(Kind::Unavailable),
            Self::Misdirected(_) => (StatusCode::MISDIRECTED_REQUEST, "misdirected"),
            Self::Query(error) => of_kind(error.kind),
            Self::Storage(error) => of_kind(error.kind()),
            Self::Tokens { .. } => of_kind(Kind::Unavailable),
            Self::Internal(_) => of_kind(Kind::Internal),
        }
    }

    /// What the user reads: never a path on the server's disk, a plan or a chain of causes.
    pub fn message(&self) -> String {
        match self {
            Self::Storage(error) => match error.kind() {
                Kind::Invalid | Kind::Busy => error.to_string(),
                kind => hidden(kind).to_owned(),
            },
            Self::Tokens { .. } => "the file of tokens cannot be used; see the log".to_owned(),
            Self::Internal(_) => hidden(Kind::Internal).to_owned(),
            other => other.to_string(),
        }
    }

    /// The JSON object for an answer (or the last line of a stream) to the request `request_id`.
    pub(crate) fn refusal(&self, request_id: &str) -> Refusal {
        let (_, kind) = self.status();
        Refusal {
            error: Words { kind, message: self.message(), request_id: request_id.to_owned() },
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyAttempts { retry_after }
            | Self::Storage(storage::Error::WalFull { retry_after, .. }) => Some(*retry_after),
            Self::Query(error) if error.kind == Kind::Busy => Some(Duration::from_secs(1)),
            Self::Crowded(_) => Some(Duration::from_secs(5)),
            _ if self.status().0 == StatusCode::SERVICE_UNAVAILABLE => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    /// Writes the whole chain to the log, once, where the error ends.
    pub(crate) fn log(&self, request_id: &str) {
        let (status, kind) = self.status();
        if status.is_server_error() {
            let chain = chain(self);
            tracing::error!(request_id, kind, chain, "request failed");
        } else {
            tracing::debug!(request_id, kind, message = %self, "request refused");
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let request_id = safety::request_id();
        self.log(&request_id);
        let (status, _) = self.status();
        let mut response = (status, Json(self.refusal(&request_id))).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"spanlake\"");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

fn of_kind(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Kind::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Kind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed_out"),
        Kind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// What is said where the true words would name files.
fn hidden(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "a stored file is missing; see the log by the request id",
        Kind::Unavailable => "storage is not available now; see the log by the request id",
        Kind::TimedOut => "storage took too long; try again",
        Kind::Corrupt => "stored bytes are damaged; the log names the file by the request id",
        _ => "the server made a mistake; the log has it by the request id",
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
