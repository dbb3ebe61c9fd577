//! `GET /api/v1/status`: what the overview page shows about the server itself.
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storage::metrics::Metric;
use storage::time::NANOS_PER_SECOND;

use super::Web;
use crate::encode::timestamp;
use crate::state::Shared;

/// The whole answer.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    started: String,
    uptime_seconds: i64,
    ready: bool,
    /// Why it is not ready.
    reason: Option<String>,
    ingest: Ingest,
    table: Table,
    /// Figures by name, without their prefix `spanlake_wal_`.
    wal: BTreeMap<&'static str, f64>,
    /// Likewise `spanlake_query_`.
    query: BTreeMap<&'static str, f64>,
}

#[derive(Debug, Serialize)]
struct Ingest {
    /// Over the last seconds; null at the first look.
    spans_per_second: Option<f64>,
    spans: f64,
    rejected_spans: f64,
    /// By reason.
    refused: BTreeMap<String, f64>,
    /// Every figure by name, without its prefix `spanlake_ingest_`, labels added up.
    totals: BTreeMap<&'static str, f64>,
}

#[derive(Debug, Serialize)]
struct Table {
    version: u64,
    files: usize,
    bytes: u64,
    rows: u64,
    hot_rows: u64,
}

pub(crate) async fn status(State(shared): Web) -> Json<Status> {
    let metrics = shared.metrics();
    let now = shared.web.clock.now_unix_nano();
    let ready = shared.web.store.ready();
    Json(Status {
        version: shared.web.version,
        started: timestamp(shared.started_unix_nano),
        uptime_seconds: (now - shared.started_unix_nano).max(0) / NANOS_PER_SECOND,
        ready: ready.is_ok(),
        reason: ready.err(),
        ingest: ingest(&shared, &metrics),
        table: table(&shared),
        wal: group(&metrics, "spanlake_wal_"),
        query: group(&metrics, "spanlake_query_"),
    })
}

fn table(shared: &Shared) -> Table {
    let snapshot = shared.web.store.snapshot();
    let hot: usize = snapshot.hot.iter().map(|batch| batch.rows()).sum();
    Table {
        version: snapshot.version.0,
        files: snapshot.files.len(),
        bytes: snapshot.files.iter().map(|file| file.bytes).sum(),
        rows: snapshot.rows(),
        hot_rows: hot as u64,
    }
}

fn ingest(shared: &Shared, metrics: &[Metric]) -> Ingest {
    let totals = group(metrics, "spanlake_ingest_");
    let total = |name: &str| totals.get(name).copied().unwrap_or(0.0);
    let spans = total("spans_total");
    Ingest {
        spans_per_second: shared.rate(spans),
        spans,
        rejected_spans: total("refused_spans_total"),
        refused: by_reason(metrics),
        totals,
    }
}

/// Refusals by their label `reason`: requests refused as a whole, else the spans refused one by one.
fn by_reason(metrics: &[Metric]) -> BTreeMap<String, f64> {
    let mut reasons = BTreeMap::new();
    for name in ["spanlake_ingest_refused_spans_total", "spanlake_ingest_refused_requests_total"] {
        let mut counted: BTreeMap<String, f64> = BTreeMap::new();
        for metric in metrics.iter().filter(|metric| metric.name == name) {
            let reason = metric.labels.iter().find(|(label, _)| *label == "reason");
            if let Some((_, reason)) = reason {
                *counted.entry(reason.clone()).or_default() += metric.value;
            }
        }
        // A reason of requests outranks the spans of those requests.
        reasons.extend(counted);
    }
    reasons
}

fn group(metrics: &[Metric], prefix: &str) -> BTreeMap<&'static str, f64> {
    let mut sums = BTreeMap::new();
    for metric in metrics {
        if let Some(name) = metric.name.strip_prefix(prefix) {
            *sums.entry(name).or_default() += metric.value;
        }
    }
    sums
}
