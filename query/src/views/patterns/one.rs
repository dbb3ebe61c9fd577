//! The pattern of one trace.
use std::num::NonZeroU64;

use arrow::array::{Array, RecordBatch, StringViewArray};
use datafusion::common::Result;
use storage::schema::column;

use super::Head;
use super::shape::{Hashes, Shape};
use crate::views::forest::{Forest, Kind, Span, Texts};
use crate::views::load::Source;
use crate::views::read::{integers, texts};
use crate::views::rows::Columns;
use crate::views::tree::Tree;

/// What a trace is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracePattern {
    /// As the view `patterns` names it: 16 hex digits.
    pub pattern: String,
    /// The shape in words.
    pub shape: String,
}

/// One row of `trace_pattern`.
#[derive(Debug)]
pub(crate) struct Row {
    head: Head,
    found: TracePattern,
}

/// The pattern of the trace with this id, as one row; none where it is unknown.
pub(crate) async fn of_trace(source: Source, trace: [u8; 16]) -> Result<Vec<RecordBatch>> {
    let forest = source.few([trace]).await?;
    let rows: Vec<Row> = rows(&forest).collect();
    Ok(vec![batch(&forest.texts, &rows)?])
}

/// The pattern of a trace of which `spans` are all spans in the columns of the table `spans`; `None` of no spans.
///
/// # Errors
/// A column is missing.
pub fn trace_pattern(spans: &RecordBatch) -> crate::Result<Option<TracePattern>> {
    let forest = forest_of(spans)?;
    Ok(rows(&forest).next().map(|row| row.found))
}

fn rows(forest: &Forest) -> impl Iterator<Item = Row> {
    let mut hashes = Hashes::default();
    forest.traces().map(move |trace| {
        let shape = Shape::of(forest, &trace, &Tree::of(&trace), &mut hashes);
        Row {
            head: Head::of(forest, &trace),
            found: TracePattern {
                pattern: super::name(shape.pattern),
                shape: shape.text(forest, &trace),
            },
        }
    })
}

/// One trace, whatever its id.
fn forest_of(batch: &RecordBatch) -> Result<Forest> {
    let [id, parent, service, name] =
        [column::SPAN_ID, column::PARENT_SPAN_ID, column::SERVICE, column::NAME]
            .map(|name| texts(batch, name));
    let (id, parent, service, name) = (id?, parent?, service?, name?);
    let (kind, status) = (texts(batch, column::KIND)?, texts(batch, column::STATUS)?);
    let (start, duration) = (integers(batch, column::START)?, integers(batch, column::DURATION)?);
    let mut forest = Forest::default();
    let trace = forest.trace_index([0; 16]);
    for row in 0..batch.num_rows() {
        let span = Span {
            trace,
            id: number(&id, row),
            parent: NonZeroU64::new(number(&parent, row)),
            start: start.value(row),
            duration: duration.value(row),
            service: forest.texts.id(service.value(row)),
            name: forest.texts.id(name.value(row)),
            kind: Kind::of(kind.value(row)),
            error: status.value(row) == "ERROR",
            weight: 1.0,
        };
        forest.spans.push(span);
    }
    forest.group();
    Ok(forest)
}

/// A span id in hex; 0 where there is none.
fn number(ids: &StringViewArray, row: usize) -> u64 {
    let id = ids.is_valid(row).then(|| u64::from_str_radix(ids.value(row), 16).ok());
    id.flatten().unwrap_or_default()
}

/// The columns of `trace_pattern`.
pub(crate) fn batch(texts: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("trace_id", |row| hex::encode(row.head.id))
        .text("pattern", |row| row.found.pattern.as_str())
        .text("root_service", |row| texts.text(row.head.service))
        .text("root_name", |row| texts.text(row.head.name))
        .big("duration_nano", |row| row.head.duration)
        .big("spans", |row| i64::from(row.head.spans))
        .flag("complete", |row| row.head.complete)
        .text("shape", |row| row.found.shape.as_str())
        .finish()
}
