//! `/api/v1/pins`: traces that no drop removes.
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use storage::TraceId;
use storage::retain::pins::Pin;

use super::{Web, read_json, trace_id};
use crate::encode::timestamp;
use crate::{Error, Result};

/// A pin.
#[derive(Debug, Serialize)]
pub(crate) struct PinRow {
    trace_id: String,
    at: String,
    note: String,
}

impl From<Pin> for PinRow {
    fn from(pin: Pin) -> Self {
        Self { trace_id: pin.trace_id, at: timestamp(pin.at_unix_nano), note: pin.note }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPin {
    trace_id: String,
    #[serde(default)]
    note: String,
}

/// All pins, oldest first.
pub(crate) async fn list(State(shared): Web) -> Result<Json<Vec<PinRow>>> {
    let pins = shared.web.store.pins().await?;
    Ok(Json(pins.into_iter().map(PinRow::from).collect()))
}

/// Pins a trace.
pub(crate) async fn pin(State(shared): Web, body: Body) -> Result<Json<PinRow>> {
    let NewPin { trace_id: text, note } = read_json(body).await?;
    let trace: TraceId = trace_id(&text)?;
    Ok(Json(PinRow::from(shared.web.store.pin(&trace, &note).await?)))
}

/// Answer to an unpinning.
#[derive(Debug, Serialize)]
pub(crate) struct Unpinned {
    trace_id: String,
}

/// Unpins a trace.
pub(crate) async fn unpin(State(shared): Web, Path(text): Path<String>) -> Result<Json<Unpinned>> {
    let trace = trace_id(&text)?;
    if !shared.web.store.unpin(&trace).await? {
        return Err(Error::NotFound(format!("the trace {trace} is not pinned")));
    }
    Ok(Json(Unpinned { trace_id: trace.to_string() }))
}
