//! `POST /api/v1/sql`: one read-only statement, as text or as JSON with parameters.
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use query::ScalarValue;
use serde::Deserialize;
use serde_json::Value;

use super::answer::respond;
use super::parameters::Parameters;
use super::{Web, read};
use crate::{Error, Result};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    query: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// Runs the statement and streams its rows.
pub(crate) async fn sql(
    State(shared): Web,
    headers: HeaderMap,
    parameters: Parameters,
    body: Body,
) -> Result<Response> {
    parameters.format()?;
    let statement = parse(&headers, &read(body).await?)?;
    let params = statement.params.into_iter().map(scalar).collect::<Result<_>>()?;
    let answer = shared.web.engine.sql(&statement.query, params).await?;
    respond(&parameters, answer).await
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Statement> {
    let media_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let statement = if media_type.starts_with(b"application/json") {
        serde_json::from_slice(body).map_err(|error| {
            Error::Invalid(format!(
                "the body is not {{\"query\": \"...\", \"params\": [...]}}: {error}"
            ))
        })?
    } else {
        let query = std::str::from_utf8(body)
            .map_err(|_| Error::Invalid("the statement is not UTF-8".to_owned()))?;
        Statement { query: query.to_owned(), params: Vec::new() }
    };
    if statement.query.trim().is_empty() {
        return Err(Error::Invalid("the body is empty; send a SQL statement".to_owned()));
    }
    Ok(statement)
}

/// A JSON value as what fills `$1`.
fn scalar(value: Value) -> Result<ScalarValue> {
    match value {
        Value::Null => Ok(ScalarValue::Null),
        Value::Bool(value) => Ok(ScalarValue::Boolean(Some(value))),
        Value::String(value) => Ok(ScalarValue::Utf8(Some(value))),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(ScalarValue::Int64(Some(integer))),
            (None, Some(float)) => Ok(ScalarValue::Float64(Some(float))),
            (None, None) => Err(Error::Invalid(format!("the parameter {number} is too large"))),
        },
        Value::Array(_) | Value::Object(_) => Err(Error::Invalid(
            "parameters are texts, numbers, booleans or null, not arrays or objects".to_owned(),
        )),
    }
}
