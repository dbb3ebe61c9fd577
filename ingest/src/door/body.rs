//! Reading a request body: bounded, counted against the bytes in flight, inflated with a cap.
use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use storage::{Codec, Compressed};

use super::flight::{Flight, Held};
use super::off_thread;
use crate::{Error, Result};

/// A sender may pause this long within a body.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Small bodies may expand to this in spite of the ratio: repeated text compresses very well.
const INFLATED_FLOOR_BYTES: usize = 64 << 10;
/// Compressed bodies up to this size are inflated on the async thread: less than half a millisecond of CPU.
const INFLATED_AT_ONCE_BYTES: usize = 16 << 10;
const STEP_BYTES: usize = 256 << 10;

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

/// Reads the whole body as it is sent, holding its bytes in `held`.
pub(super) async fn read(
    mut body: Body,
    announced: Option<usize>,
    limit_bytes: usize,
    held: &mut Held,
) -> Result<Vec<u8>> {
    if announced.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(Error::TooLarge { limit_bytes });
    }
    let mut bytes = Vec::new();
    let mut held_bytes = 0;
    while let Some(frame) = tokio::time::timeout(IDLE_MAX, body.frame())
        .await
        .map_err(|_| Error::Stalled { limit: IDLE_MAX })?
    {
        let Ok(chunk) = frame.map_err(|_| Error::Interrupted)?.into_data() else {
            continue; // trailers
        };
        let needed = bytes.len() + chunk.len();
        if needed > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        if needed > held_bytes {
            // Not all that was announced: a slow sender must not hold what others could use.
            let ahead = needed.saturating_mul(2).max(STEP_BYTES);
            let wanted = needed.max(announced.unwrap_or(0).min(ahead));
            held.grow(wanted - held_bytes)?;
            held_bytes = wanted;
            bytes.reserve_exact(wanted - bytes.len());
        }
        bytes.extend_from_slice(&chunk);
    }
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

/// Undoes the compression; what was sent is kept beside it, for the log.
pub(super) async fn inflate(
    encoding: Encoding,
    body: Vec<u8>,
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
    if at_once { work() } else { off_thread(work).await? }
}

/// Inflates once more what the log kept of a body, which had `bytes` bytes when it was taken.
pub(crate) fn inflate_again(compressed: &Compressed, bytes: usize) -> Option<Bytes> {
    // Nothing else is in flight during replay; what was taken once is within the limits of then.
    let mut held = Flight::new(usize::MAX).hold().ok()?;
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
        Codec::Gzip => read_all(flate2::bufread::MultiGzDecoder::new(body), limit_bytes, held),
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
