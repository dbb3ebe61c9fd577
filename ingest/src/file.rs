//! Files of spans: recognises the format and cuts them into requests.
use std::io::BufRead;

use bytes::Bytes;

use crate::Result;
use crate::decode::Format;

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
/// request) or one bare request; OTLP JSON, one document or a line each; Zipkin v2 JSON arrays (or a line each).
/// gzip and zstd are recognised by their first bytes, and formats by theirs.
pub struct Pieces {
    input: Box<dyn BufRead + Send>,
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
        Ok(Self { input })
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece>;
    fn next(&mut self) -> Option<Self::Item> {
        let _ = &self.input;
        unimplemented!()
    }
}
