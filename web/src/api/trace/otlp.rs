//! One trace as OTLP JSON: what an exporter would have sent (`ExportTraceServiceRequest`).
use super::attributes::{Members, quote, write_otlp};
use super::spans::Spans;
use crate::Result;

/// `{"resourceSpans":[...]}`, spans by resource and scope in the order of their rows.
pub(super) fn document(spans: &Spans) -> Result<Vec<u8>> {
    let mut rows: Vec<usize> = (0..spans.len()).collect();
    rows.sort_by_key(|row| (spans.resource.get(*row), spans.scope.get(*row), *row));
    let mut out = b"{\"resourceSpans\":[".to_vec();
    let same = |a: &usize, b: &usize| spans.resource.get(*a) == spans.resource.get(*b);
    for (index, of_resource) in rows.chunk_by(same).enumerate() {
        comma(index, &mut out);
        out.extend_from_slice(b"{\"resource\":{\"attributes\":");
        write_otlp(&Members::of(spans.resource.get(of_resource[0])), &mut out);
        out.extend_from_slice(b"},\"scopeSpans\":[");
        let same = |a: &usize, b: &usize| spans.scope.get(*a) == spans.scope.get(*b);
        for (index, of_scope) in of_resource.chunk_by(same).enumerate() {
            comma(index, &mut out);
            write_scope(spans, of_scope, &mut out);
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}\n");
    Ok(out)
}

fn write_scope(spans: &Spans, rows: &[usize], out: &mut Vec<u8>) {
    let scope = Members::of(spans.scope.get(rows[0]));
    out.extend_from_slice(b"{\"scope\":{");
    let name = quote(&scope.text("name").unwrap_or_default());
    let version = quote(&scope.text("version").unwrap_or_default());
    out.extend_from_slice(format!("\"name\":{name},\"version\":{version}").as_bytes());
    let attributes = scope.raw("attributes").unwrap_or_default();
    write_attributes(attributes, 0, out);
    out.extend_from_slice(b"},\"spans\":[");
    for (index, row) in rows.iter().enumerate() {
        comma(index, out);
        write_span(spans, *row, out);
    }
    out.extend_from_slice(b"]}");
}

fn write_span(spans: &Spans, row: usize, out: &mut Vec<u8>) {
    let text = |key: &str, value: &str| match value {
        "" => String::new(),
        value => format!(",\"{key}\":{}", quote(value)),
    };
    let head = format!(
        "{{\"traceId\":\"{}\",\"spanId\":\"{}\"{}{}{},\"name\":{},\"kind\":{},\"startTimeUnixNano\":\"{}\",\
         \"endTimeUnixNano\":\"{}\"",
        spans.trace_id.get(row),
        spans.span_id.get(row),
        text("parentSpanId", spans.parent.get(row)),
        text("traceState", spans.trace_state.get(row)),
        number("flags", spans.flags.get(row)),
        quote(spans.name.get(row)),
        kind(spans.kind.get(row)),
        spans.start.get(row),
        spans.end(row),
    );
    out.extend_from_slice(head.as_bytes());
    write_attributes(spans.attributes.get(row), spans.dropped_attributes.get(row), out);
    write_events(spans, row, out);
    write_links(spans, row, out);
    let code = match spans.status.get(row) {
        "OK" => ",\"code\":1",
        "ERROR" => ",\"code\":2",
        _ => "",
    };
    let status = format!("{}{code}", text("message", spans.status_message.get(row)));
    let status = status.strip_prefix(',').unwrap_or_default();
    out.extend_from_slice(format!(",\"status\":{{{status}}}}}").as_bytes());
}

fn write_events(spans: &Spans, row: usize, out: &mut Vec<u8>) {
    let events = &spans.events;
    out.extend_from_slice(b",\"events\":[");
    for (index, event) in events.of_row(row).enumerate() {
        comma(index, out);
        let time = events.time.get(event);
        let name = quote(events.name.get(event));
        out.extend_from_slice(format!("{{\"timeUnixNano\":\"{time}\",\"name\":{name}").as_bytes());
        write_attributes(events.attributes.get(event), events.dropped.get(event), out);
        out.push(b'}');
    }
    let dropped = number("droppedEventsCount", spans.dropped_events.get(row));
    out.extend_from_slice(format!("]{dropped}").as_bytes());
}

fn write_links(spans: &Spans, row: usize, out: &mut Vec<u8>) {
    let links = &spans.links;
    out.extend_from_slice(b",\"links\":[");
    for (index, link) in links.of_row(row).enumerate() {
        comma(index, out);
        let head = format!(
            "{{\"traceId\":\"{}\",\"spanId\":\"{}\",\"traceState\":{}{}",
            links.trace_id.get(link),
            links.span_id.get(link),
            quote(links.trace_state.get(link)),
            number("flags", links.flags.get(link)),
        );
        out.extend_from_slice(head.as_bytes());
        write_attributes(links.attributes.get(link), links.dropped.get(link), out);
        out.push(b'}');
    }
    let dropped = number("droppedLinksCount", spans.dropped_links.get(row));
    out.extend_from_slice(format!("]{dropped}").as_bytes());
}

fn write_attributes(attributes: &str, dropped: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"attributes\":");
    write_otlp(&Members::of(attributes), out);
    out.extend_from_slice(number("droppedAttributesCount", dropped).as_bytes());
}

/// `,"key":7`; nothing for 0, OTLP's default.
fn number(key: &str, value: i64) -> String {
    if value == 0 { String::new() } else { format!(",\"{key}\":{value}") }
}

fn kind(kind: &str) -> u8 {
    match kind {
        "INTERNAL" => 1,
        "SERVER" => 2,
        "CLIENT" => 3,
        "PRODUCER" => 4,
        "CONSUMER" => 5,
        _ => 0,
    }
}

fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}
