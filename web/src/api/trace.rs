//! `GET /api/v1/traces/{trace_id}`: one trace, as our JSON, as its columns, as OTLP JSON or as Jaeger's JSON.
mod absence;
pub(crate) mod attributes;
mod columns;
mod jaeger;
mod otlp;
mod patched;
mod spans;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use storage::TraceId;

use self::spans::Spans;
use super::Web;
use super::answer::collect;
use super::literal;
use super::parameters::Parameters;
use super::patches::{of_trace, trace_of};
use super::tree::{Node, Tree};
use crate::encode::{Objects, write_string};
use crate::routes::Parameter;
use crate::{Error, Result};

pub(crate) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "format",
        help: "json (default), columns (json without attributes, an array a column), otlp or jaeger",
    },
    Parameter {
        name: "raw",
        help: "true: as it was sent, without corrections, notes and new names of operations",
    },
    Parameter {
        name: "limit",
        help: "spans at most: 1 to 100000, 20000 by default; `spans_total` says how many there are (json and columns)",
    },
];

const SPANS_DEFAULT: usize = 20_000;
const SPANS_MAX: usize = 100_000;
/// So many take some five microseconds each to write: less than to wake another thread and wait for it would delay others.
const SPANS_AT_ONCE_MAX: usize = 64;

