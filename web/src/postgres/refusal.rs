//! Why a statement was refused: SQLSTATE and words.
use storage::Kind;

/// An ErrorResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Five characters, <https://www.postgresql.org/docs/16/errcodes-appendix.html>.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The session ends with it.
    pub(super) is_fatal: bool,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_fatal: false }
    }

    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_fatal: true }
    }

    /// The client asked for it.
    pub(super) fn cancelled() -> Self {
        Self::new("57014", "canceling statement due to user request")
    }
}

impl From<query::Error> for Refusal {
    fn from(error: query::Error) -> Self {
        let code = code(error.kind, &error.message);
        if matches!(error.kind, Kind::Internal | Kind::Corrupt) {
            tracing::error!(error = &error as &dyn std::error::Error, code, "query failed");
        }
        Self::new(code, error.message)
    }
}

impl From<arrow::error::ArrowError> for Refusal {
    fn from(error: arrow::error::ArrowError) -> Self {
        tracing::error!(%error, "an answer could not be encoded");
        Self::new("XX000", "the server made a mistake; see the log")
    }
}

/// What drivers decide by. Mistakes in a statement are told apart by the words that the engine begins with.
fn code(kind: Kind, message: &str) -> &'static str {
    match kind {
        Kind::Invalid if message.contains("is not allowed") => "25006",
        Kind::Invalid if message.starts_with("the statement cannot be read") => "42601",
        Kind::Invalid if message.starts_with("no column") => "42703",
        Kind::Invalid if message.contains("is ambiguous") => "42702",
        Kind::Invalid if message.starts_with("table ") => "42P01",
        Kind::Invalid if message.contains("Invalid function") => "42883",
        Kind::Invalid if message.starts_with("division by zero") => "22012",
        Kind::Invalid if message.starts_with("a number became too large") => "22003",
        Kind::Invalid if message.starts_with("not supported") => "0A000",
        Kind::Invalid if message.contains("more than") || message.contains("at most") => "54001",
        Kind::Invalid => "42000",
        Kind::NotFound => "02000",
        Kind::TooLarge => "54000",
        Kind::Busy if message.contains("memory") => "53200",
        Kind::Busy => "53300",
        Kind::Unavailable => "58030",
        Kind::TimedOut => "57014",
        Kind::Corrupt => "XX001",
        Kind::Internal => "XX000",
    }
}
