//! `/api/v1/patches`: what people add to spans afterwards.
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Serialize;
use storage::TraceId;
use storage::patch::{Patch, Patches, What};

use super::parameters::Parameters;
use super::{Web, read_json, trace_id};
use crate::encode::timestamp;
use crate::routes::Parameter;
use crate::{Error, Result};

pub(crate) const PARAMETERS: &[Parameter] =
    &[Parameter { name: "trace_id", help: "only what is in force about this trace (or alias)" }];

/// Bodies that add one.
pub(crate) const EXAMPLES: &str = r#"{"kind": "note", "trace_id": "...", "span_id": "...", "text": "..."},
 {"kind": "alias", "trace_id": "...", "alias": "order 17"},
 {"kind": "correction", "trace_id": "...", "span_id": "...", "fields": {"status": "OK"}, "attributes": {"user.tier": "gold"}},
 {"kind": "rename", "service": "cart", "name": "cart.Get", "to": "Get"}, or {"kind": "retract", "patch": 4}"#;

/// A patch.
#[derive(Debug, Serialize)]
pub(crate) struct PatchRow {
    number: u64,
    at: String,
    #[serde(flatten)]
    what: What,
}

impl From<&Patch> for PatchRow {
    fn from(patch: &Patch) -> Self {
        let Patch { number, at_unix_nano, what } = patch;
        Self { number: *number, at: timestamp(*at_unix_nano), what: what.clone() }
    }
}

/// The trace that a user means: an id, or an alias.
pub(crate) fn trace_of(patches: &Patches, text: &str) -> Result<TraceId> {
    match (trace_id(text), patches.find(text)) {
        (Ok(id), _) | (Err(_), Some(id)) => Ok(id),
        (Err(_), None) => Err(Error::Invalid(
            "a trace id has 32 hexadecimal digits, and no trace has this alias".to_owned(),
        )),
    }
}

/// What is in force about a trace.
pub(crate) fn of_trace(patches: &Patches, trace: &TraceId) -> Vec<PatchRow> {
    patches.of_trace(trace).into_iter().map(PatchRow::from).collect()
}

/// All patches, also those taken back, by number; or those about one trace.
pub(crate) async fn list(
    State(shared): Web,
    parameters: Parameters,
) -> Result<Json<Vec<PatchRow>>> {
    let patches = &shared.web.store.snapshot().patches;
    let rows = match parameters.one("trace_id")? {
        Some(text) => of_trace(patches, &trace_of(patches, text)?),
        None => patches.all().iter().map(PatchRow::from).collect(),
    };
    Ok(Json(rows))
}

/// Adds a patch.
pub(crate) async fn add(State(shared): Web, body: Body) -> Result<Json<PatchRow>> {
    let what: What = read_json(body).await?;
    Ok(Json(PatchRow::from(&shared.web.store.patch(what).await?)))
}
