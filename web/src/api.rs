//! The routes under `/api/v1`: parameters -> query or storage -> answer.
pub(crate) mod answer;
pub(crate) mod checks;
pub(crate) mod deletion;
pub(crate) mod health;
pub(crate) mod literal;
pub(crate) mod parameters;
pub(crate) mod partitions;
pub(crate) mod patches;
pub(crate) mod pins;
pub(crate) mod policy;
pub(crate) mod questions;
pub(crate) mod retention;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod trace;
pub(crate) mod traces;
pub(crate) mod tree;
pub(crate) mod views;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use bytes::Bytes;

use crate::state::Shared;
use crate::{Error, Result};

/// The state as handlers take it.
pub(crate) type Web = axum::extract::State<Arc<Shared>>;

/// Body of any request.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// A trace id as users write it.
pub(crate) fn trace_id(text: &str) -> Result<storage::TraceId> {
    text.parse().map_err(|_| Error::Invalid("a trace id has 32 hexadecimal digits".to_owned()))
}

/// Reads a whole body.
pub(crate) async fn read(body: Body) -> Result<Bytes> {
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        let is_length = std::error::Error::source(&error)
            .is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        if is_length {
            Error::TooLarge { limit_bytes: BODY_BYTES_MAX }
        } else {
            Error::Invalid("the body broke off".to_owned())
        }
    })
}

/// Reads a body of JSON.
pub(crate) async fn read_json<T: serde::de::DeserializeOwned>(body: Body) -> Result<T> {
    serde_json::from_slice(&read(body).await?).map_err(|error| {
        Error::Invalid(format!("the body is not the JSON that is needed: {error}"))
    })
}
