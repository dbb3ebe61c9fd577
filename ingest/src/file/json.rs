//! JSON files: finds requests, spans and traces in documents of any size, and tells formats apart by what they hold.
use std::collections::{BTreeMap, VecDeque};

use super::chrome::Chrome;
use super::jaeger::Trace;
use super::otlp::Requests;
use super::scan::Scanner;
use super::stream::{Input, piece};
use super::{PIECE_BYTES_MAX, PIECE_BYTES_MIN, Piece};
use crate::decode::Format;
use crate::{Error, Result};

/// A file of JSON values, in a row or in arrays: OTLP requests, Zipkin spans, Jaeger traces, Chrome's trace events.
pub(super) struct Documents {
    scanner: Scanner,
    /// Arrays around the current position (an array of requests, an array of arrays of spans).
    arrays: u32,
    /// Elements of the piece under construction, joined by commas.
    pending: Vec<u8>,
    format: Format,
    pending_offset: u64,
    /// Spans of other formats, as OTLP.
    requests: Requests,
    /// The Jaeger trace that is being read.
    trace: Trace,
    /// The trace of Chrome's events that is being read.
    chrome: Option<Box<Chrome>>,
    /// What has no place among spans, with its count.
    left_out: BTreeMap<&'static str, u64>,
}

/// Arrays around requests or spans; more is no format that anyone writes.
const ARRAYS_MAX: u32 = 8;
/// Objects around a trace: Jaeger's answer, or what a script wrapped around it.
const OBJECTS_MAX: u32 = 4;

/// What an object without members of ours is.
#[derive(serde::Deserialize)]
struct Marks {
    #[serde(rename = "traceId")]
    zipkin_trace_id: Option<serde::de::IgnoredAny>,
    #[serde(rename = "id")]
    zipkin_id: Option<serde::de::IgnoredAny>,
    #[serde(rename = "traceID")]
    jaeger_trace_id: Option<serde::de::IgnoredAny>,
    #[serde(rename = "spanID")]
    jaeger_span_id: Option<serde::de::IgnoredAny>,
    #[serde(rename = "ph")]
    chrome_phase: Option<serde::de::IgnoredAny>,
}

impl Documents {
    pub(super) fn new(input: Input) -> Self {
        Self {
            scanner: Scanner::new(input),
            arrays: 0,
            pending: Vec::new(),
            format: Format::OtlpJson,
            pending_offset: 0,
            requests: Requests::default(),
            trace: Trace::default(),
            chrome: None,
            left_out: BTreeMap::new(),
        }
    }