/// The id from the path, then the spans.
pub(crate) async fn show(
    State(shared): Web,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response> {
    let format = parameters.one("format")?.unwrap_or("json");
    if !matches!(format, "json" | "columns" | "otlp" | "jaeger") {
        return Err(Error::Invalid(format!(
            "format is json, columns, otlp or jaeger, not {format:?}"
        )));
    }
    let limit = parameters.count("limit", SPANS_DEFAULT, SPANS_MAX)?;
    let raw = match parameters.one("raw")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(Error::Invalid(format!("raw is true or false, not {other:?}"))),
    };
    let patches = Arc::clone(&shared.web.store.snapshot().patches);
    let id = trace_of(&patches, &id)?;
    let engine = &shared.web.engine;
    let (answer, total) = match format {
        "columns" => columns::read(engine, id, raw).await?,
        _ if raw => (engine.sql(&raw_statement(id), Vec::new()).await?, None),
        _ => (engine.trace(id).await?, None),
    };
    let batch = collect(answer).await?;
    if batch.num_rows() == 0 {
        return Err(Error::NotFound(format!("there is no span of the trace {id}")));
    }
    let patches = if raw { Arc::default() } else { patches };
    let format = format.to_owned();
    let (ledger, now) = (shared.web.store.ledger(), shared.web.clock.now_unix_nano());
    let asked = absence::Asked { ledger, now, trace: Some(id) };
    let is_small = batch.num_rows() <= SPANS_AT_ONCE_MAX;
    let write = move || {
        // Of what was sent: a correction makes no other pattern. A picture is drawn without it.
        let pattern = if format == "json" { query::trace_pattern(&batch)? } else { None };
        let patched = patched::apply(batch, &patches.of_trace(&id))?;
        let patches = of_trace(&patches, &id);
        let spans = Spans { patches, pattern, asked, ..Spans::of(&patched)? };
        match format.as_str() {
            "otlp" => otlp::document(&spans),
            "jaeger" => jaeger::document(&spans),
            "columns" => Ok(columns_document(id, &spans, limit, total)),
            _ => document(id, &spans, limit),
        }
    };
    // Large traces take a while to write: off the threads that serve everybody.
    let text = if is_small {
        write()?
    } else {
        let text = tokio::task::spawn_blocking(write).await;
        text.map_err(|error| Error::Internal(format!("writing a trace: {error}")))??
    };
    let mut response = Response::new(Body::from(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

fn raw_statement(id: TraceId) -> String {
    let id = literal::text(&id.to_string());
    format!("SELECT * FROM spans_raw WHERE trace_id = {id} ORDER BY start_time_unix_nano, span_id")
}

/// What is known of the trace as a whole, and how its rows hang together.
struct Whole {
    tree: Tree,
    start: i64,
    facts: serde_json::Value,
}

impl Whole {
    fn of(spans: &Spans, limit: usize) -> Self {
        let nodes: Vec<Node<'_>> = (0..spans.len()).map(|row| spans.node(row)).collect();
        let tree = Tree::of(&nodes);
        let head = tree.head(&nodes).unwrap_or(0);
        let start = nodes.iter().map(|node| node.start).min().unwrap_or(0);
        let end =
            nodes.iter().map(|node| node.start.saturating_add(node.duration)).max().unwrap_or(0);
        let services: BTreeSet<&str> = (0..spans.len()).map(|row| spans.service.get(row)).collect();
        let errors = (0..spans.len()).filter(|row| spans.status.get(*row) == "ERROR").count();
        let facts = serde_json::json!({
            "complete": tree.root.is_some() && tree.missing.is_empty(),
            "root_service": spans.service.get(head),
            "root_name": spans.name.get(head),
            "start_time": crate::encode::timestamp(start),
            "duration_nano": nodes[head].duration,
            "extent_nano": end.saturating_sub(start),
            "spans_total": spans.len(),
            "truncated": spans.len() > limit,
            "errors": errors,
            "services": services,
            "depth": tree.depths.iter().max().map_or(0, |depth| depth + 1),
            "missing_parents": tree.missing,
            "missing_reasons": absence::reasons(spans, &tree.missing),
            "patches": spans.patches,
            "pattern": spans.pattern.as_ref().map(|found| found.pattern.as_str()),
            "shape": spans.pattern.as_ref().map(|found| found.shape.as_str()),
        });
        Self { tree, start, facts }
    }
}

/// `{trace_id, complete, root_service, ..., missing_parents, columns}`; `total` where more spans are stored than are
/// in `spans`.
fn columns_document(id: TraceId, spans: &Spans, limit: usize, total: Option<usize>) -> Vec<u8> {
    let Whole { tree, start, mut facts } = Whole::of(spans, limit);
    let order = &tree.order[..tree.order.len().min(limit)];
    if let Some(total) = total {
        facts["spans_total"] = total.into();
        facts["truncated"] = (total > order.len()).into();
    }
    let mut text = head(id, &facts);
    text.extend_from_slice(b",\"columns\":");
    columns::write(spans, &tree, order, start, &mut text);
    text.extend_from_slice(b"}\n");
    text
}

/// `{"trace_id":"...",` and the facts, still open.
fn head(id: TraceId, facts: &serde_json::Value) -> Vec<u8> {
    let mut text = Vec::with_capacity(1 << 10);
    text.extend_from_slice(b"{\"trace_id\":");
    write_string(&id.to_string(), &mut text);
    if let Some(members) = facts.to_string().strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        text.push(b',');
        text.extend_from_slice(members.as_bytes());
    }
    text
}

/// `{trace_id, complete, root_service, ..., missing_parents, spans}`.
fn document(id: TraceId, spans: &Spans, limit: usize) -> Result<Vec<u8>> {
    let Whole { tree, facts, .. } = Whole::of(spans, limit);
    let mut text = head(id, &facts);
    text.extend_from_slice(b",\"spans\":[");
    let presented = presented(&spans.batch)?;
    let objects = Objects::new(&presented)
        .map_err(|error| Error::Internal(format!("spans as JSON: {error}")))?;
    for (place, row) in tree.order.iter().take(limit).enumerate() {
        text.extend_from_slice(if place == 0 { b"\n" } else { b",\n" });
        objects.write(*row, &mut text);
        // Into the row's object, as its last member.
        text.pop();
        text.extend_from_slice(format!(",\"depth\":{}}}", tree.depths[*row]).as_bytes());
    }
    text.extend_from_slice(b"\n]}\n");
    Ok(text)
}

/// The columns of `spans` up to where the columns of single attributes begin: those values are in `attributes` and
/// `resource` already, and most are null in most rows.
fn presented(batch: &RecordBatch) -> Result<RecordBatch> {
    let count = batch.schema_ref().index_of("attributes_rest").unwrap_or(batch.num_columns());
    let columns: Vec<usize> = (0..count).collect();
    batch.project(&columns).map_err(|error| Error::Internal(format!("spans as JSON: {error}")))
}

#[cfg(test)]
mod tests;
