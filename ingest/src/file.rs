//! Files of spans: recognises the format and cuts them into requests.
mod chrome;
pub mod growing;
mod jaeger;
mod json;
mod otlp;
mod recognise;
mod scan;
mod stream;

use std::collections::VecDeque;
use std::io::BufRead;

use bytes::Bytes;

use self::recognise::{Layout, decompressed, layout};
use self::stream::{Input, Streams};
use crate::Result;
use crate::decode::Format;

/// Requests of a file are gathered into pieces of at least this size, as long as there are more.
const PIECE_BYTES_MIN: usize = 1 << 20;
/// No piece is larger: neither door nor log would take it.
const PIECE_BYTES_MAX: usize = storage::config::BODY_BYTES_MAX;

/// One request out of a file.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What the body is.
    pub format: Format,
    /// One request, uncompressed.
    pub body: Bytes,
    /// Bytes of the (uncompressed) file read so far, this piece included.
    pub offset: u64,
}

/// Cuts a file into requests of bounded size: OTLP protobuf streams (4-byte length, big- or little-endian, then a
/// request) or one bare request; OTLP JSON, one document or a line each; Zipkin v2 JSON arrays (or a line each);
/// Jaeger's JSON (an answer of its API, a download of its UI, single traces, spans) and Chrome's trace events (an array
/// or an object), which become OTLP protobuf.
/// gzip and zstd are recognised by their first bytes, and formats by theirs.
///
/// The same file always gives the same pieces with offsets that never descend, so an import can resume by skipping
/// pieces. After an error, which comes behind the pieces of what was read before it, there are no more.
pub struct Pieces {
    source: Source,
    ready: VecDeque<Piece>,
    ended: bool,
    failed: Option<crate::Error>,
}

enum Source {
    Protobuf(Streams),
    Json(Box<json::Documents>),
    Empty,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").finish_non_exhaustive()
    }
}

impl Pieces {
    /// Reads the first bytes and recognises compression and format.
    ///
    /// # Errors
    /// The format is none of ours (the message lists them), or reading failed.
    pub fn open(input: Box<dyn BufRead + Send>) -> Result<Self> {
        let (head, input) = decompressed(input)?;
        let layout = layout(&head)?;
        let input = Input::new(head, input);
        let source = match layout {
            Layout::Empty => Source::Empty,
            Layout::Json => Source::Json(Box::new(json::Documents::new(input))),
            Layout::Protobuf(framing) => Source::Protobuf(Streams::new(input, framing)),
        };
        Ok(Self { source, ready: VecDeque::new(), ended: false, failed: None })
    }

    /// What the file has that is no part of a span, with how often it was left out so far.
    pub fn left_out(&self) -> Vec<(&'static str, u64)> {
        match &self.source {
            Source::Json(documents) => {
                documents.left_out().iter().map(|(&what, &count)| (what, count)).collect()
            }
            Source::Protobuf(_) | Source::Empty => Vec::new(),
        }
    }

    /// Adds pieces to `ready`; false at the end of the file.
    fn read(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::Empty => Ok(false),
            Source::Protobuf(streams) => streams.read(&mut self.ready),
            Source::Json(documents) => documents.read(&mut self.ready),
        }
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            match self.read() {
                Ok(more) => self.ended = !more,
                Err(error) => {
                    self.ended = true;
                    self.failed = Some(error);
                    if let Source::Json(documents) = &mut self.source {
                        // The first failure is the one to tell.
                        let _ = documents.end(&mut self.ready);
                    }
                }
            }
        }
        match self.ready.pop_front() {
            Some(piece) => Some(Ok(piece)),
            None => self.failed.take().map(Err),
        }
    }
}

#[cfg(test)]
mod tests;
