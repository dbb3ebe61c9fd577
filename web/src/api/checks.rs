//! `POST /api/v1/checks`: what has to be true of every trace -> one row a check. The language: docs/checks.md.
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use query::CheckFile;
use storage::TimeRange;

use super::answer::respond;
use super::parameters::Parameters;
use super::{Web, read_json};
use crate::routes::Parameter;
use crate::{Error, Result};

/// What the route takes.
pub(crate) const PARAMETERS: &[Parameter] = &[crate::routes::FROM, crate::routes::TO];

/// A body.
pub(crate) const EXAMPLE: &str = "{\"check\": [{\"name\": \"a hit needs no database\", \
    \"when\": \"attributes['cache.hit'] = true\", \"below\": \"attributes['db.system.name'] IS NOT NULL\", \
    \"at_most\": 0}]}";

/// Tests the checks of the body.
pub(crate) async fn check(
    State(shared): Web,
    parameters: Parameters,
    body: Body,
) -> Result<Response> {
    parameters.format()?;
    let now = shared.web.clock.now_unix_nano();
    let range = TimeRange {
        from: parameters.time("from", now)?.unwrap_or(i64::MIN),
        until: parameters.time("to", now)?.unwrap_or(i64::MAX),
    };
    let file: CheckFile = read_json(body).await?;
    let checks = file.checks().map_err(Error::Invalid)?;
    respond(&parameters, shared.web.engine.check(checks, range).await?).await
}
