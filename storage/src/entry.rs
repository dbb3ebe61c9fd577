//! What goes into the write-ahead log: one request, as received, and how it is read back.
use bytes::Bytes;

use crate::batch::SpanBatch;
use crate::id::WalSeq;
use crate::schema::AttributeColumns;
use crate::time::TimeRange;

/// Largest number of a format: the two bits above say how the body in the log is compressed.
pub const FORMAT_MAX: u8 = 63;

/// How a body was compressed by its sender. The numbers are persisted: see docs/format.md#entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950 (what HTTP calls `deflate`).
    Deflate,
}

impl Codec {
    /// The persisted number; 0 is no compression.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Gzip => 1,
            Self::Zstd => 2,
            Self::Deflate => 3,
        }
    }

    /// The codec with this number.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Gzip, Self::Zstd, Self::Deflate].into_iter().find(|codec| codec.code() == code)
    }
}

/// A request body as its sender compressed it: what the log keeps.
#[derive(Debug, Clone)]
pub struct Compressed {
    /// How.
    pub codec: Codec,
    /// The bytes as received.
    pub body: Bytes,
}

/// One request as received. Storage never looks inside `body`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the body is, in the words of the [`Decode`] implementation (protobuf, JSON, Zipkin, ...). Persisted: a
    /// number keeps its meaning for ever, and is at most [`FORMAT_MAX`].
    pub format: u8,
    /// When the server received it, Unix nanoseconds.
    pub received_unix_nano: i64,
    /// Spans that start outside are not stored. Persisted, so that replay decides as the door did.
    pub accept: TimeRange,
    /// The request body without compression, already checked by the door (it decodes), at most
    /// [`crate::config::BODY_BYTES_MAX`] bytes.
    pub body: Bytes,
    /// Retry recognition: two entries with the same body and format within the window are one request, however each was
    /// compressed on its way.
    /// False for sources which number their own entries.
    pub deduplicate: bool,
}

/// The answer to an append: the entry is fsynced and visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Stored under this position.
    Stored(WalSeq),
    /// The same bytes were stored before (a retried request); nothing was stored again.
    Duplicate,
}

/// Turns entries into spans. Implemented by `ingest`, handed to [`crate::Store::open`].
///
/// Must be a pure function of its arguments: replay after a crash calls it again with the same entries.
pub trait Decode: Send + Sync + 'static {
    /// Decodes `entries`, in order, into one batch. Attributes listed in `columns` go to their columns, all
    /// others into the JSON of `attributes`. A span that cannot be stored is left out (the door has
    /// already counted it and told the sender); an entry that cannot be read at all yields no rows.
    fn decode(&self, entries: &[Entry], columns: &AttributeColumns) -> SpanBatch;

    /// Undoes the compression of a body that the door has inflated once before, to exactly `bytes` bytes. `None` where
    /// that is not what comes out. Called by replay only.
    fn inflate(&self, compressed: &Compressed, bytes: usize) -> Option<Bytes>;
}

/// What a group of entries became.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// One batch, or several where an entry made the decoder panic.
    pub(crate) batches: Vec<SpanBatch>,
    /// Indexes of entries that cannot be decoded.
    pub(crate) unreadable: Vec<usize>,
}

/// Decodes a group. An entry whose decoding panics (a mistake of ours) costs only itself.
pub(crate) fn decode_group(
    decode: &dyn Decode,
    entries: &[Entry],
    columns: &AttributeColumns,
) -> Decoded {
    if let Some(batch) = decode_caught(decode, entries, columns) {
        return Decoded { batches: vec![batch], unreadable: Vec::new() };
    }
    let mut decoded = Decoded::default();
    for (index, entry) in entries.iter().enumerate() {
        match decode_caught(decode, std::slice::from_ref(entry), columns) {
            Some(batch) => decoded.batches.push(batch),
            None => decoded.unreadable.push(index),
        }
    }
    decoded
}

fn decode_caught(
    decode: &dyn Decode,
    entries: &[Entry],
    columns: &AttributeColumns,
) -> Option<SpanBatch> {
    // A decoder keeps nothing between calls, so a panic leaves nothing half changed.
    let call = std::panic::AssertUnwindSafe(|| decode.decode(entries, columns));
    match std::panic::catch_unwind(call) {
        Ok(batch) => Some(batch),
        Err(_) => {
            tracing::error!(entries = entries.len(), "decoding panicked");
            None
        }
    }
}
