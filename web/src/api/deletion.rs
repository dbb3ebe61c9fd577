//! `POST /api/v1/delete`: whole traces, for good.
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use storage::retain::Selection;

use super::retention::ReceiptRow;
use super::{Web, read_json, trace_id};
use crate::{Error, Result};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    traces: Vec<String>,
    attribute: Option<Attribute>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    now: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    key: String,
    value: String,
}

/// What was deleted, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Deleted {
    #[serde(flatten)]
    receipt: ReceiptRow,
    dry_run: bool,
    /// The old files are gone, too; else they go after the grace.
    vacuumed: bool,
}

/// Deletes traces by id or by an attribute.
pub(crate) async fn delete(State(shared): Web, body: Body) -> Result<Json<Deleted>> {
    let Wanted { traces, attribute, dry_run, now } = read_json(body).await?;
    let selection = match (traces.as_slice(), attribute) {
        ([], Some(Attribute { key, value })) if !key.is_empty() => {
            Selection::Attribute { key, value }
        }
        ([_, ..], None) => {
            Selection::Traces(traces.iter().map(|text| trace_id(text)).collect::<Result<_>>()?)
        }
        _ => {
            return Err(Error::Invalid(
                "say either traces, a list of ids, or attribute, with key and value".to_owned(),
            ));
        }
    };
    let store = &shared.web.store;
    if dry_run {
        let receipt = ReceiptRow::from(&store.plan_deletion(&selection).await?);
        return Ok(Json(Deleted { receipt, dry_run, vacuumed: false }));
    }
    let deletion = store.delete(&selection, now).await?;
    let receipt = ReceiptRow::from(&deletion.receipt);
    Ok(Json(Deleted { receipt, dry_run, vacuumed: deletion.vacuumed }))
}
