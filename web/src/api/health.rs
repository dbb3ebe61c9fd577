//! `/healthz`, `/readyz`, `/metrics`.
use std::collections::BTreeMap;
use std::fmt::Write;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use storage::metrics::{Metric, Shape};

use super::Web;

/// The process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Spans are taken and can be stored.
pub(crate) async fn readyz(State(shared): Web) -> Response {
    match shared.web.store.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
        }
    }
}

/// Every figure in Prometheus' text format 0.0.4.
pub(crate) async fn metrics(State(shared): Web) -> Response {
    let mut response = prometheus(&shared.metrics()).into_response();
    let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

/// One block per name, whatever order the samples come in.
fn prometheus(metrics: &[Metric]) -> String {
    let mut names: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    for metric in metrics {
        names.entry(metric.name).or_default().push(metric);
    }
    let mut text = String::new();
    for (name, samples) in names {
        let shape = match samples[0].shape {
            Shape::Counter => "counter",
            Shape::Gauge => "gauge",
        };
        let help = samples[0].help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {shape}");
        for sample in samples {
            let _ = writeln!(text, "{name}{} {}", labels(&sample.labels), sample.value);
        }
    }
    text
}

fn labels(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests;
