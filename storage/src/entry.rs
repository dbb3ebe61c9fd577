//! What goes into the write-ahead log: one request, as received, and how it is read back.
mod sessions;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::batch::SpanBatch;
use crate::id::WalSeq;
use crate::schema::AttributeColumns;
use crate::time::TimeRange;

pub(crate) use sessions::Sessions;

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
pub trait Decode: Send + Sync + 'static {
    /// A new session.
    fn session(&self) -> Box<dyn DecodeSession>;

    /// Undoes the compression of a body that the door has inflated once before, to exactly `bytes` bytes. `None` where
    /// that is not what comes out. Called by replay only.
    fn inflate(&self, compressed: &Compressed, bytes: usize) -> Option<Bytes>;

    /// Decodes `entries` in a session of their own.
    fn decode(&self, entries: &[Entry], columns: &AttributeColumns) -> SpanBatch {
        self.session().decode(entries, &Arc::new(columns.clone()))
    }
}

/// Decodes one group of entries after the other; what they have in common is kept once, in
/// [`crate::batch::Strings`] that the batches share.
///
/// Which rows come out depends on the arguments of the call alone, never on calls before it: replay after a crash
/// decodes the same entries in other groups and another session.
pub trait DecodeSession: Send {
    /// Decodes `entries`, in order, into one batch. Attributes listed in `columns` go to their columns, all
    /// others into the JSON of `attributes`. A span that cannot be stored is left out (the door has
    /// already counted it and told the sender); an entry that cannot be read at all yields no rows.
    fn decode(&mut self, entries: &[Entry], columns: &Arc<AttributeColumns>) -> SpanBatch;

    /// Memory held, strings that batches share included: a session that became too large is given up.
    fn bytes(&self) -> usize;
}

/// What a group of entries became.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// One batch, or several where an entry made the decoder panic.
    pub(crate) batches: Vec<SpanBatch>,
    /// Indexes of entries that cannot be decoded.
    pub(crate) unreadable: Vec<usize>,
    /// Held until the batches are visible, see [`Sessions::start`].
    pub(crate) turn: Option<OwnedSemaphorePermit>,
}
