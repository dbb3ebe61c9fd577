//! Why a request was refused, and the one table of statuses for the doors.
use std::time::Duration;

use http::StatusCode;
use storage::Kind;

/// Result of a door.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A rate of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Spans stored.
    Spans,
    /// Bytes of bodies, decompressed.
    Bytes,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Spans => "spans",
            Self::Bytes => "bytes",
        })
    }
}

/// Why a request was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not what its content type says.
    #[error("{0}")]
    Malformed(String),
    /// The content type is not one of ours.
    #[error("content type {0:?} is not supported; send application/x-protobuf or application/json")]
    ContentType(String),
    /// The content type is not one of Zipkin's.
    #[error("content type {0:?} is not supported; send application/json or application/x-protobuf")]
    ZipkinContentType(String),
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
    /// Too many bytes of this tenant are being handled.
    #[error("too many bytes of this tenant are in flight; try again in {} s", retry_after.as_secs())]
    TenantBusy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The tenant sent more than its rate allows.
    #[error("more than {per_second} {rate} a second; try again in {:.1} s", retry_after.as_secs_f64())]
    Rate {
        /// Which.
        rate: Rate,
        /// The rate.
        per_second: u64,
        /// When the rate lets the next request in.
        retry_after: Duration,
    },
    /// The tenant's files are as large as they may be.
    #[error(
        "the table has {used_bytes} of {limit_bytes} bytes; a shorter TTL, or dropped partitions, make room"
    )]
    TableFull {
        /// Bytes of live files.
        used_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The sender paused too long within the body.
    #[error("no byte of the body arrived for {} s", limit.as_secs())]
    Stalled {
        /// The longest pause.
        limit: Duration,
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
            Self::Malformed(_)
            | Self::ContentType(_)
            | Self::ZipkinContentType(_)
            | Self::ContentEncoding(_)
            | Self::Stalled { .. } => Kind::Invalid,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Busy { .. }
            | Self::TenantBusy { .. }
            | Self::Rate { .. }
            | Self::TableFull { .. } => Kind::Busy,
            Self::Interrupted | Self::Read(_) => Kind::Unavailable,
            Self::Storage(error) => error.kind(),
        }
    }

    /// The reason, as a label in metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::ContentType(_) | Self::ZipkinContentType(_) => "content_type",
            Self::ContentEncoding(_) => "content_encoding",
            Self::TooLarge { .. } => "too_large",
            Self::Busy { .. } => "in_flight",
            Self::TenantBusy { .. } => "tenant_in_flight",
            Self::Rate { rate: Rate::Spans, .. } => "spans_rate",
            Self::Rate { rate: Rate::Bytes, .. } => "bytes_rate",
            Self::TableFull { .. } => "table_full",
            Self::Stalled { .. } => "stalled",
            Self::Interrupted | Self::Read(_) => "interrupted",
            Self::Storage(storage::Error::WalFull { .. }) => "log_full",
            Self::Storage(storage::Error::HotFull { .. }) => "memory_full",
            Self::Storage(storage::Error::DiskFull { .. }) => "disk_full",
            Self::Storage(_) => "storage",
        }
    }

    /// All of [`Error::reason`].
    pub(crate) const REASONS: [&str; 15] = [
        "malformed",
        "content_type",
        "content_encoding",
        "too_large",
        "in_flight",
        "tenant_in_flight",
        "spans_rate",
        "bytes_rate",
        "table_full",
        "stalled",
        "interrupted",
        "log_full",
        "memory_full",
        "disk_full",
        "storage",
    ];

    /// The HTTP status. What is not durable for a passing reason is 429 (the sender's rate) or 503 (anything of the
    /// server's): on any other status OTLP senders drop the spans.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) | Self::ZipkinContentType(_) | Self::ContentEncoding(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Stalled { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Rate { .. } => StatusCode::TOO_MANY_REQUESTS,
            _ => match self.kind() {
                Kind::Invalid | Kind::NotFound => StatusCode::BAD_REQUEST,
                Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Kind::Busy
                | Kind::Unavailable
                | Kind::TimedOut
                | Kind::Corrupt
                | Kind::Internal => StatusCode::SERVICE_UNAVAILABLE,
            },
        }
    }

    /// The gRPC code: `INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED` (to be sent again only with `RetryInfo`: a rate, not a
    /// size) or `UNAVAILABLE`.
    pub(crate) fn grpc_code(&self) -> u64 {
        match self.kind() {
            Kind::Invalid | Kind::NotFound => 3,
            Kind::TooLarge => 8,
            Kind::Busy if matches!(self, Self::Rate { .. }) => 8,
            Kind::Busy | Kind::Unavailable | Kind::TimedOut | Kind::Corrupt | Kind::Internal => 14,
        }
    }

    /// When to send the same request again; `None` where that cannot help.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after }
            | Self::TenantBusy { retry_after }
            | Self::Rate { retry_after, .. } => Some(*retry_after),
            _ => match self.kind() {
                Kind::Invalid | Kind::NotFound | Kind::TooLarge => None,
                _ => Some(crate::door::retry_after()),
            },
        }
    }

    /// The words for the sender: no path and no system message of ours.
    pub(crate) fn for_sender(&self) -> String {
        match self {
            Self::Storage(storage::Error::WalFull { .. } | storage::Error::Invalid(_)) => {
                self.to_string()
            }
            Self::Storage(_) | Self::Read(_) => {
                "the server cannot store spans now; send the request again".to_owned()
            }
            _ => self.to_string(),
        }
    }
}
