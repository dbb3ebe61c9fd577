//! Answers as bytes: JSON, NDJSON, CSV, Arrow IPC stream, Parquet, and a table for people.
//!
//! `encode::stream` is the one door, for HTTP answers and for the command line. Rows become bytes as they come. A
//! failure in mid-stream cannot be missed: the stream yields the error (over HTTP the connection then breaks, so
//! that no client takes the part for the whole), and NDJSON says it in a last line `{"error":{...}}` before.
pub(crate) mod binary;
mod cells;
mod csv;
mod json;
mod table;
pub(crate) mod text;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use query::Answer;

pub(crate) use self::cells::{Cells, write_string};
pub(crate) use self::json::Objects;

use crate::{Error, Result};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An array of row objects.
    Json,
    /// A row object a line.
    Ndjson,
    /// RFC 4180 with a header line; null is empty, an empty text is `""`.
    Csv,
    /// Arrow IPC stream.
    Arrow,
    /// One Parquet file.
    Parquet,
    /// Aligned columns for people.
    Table,
}

impl Format {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 6] =
        [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow, Self::Parquet, Self::Table];

    /// The name in `?format=` and `--format`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Table => "table",
        }
    }

    /// The media type of an answer.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Table => "text/plain; charset=utf-8",
        }
    }

    /// The format that an `Accept` header prefers; [`Format::Json`] where it names none of ours.
    pub fn from_accept(accept: &str) -> Self {
        let mut best = (Self::Json, 0.0);
        for part in accept.split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let media_type = pieces.next().unwrap_or_default().to_ascii_lowercase();
            let quality = pieces.find_map(|piece| piece.strip_prefix("q=")?.parse().ok());
            let quality: f32 = quality.unwrap_or(1.0);
            if let Some(format) = Self::of_media_type(&media_type).filter(|_| quality > best.1) {
                best = (format, quality);
            }
        }
        best.0
    }

    fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Some(Self::Ndjson)
            }
            "text/csv" => Some(Self::Csv),
            "application/vnd.apache.arrow.stream" => Some(Self::Arrow),
            "application/vnd.apache.parquet" => Some(Self::Parquet),
            "text/plain" => Some(Self::Table),
            _ => None,
        }
    }
}

impl std::str::FromStr for Format {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::Invalid(format!("there is no format {text:?}; the formats are {names}"))
        })
    }
}

/// What a caller may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// CSV: put `'` before texts that a spreadsheet would take for a formula. Default on.
    pub formula_guard: bool,
    /// Told in the last line of NDJSON that failed; may be empty.
    pub request_id: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { formula_guard: true, request_id: String::new() }
    }
}

/// Writes one format: a beginning, batches, an end. `out` is given to the caller after each call.
pub(crate) trait Encode: Send {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError>;
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError>;
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError>;
    /// Rows of `columns` columns to encode before the bytes go out and other tasks get their turn: well below a
    /// millisecond's work.
    fn rows_a_piece(&self, columns: usize) -> usize {
        (CELLS_A_PIECE / columns.max(1)).max(64)
    }
    /// Says that the rows so far are not all, where the format can.
    fn fail(&mut self, _error: &Error, _out: &mut Vec<u8>) {}
}

/// The bytes of `answer` in `format`, as its rows come. Ends with an error where the answer does.
pub fn stream(
    answer: Answer,
    format: Format,
    options: Options,
) -> BoxStream<'static, Result<Bytes>> {
    let encoder: Box<dyn Encode> = match format {
        Format::Json => Box::new(json::Rows::array(&answer.schema)),
        Format::Ndjson => Box::new(json::Rows::lines(&answer.schema, options.request_id)),
        Format::Csv => Box::new(csv::Csv::new(&answer.schema, options.formula_guard)),
        Format::Arrow => Box::new(binary::ArrowStream::new(&answer.schema)),
        Format::Parquet => Box::new(binary::ParquetFile::new(&answer.schema)),
        Format::Table => Box::new(table::Table::new(&answer.schema)),
    };
    let work = Work { answer, encoder, step: Step::Begin };
    stream::unfold(work, next).boxed()
}

/// Cells of text that are encoded at a time.
const CELLS_A_PIECE: usize = 16 << 10;

struct Work {
    answer: Answer,
    encoder: Box<dyn Encode>,
    step: Step,
}

enum Step {
    Begin,
    /// Rows of a batch from that row on.
    Rows(RecordBatch, usize),
    Wait,
    Fail(Error),
    Done,
}

async fn next(mut work: Work) -> Option<(Result<Bytes>, Work)> {
    let mut out = Vec::new();
    loop {
        let result = match std::mem::replace(&mut work.step, Step::Done) {
            Step::Begin => {
                work.step = Step::Wait;
                work.encoder.begin(&mut out)
            }
            Step::Rows(batch, from) => piece(&mut work, batch, from, &mut out),
            Step::Wait => advance(&mut work, &mut out).await,
            Step::Fail(error) => return Some((Err(error), work)),
            Step::Done => return None,
        };
        if let Err(error) = result {
            work.step = Step::Fail(Error::Internal(format!("encoding failed: {error}")));
        }
        if !out.is_empty() {
            return Some((Ok(Bytes::from(out)), work));
        }
    }
}

/// Takes the next batch, or the end.
async fn advance(work: &mut Work, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    match work.answer.batches.next().await {
        Some(Ok(batch)) => {
            work.step = Step::Rows(batch, 0);
            Ok(())
        }
        Some(Err(error)) => {
            let error = Error::from(error);
            work.encoder.fail(&error, out);
            work.step = Step::Fail(error);
            Ok(())
        }
        None => work.encoder.end(out),
    }
}

/// Encodes some rows of `batch`.
fn piece(
    work: &mut Work,
    batch: RecordBatch,
    from: usize,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    let rows = work.encoder.rows_a_piece(batch.num_columns());
    let until = batch.num_rows().min(from + rows);
    work.encoder.batch(&batch.slice(from, until - from), out)?;
    work.step = if until < batch.num_rows() { Step::Rows(batch, until) } else { Step::Wait };
    Ok(())
}

/// `2026-11-21T10:00:00.123456789Z` of Unix nanoseconds.
pub(crate) fn timestamp(unix_nano: i64) -> String {
    let mut text = Vec::with_capacity(30);
    text::timestamp_of(unix_nano, storage::time::NANOS_PER_SECOND, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests;
