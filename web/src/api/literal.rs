//! User text as SQL literals. The only way by which parameters get into a statement.
use crate::encode::timestamp;

/// `'text'`, every `'` doubled. (DataFusion's dialect has no backslash escapes in such literals.)
pub(crate) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// `TIMESTAMP '2026-11-21T10:00:00.123456789Z'` of Unix nanoseconds.
pub(crate) fn time(unix_nano: i64) -> String {
    format!("TIMESTAMP '{}'", timestamp(unix_nano))
}

/// `"column"`.
pub(crate) fn column(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests;
