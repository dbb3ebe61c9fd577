//! JSON files: finds requests and spans in documents of any size without parsing what is inside them.
use std::collections::VecDeque;

use super::stream::{Input, piece};
use super::{PIECE_BYTES_MAX, PIECE_BYTES_MIN, Piece};
use crate::decode::Format;
use crate::{Error, Result};

/// A file of JSON values, in a row or in arrays: OTLP requests and Zipkin spans.
pub(super) struct Documents {
    input: Input,
    /// Arrays around the current position (an array of requests, an array of arrays of spans).
    arrays: u32,
    /// Elements of the piece under construction, joined by commas.
    pending: Vec<u8>,
    format: Format,
    pending_offset: u64,
}

/// Arrays around requests or spans; more is no format that anyone writes.
const ARRAYS_MAX: u32 = 8;

impl Documents {
    pub(super) fn new(input: Input) -> Self {
        let format = Format::OtlpJson;
        Self { input, arrays: 0, pending: Vec::new(), format, pending_offset: 0 }
    }

    /// Reads one value (an element of the outer arrays); false at the end of the file.
    pub(super) fn read(&mut self, ready: &mut VecDeque<Piece>) -> Result<bool> {
        match self.next_byte()? {
            Some(b'[') if self.arrays < ARRAYS_MAX => self.arrays += 1,
            Some(b']') if self.arrays > 0 => self.arrays -= 1,
            Some(b',') if self.arrays > 0 => {}
            Some(b'{') => self.object(ready)?,
            None if self.arrays == 0 => {
                self.emit(ready);
                return Ok(false);
            }
            None => return Err(self.cut_off()),
            Some(_) => return Err(self.unexpected()),
        }
        Ok(true)
    }

    /// Reads an object whose opening brace has been taken.
    fn object(&mut self, ready: &mut VecDeque<Piece>) -> Result<()> {
        let mut members = vec![b'{'];
        let mut requests = false;
        loop {
            match self.next_byte()? {
                Some(b'}') => break,
                Some(b',') => {}
                Some(b'"') => {
                    let key = self.key(&members)?;
                    if matches!(key.as_slice(), b"\"resourceSpans\"" | b"\"resource_spans\"") {
                        requests = true;
                        self.resource_spans(ready)?;
                        continue;
                    }
                    if members.len() > 1 {
                        members.push(b',');
                    }
                    members.extend_from_slice(&key);
                    members.push(b':');
                    self.value(&mut members)?;
                }
                Some(_) => return Err(self.unexpected()),
                None => return Err(self.cut_off()),
            }
        }
        members.push(b'}');
        if requests || members.len() == 2 {
            return Ok(());
        }
        self.lone_object(&members, ready)
    }

    /// An object without `resourceSpans`: a Zipkin span, or nothing of ours.
    fn lone_object(&mut self, object: &[u8], ready: &mut VecDeque<Piece>) -> Result<()> {
        if !is_zipkin_span(object) {
            return Err(Error::Malformed(format!(
                "the object that ends at byte {} of the file is neither an OTLP trace request (resourceSpans) \
                 nor a Zipkin v2 span (traceId, id)",
                self.input.offset()
            )));
        }
        self.add(Format::ZipkinJson, object, ready)
    }

    /// Reads the array of `resourceSpans`, from the colon on.
    fn resource_spans(&mut self, ready: &mut VecDeque<Piece>) -> Result<()> {
        match self.next_byte()? {
            Some(b'[') => {}
            Some(b'n') => return self.literal(b"ull"),
            _ => return Err(self.unexpected()),
        }
        loop {
            match self.next_byte()? {
                Some(b']') => return Ok(()),
                Some(b',') => {}
                Some(b'{') => {
                    let mut element = vec![b'{'];
                    self.rest_of_nested(&mut element)?;
                    self.add(Format::OtlpJson, &element, ready)?;
                }
                Some(_) => return Err(self.unexpected()),
                None => return Err(self.cut_off()),
            }
        }
    }

