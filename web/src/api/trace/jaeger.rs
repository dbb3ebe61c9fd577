//! One trace as Jaeger's UI downloads and loads it (`{"data":[{...}]}`), by OpenTelemetry's mapping to Jaeger.
use std::collections::HashMap;

use super::attributes::{Members, quote, tag, write_tags};
use super::spans::Spans;
use crate::Result;

/// One trace in Jaeger's JSON.
pub(super) fn document(spans: &Spans) -> Result<Vec<u8>> {
    let mut processes = Processes::default();
    let mut out = Vec::new();
    let trace = spans.trace_id.get(0);
    out.extend_from_slice(format!("{{\"data\":[{{\"traceID\":\"{trace}\",\"spans\":[").as_bytes());
    for row in 0..spans.len() {
        if row > 0 {
            out.push(b',');
        }
        let process = processes.of(spans, row);
        write_span(spans, row, process, &mut out);
    }
    out.extend_from_slice(b"],\"processes\":{");
    for (number, row) in processes.first_rows.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        let service = quote(spans.service.get(*row));
        let head = format!("{comma}\"p{}\":{{\"serviceName\":{service},\"tags\":[", number + 1);
        out.extend_from_slice(head.as_bytes());
        let mut resource = Members::of(spans.resource.get(*row));
        resource.0.retain(|(key, _)| key != "service.name");
        write_tags(&resource, &mut true, &mut out);
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(
        b"},\"warnings\":null}],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}\n",
    );
    Ok(out)
}

/// Each distinct service and resource once.
#[derive(Default)]
struct Processes<'a> {
    numbers: HashMap<(&'a str, &'a str), usize>,
    first_rows: Vec<usize>,
}

impl<'a> Processes<'a> {
    /// Number of the process of `row`, from 1.
    fn of(&mut self, spans: &'a Spans, row: usize) -> usize {
        let key = (spans.service.get(row), spans.resource.get(row));
        *self.numbers.entry(key).or_insert_with(|| {
            self.first_rows.push(row);
            self.first_rows.len()
        })
    }
}

fn write_span(spans: &Spans, row: usize, process: usize, out: &mut Vec<u8>) {
    let head = format!(
        "{{\"traceID\":\"{}\",\"spanID\":\"{}\",\"flags\":1,\"operationName\":{},\"references\":[",
        spans.trace_id.get(row),
        spans.span_id.get(row),
        quote(spans.name.get(row)),
    );
    out.extend_from_slice(head.as_bytes());
    write_references(spans, row, out);
    let times = format!(
        "],\"startTime\":{},\"duration\":{},\"tags\":[",
        spans.start.get(row).div_euclid(1_000),
        spans.duration.get(row) / 1_000,
    );
    out.extend_from_slice(times.as_bytes());
    write_span_tags(spans, row, out);
    out.extend_from_slice(b"],\"logs\":[");
    write_logs(spans, row, out);
    out.extend_from_slice(format!("],\"processID\":\"p{process}\",\"warnings\":null}}").as_bytes());
}

fn write_references(spans: &Spans, row: usize, out: &mut Vec<u8>) {
    let mut references = Vec::new();
    let parent = spans.parent.get(row);
    if !parent.is_empty() {
        references.push(("CHILD_OF", spans.trace_id.get(row), parent));
    }
    for link in spans.links.of_row(row) {
        references.push((
            "FOLLOWS_FROM",
            spans.links.trace_id.get(link),
            spans.links.span_id.get(link),
        ));
    }
    let text: Vec<String> = references
        .into_iter()
        .map(|(kind, trace, span)| {
            format!("{{\"refType\":\"{kind}\",\"traceID\":\"{trace}\",\"spanID\":\"{span}\"}}")
        })
        .collect();
    out.extend_from_slice(text.join(",").as_bytes());
}

fn write_span_tags(spans: &Spans, row: usize, out: &mut Vec<u8>) {
    let mut is_first = true;
    write_tags(&Members::of(spans.attributes.get(row)), &mut is_first, out);
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            tag(key, "string", &quote(value), &mut is_first, out);
        }
    };
    let kind = spans.kind.get(row).to_ascii_lowercase();
    text("span.kind", if kind == "unspecified" { "" } else { &kind });
    let status = spans.status.get(row);
    text("otel.status_code", if status == "UNSET" { "" } else { status });
    text("otel.status_description", spans.status_message.get(row));
    let scope = Members::of(spans.scope.get(row));
    text("otel.scope.name", &scope.text("name").unwrap_or_default());
    text("otel.scope.version", &scope.text("version").unwrap_or_default());
    text("w3c.tracestate", spans.trace_state.get(row));
    if status == "ERROR" {
        tag("error", "bool", "true", &mut is_first, out);
    }
}

fn write_logs(spans: &Spans, row: usize, out: &mut Vec<u8>) {
    let events = &spans.events;
    for (index, event) in events.of_row(row).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let micros = events.time.get(event).div_euclid(1_000);
        out.extend_from_slice(format!("{{\"timestamp\":{micros},\"fields\":[").as_bytes());
        let mut is_first = true;
        tag("event", "string", &quote(events.name.get(event)), &mut is_first, out);
        write_tags(&Members::of(events.attributes.get(event)), &mut is_first, out);
        out.extend_from_slice(b"]}");
    }
}
