//! Frames as bytes: <https://www.rfc-editor.org/rfc/rfc9113#section-4>.
use std::io::{BufReader, IoSlice, Read, Write};
use std::net::TcpStream;

use anyhow::{Result, bail};

const HEAD_BYTES: usize = 9;
/// Slices of one write: what Linux takes at once.
const PIECES_MAX: usize = 1_024;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The answer to the server's settings.
pub(super) const SETTINGS_ANSWER: [u8; HEAD_BYTES] = head((SETTINGS, ACK), 0, 0);

/// What the server says, as far as it matters here. What it carries besides is in the payload that was read.
#[derive(Debug)]
pub(super) enum Frame {
    Settings { stream_window: Option<i64>, frame_bytes_max: Option<usize> },
    Ping,
    Window { stream: u32, more: i64 },
    Headers { stream: u32 },
    Reset { stream: u32 },
    Other,
}

impl Frame {
    /// Reads one frame, its payload into `payload`.
    ///
    /// # Errors
    /// The connection ended, or the server gave it up.
    pub(super) fn read(input: &mut BufReader<TcpStream>, payload: &mut Vec<u8>) -> Result<Self> {
        let mut head = [0; HEAD_BYTES];
        input.read_exact(&mut head)?;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        payload.resize(u32::from_be_bytes([0, a, b, c]) as usize, 0);
        input.read_exact(payload)?;
        let stream = u32::from_be_bytes([d & 0x7f, e, f, g]);
        Ok(match kind {
            HEADERS => Self::Headers { stream },
            SETTINGS if flags & ACK == 0 => settings(payload),
            PING if flags & ACK == 0 => Self::Ping,
            WINDOW_UPDATE => Self::Window { stream, more: i64::from(number(payload)) },
            RST_STREAM => Self::Reset { stream },
            GOAWAY => bail!("the server ended the connection: {payload:?}"),
            _ => Self::Other,
        })
    }
}

fn settings(payload: &[u8]) -> Frame {
    let (mut stream_window, mut frame_bytes_max) = (None, None);
    for setting in payload.chunks_exact(6) {
        let value = number(&setting[2..]);
        match setting[1] {
            4 => stream_window = Some(i64::from(value)),
            // A larger frame than this gains nothing.
            5 => frame_bytes_max = Some((value as usize).min(1 << 20)),
            _ => {}
        }
    }
    Frame::Settings { stream_window, frame_bytes_max }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

const fn head((kind, flags): (u8, u8), stream: u32, length: u32) -> [u8; HEAD_BYTES] {
    let [_, a, b, c] = length.to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind, flags, d, e, f, g]
}

/// What a client says first: it keeps no table of headers, so that answers can be read without one, and takes any amount.
pub(super) fn opening() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(head((SETTINGS, 0), 0, 12));
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    bytes.extend(head((WINDOW_UPDATE, 0), 0, 4));
    bytes.extend((i32::MAX - 65_535).to_be_bytes());
    bytes
}

/// The answer to a ping with this payload.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    [&head((PING, ACK), 0, 8), payload].concat()
}

/// The head of a call on `stream`: the first one of a connection puts its fields into the server's table, the others name
/// their places there (<https://www.rfc-editor.org/rfc/rfc7541>).
pub(super) fn call_head(stream: u32) -> Vec<u8> {
    const FIELDS: [(u8, &str, &str); 5] = [
        (4, "", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        (1, "", "127.0.0.1"),
        (31, "", "application/grpc"),
        (0, "te", "trailers"),
        (58, "", "spanlake-bench"),
    ];
    // :method POST, :scheme http.
    let mut block = vec![0x83, 0x86];
    if stream == 1 {
        for (name, new_name, value) in FIELDS {
            block.push(0x40 | name);
            for text in [new_name, value].iter().skip(usize::from(name > 0)) {
                block.push(u8::try_from(text.len()).unwrap_or(0));
                block.extend(text.bytes());
            }
        }
    } else {
        block.extend([0x80 | 66, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);
    }
    let length = u32::try_from(block.len()).unwrap_or(0);
    [&head((HEADERS, END_HEADERS), stream, length)[..], &block].concat()
}

/// Heads of the frames that carry `bytes` of a call; the last one ends it where `is_end`.
pub(super) fn data_heads(
    stream: u32,
    bytes: usize,
    frame_bytes_max: usize,
    is_end: bool,
) -> Vec<[u8; HEAD_BYTES]> {
    let mut heads = Vec::new();
    let mut left = bytes;
    while left > 0 {
        let length = left.min(frame_bytes_max);
        left -= length;
        let flags = if left == 0 && is_end { END_STREAM } else { 0 };
        heads.push(head((DATA, flags), stream, u32::try_from(length).unwrap_or(0)));
    }
    heads
}

/// The value of `grpc-status` in a block of headers, which holds it as it is or in Huffman's code; `None` without one.
pub(super) fn status(block: &[u8]) -> Option<&'static [u8]> {
    const NAME: [u8; 8] = [0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];
    const PLAIN: &[u8] = b"grpc-status";
    const VALUES: [(&[u8], &[u8], &[u8]); 4] = [
        (b"0", b"0", &[0x07]),
        (b"3", b"3", &[0x67]),
        (b"8", b"8", &[0x7b]),
        (b"14", b"14", &[0x0b, 0x5f]),
    ];
    let after = |name: &[u8]| {
        let at = block.windows(name.len()).position(|window| window == name)?;
        block.get(at + name.len()..)
    };
    let value = after(&NAME).or_else(|| after(PLAIN))?;
    let (length, value) = value.split_first()?;
    let value = value.get(..usize::from(length & 0x7f))?;
    let known = VALUES.iter().find(|(_, plain, coded)| value == *plain || value == *coded);
    Some(known.map_or(b"unknown", |(name, _, _)| name))
}

/// Writes all of it, in as few calls as there can be.
///
/// # Errors
/// The connection is broken.
pub(super) fn write_pieces(output: &mut TcpStream, pieces: &[&[u8]]) -> Result<()> {
    for pieces in pieces.chunks(PIECES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut slices = slices.as_mut_slice();
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let written = output.write_vectored(slices)?;
            if written == 0 {
                bail!("the connection takes no more");
            }
            IoSlice::advance_slices(&mut slices, written);
        }
    }
    Ok(())
}
