//! Why a request was refused, and the one table of statuses for the doors.
use std::time::Duration;

use storage::Kind;

/// Result of a door.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not what its content type says.
    #[error("{0}")]
    Malformed(String),
    /// The content type is not one of ours.
    #[error("content type {0:?} is not supported; send application/x-protobuf or application/json")]
    ContentType(String),
    /// The content encoding is not one of ours.
    #[error("content encoding {0:?} is not supported; send gzip, zstd or none")]
    ContentEncoding(String),
    /// The body, or what it decompresses to, is too large.
    #[error("body exceeds {limit_bytes} bytes; send smaller batches")]
    TooLarge {
        /// The limit it exceeds.
        limit_bytes: usize,
    },
    /// Too many bytes are being handled.
    #[error("the server is busy; try again in {} s", retry_after.as_secs())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The server ended in the middle of the work, or a mistake of ours ended the work.
    #[error("the request was interrupted; send it again")]
    Interrupted,
    /// Reading a file failed.
    #[error("read the file")]
    Read(#[from] std::io::Error),
    /// Storage refused.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    /// What the sender can do.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) | Self::ContentType(_) | Self::ContentEncoding(_) => Kind::Invalid,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Busy { .. } => Kind::Busy,
            Self::Interrupted | Self::Read(_) => Kind::Unavailable,
            Self::Storage(error) => error.kind(),
        }
    }
}
