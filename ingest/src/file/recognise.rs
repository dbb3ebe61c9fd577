//! Which compression and which format a file has, by its first bytes.
use std::io::{self, BufRead, BufReader, Read};

use crate::decode::wire::{Field, Fields};
use crate::{Error, Result};

/// Bytes looked at to recognise a format.
const HEAD_BYTES: usize = 256 << 10;
const BUFFER_BYTES: usize = 256 << 10;

/// How requests lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Empty,
    Json,
    Protobuf(Framing),
}

/// How protobuf requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A 4-byte length before each, most significant byte first.
    BigEndian,
    /// A 4-byte length before each, least significant byte first.
    LittleEndian,
    /// One request, or several one after another, which is the same in protobuf.
    Bare,
}

/// The first bytes of the file's content, and the content that follows them.
pub(super) fn decompressed(
    mut input: Box<dyn BufRead + Send>,
) -> Result<(Vec<u8>, Box<dyn BufRead + Send>)> {
    let start = take_head(&mut input, 4)?;
    let whole = io::Cursor::new(start.clone()).chain(input);
    let mut content: Box<dyn BufRead + Send> = match start.as_slice() {
        [0x1f, 0x8b, ..] => {
            let gzip = flate2::bufread::MultiGzDecoder::new(whole);
            Box::new(BufReader::with_capacity(BUFFER_BYTES, gzip))
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let zstd = zstd::Decoder::with_buffer(whole)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd))
        }
        _ => Box::new(whole),
    };
    let head = take_head(&mut content, HEAD_BYTES)?;
    Ok((head, content))
}

fn take_head(input: &mut Box<dyn BufRead + Send>, bytes: usize) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(bytes as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Recognises the format of content that begins with `head`.
pub(super) fn layout(head: &[u8]) -> Result<Layout> {
    if head.iter().all(u8::is_ascii_whitespace) {
        return Ok(Layout::Empty);
    }
    if is_json(head) {
        return Ok(Layout::Json);
    }
    let (big, little) = (length(head, u32::from_be_bytes), length(head, u32::from_le_bytes));
    let framing = if is_whole_frame(head, big) {
        Framing::BigEndian
    } else if is_whole_frame(head, little) {
        Framing::LittleEndian
    } else if begins_request(head) {
        Framing::Bare
    } else if begins_frame(head, big) {
        Framing::BigEndian
    } else if begins_frame(head, little) {
        Framing::LittleEndian
    } else {
        return Err(unknown());
    };
    Ok(Layout::Protobuf(framing))
}

fn unknown() -> Error {
    Error::Malformed(
        "the file is none of: OTLP protobuf (with 4-byte lengths or bare), OTLP JSON (a document or a line each), \
         Zipkin v2 JSON, Jaeger's JSON, Chrome's trace events; each plain, .gz or .zst"
            .to_owned(),
    )
}

/// No length and no protobuf tag begins with these and goes on without control characters.
pub(super) fn is_json(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let start = &text[..text.len().min(8)];
    matches!(start.first(), Some(b'{' | b'['))
        && start.iter().all(|&byte| byte >= 0x20 || byte.is_ascii_whitespace())
}

fn length(head: &[u8], read: fn([u8; 4]) -> u32) -> Option<usize> {
    let length = usize::try_from(read(*head.first_chunk()?)).ok()?;
    (length <= super::PIECE_BYTES_MAX).then_some(length)
}

/// True where the first frame lies within `head` and is a request through and through.
fn is_whole_frame(head: &[u8], length: Option<usize>) -> bool {
    length.and_then(|length| head.get(4..4 + length)).is_some_and(is_request)
}

/// True for what has nothing but fields of a request.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    let mut fields = Fields::new(bytes);
    loop {
        match fields.next() {
            Ok(Some((1, Field::Bytes(_)))) => {}
            Ok(None) => return true,
            _ => return false,
        }
    }
}

fn begins_frame(head: &[u8], length: Option<usize>) -> bool {
    length.is_some() && begins_request(&head[4..])
}

/// True where the bytes go on like `resource_spans { resource | scope_spans | schema_url`.
fn begins_request(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(&[0x0a]) else {
        return false;
    };
    let digits = rest.iter().take(5).take_while(|&&byte| byte >= 0x80).count();
    matches!(rest.get(digits + 1), None | Some(0x0a | 0x12 | 0x1a))
}