    pub(super) fn left_out(&self) -> &BTreeMap<&'static str, u64> {
        &self.left_out
    }

    /// Reads one value (an element of the outer arrays); false at the end of the file.
    pub(super) fn read(&mut self, ready: &mut VecDeque<Piece>) -> Result<bool> {
        match self.scanner.next_byte()? {
            Some(b'[') if self.arrays < ARRAYS_MAX => self.arrays += 1,
            Some(b']') if self.arrays > 0 => self.arrays -= 1,
            Some(b',') if self.arrays > 0 => {}
            Some(b'{') => self.object(OBJECTS_MAX, ready)?,
            // Chrome leaves the array of its events open.
            None if self.arrays == 0 || self.chrome.is_some() => {
                self.end(ready)?;
                return Ok(false);
            }
            None => return Err(self.scanner.cut_off()),
            Some(_) => return Err(self.scanner.unexpected()),
        }
        Ok(true)
    }

    /// Hands over what was read so far, also where the file goes wrong later.
    ///
    /// # Errors
    /// A span is larger than any piece.
    pub(super) fn end(&mut self, ready: &mut VecDeque<Piece>) -> Result<()> {
        self.end_trace(ready)?;
        self.end_chrome(ready)?;
        self.emit(ready);
        self.requests.emit(self.scanner.offset(), ready);
        Ok(())
    }

    /// Reads an object whose opening brace has been taken.
    fn object(&mut self, depth: u32, ready: &mut VecDeque<Piece>) -> Result<()> {
        let mut members = vec![b'{'];
        let mut ours = false;
        loop {
            match self.scanner.next_byte()? {
                Some(b'}') => break,
                Some(b',') => {}
                Some(b'"') => {
                    let key = self.scanner.key()?;
                    if self.member(&key, depth, ready)? {
                        ours = true;
                    } else if ours {
                        self.scanner.skip_value()?;
                    } else {
                        if members.len() > 1 {
                            members.push(b',');
                        }
                        members.extend_from_slice(&key);
                        members.push(b':');
                        self.scanner.value(&mut members)?;
                    }
                }
                Some(_) => return Err(self.scanner.unexpected()),
                None => return Err(self.scanner.cut_off()),
            }
        }
        members.push(b'}');
        if ours || members.len() == 2 {
            return self.end_trace(ready);
        }
        if self.chrome.is_some() {
            return self.chrome_event(&members, ready);
        }
        self.lone_object(&members, ready)
    }

    /// Reads the value of `key` where it holds spans; false (and nothing read) where it is another one.
    fn member(&mut self, key: &[u8], depth: u32, ready: &mut VecDeque<Piece>) -> Result<bool> {
        match key {
            b"\"resourceSpans\"" | b"\"resource_spans\"" => {
                self.elements(ready, &mut |documents, ready| {
                    let element = documents.element()?;
                    documents.add(Format::OtlpJson, &element, ready)
                })?;
            }
            b"\"spans\"" => self.elements(ready, &mut |documents, ready| {
                let element = documents.element()?;
                documents.jaeger_span(&element, ready)
            })?,
            b"\"processes\"" => {
                let mut processes = Vec::new();
                self.scanner.value(&mut processes)?;
                self.trace.processes(&processes, self.scanner.offset())?;
            }
            b"\"traceEvents\"" => {
                self.elements(ready, &mut |documents, ready| {
                    let element = documents.element()?;
                    documents.chrome_event(&element, ready)
                })?;
                self.end_chrome(ready)?;
            }
            b"\"data\"" if depth > 0 => {
                self.elements(ready, &mut |documents, ready| documents.object(depth - 1, ready))?
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads an array of objects, one object, or `null`: `read` is called behind each opening brace.
    fn elements(
        &mut self,
        ready: &mut VecDeque<Piece>,
        read: &mut dyn FnMut(&mut Self, &mut VecDeque<Piece>) -> Result<()>,
    ) -> Result<()> {
        match self.scanner.next_byte()? {
            Some(b'[') => {}
            Some(b'{') => return read(self, ready),
            Some(b'n') => return self.scanner.literal(b"ull"),
            Some(_) => return Err(self.scanner.unexpected()),
            None => return Err(self.scanner.cut_off()),
        }
        loop {
            match self.scanner.next_byte()? {
                Some(b']') => return Ok(()),
                Some(b',') => {}
                Some(b'{') => read(self, ready)?,
                Some(_) => return Err(self.scanner.unexpected()),
                None => return Err(self.scanner.cut_off()),
            }
        }
    }

    /// Copies an object whose opening brace has been taken.
    fn element(&mut self) -> Result<Vec<u8>> {
        let mut element = vec![b'{'];
        self.scanner.rest_of_nested(&mut element)?;
        Ok(element)
    }

    /// An object that holds no array of ours: a span by itself, or nothing of ours.
    fn lone_object(&mut self, object: &[u8], ready: &mut VecDeque<Piece>) -> Result<()> {
        let marks: Option<Marks> = serde_json::from_slice(object).ok();
        match marks {
            Some(Marks { zipkin_trace_id: Some(_), zipkin_id: Some(_), .. }) => {
                self.add(Format::ZipkinJson, object, ready)
            }
            Some(Marks { jaeger_trace_id: Some(_), jaeger_span_id: Some(_), .. }) => {
                self.jaeger_span(object, ready)?;
                self.end_trace(ready)
            }
            Some(Marks { chrome_phase: Some(_), .. }) => self.chrome_event(object, ready),
            _ => Err(Error::Malformed(format!(
                "the object that ends at byte {} of the file is neither an OTLP trace request (resourceSpans), \
                 nor a Zipkin v2 span (traceId, id), nor a Jaeger trace (spans, processes), \
                 nor a trace event of Chrome's (ph, ts)",
                self.scanner.offset()
            ))),
        }
    }

    fn jaeger_span(&mut self, span: &[u8], ready: &mut VecDeque<Piece>) -> Result<()> {
        let offset = self.scanner.offset();
        self.trace.span(span, &mut self.requests, (offset, ready))
    }

    fn end_trace(&mut self, ready: &mut VecDeque<Piece>) -> Result<()> {
        let offset = self.scanner.offset();
        std::mem::take(&mut self.trace).end(&mut self.requests, (offset, ready))
    }

    fn chrome_event(&mut self, event: &[u8], ready: &mut VecDeque<Piece>) -> Result<()> {
        let offset = self.scanner.offset();
        let chrome = self.chrome.get_or_insert_default();
        chrome.event(event, &mut self.requests, (offset, ready))
    }

    fn end_chrome(&mut self, ready: &mut VecDeque<Piece>) -> Result<()> {
        let Some(chrome) = self.chrome.take() else { return Ok(()) };
        let offset = self.scanner.offset();
        for (what, count) in chrome.end(&mut self.requests, (offset, ready))? {
            *self.left_out.entry(what).or_default() += count;
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
        self.pending_offset = self.scanner.offset();
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
}
