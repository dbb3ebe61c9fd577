//! Reading a request body: bounded, counted against the bytes in flight, inflated with a cap.
use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use storage::{Codec, Compressed};
use tokio::sync::Semaphore;

use super::flight::{Flight, Held};
use super::{gzip, off_thread};
use crate::{Error, Result};

/// A sender may pause this long within a body.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Small bodies may expand to this in spite of the ratio: repeated text compresses very well.
const INFLATED_FLOOR_BYTES: usize = 64 << 10;
/// Compressed bodies up to this size are inflated on the async thread: less than half a millisecond of CPU.
const INFLATED_AT_ONCE_BYTES: usize = 16 << 10;
const STEP_BYTES: usize = 256 << 10;
/// So many of the announced bytes are held before they arrive.
pub(super) const AHEAD_BYTES: usize = 2 << 20;
/// Of a refused body so much is read; then the connection is closed: reading this costs less than a new connection.
const DRAINED_BYTES_MAX: usize = 1 << 20;
/// What is expected of a body whose length was not announced.
const UNANNOUNCED_BYTES: usize = 64 << 10;
/// Long, because it is slow where the server has too much to do, and a connection closed before its end loses the answer.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Deflate,
}

impl Encoding {
    /// Reads `Content-Encoding` or `grpc-encoding`.
    pub(super) fn parse(name: Option<&http::HeaderValue>) -> Result<Self> {
        let name = name.map_or("", |name| name.to_str().unwrap_or("?")).trim();
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "deflate" => Ok(Self::Deflate),
            other => Err(Error::ContentEncoding(other.chars().take(64).collect())),
        }
    }

    fn codec(self) -> Option<Codec> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(Codec::Gzip),
            Self::Zstd => Some(Codec::Zstd),
            Self::Deflate => Some(Codec::Deflate),
        }
    }
}

/// Limits of one door's bodies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Size, compressed as well as inflated.
    pub(super) bytes_max: usize,
    /// Inflated size over compressed size.
    pub(super) expansion_max: usize,
}

/// A body being read, its bytes held in flight.
struct Reader<'h> {
    bytes: Vec<u8>,
    held_bytes: usize,
    expected: usize,
    limit_bytes: usize,
    held: &'h mut Held,
}

