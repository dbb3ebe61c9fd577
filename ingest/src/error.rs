//! Why a request was refused, and the one table of statuses for the doors.
use std::time::Duration;

use http::StatusCode;
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
    /// The content type is not Zipkin's JSON.
    #[error("content type {0:?} is not supported; send application/json")]
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
            Self::Busy { .. } => Kind::Busy,
            Self::Interrupted | Self::Read(_) => Kind::Unavailable,
            Self::Storage(error) => error.kind(),
        }
    }

    /// The HTTP status. What is not durable for a passing reason is 429 or 503: on any other status OTLP senders drop
    /// the spans.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) | Self::ZipkinContentType(_) | Self::ContentEncoding(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Stalled { .. } => StatusCode::REQUEST_TIMEOUT,
            _ => match self.kind() {
                Kind::Invalid | Kind::NotFound => StatusCode::BAD_REQUEST,
                Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
                Kind::Unavailable | Kind::TimedOut | Kind::Corrupt | Kind::Internal => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
            },
        }
    }

    /// The gRPC code: `INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED` or `UNAVAILABLE`.
    pub(crate) fn grpc_code(&self) -> u64 {
        match self.kind() {
            Kind::Invalid | Kind::NotFound => 3,
            Kind::TooLarge | Kind::Busy => 8,
            Kind::Unavailable | Kind::TimedOut | Kind::Corrupt | Kind::Internal => 14,
        }
    }

    /// When to send the same request again; `None` where that cannot help.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => Some(*retry_after),
            Self::Storage(storage::Error::WalFull { retry_after, .. }) => {
                Some((*retry_after).max(Duration::from_secs(1)))
            }
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
