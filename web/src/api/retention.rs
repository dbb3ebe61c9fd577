//! `GET` and `PUT /api/v1/retention`, its plan, and the receipts of what went.
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use storage::retain::{Loss, Receipt, Ttl};

use super::parameters::{Parameters, parse_duration};
use super::{Web, read_json};
use crate::encode::timestamp;
use crate::{Error, Result};

/// The rule in force.
#[derive(Debug, Serialize)]
pub(crate) struct Rule {
    ttl: Option<String>,
    ttl_seconds: Option<u64>,
    by_command: bool,
}

impl From<Ttl> for Rule {
    fn from(ttl: Ttl) -> Self {
        Self {
            ttl: ttl.duration.map(print_duration),
            ttl_seconds: ttl.duration.map(|duration| duration.as_secs()),
            by_command: ttl.by_command,
        }
    }
}

/// What a drop removes.
#[derive(Debug, Serialize)]
pub(crate) struct LossRow {
    dates: Vec<String>,
    rows: u64,
    traces: u64,
    files: u64,
    bytes: u64,
}

impl From<&Loss> for LossRow {
    fn from(loss: &Loss) -> Self {
        Self {
            dates: loss.dates.iter().map(ToString::to_string).collect(),
            rows: loss.rows,
            traces: loss.traces,
            files: loss.files,
            bytes: loss.bytes,
        }
    }
}

/// A receipt.
#[derive(Debug, Serialize)]
pub(crate) struct ReceiptRow {
    at: String,
    reason: String,
    version: Option<u64>,
    #[serde(flatten)]
    loss: LossRow,
}

impl From<&Receipt> for ReceiptRow {
    fn from(receipt: &Receipt) -> Self {
        Self {
            at: timestamp(receipt.at_unix_nano),
            reason: receipt.reason.clone(),
            version: receipt.version,
            loss: LossRow::from(&receipt.loss),
        }
    }
}

/// The TTL in force.
pub(crate) async fn show(State(shared): Web) -> Json<Rule> {
    Json(Rule::from(shared.web.store.ttl()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Must be there: leaving it out by mistake must not keep everything.
    #[serde(deserialize_with = "Option::deserialize")]
    ttl: Option<String>,
}

/// Sets the TTL; `null` keeps everything.
pub(crate) async fn set(State(shared): Web, body: Body) -> Result<Json<Rule>> {
    let Change { ttl } = read_json(body).await?;
    let ttl = ttl.as_deref().map(duration).transpose()?;
    shared.web.store.set_ttl(ttl).await?;
    Ok(Json(Rule::from(shared.web.store.ttl())))
}

/// What a TTL (by default the one in force) would remove now.
pub(crate) async fn plan(State(shared): Web, parameters: Parameters) -> Result<Json<LossRow>> {
    let ttl = match parameters.one("ttl")? {
        None => shared.web.store.ttl().duration,
        Some("never") => None,
        Some(text) => Some(duration(text)?),
    };
    Ok(Json(LossRow::from(&shared.web.store.plan_ttl(ttl).await?)))
}

/// Receipts of all drops, oldest first.
pub(crate) async fn receipts(State(shared): Web) -> Result<Json<Vec<ReceiptRow>>> {
    let receipts = shared.web.store.receipts().await?;
    Ok(Json(receipts.iter().map(ReceiptRow::from).collect()))
}

fn duration(text: &str) -> Result<Duration> {
    parse_duration(text).ok_or_else(|| {
        Error::Invalid(format!("a ttl is a duration such as 36h, 7d or 4w, not {text:?}"))
    })
}

/// `7d`, `36h`, `90s`: the largest unit that divides it.
fn print_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}
