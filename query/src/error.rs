//! Why a query failed. The one place that classifies DataFusion errors.
use datafusion::common::{Column, DataFusionError, SchemaError};
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

/// Longest text of another library that is passed on.
const MESSAGE_BYTES_MAX: usize = 600;

impl Error {
    /// The request is wrong, in words for the user.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, message: message.into(), source: None }
    }

    /// Another kind, in words for the user.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        let message = match error.kind() {
            Kind::Invalid => error.to_string(),
            Kind::Corrupt => DAMAGED.into(),
            _ => AWAY.into(),
        };
        Self { kind: error.kind(), message, source: Some(Box::new(error)) }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        let (kind, message) = classify(error.find_root());
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => Self { kind, message, source: Some(inner) },
            },
            other => Self { kind, message, source: Some(Box::new(other)) },
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        DataFusionError::from(error).into()
    }
}

const DAMAGED: &str = "a stored file is damaged; its name is in the server's log. A query that leaves out its time range still works";
const GONE: &str = "a file left the table while it was being read; run the query again";
const AWAY: &str = "stored spans cannot be read now; try again in a moment";
const MEMORY: &str = "the query needs more memory than one query may use; narrow the time range, select fewer columns, \
                      aggregate before joining, or ask latency() or histogram() instead of quantile()";
const DIVISION: &str = "division by zero; use nullif(divisor, 0)";
const OVERFLOW: &str = "a number became too large; cast to DOUBLE first";
const MISTAKE: &str =
    "this is a mistake in Spanlake, not in the query; please report it with the request id";

/// How arrow begins to say that a regular expression is none.
const PATTERN: &str = "Regular expression did not compile: ";

/// The kind and the words for the innermost cause.
fn classify(root: &DataFusionError) -> (Kind, String) {
    use DataFusionError as E;
    match root {
        E::SchemaError(error, _) => (Kind::Invalid, schema_message(error)),
        E::SQL(error, _) => {
            let text = error.to_string();
            let text = text.trim_start_matches("sql parser error: ");
            (Kind::Invalid, format!("the statement cannot be read: {}", short(text)))
        }
        E::Plan(text) | E::Configuration(text) | E::Execution(text) => (Kind::Invalid, short(text)),
        E::NotImplemented(text) => (Kind::Invalid, format!("not supported: {}", short(text))),
        // DataFusion calls it a mistake of its own.
        E::Internal(text) if text.contains(PATTERN) => {
            let reason = text.split(PATTERN).nth(1).unwrap_or_default();
            (Kind::Invalid, pattern_message(reason))
        }
        E::ResourcesExhausted(_) => (Kind::Busy, MEMORY.into()),
        E::ParquetError(error) => parquet_error(error),
        E::ArrowError(error, _) => arrow_error(error),
        E::ObjectStore(error) => object_store_error(error),
        E::IoError(_) => (Kind::Unavailable, "stored spans cannot be read now; try again".into()),
        E::External(error) => external(error.as_ref()),
        _ => (Kind::Internal, MISTAKE.into()),
    }
}

/// A condition that is checked while a file is read fails inside the reader, which keeps only its text.
const IN_CONDITION: &str = "Error evaluating filter predicate: ";

/// The statement's mistake in such a text (a debug text: `Execution("...")`), if it is one.
fn in_condition(text: &str) -> Option<(Kind, String)> {
    let (_, cause) = text.split_once(IN_CONDITION)?;
    if cause.contains("ResourcesExhausted") {
        return Some((Kind::Busy, MEMORY.into()));
    }
    if cause.contains("DivideByZero") {
        return Some((Kind::Invalid, DIVISION.into()));
    }
    if cause.contains("ArithmeticOverflow") {
        return Some((Kind::Invalid, OVERFLOW.into()));
    }
    let words = cause.split_once("(\"").map_or(cause, |(_, words)| words);
    let words = words.split("\")").next().unwrap_or(words);
    Some((Kind::Invalid, format!("a condition cannot be checked: {}", short(words))))
}

fn parquet_error(error: &parquet::errors::ParquetError) -> (Kind, String) {
    let text = error.to_string();
    in_store(&text)
        .or_else(|| in_condition(&text))
        .unwrap_or_else(|| (Kind::Corrupt, DAMAGED.into()))
}

