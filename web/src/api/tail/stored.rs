//! What left memory before a reader came back, read from the table: request by request, in the order of arrival.
//!
//! Files are sorted by service and time, so the place within a request is not known there. A reader that broke off in the
//! middle of a request gets all of it again.
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use futures::TryStreamExt;
use storage::{Departure, TimeRange};

use super::catch_up::Piece;
use super::events::mark;
use super::hub::Seated;
use super::position::Position;
use crate::api::literal;
use crate::encode::Objects;
use crate::{Error, Result};

/// Requests that one statement asks for, so that it stays short.
const REQUESTS_MAX: usize = 250;

/// Spans that one statement looks at, if there are several requests.
const SOUGHT_MAX: u64 = 16_384;

/// Events of one piece, if there are several requests.
const PIECE_SPANS: u64 = 128;

/// The next piece of the spans `gone`: events of `budget` spans at most, beyond that only their number. What the table
/// does not have any more is counted as missed.
pub(super) async fn read(seated: &Arc<Seated>, gone: Range<u64>, budget: usize) -> Piece {
    let known = seated.tail.departed(gone.start, gone.end, REQUESTS_MAX);
    let forgotten =
        known.first().map_or(gone.end, |request| request.first).saturating_sub(gone.start);
    if forgotten > 0 {
        return missed(gone.start..gone.start + forgotten);
    }
    let requests = together(&known);
    let end = requests.last().map_or(gone.end, Departure::end);
    match found(seated, requests, budget).await {
        Ok(piece) => piece,
        Err(error) => {
            tracing::error!(%error, "spans of the table could not be shown to the live tail");
            missed(gone.start..end)
        }
    }
}

fn missed(spans: Range<u64>) -> Piece {
    Piece { missed: spans.end - spans.start, next: spans.end, ..Piece::default() }
}

/// The first of them without a gap, as many as one statement looks at.
fn together(known: &[Departure]) -> &[Departure] {
    let (mut count, mut spans) = (0, 0);
    for (index, request) in known.iter().enumerate() {
        spans += request.spans;
        let follows = index == 0 || known[index - 1].end() == request.first;
        if index > 0 && (!follows || spans > SOUGHT_MAX) {
            break;
        }
        count += 1;
    }
    &known[..count]
}

async fn found(seated: &Arc<Seated>, requests: &[Departure], budget: usize) -> Result<Piece> {
    let columns = seated.hub.store().columns();
    let wanted = seated.channel.filter.condition(&columns)?;
    let counts = count(seated, requests, &wanted).await?;
    let mut piece = Piece::default();
    let (mut taken, mut shown) = (0, Vec::new());
    for (index, request) in requests.iter().enumerate() {
        let of_it = counts.get(&request.received_unix_nano).copied().unwrap_or_default();
        // Another request of the same nanosecond: whose spans are whose is not known.
        let is_clear = of_it.spans <= request.spans;
        if index > 0 && is_clear && taken + of_it.wanted > PIECE_SPANS {
            break;
        }
        piece.next = request.end();
        piece.missed += if is_clear { request.spans - of_it.spans } else { request.spans };
        if is_clear && of_it.wanted > 0 {
            taken += of_it.wanted;
            shown.push(*request);
        }
    }
    if budget > 0 && taken > 0 {
        let rows = rows(seated, &shown, &wanted, budget).await?;
        let seated = Arc::clone(seated);
        let events = tokio::task::spawn_blocking(move || events(&seated, &shown, &rows)).await;
        (piece.bytes, piece.spans) = events.map_err(|_| Error::Ending)??;
    }
    piece.skipped = taken.saturating_sub(piece.spans as u64);
    Ok(piece)
}

/// What the table has of one request.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    spans: u64,
    wanted: u64,
}

