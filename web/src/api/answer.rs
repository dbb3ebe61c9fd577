//! An [`Answer`] as an HTTP response.
use arrow::array::RecordBatch;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use futures::stream::{self, StreamExt};
use query::Answer;

use super::parameters::Parameters;
use crate::encode::{self, Format};
use crate::{Error, Result};

/// Header with what an answer could not know, as a JSON object.
pub(crate) const NOTES: HeaderName = HeaderName::from_static("spanlake-notes");

/// Streams `answer` in the format asked for. Waits for the first rows, so that an answer that fails at once has
/// its own status.
pub(crate) async fn respond(parameters: &Parameters, answer: Answer) -> Result<Response> {
    let format = parameters.format()?;
    let options = parameters.options()?;
    let notes = notes(&answer.notes);
    let request_id = options.request_id.clone();
    let bytes = encode::stream(started(answer).await?, format, options);
    // hyper only breaks the connection; what happened stands in the log.
    let bytes = bytes.inspect(move |piece| {
        if let Err(error) = piece {
            error.log(&request_id);
        }
    });
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    if let Some(notes) = notes {
        headers.insert(NOTES, notes);
    }
    if let Some(name) = file_name(format) {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    }
    Ok(response)
}

/// An answer made of rows in memory.
pub(crate) fn of_batch(batch: RecordBatch) -> Answer {
    let schema = batch.schema();
    let batches = stream::once(async { Ok(batch) }).boxed();
    Answer { schema, batches, notes: Vec::new() }
}

/// Takes the first batch now; the rest follows.
async fn started(answer: Answer) -> Result<Answer> {
    let Answer { schema, mut batches, notes } = answer;
    let first = stream::iter(batches.next().await.transpose()?.map(Ok));
    Ok(Answer { schema, batches: first.chain(batches).boxed(), notes })
}

/// `{"coverage":0.97,"spans_without_parent":3}`, in ASCII.
pub(crate) fn notes(notes: &[(&'static str, String)]) -> Option<HeaderValue> {
    if notes.is_empty() {
        return None;
    }
    let member = |(name, value): &(&str, String)| {
        let is_number = serde_json::from_str::<serde_json::Number>(value).is_ok();
        let value = if is_number { value.clone() } else { quoted(value) };
        format!("{}:{value}", quoted(name))
    };
    let members: Vec<String> = notes.iter().map(member).collect();
    HeaderValue::from_str(&format!("{{{}}}", members.join(","))).ok()
}

fn quoted(text: &str) -> String {
    let mut bytes = Vec::new();
    encode::write_string(text, &mut bytes);
    let mut ascii = String::with_capacity(bytes.len());
    let mut units = [0u16; 2];
    for c in String::from_utf8_lossy(&bytes).chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            ascii.push(c);
        } else {
            let escapes = c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            ascii.extend(escapes);
        }
    }
    ascii
}

fn file_name(format: Format) -> Option<&'static str> {
    match format {
        Format::Arrow => Some("attachment; filename=\"spanlake.arrows\""),
        Format::Parquet => Some("attachment; filename=\"spanlake.parquet\""),
        _ => None,
    }
}

/// All rows of an answer in one batch.
pub(crate) async fn collect(answer: Answer) -> Result<RecordBatch> {
    let Answer { schema, mut batches, .. } = answer;
    let mut all = Vec::new();
    while let Some(batch) = batches.next().await {
        all.push(batch?);
    }
    arrow::compute::concat_batches(&schema, &all)
        .map_err(|error| Error::Internal(format!("batches of one answer differ: {error}")))
}
