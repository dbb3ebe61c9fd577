//! Why a query failed. The one place that classifies DataFusion errors.
use storage::Kind;

/// Result of a query.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a query failed; the text is for the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller can do.
    pub kind: Kind,
    /// What went wrong, with which input, what to do next. Never a path, plan or backtrace.
    pub message: String,
    /// The whole chain, for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