impl<'h> Reader<'h> {
    fn new(expected: usize, limit_bytes: usize, held: &'h mut Held) -> Self {
        let held_bytes = held.bytes();
        Self { bytes: Vec::new(), held_bytes, expected, limit_bytes, held }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<()> {
        let needed = self.bytes.len() + chunk.len();
        if needed > self.limit_bytes {
            return Err(Error::TooLarge { limit_bytes: self.limit_bytes });
        }
        if needed > self.bytes.capacity() {
            // Not all that was announced: a slow sender must not hold what others could use.
            let wanted = match self.expected {
                0 => needed.saturating_mul(2).min(self.limit_bytes),
                expected => needed.max(expected.min(needed.saturating_mul(2).max(AHEAD_BYTES))),
            };
            if wanted > self.held_bytes {
                self.held.grow(wanted - self.held_bytes)?;
                self.held_bytes = wanted;
            }
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

/// The next bytes of the body, `None` at its end.
async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>> {
    loop {
        let frame = tokio::time::timeout(IDLE_MAX, body.frame()).await;
        let Some(frame) = frame.map_err(|_| Error::Stalled { limit: IDLE_MAX })? else {
            return Ok(None);
        };
        // What is not data are trailers.
        if let Ok(chunk) = frame.map_err(|_| Error::Interrupted)?.into_data() {
            return Ok(Some(chunk));
        }
    }
}

/// Reads the whole body as it is sent, holding its bytes in `held`.
pub(super) async fn read(
    body: &mut Body,
    announced: Option<usize>,
    limit_bytes: usize,
    held: &mut Held,
) -> Result<Vec<u8>> {
    let mut reader = Reader::new(announced.unwrap_or(0), limit_bytes, held);
    while let Some(chunk) = next_chunk(body).await? {
        reader.push(&chunk)?;
    }
    let bytes = reader.bytes;
    held.shrink_to(bytes.len());
    Ok(bytes)
}

/// A body on its way to the store, and what covers it.
#[derive(Debug)]
pub(super) struct Taken {
    /// Without compression.
    pub(super) plain: Bytes,
    /// As it was sent, where it was compressed.
    pub(super) sent: Option<Compressed>,
    /// Covers both.
    pub(super) held: Held,
}

/// Compressed flag and length before each gRPC message.
const PREFIX_BYTES: usize = 5;

/// What is known of a gRPC message before it is read.
#[derive(Debug)]
pub(super) struct MessageHead {
    pub(super) is_compressed: bool,
    pub(super) length: usize,
    /// Its first bytes, which came with the prefix.
    first: Bytes,
}

/// Reads the prefix of the one gRPC message that the body must hold.
pub(super) async fn read_message_head(body: &mut Body, limit_bytes: usize) -> Result<MessageHead> {
    let (mut prefix, mut filled) = ([0; PREFIX_BYTES], 0);
    while let Some(mut chunk) = next_chunk(body).await? {
        let head = chunk.split_to(chunk.len().min(PREFIX_BYTES - filled));
        prefix[filled..filled + head.len()].copy_from_slice(&head);
        filled += head.len();
        if filled == PREFIX_BYTES {
            let length = message_length(prefix, limit_bytes)?;
            return Ok(MessageHead { is_compressed: prefix[0] == 1, length, first: chunk });
        }
    }
    Err(Error::Malformed("gRPC: the request message is missing".to_owned()))
}

/// Reads the message behind its `head` into a buffer of its size.
pub(super) async fn read_message(
    body: &mut Body,
    head: MessageHead,
    limit_bytes: usize,
    held: &mut Held,
) -> Result<Vec<u8>> {
    let mut reader = Reader::new(head.length, limit_bytes, held);
    let mut next = Some(head.first);
    while let Some(chunk) = next {
        if reader.bytes.len() + chunk.len() > head.length {
            return Err(not_one_message());
        }
        reader.push(&chunk)?;
        next = next_chunk(body).await?;
    }
    if reader.bytes.len() == head.length { Ok(reader.bytes) } else { Err(not_one_message()) }
}

fn message_length([flag, a, b, c, d]: [u8; PREFIX_BYTES], limit_bytes: usize) -> Result<usize> {
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if flag > 1 {
        return Err(not_one_message());
    }
    if length > limit_bytes { Err(Error::TooLarge { limit_bytes }) } else { Ok(length) }
}

fn not_one_message() -> Error {
    Error::Malformed("gRPC: the call must carry exactly one message".to_owned())
}

/// Bytes of a refused body that may have to be read, so that the next request can follow on the same connection; `None`
/// where a new connection costs less.
pub(super) fn to_drain(announced: Option<usize>) -> Option<usize> {
    announced.or(Some(UNANNOUNCED_BYTES)).filter(|bytes| *bytes <= DRAINED_BYTES_MAX)
}

/// Reads what is left of a refused body: how many bytes that were, and whether they were all.
pub(super) async fn drain(body: &mut Body) -> (usize, bool) {
    let mut bytes = 0;
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAINED_BYTES_MAX {
                return false;
            }
        }
        body.is_end_stream()
    };
    let is_whole = tokio::time::timeout(DRAIN_TIME_MAX, read).await.unwrap_or(false);
    (bytes, is_whole)
}

/// Undoes the compression; what was sent is kept beside it, for the log.
pub(super) async fn inflate(
    cpu: &Semaphore,
    (encoding, body): (Encoding, Vec<u8>),
    limits: Limits,
    mut held: Held,
) -> Result<Taken> {
    let Some(codec) = encoding.codec() else {
        return Ok(Taken { plain: body.into(), sent: None, held });
    };
    let at_once = body.len() <= INFLATED_AT_ONCE_BYTES;
    let work = move || {
        let inflated = inflated(codec, &body, limits, &mut held)?;
        held.shrink_to(inflated.len() + body.len());
        let sent = Some(Compressed { codec, body: body.into() });
        Ok(Taken { plain: inflated.into(), sent, held })
    };
    if at_once { work() } else { off_thread(cpu, work).await? }
}

/// Inflates once more what the log kept of a body, which had `bytes` bytes when it was taken.
pub(crate) fn inflate_again(compressed: &Compressed, bytes: usize) -> Option<Bytes> {
    // Nothing else is in flight during replay; what was taken once is within the limits of then.
    let mut held = Flight::new(usize::MAX, usize::MAX).hold().ok()?;
    let limits = Limits { bytes_max: bytes, expansion_max: usize::MAX };
    let body = inflated(compressed.codec, &compressed.body, limits, &mut held).ok()?;
    (body.len() == bytes).then(|| body.into())
}

fn inflated(codec: Codec, body: &[u8], limits: Limits, held: &mut Held) -> Result<Vec<u8>> {
    let by_ratio = body.len().saturating_mul(limits.expansion_max).max(INFLATED_FLOOR_BYTES);
    let limit_bytes = limits.bytes_max.min(by_ratio);
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match codec {
        Codec::Gzip => match gzip::inflate_whole(body, limit_bytes, held)? {
            Some(plain) => Ok(plain),
            None => read_all(flate2::bufread::MultiGzDecoder::new(body), limit_bytes, held),
        },
        Codec::Zstd => {
            let mut zstd = zstd::Decoder::with_buffer(body)?;
            zstd.window_log_max(WINDOW_LOG_MAX)?;
            read_all(zstd, limit_bytes, held)
        }
        Codec::Deflate => {
            let mut zlib = flate2::bufread::ZlibDecoder::new(body);
            let bytes = read_all(&mut zlib, limit_bytes, held)?;
            match zlib.total_in() == body.len() as u64 {
                true => Ok(bytes),
                false => Err(Error::Malformed("bytes follow the compressed body".to_owned())),
            }
        }
    }
}

/// 8 MiB, what RFC 8878 asks every decoder to support and no encoder to exceed.
const WINDOW_LOG_MAX: u32 = 23;

fn read_all(mut input: impl Read, limit_bytes: usize, held: &mut Held) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let step = STEP_BYTES.max(bytes.len()).min(limit_bytes + 1 - bytes.len());
        held.grow(step)?;
        bytes.reserve_exact(step);
        let read = (&mut input).take(step as u64).read_to_end(&mut bytes).map_err(|error| {
            Error::Malformed(format!("the body cannot be decompressed: {error}"))
        })?;
        if bytes.len() > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        if read < step {
            return Ok(bytes);
        }
    }
}
