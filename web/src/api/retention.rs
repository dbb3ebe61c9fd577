//! `/api/v1/retention`: what leaves the table, its plan, and the receipts of what went.
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Serialize;
use storage::retain::{KeptRollup, Loss, LossPart, Plan, Receipt, Staying};

use super::parameters::Parameters;
use super::policy::{ChangeText, PolicyText};
use super::{Web, read_json};
use crate::Result;
use crate::encode::timestamp;

/// What a drop removes.
#[derive(Debug, Serialize)]
pub(crate) struct LossRow {
    dates: Vec<String>,
    rows: u64,
    traces: u64,
    files: u64,
    bytes: u64,
    kept_traces: u64,
    kept_rows: u64,
    parts: Vec<PartRow>,
}

/// Files of one date and class.
#[derive(Debug, Serialize)]
struct PartRow {
    date: String,
    class: String,
    reason: String,
    rows: u64,
    files: u64,
    bytes: u64,
    rollups_until: Option<String>,
}

impl From<&LossPart> for PartRow {
    fn from(part: &LossPart) -> Self {
        Self {
            date: part.date.to_string(),
            class: part.class.clone(),
            reason: part.reason.clone(),
            rows: part.rows,
            files: part.files,
            bytes: part.bytes,
            rollups_until: part.rollups_until_unix_nano.map(timestamp),
        }
    }
}

impl From<&Loss> for LossRow {
    fn from(loss: &Loss) -> Self {
        Self {
            dates: loss.dates.iter().map(ToString::to_string).collect(),
            rows: loss.rows,
            traces: loss.traces,
            files: loss.files,
            bytes: loss.bytes,
            kept_traces: loss.kept.traces,
            kept_rows: loss.kept.rows,
            parts: loss.parts.iter().map(PartRow::from).collect(),
        }
    }
}

/// What would go, and what would stay.
#[derive(Debug, Serialize)]
pub(crate) struct PlanRow {
    #[serde(flatten)]
    loss: LossRow,
    stays: Vec<StayingRow>,
}

#[derive(Debug, Serialize)]
struct StayingRow {
    date: String,
    class: String,
    rows: u64,
    files: u64,
    bytes: u64,
    expires: Option<String>,
    why: String,
}

impl From<&Staying> for StayingRow {
    fn from(part: &Staying) -> Self {
        Self {
            date: part.date.to_string(),
            class: part.class.clone(),
            rows: part.rows,
            files: part.files,
            bytes: part.bytes,
            expires: part.expires_unix_nano.map(timestamp),
            why: part.why.clone(),
        }
    }
}

impl From<&Plan> for PlanRow {
    fn from(plan: &Plan) -> Self {
        let stays = plan.stays.iter().map(StayingRow::from).collect();
        Self { loss: LossRow::from(&plan.loss), stays }
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
    rollups: Vec<RollupRow>,
}

/// What stays of a date and class in figures.
#[derive(Debug, Serialize)]
struct RollupRow {
    date: String,
    class: String,
    rows: u64,
    bytes: u64,
    until: String,
}

impl From<&KeptRollup> for RollupRow {
    fn from(kept: &KeptRollup) -> Self {
        Self {
            date: kept.date.to_string(),
            class: kept.class.clone(),
            rows: kept.spans,
            bytes: kept.bytes,
            until: timestamp(kept.expires_unix_nano),
        }
    }
}

impl From<&Receipt> for ReceiptRow {
    fn from(receipt: &Receipt) -> Self {
        Self {
            at: timestamp(receipt.at_unix_nano),
            reason: receipt.reason.clone(),
            version: receipt.version,
            loss: LossRow::from(&receipt.loss),
            rollups: receipt.rollups.iter().map(RollupRow::from).collect(),
        }
    }
}

fn rows(receipts: &[Receipt]) -> Json<Vec<ReceiptRow>> {
    Json(receipts.iter().map(ReceiptRow::from).collect())
}

/// The policy in force.
pub(crate) async fn show(State(shared): Web) -> Json<PolicyText> {
    Json(PolicyText::from(&*shared.web.store.policy()))
}

/// Changes the policy; what is not given stays.
pub(crate) async fn set(State(shared): Web, body: Body) -> Result<Json<PolicyText>> {
    let change: ChangeText = read_json(body).await?;
    shared.web.store.set_policy(change.read()?).await?;
    Ok(Json(PolicyText::from(&*shared.web.store.policy())))
}

/// What the policy in force, or one with another ttl, would remove now.
pub(crate) async fn plan(State(shared): Web, parameters: Parameters) -> Result<Json<PlanRow>> {
    let change = ChangeText::of(&parameters)?;
    Ok(Json(PlanRow::from(&shared.web.store.plan(&change).await?)))
}

/// What the policy with a change would remove now.
pub(crate) async fn plan_change(State(shared): Web, body: Body) -> Result<Json<PlanRow>> {
    let change: ChangeText = read_json(body).await?;
    Ok(Json(PlanRow::from(&shared.web.store.plan(&change.read()?).await?)))
}

/// Applies the policy now; answers with the receipts.
pub(crate) async fn apply(State(shared): Web) -> Result<Json<Vec<ReceiptRow>>> {
    Ok(rows(&shared.web.store.apply_policy().await?))
}

/// Receipts of all removals, oldest first.
pub(crate) async fn receipts(State(shared): Web) -> Json<Vec<ReceiptRow>> {
    rows(&shared.web.store.receipts())
}
