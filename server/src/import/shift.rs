//! `--shift-to-now`: moves all times of a file by one distance, so that its newest span ends now.
use std::io::BufReader;

use anyhow::{Context, bail};
use bytes::Bytes;
use ingest::Format;
use ingest::file::{Piece, Pieces};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;
use storage::{Clock, SystemClock};

use super::Input;

/// A distance in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift(pub(super) i64);

impl Shift {
    /// Reads the file once to find its newest time.
    ///
    /// # Errors
    /// It cannot be read twice (standard input), or has no times.
    pub(super) fn to_now(input: &Input) -> anyhow::Result<Self> {
        let Input::File(path) = input else {
            bail!("--shift-to-now reads the input twice, so it must be a file");
        };
        let file = std::fs::File::open(path).with_context(|| format!("read {}", path.display()))?;
        let mut newest = None;
        for piece in Pieces::open(Box::new(BufReader::new(file)))? {
            let mut visit = |time: i64| {
                newest = newest.max(Some(time));
                time
            };
            each_time(&piece?, &mut visit)?;
        }
        let newest = newest.with_context(|| format!("{} has no times", path.display()))?;
        Ok(Self(SystemClock.now_unix_nano() - newest))
    }

    /// The piece with its times moved.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn apply(self, piece: Piece) -> anyhow::Result<Piece> {
        let body = each_time(&piece, &mut |time| time.saturating_add(self.0))?;
        Ok(Piece { body, ..piece })
    }
}

type Visit<'a> = &'a mut dyn FnMut(i64) -> i64;

/// Puts every time of the piece through `visit` and returns the piece with what came back.
fn each_time(piece: &Piece, visit: Visit<'_>) -> anyhow::Result<Bytes> {
    Ok(match piece.format {
        Format::OtlpProtobuf => {
            let mut request = ExportTraceServiceRequest::decode(&piece.body[..])?;
            protobuf(&mut request, visit);
            request.encode_to_vec().into()
        }
        Format::OtlpJson => {
            let mut json: Value = serde_json::from_slice(&piece.body)?;
            walk(&mut json, &["startTimeUnixNano", "endTimeUnixNano", "timeUnixNano"], 1, visit);
            serde_json::to_vec(&json)?.into()
        }
        Format::ZipkinJson => {
            let mut json: Value = serde_json::from_slice(&piece.body)?;
            walk(&mut json, &["timestamp"], 1_000, visit);
            serde_json::to_vec(&json)?.into()
        }
        Format::ZipkinProtobuf => bail!("--shift-to-now does not move times of Zipkin's protobuf"),
    })
}

fn protobuf(request: &mut ExportTraceServiceRequest, visit: Visit<'_>) {
    let mut moved = |time: &mut u64| {
        if let Ok(before) = i64::try_from(*time) {
            *time = visit(before).max(0).unsigned_abs();
        }
    };
    let scopes = request.resource_spans.iter_mut().flat_map(|spans| &mut spans.scope_spans);
    for span in scopes.flat_map(|scope| &mut scope.spans) {
        moved(&mut span.start_time_unix_nano);
        moved(&mut span.end_time_unix_nano);
        for event in &mut span.events {
            moved(&mut event.time_unix_nano);
        }
    }
}

/// Numbers, or texts of numbers, under `keys`, in units of `scale` nanoseconds.
fn walk(json: &mut Value, keys: &[&str], scale: i64, visit: Visit<'_>) {
    match json {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, keys, scale, visit)),
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
                match number.filter(|_| keys.contains(&key.as_str())) {
                    Some(number) => {
                        let moved = visit(number.saturating_mul(scale)) / scale;
                        *value =
                            if value.is_string() { moved.to_string().into() } else { moved.into() };
                    }
                    None => walk(value, keys, scale, visit),
                }
            }
        }
        _ => {}
    }
}
