//! `format=columns`: what a picture of a whole trace needs, and no more.
//!
//! One array a column instead of an object a span, times from the start of the trace, and names once: a trace of
//! 66,373 spans is 4 MiB instead of 56. What a span says in full is asked for span by span.
use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use query::{Answer, Engine};
use serde_json::{Map, Value, json};
use storage::TraceId;

use super::spans::Spans;
use crate::Result;
use crate::api::answer::collect;
use crate::api::literal;

/// The spans with the columns that [`members`] writes and no others; and how many are stored, where the engine may
/// have ended the answer at its limit of rows.
pub(super) async fn read(
    engine: &Engine,
    id: TraceId,
    raw: bool,
) -> Result<(Answer, Option<usize>)> {
    let table = if raw { "spans_raw" } else { "spans" };
    let of_trace = format!("FROM {table} WHERE trace_id = {}", literal::text(&id.to_string()));
    let statement = format!(
        "SELECT span_id, parent_span_id, service, name, kind, status, start_time_unix_nano, duration_nano, events, \
         links {of_trace} ORDER BY start_time_unix_nano"
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

/// The members of the answer that stand beside the facts of the trace; `order` are the rows to send, parents first.
pub(super) fn members(spans: &Spans, order: &[usize], start: i64) -> Map<String, Value> {
    let rows = || order.iter().copied();
    let mut members = Map::new();
    let mut insert = |name: &str, column: Value| members.insert(name.to_owned(), column);
    insert("span_id", rows().map(|row| spans.span_id.get(row)).collect());
    insert("parent_span_id", rows().map(|row| spans.parent.get(row)).collect());
    insert("start_nano", rows().map(|row| spans.start.get(row).saturating_sub(start)).collect());
    insert("duration_nano", rows().map(|row| spans.duration.get(row)).collect());
    for (name, column) in [
        ("service", &spans.service),
        ("name", &spans.name),
        ("kind", &spans.kind),
        ("status", &spans.status),
    ] {
        insert(name, words(rows().map(|row| column.get(row))));
    }
    insert("events", events(spans, order, start));
    insert("links", links(spans, order));
    members
}

/// `{"words": ["cart", "shop"], "at": [0, 1, 1]}`: each text once, and for each row its place among them.
fn words<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    let mut places = HashMap::new();
    let mut known = Vec::new();
    let mut place = |text: &'a str| {
        *places.entry(text).or_insert_with(|| {
            known.push(text);
            known.len() - 1
        })
    };
    let at: Vec<usize> = texts.map(&mut place).collect();
    json!({ "words": known, "at": at })
}

/// `{"row": [3, 3], "at_nano": [10, 25]}`: the place of each event's span in the answer, and when it happened.
fn events(spans: &Spans, order: &[usize], start: i64) -> Value {
    let mut rows = Vec::new();
    let mut times = Vec::new();
    for (place, row) in order.iter().enumerate() {
        for event in spans.events.of_row(*row) {
            rows.push(place);
            times.push(spans.events.time.get(event).saturating_sub(start));
        }
    }
    json!({ "row": rows, "at_nano": times })
}

/// `{"row": [3], "count": [2]}`: the spans that have links.
fn links(spans: &Spans, order: &[usize]) -> Value {
    let count = |(place, row): (usize, &usize)| (place, spans.links.of_row(*row).len());
    let (rows, counts): (Vec<usize>, Vec<usize>) =
        order.iter().enumerate().map(count).filter(|(_, links)| *links > 0).unzip();
    json!({ "row": rows, "count": counts })
}
