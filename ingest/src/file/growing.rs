//! Files that grow: cuts what a file has so far into its complete records, and those into pieces.
//!
//! A record is a line of JSON or a protobuf request with a 4-byte length. A record that cannot be read is left out with
//! its position, so that one bad line never stops those after it. Pure: whoever calls reads the file and keeps the
//! position. The same bytes always give the same pieces.
use std::io::Cursor;

use storage::time::TimeRange;

use super::recognise::{is_json, is_request};
use super::{PIECE_BYTES_MAX, Piece, Pieces};
use crate::Config;
use crate::decode::Format;
use crate::decode::census::Census;

/// Bytes of a length.
const LENGTH_BYTES: usize = 4;
/// Largest record: what is longer is left out.
pub const RECORD_BYTES_MAX: usize = PIECE_BYTES_MAX;

/// How records follow each other in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A line of JSON each: OTLP, Zipkin or Jaeger.
    Lines,
    /// A 4-byte length before each request, most significant byte first.
    BigEndian,
    /// A 4-byte length before each request, least significant byte first.
    LittleEndian,
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// It is a file of such records.
    Framing(Framing),
    /// Too little is there to tell.
    Early,
    /// It is none that can be followed.
    Unknown,
}

/// A record that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Complete records of a file.
#[derive(Debug, Default)]
pub struct Batch {
    /// What they hold.
    pub pieces: Vec<Piece>,
    /// Bytes of the file that are done with these pieces.
    pub taken: usize,
    /// Records that cannot be read.
    pub skipped: Vec<Skipped>,
}

/// Recognises the records of a file that begins with `head`.
pub fn recognise(head: &[u8]) -> Recognised {
    let text = head.trim_ascii_start();
    if text.is_empty() {
        return Recognised::Early;
    }
    if is_json(text) {
        return Recognised::Framing(Framing::Lines);
    }
    let mut early = head.len() < LENGTH_BYTES;
    for framing in [Framing::BigEndian, Framing::LittleEndian] {
        match framing.length(head) {
            Some(length) if length > RECORD_BYTES_MAX => {}
            Some(length) => match head.get(LENGTH_BYTES..LENGTH_BYTES + length) {
                Some(record) if is_request(record) => return Recognised::Framing(framing),
                Some(_) => {}
                None => early |= head.get(LENGTH_BYTES).is_none_or(|&tag| tag == 0x0a),
            },
            None => {}
        }
    }
    if early { Recognised::Early } else { Recognised::Unknown }
}

impl Framing {
    fn length(self, bytes: &[u8]) -> Option<usize> {
        let length = *bytes.first_chunk::<LENGTH_BYTES>()?;
        let length = match self {
            Self::Lines => return None,
            Self::BigEndian => u32::from_be_bytes(length),
            Self::LittleEndian => u32::from_le_bytes(length),
        };
        usize::try_from(length).ok()
    }

    /// The length of the record at the start of `bytes`, its newline or length included; `None` while it grows.
    ///
    /// # Errors
    /// The length is larger than any record: the file cannot be read any further.
    pub fn first(self, bytes: &[u8]) -> Result<Option<usize>, String> {
        if self == Self::Lines {
            return Ok(bytes.iter().position(|&byte| byte == b'\n').map(|index| index + 1));
        }
        match self.length(bytes) {
            Some(length) if length > RECORD_BYTES_MAX => {
                Err(format!("a length of {length} bytes is none of a request's; the file is left"))
            }
            Some(length) if bytes.len() >= LENGTH_BYTES + length => Ok(Some(LENGTH_BYTES + length)),
            _ => Ok(None),
        }
    }

    /// Cuts the complete records at the start of `bytes`, which lie at `offset` of the file, into pieces. An `ended`
    /// file's last line is complete without a newline.
    ///
    /// # Errors
    /// A length is larger than any record, and nothing complete stands before it.
    pub fn cut(self, bytes: &[u8], offset: u64, ended: bool) -> Result<Batch, String> {
        let (mut batch, mut good) = (Batch::default(), Vec::new());
        loop {
            let rest = &bytes[batch.taken..];
            let length = match self.first(rest) {
                Ok(Some(length)) => length,
                Ok(None) if ended && self == Self::Lines && !rest.is_empty() => rest.len(),
                Ok(None) => break,
                Err(words) if batch.taken == 0 => return Err(words),
                Err(_) => break,
            };
            let record = self.body(&rest[..length]);
            match check(self, record) {
                Ok(()) => {
                    good.extend_from_slice(record);
                    if self == Self::Lines && !record.ends_with(b"\n") {
                        good.push(b'\n');
                    }
                }
                Err(reason) => batch.skipped.push(Skipped {
                    offset: offset + batch.taken as u64,
                    bytes: length as u64,
                    reason,
                }),
            }
            batch.taken += length;
        }
        batch.pieces = pieces(self, good)?;
        Ok(batch)
    }

    fn body(self, record: &[u8]) -> &[u8] {
        if self == Self::Lines { record } else { &record[LENGTH_BYTES..] }
    }
}

/// Reads a record as the door will.
fn check(framing: Framing, record: &[u8]) -> Result<(), String> {
    let config = Config::default();
    for piece in pieces(framing, record.to_vec())? {
        Census::take(piece.format, &piece.body, &config, TimeRange::ALL)
            .map_err(|malformed| malformed.to_string())?;
    }
    Ok(())
}

fn pieces(framing: Framing, records: Vec<u8>) -> Result<Vec<Piece>, String> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    if framing == Framing::Lines {
        let pieces = Pieces::open(Box::new(Cursor::new(records)));
        let pieces = pieces.and_then(Iterator::collect::<crate::Result<Vec<Piece>>>);
        return pieces.map_err(|error| error.to_string());
    }
    let offset = records.len() as u64;
    Ok(vec![Piece { format: Format::OtlpProtobuf, body: records.into(), offset }])
}

#[cfg(test)]
mod tests;