/// By the time of receipt.
async fn count(
    seated: &Seated,
    requests: &[Departure],
    wanted: &str,
) -> Result<HashMap<i64, Found>> {
    let statement = format!(
        "SELECT received_time, count(*), count(*) FILTER (WHERE {wanted}) FROM spans_raw WHERE {} GROUP BY 1",
        received(requests)
    );
    let batches = ask(seated, &statement).await?;
    let mut counts = HashMap::new();
    for batch in &batches {
        let times = times(batch, 0)?;
        let number = |place: usize, row: usize| {
            let numbers = batch.column(place).as_primitive::<Int64Type>();
            numbers.value(row).unsigned_abs()
        };
        for (row, time) in times.iter().enumerate() {
            counts.insert(*time, Found { spans: number(1, row), wanted: number(2, row) });
        }
    }
    Ok(counts)
}

/// Their wanted spans, in the columns of an event; each batch has the spans of a request one behind the other.
async fn rows(
    seated: &Seated,
    requests: &[Departure],
    wanted: &str,
    budget: usize,
) -> Result<Vec<RecordBatch>> {
    let presenter = seated.hub.presenter()?;
    let columns: Vec<String> = presenter.names().map(literal::column).collect();
    let statement = format!(
        "SELECT {} FROM spans_raw WHERE {} AND {wanted} \
         ORDER BY received_time, start_time, trace_id, span_id LIMIT {budget}",
        columns.join(", "),
        received(requests)
    );
    ask(seated, &statement).await
}

/// The condition that a span came with one of them; bounds besides, by which files are left out.
fn received(requests: &[Departure]) -> String {
    let mut times: Vec<i64> = requests.iter().map(|request| request.received_unix_nano).collect();
    times.sort_unstable();
    times.dedup();
    let (first, last) = (times.first().copied().unwrap_or(0), times.last().copied().unwrap_or(0));
    let start = requests.iter().fold(TimeRange { from: i64::MAX, until: i64::MIN }, |all, next| {
        let (from, until) = (all.from.min(next.start.from), all.until.max(next.start.until));
        TimeRange { from, until }
    });
    let times: Vec<String> = times.into_iter().map(literal::time).collect();
    format!(
        "received_time IN ({}) AND received_time >= {} AND received_time <= {} \
         AND start_time >= {} AND start_time < {}",
        times.join(", "),
        literal::time(first),
        literal::time(last),
        literal::time(start.from),
        literal::time(start.until)
    )
}

async fn ask(seated: &Seated, statement: &str) -> Result<Vec<RecordBatch>> {
    let answer = seated.engine.sql(statement, Vec::new()).await?;
    Ok(answer.batches.try_collect().await?)
}

fn times(batch: &RecordBatch, place: usize) -> Result<&[i64]> {
    let times = batch.column(place).as_primitive_opt::<TimestampNanosecondType>();
    let wrong = || Error::Internal("received_time is no timestamp".to_owned());
    Ok(&times.ok_or_else(wrong)?.values()[..])
}

/// The rows as events in the order of the requests, and how many. Behind each request stands the place after it.
fn events(
    seated: &Seated,
    requests: &[Departure],
    rows: &[RecordBatch],
) -> Result<(Vec<u8>, usize)> {
    let mut texts: HashMap<i64, Vec<u8>> = HashMap::new();
    let mut spans = 0;
    for batch in rows {
        let objects = Objects::new(batch)
            .map_err(|error| Error::Internal(format!("spans as JSON: {error}")))?;
        let place = batch.schema().index_of("received_time");
        let place = place.map_err(|error| Error::Internal(error.to_string()))?;
        for (row, time) in times(batch, place)?.iter().enumerate() {
            let text = texts.entry(*time).or_default();
            text.extend_from_slice(b"event: span\ndata: ");
            objects.write(row, text);
            text.extend_from_slice(b"\n\n");
        }
        spans += batch.num_rows();
    }
    let mut bytes = Vec::new();
    for request in requests {
        bytes.extend(texts.remove(&request.received_unix_nano).unwrap_or_default());
        let (through, next) = (request.through.0, request.end());
        mark(Position { run: seated.hub.run(), through, next }, &mut bytes);
    }
    Ok((bytes, spans))
}
