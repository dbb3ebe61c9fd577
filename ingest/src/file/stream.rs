//! Protobuf requests one after another; and the input that all formats read from.
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use bytes::Bytes;

use super::recognise::Framing;
use super::{PIECE_BYTES_MAX, PIECE_BYTES_MIN, Piece};
use crate::decode::Format;
use crate::{Error, Result};

/// The content of a file, with the number of bytes taken from it.
pub(super) struct Input {
    content: io::Chain<io::Cursor<Vec<u8>>, Box<dyn BufRead + Send>>,
    offset: u64,
}

impl Input {
    pub(super) fn new(head: Vec<u8>, rest: Box<dyn BufRead + Send>) -> Self {
        Self { content: io::Cursor::new(head).chain(rest), offset: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that can be looked at now; empty at the end.
    pub(super) fn peek(&mut self) -> Result<&[u8]> {
        Ok(self.content.fill_buf()?)
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.content.consume(bytes);
        self.offset += bytes as u64;
    }

    pub(super) fn byte(&mut self) -> Result<Option<u8>> {
        let byte = self.peek()?.first().copied();
        self.take(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Appends exactly `bytes` to `body`.
    fn read_into(&mut self, body: &mut Vec<u8>, bytes: usize) -> Result<()> {
        let read = (&mut self.content).take(bytes as u64).read_to_end(body)?;
        self.offset += read as u64;
        if read < bytes {
            return Err(Error::Malformed(format!(
                "the file ends within a request that began at byte {}; was it cut off?",
                self.offset - read as u64
            )));
        }
        Ok(())
    }
}

/// Requests in protobuf.
pub(super) struct Streams {
    input: Input,
    framing: Framing,
}

impl Streams {
    pub(super) fn new(input: Input, framing: Framing) -> Self {
        Self { input, framing }
    }

    /// Adds one piece: requests are joined by concatenation, which protobuf defines as merging.
    pub(super) fn read(&mut self, ready: &mut VecDeque<Piece>) -> Result<bool> {
        let mut body = Vec::new();
        let more = loop {
            if !self.read_one(&mut body)? {
                break false;
            }
            if body.len() >= PIECE_BYTES_MIN {
                break true;
            }
        };
        if !body.is_empty() {
            let format = Format::OtlpProtobuf;
            ready.push_back(Piece { format, body: body.into(), offset: self.input.offset() });
        }
        Ok(more)
    }

    fn read_one(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        if self.input.peek()?.is_empty() {
            return Ok(false);
        }
        let length = match self.framing {
            Framing::BigEndian => self.length()?.swap_bytes(),
            Framing::LittleEndian => self.length()?,
            Framing::Bare => return self.read_field(body).map(|()| true),
        };
        self.read_sized(body, u64::from(length))?;
        Ok(true)
    }

    fn length(&mut self) -> Result<u32> {
        let mut length = Vec::with_capacity(4);
        self.input.read_into(&mut length, 4)?;
        Ok(length.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
    }

    /// Copies one field of a bare request, tag and length included.
    fn read_field(&mut self, body: &mut Vec<u8>) -> Result<()> {
        let tag = self.input.byte()?;
        if tag != Some(0x0a) {
            let at = self.input.offset();
            return Err(Error::Malformed(format!("no request goes on at byte {at} of the file")));
        }
        body.push(0x0a);
        let mut length = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.input.byte()?.unwrap_or_default();
            body.push(byte);
            length |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return self.read_sized(body, length);
            }
        }
        Err(Error::TooLarge { limit_bytes: PIECE_BYTES_MAX })
    }

    fn read_sized(&mut self, body: &mut Vec<u8>, length: u64) -> Result<()> {
        let free = PIECE_BYTES_MAX.saturating_sub(body.len());
        match usize::try_from(length) {
            Ok(length) if length <= free => self.input.read_into(body, length),
            _ => Err(Error::TooLarge { limit_bytes: PIECE_BYTES_MAX }),
        }
    }
}

/// A piece made of `body`.
pub(super) fn piece(format: Format, body: Vec<u8>, offset: u64) -> Piece {
    Piece { format, body: Bytes::from(body), offset }
}