/// The store's failure to hand out a file, of which the reader keeps only the text: nothing says that the file is damaged.
fn in_store(text: &str) -> Option<(Kind, String)> {
    let (_, cause) = text.split_once("Object Store error: ")?;
    let is_gone = cause.starts_with("Object at location") && cause.contains(" not found");
    Some((Kind::Unavailable, if is_gone { GONE.into() } else { AWAY.into() }))
}

fn arrow_error(error: &arrow::error::ArrowError) -> (Kind, String) {
    use arrow::error::ArrowError as E;
    match error {
        E::ParquetError(text) => {
            let known = in_store(text).or_else(|| in_condition(text));
            known.unwrap_or_else(|| (Kind::Corrupt, DAMAGED.into()))
        }
        E::ExternalError(error) => external(error.as_ref()),
        E::ComputeError(text) if text.starts_with(IN_CONDITION) => {
            in_condition(text).unwrap_or_else(|| (Kind::Invalid, short(text)))
        }
        E::CastError(_) | E::ComputeError(_) | E::ParseError(_) => {
            (Kind::Invalid, short(&error.to_string()))
        }
        E::DivideByZero => (Kind::Invalid, DIVISION.into()),
        E::ArithmeticOverflow(_) => (Kind::Invalid, OVERFLOW.into()),
        E::InvalidArgumentError(text) => (Kind::Invalid, short(text)),
        _ => (Kind::Internal, MISTAKE.into()),
    }
}

fn object_store_error(error: &object_store::Error) -> (Kind, String) {
    let message = match error {
        object_store::Error::NotFound { .. } => GONE,
        _ => AWAY,
    };
    (Kind::Unavailable, message.into())
}

fn external(error: &(dyn std::error::Error + Send + Sync + 'static)) -> (Kind, String) {
    if let Some(own) = error.downcast_ref::<Error>() {
        return (own.kind, own.message.clone());
    }
    if let Some(error) = error.downcast_ref::<object_store::Error>() {
        return object_store_error(error);
    }
    if let Some(error) = error.downcast_ref::<parquet::errors::ParquetError>() {
        return match error {
            parquet::errors::ParquetError::External(inner) => external(inner.as_ref()),
            other => parquet_error(other),
        };
    }
    if let Some(error) = error.downcast_ref::<arrow::error::ArrowError>() {
        return arrow_error(error);
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return classify(error.find_root());
    }
    // Of the library of regular expressions, whose type is not ours to know.
    let text = error.to_string();
    if text.starts_with("regex parse error") || text.starts_with("Compiled regex") {
        return (Kind::Invalid, pattern_message(&text));
    }
    (Kind::Internal, MISTAKE.into())
}

fn pattern_message(reason: &str) -> String {
    format!("the regular expression cannot be used: {}", short(reason))
}

fn schema_message(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let near = nearest(&field.name, valid_fields);
            let hint = match near.as_slice() {
                [] => String::new(),
                near => format!("; there is {}", near.join(", ")),
            };
            format!(
                "no column {:?}{hint}. SHOW COLUMNS FROM spans lists them; an attribute is read by \
                 attributes['its.name']",
                field.name
            )
        }
        SchemaError::AmbiguousReference { field } => {
            format!("{:?} is ambiguous; write it with its table's name or alias", field.name)
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("the column {name:?} comes twice; give one of them another name with AS")
        }
    }
}

/// Columns whose names are like `name`, nearest first, at most five.
fn nearest(name: &str, columns: &[Column]) -> Vec<String> {
    let wanted = name.to_ascii_lowercase();
    let mut near: Vec<(usize, &str)> = columns
        .iter()
        .map(|column| (distance(&wanted, &column.name.to_ascii_lowercase()), column.name.as_str()))
        .filter(|(distance, column)| {
            *distance <= 2.max(wanted.len() / 3) || column.contains(&wanted)
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(5).map(|(_, column)| column.to_owned()).collect()
}

/// Levenshtein distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The first part of a library's text, without its backtrace.
fn short(text: &str) -> String {
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text).trim();
    if text.len() <= MESSAGE_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=MESSAGE_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests;
