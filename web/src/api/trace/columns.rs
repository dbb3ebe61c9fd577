//! `format=columns`: what a picture of a whole trace needs, and no more.
//!
//! One array a column instead of an object a span, times from the start of the trace, and names once: a trace of
//! 66,373 spans is 4 MiB instead of 56. What a span says in full is asked for span by span.
use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use query::{Answer, Engine};
use storage::TraceId;

use super::spans::Spans;
use crate::Result;
use crate::api::answer::collect;
use crate::api::literal;
use crate::api::tree::Tree;
use crate::encode::write_string;

/// The spans with the columns that [`write()`] needs and no others; and how many are stored, where the engine may
/// have ended the answer at its limit of rows.
pub(super) async fn read(
    engine: &Engine,
    id: TraceId,
    raw: bool,
) -> Result<(Answer, Option<usize>)> {
    let table = if raw { "spans_raw" } else { "spans" };
    let of_trace = format!("FROM {table} WHERE trace_id = {}", literal::text(&id.to_string()));
    let statement = format!(
        "SELECT span_id, parent_span_id, service, name, kind, status, start_time_unix_nano, duration_nano, weight, \
         events, links {of_trace} ORDER BY start_time_unix_nano"
    );
    let answer = engine.sql(&statement, Vec::new()).await?;
    if answer.notes.is_empty() {
        return Ok((answer, None));
    }
    let count = engine.sql(&format!("SELECT count(*) {of_trace}"), Vec::new()).await?;
    let count = collect(count).await?;
    let count = count.column(0).as_primitive_opt::<Int64Type>().map(|column| column.value(0));
    Ok((answer, count.and_then(|count| usize::try_from(count).ok())))
}

/// Writes the member `columns` as JSON; `order` are the rows to send, each right after what stands above it.
///
/// Straight into the text: values of `serde_json` took as long as everything else together.
pub(super) fn write(spans: &Spans, tree: &Tree, order: &[usize], start: i64, text: &mut Vec<u8>) {
    let rows = || order.iter().copied();
    let since = |row| spans.start.get(row).saturating_sub(start);
    let depth = |row: usize| i64::from(tree.depths[row]);
    text.extend_from_slice(b"{\"span_id\":");
    texts(rows().map(|row| spans.span_id.get(row)), text);
    text.extend_from_slice(b",\"parent_span_id\":");
    texts(rows().map(|row| spans.parent.get(row)), text);
    for (name, column) in [
        ("depth", &depth as &dyn Fn(usize) -> i64),
        ("start_nano", &since),
        ("duration_nano", &|row| spans.duration.get(row)),
    ] {
        key(name, text);
        numbers(rows().map(column), text);
    }
    for (name, column) in [
        ("service", &spans.service),
        ("name", &spans.name),
        ("kind", &spans.kind),
        ("status", &spans.status),
    ] {
        key(name, text);
        words(rows().map(|row| column.get(row)), text);
    }
    key("events", text);
    events(spans, order, start, text);
    key("links", text);
    links(spans, order, text);
    text.push(b'}');
}

/// `,"name":`
fn key(name: &str, text: &mut Vec<u8>) {
    text.push(b',');
    write_string(name, text);
    text.push(b':');
}

fn texts<'a>(values: impl Iterator<Item = &'a str>, text: &mut Vec<u8>) {
    array(values, text, write_string);
}

fn numbers(values: impl Iterator<Item = i64>, text: &mut Vec<u8>) {
    array(values, text, |value, text| text.extend_from_slice(value.to_string().as_bytes()));
}

fn places(values: impl Iterator<Item = usize>, text: &mut Vec<u8>) {
    array(values, text, |value, text| text.extend_from_slice(value.to_string().as_bytes()));
}

fn array<T>(values: impl Iterator<Item = T>, text: &mut Vec<u8>, write: fn(T, &mut Vec<u8>)) {
    text.push(b'[');
    for (place, value) in values.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        write(value, text);
    }
    text.push(b']');
}

/// `{"words": ["cart", "shop"], "at": [0, 1, 1]}`: each text once, and for each row its place among them.
fn words<'a>(values: impl Iterator<Item = &'a str>, text: &mut Vec<u8>) {
    let mut known = HashMap::new();
    let mut words = Vec::new();
    // Neighbours are often alike, and then need no look into the table.
    let mut last = None;
    let mut place = |value: &'a str| match last {
        Some((word, place)) if word == value => place,
        _ => {
            let place = *known.entry(value).or_insert_with(|| {
                words.push(value);
                words.len() - 1
            });
            last = Some((value, place));
            place
        }
    };
    let at: Vec<usize> = values.map(&mut place).collect();
    text.extend_from_slice(b"{\"words\":");
    texts(words.into_iter(), text);
    text.extend_from_slice(b",\"at\":");
    places(at.into_iter(), text);
    text.push(b'}');
}

/// `{"row": [3, 3], "at_nano": [10, 25]}`: the place of each event's span in the answer, and when it happened.
fn events(spans: &Spans, order: &[usize], start: i64, text: &mut Vec<u8>) {
    let mut rows = Vec::new();
    let mut times = Vec::new();
    for (place, row) in order.iter().enumerate() {
        for event in spans.events.of_row(*row) {
            rows.push(place);
            times.push(spans.events.time.get(event).saturating_sub(start));
        }
    }
    text.extend_from_slice(b"{\"row\":");
    places(rows.into_iter(), text);
    text.extend_from_slice(b",\"at_nano\":");
    numbers(times.into_iter(), text);
    text.push(b'}');
}

/// `{"row": [3], "count": [2]}`: the spans that have links.
fn links(spans: &Spans, order: &[usize], text: &mut Vec<u8>) {
    let count = |(place, row): (usize, &usize)| (place, spans.links.of_row(*row).len());
    let (rows, counts): (Vec<usize>, Vec<usize>) =
        order.iter().enumerate().map(count).filter(|(_, links)| *links > 0).unzip();
    text.extend_from_slice(b"{\"row\":");
    places(rows.into_iter(), text);
    text.extend_from_slice(b",\"count\":");
    places(counts.into_iter(), text);
    text.push(b'}');
}
