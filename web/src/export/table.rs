//! Tables of edges: CSV, JSON, Jaeger's dependency JSON.
use std::collections::BTreeMap;

use serde::Serialize;

use super::Edge;

const HEADER: &str = "caller,callee,kind,calls,errors,request_bytes,response_bytes,caller_p50_nano,\
                      caller_p99_nano,callee_p50_nano,callee_p99_nano,weighted_calls";

/// CSV as RFC 4180 has it, with line feeds. A name that a spreadsheet would run as a formula gets a `'` before it
/// (OWASP, CSV injection).
pub(super) fn csv(edges: &[Edge]) -> String {
    let mut out = format!("{HEADER}\n");
    for edge in edges {
        let texts = [&edge.caller, &edge.callee, &edge.kind].map(|text| csv_text(text));
        let counts = [edge.calls, edge.errors, edge.request_bytes, edge.response_bytes];
        let quantiles = [
            edge.caller_p50_nano,
            edge.caller_p99_nano,
            edge.callee_p50_nano,
            edge.callee_p99_nano,
        ];
        let mut cells = texts.to_vec();
        cells.extend(counts.iter().map(i64::to_string));
        cells.extend(
            quantiles.iter().map(|nano| nano.map_or(String::new(), |nano| nano.to_string())),
        );
        cells.push(edge.weighted_calls.to_string());
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

fn csv_text(text: &str) -> String {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if runs { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[derive(Serialize)]
struct Row<'a> {
    caller: &'a str,
    callee: &'a str,
    kind: &'a str,
    calls: i64,
    errors: i64,
    request_bytes: i64,
    response_bytes: i64,
    caller_p50_nano: Option<i64>,
    caller_p99_nano: Option<i64>,
    callee_p50_nano: Option<i64>,
    callee_p99_nano: Option<i64>,
    weighted_calls: f64,
}

/// An array of row objects.
pub(super) fn json(edges: &[Edge]) -> String {
    let rows: Vec<Row<'_>> = edges
        .iter()
        .map(|edge| Row {
            caller: &edge.caller,
            callee: &edge.callee,
            kind: &edge.kind,
            calls: edge.calls,
            errors: edge.errors,
            request_bytes: edge.request_bytes,
            response_bytes: edge.response_bytes,
            caller_p50_nano: edge.caller_p50_nano,
            caller_p99_nano: edge.caller_p99_nano,
            callee_p50_nano: edge.callee_p50_nano,
            callee_p99_nano: edge.callee_p99_nano,
            weighted_calls: edge.weighted_calls,
        })
        .collect();
    serialized(&rows)
}

#[derive(Serialize)]
struct Answer<'a> {
    data: Vec<Link<'a>>,
}

#[derive(Serialize)]
struct Link<'a> {
    parent: &'a str,
    child: &'a str,
    #[serde(rename = "callCount")]
    call_count: i64,
}

/// Jaeger's dependencies are between services: queues, databases and addresses are left out, kinds summed up.
pub(super) fn jaeger(edges: &[Edge]) -> String {
    let mut calls: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for edge in
        edges.iter().filter(|edge| matches!(edge.kind.as_str(), "rpc" | "messaging" | "link"))
    {
        *calls.entry((&edge.caller, &edge.callee)).or_default() += edge.calls;
    }
    let link = |((parent, child), call_count)| Link { parent, child, call_count };
    serialized(&Answer { data: calls.into_iter().map(link).collect() })
}

/// Texts and numbers always serialize (a float that is no number as null).
fn serialized(value: &impl Serialize) -> String {
    let mut json = serde_json::to_string(value).unwrap_or_default();
    json.push('\n');
    json
}