    fn literal(&mut self, rest: &[u8]) -> Result<()> {
        for &expected in rest {
            if self.input.byte()? != Some(expected) {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    /// Adds an element to the piece under construction; pieces that are large enough become ready.
    fn add(&mut self, format: Format, element: &[u8], ready: &mut VecDeque<Piece>) -> Result<()> {
        if format != self.format || self.pending.len() + element.len() > PIECE_BYTES_MAX - 64 {
            self.emit(ready);
        }
        if element.len() > PIECE_BYTES_MAX - 64 {
            return Err(Error::TooLarge { limit_bytes: PIECE_BYTES_MAX });
        }
        self.format = format;
        if !self.pending.is_empty() {
            self.pending.push(b',');
        }
        self.pending.extend_from_slice(element);
        self.pending_offset = self.input.offset();
        if self.pending.len() >= PIECE_BYTES_MIN {
            self.emit(ready);
        }
        Ok(())
    }

    fn emit(&mut self, ready: &mut VecDeque<Piece>) {
        if self.pending.is_empty() {
            return;
        }
        let (before, after): (&[u8], &[u8]) = match self.format {
            Format::OtlpJson => (b"{\"resourceSpans\":[", b"]}"),
            _ => (b"[", b"]"),
        };
        let body = [before, &self.pending, after].concat();
        self.pending.clear();
        ready.push_back(piece(self.format, body, self.pending_offset));
    }

    /// Takes the next byte that is not white space, a byte order mark or a record separator.
    fn next_byte(&mut self) -> Result<Option<u8>> {
        loop {
            match self.input.byte()? {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x1e | 0xef | 0xbb | 0xbf) => {}
                byte => return Ok(byte),
            }
        }
    }

    /// Takes a key (its quote has been taken) and the colon after it.
    fn key(&mut self, members: &[u8]) -> Result<Vec<u8>> {
        let mut key = vec![b'"'];
        self.rest_of_string(&mut key)?;
        if self.next_byte()? != Some(b':') || members.len() + key.len() > PIECE_BYTES_MAX {
            return Err(self.unexpected());
        }
        Ok(key)
    }

    /// Copies one value of any kind.
    fn value(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self.next_byte()? {
            Some(b'"') => {
                out.push(b'"');
                self.rest_of_string(out)
            }
            Some(open @ (b'{' | b'[')) => {
                out.push(open);
                self.rest_of_nested(out)
            }
            Some(first) => {
                out.push(first);
                self.rest_of_word(out)
            }
            None => Err(self.cut_off()),
        }
    }

    /// Copies to the end of an object or array whose opening byte is in `out`.
    fn rest_of_nested(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let (mut depth, mut in_string, mut escaped) = (1u32, false, false);
        self.copy_until(out, |byte| {
            if in_string {
                (in_string, escaped) = match byte {
                    _ if escaped => (true, false),
                    b'\\' => (true, true),
                    b'"' => (false, false),
                    _ => (true, false),
                };
                return false;
            }
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            depth == 0
        })
    }

    fn rest_of_string(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut escaped = false;
        self.copy_until(out, |byte| {
            let end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            end
        })
    }

    /// Copies a number, `true`, `false` or `null`, up to (not including) what follows it.
    fn rest_of_word(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while let Some(&byte) = self.input.peek()?.first() {
            if !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.') {
                break;
            }
            out.push(byte);
            self.input.take(1);
        }
        Ok(())
    }

    /// Copies bytes up to and including the first for which `ends` says so.
    fn copy_until(&mut self, out: &mut Vec<u8>, mut ends: impl FnMut(u8) -> bool) -> Result<()> {
        loop {
            let bytes = self.input.peek()?;
            if bytes.is_empty() {
                return Err(self.cut_off());
            }
            let end = bytes.iter().position(|&byte| ends(byte));
            let length = end.map_or(bytes.len(), |index| index + 1);
            out.extend_from_slice(&bytes[..length]);
            self.input.take(length);
            if end.is_some() {
                return Ok(());
            }
            if out.len() > PIECE_BYTES_MAX {
                return Err(Error::TooLarge { limit_bytes: PIECE_BYTES_MAX });
            }
        }
    }

    fn cut_off(&self) -> Error {
        let at = self.input.offset();
        Error::Malformed(format!(
            "the file ends within a JSON value, at byte {at}; was it cut off?"
        ))
    }

    fn unexpected(&self) -> Error {
        let at = self.input.offset();
        Error::Malformed(format!("the JSON goes wrong at byte {at} of the file"))
    }
}

fn is_zipkin_span(object: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Ids {
        #[serde(rename = "traceId")]
        _trace_id: serde::de::IgnoredAny,
        #[serde(rename = "id")]
        _id: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Ids>(object).is_ok()
}
