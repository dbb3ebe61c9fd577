//! Why a storage call failed, and what its caller can do about it.
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Result of a storage call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do. Shared by all crates; a new kind is a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong and will stay wrong (400).
    Invalid,
    /// The named thing does not exist (404).
    NotFound,
    /// The request is larger than a limit (413).
    TooLarge,
    /// Too much at once; the same request may succeed later (429 and `Retry-After`).
    Busy,
    /// Storage cannot take or give data now (503).
    Unavailable,
    /// The time limit ran out (504).
    TimedOut,
    /// Stored bytes are damaged (500).
    Corrupt,
    /// A mistake of ours (500).
    Internal,
}

/// Why a storage call failed. [`Error::kind`] says what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the folder.
    #[error(
        "{path} is in use by another Spanlake process (pid {pid}); stop it, or talk to it with --server"
    )]
    Locked {
        /// The table folder.
        path: PathBuf,
        /// The process that holds it, 0 where unknown.
        pid: u32,
    },
    /// Not yet flushed entries exceed the limit.
    #[error("WAL is full: {used_bytes} of {limit_bytes} bytes")]
    WalFull {
        /// Bytes waiting for a flush.
        used_bytes: u64,
        /// The configured limit.
        limit_bytes: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// The disk of the log is nearly full.
    #[error("the disk has {free_bytes} bytes left, fewer than the log may use; free some space")]
    DiskFull {
        /// Bytes free now.
        free_bytes: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// Spans not yet in a file exceed the memory meant for them.
    #[error("the hot buffer is full: {used_bytes} of {limit_bytes} bytes")]
    HotFull {
        /// Bytes held.
        used_bytes: u64,
        /// The configured limit.
        limit_bytes: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// A body larger than the log takes.
    #[error("the request has {bytes} bytes, at most {limit_bytes} are taken; send smaller batches")]
    BodyTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A step on a local file failed.
    #[error("{step} {path}")]
    File {
        /// What was tried, as a verb: `append to WAL segment`.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log stopped taking entries after a failed fsync; only a restart continues.
    #[error(
        "the WAL is read-only after a failed write; restart the server once the disk is healthy"
    )]
    ReadOnly,
    /// A step on the object store failed.
    #[error("{step} {path}")]
    ObjectStore {
        /// What was tried.
        step: &'static str,
        /// Path relative to the table.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// A step on the Delta log failed.
    #[error("{step}")]
    Table {
        /// What was tried.
        step: &'static str,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Encoding or reading Parquet failed.
    #[error("{step} {path}")]
    Parquet {
        /// What was tried.
        step: &'static str,
        /// Path relative to the table.
        path: String,
        /// What the library said.
        source: parquet::errors::ParquetError,
    },
    /// Stored bytes are damaged.
    #[error("{path} is damaged: {detail}")]
    Corrupt {
        /// The file.
        path: String,
        /// What was found.
        detail: String,
    },
    /// The request cannot be carried out as asked.
    #[error("{0}")]
    Invalid(String),
    /// The store is shutting down.
    #[error("the store is shutting down")]
    Closed,
}

impl Error {
    /// What the caller can do.
    pub fn kind(&self) -> Kind {
        match self {
            Self::WalFull { .. } | Self::DiskFull { .. } | Self::HotFull { .. } => Kind::Busy,
            Self::BodyTooLarge { .. } => Kind::TooLarge,
            Self::Locked { .. } | Self::ReadOnly | Self::Closed | Self::File { .. } => {
                Kind::Unavailable
            }
            Self::ObjectStore { source: object_store::Error::NotFound { .. }, .. } => {
                Kind::NotFound
            }
            Self::ObjectStore { .. } | Self::Table { .. } => Kind::Unavailable,
            Self::Parquet { .. } | Self::Corrupt { .. } => Kind::Corrupt,
            Self::Invalid(_) => Kind::Invalid,
        }
    }

    /// When the same call may succeed, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::WalFull { retry_after, .. }
            | Self::DiskFull { retry_after, .. }
            | Self::HotFull { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}
