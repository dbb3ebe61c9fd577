//! Retention: which spans leave the table, what that would cost, what stays in spite of it, and the receipt afterwards.
//!
//! ```text
//! rules -> class of each trace (at the flush) -> files of one class -> due: whole files, by age or size
//!       due files - survivors (pinned, latest of their operation: copied to the class `kept`) -> one commit -> receipt
//! ```
//! Decides what goes; the commit itself is made by the flusher, like every other. Deletion of single traces goes the
//! same way, by rewriting the files that hold them.
use std::time::Duration;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// One date of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// UTC date.
    pub date: NaiveDate,
    /// Spans in files.
    pub rows: u64,
    /// Parquet files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Spans not yet in a file.
    pub hot_rows: u64,
    /// Retention classes of the files, sorted.
    pub classes: Vec<String>,
    /// When the first of its classes leaves by age, Unix nanoseconds; `None` where nothing expires.
    pub expires_unix_nano: Option<i64>,
}

/// What a drop would remove, or has removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The partitions.
    pub dates: Vec<NaiveDate>,
    /// Spans.
    pub rows: u64,
    /// Distinct traces with a span in them.
    pub traces: u64,
    /// Files.
    pub files: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The same by date and class.
    #[serde(default)]
    pub parts: Vec<LossPart>,
    /// What of these files stays, as copies in the class [`KEPT_CLASS`]; not counted above.
    #[serde(default)]
    pub kept: Kept,
}

/// Files of one date and class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossPart {
    /// UTC date.
    pub date: NaiveDate,
    /// Retention class.
    pub class: String,
    /// Why they go: a [`Receipt::reason`].
    pub reason: String,
    /// Spans, those that stay included.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Until when their figures stay, Unix nanoseconds; `None` where those go with the spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollups_until_unix_nano: Option<i64>,
}

/// Spans that stay when their files go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Traces with a span among them.
    pub traces: u64,
    /// Spans.
    pub rows: u64,
}

/// Proof of a drop, kept in the table's folder and in the Delta log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// When, Unix nanoseconds.
    pub at_unix_nano: i64,
    /// Why: `ttl`, `max_bytes`, `command`, `unpinned` or `deletion`.
    pub reason: String,
    /// The Delta version whose commit removed them; `None` where nothing had to go.
    pub version: Option<u64>,
    /// What went.
    pub loss: Loss,
    /// What stays of it in figures, by date and class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollups: Vec<KeptRollup>,
}

/// What stays, by date and class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staying {
    /// UTC date.
    pub date: NaiveDate,
    /// Retention class.
    pub class: String,
    /// Spans in files.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it leaves by age, Unix nanoseconds; `None` where it does not.
    pub expires_unix_nano: Option<i64>,
    /// Why it stays, in words.
    pub why: String,
}

/// What a policy would do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What would go.
    pub loss: Loss,
    /// What would stay, oldest first.
    pub stays: Vec<Staying>,
}

/// The default lifetime in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// Age of a partition's end beyond which it goes; `None` = never.
    pub duration: Option<Duration>,
    /// True where a command set it for this table (then it outranks the config file).
    pub by_command: bool,
}

mod carry_out;
pub(crate) mod classify;
mod delete;
pub(crate) mod history;
pub(crate) mod matching;
pub mod pins;
mod plan;
pub(crate) mod policy;
mod recall;
pub(crate) mod receipt;
mod scan;
mod survive;

#[cfg(test)]
mod tests;

pub(crate) use carry_out::Removal;
pub use delete::{Deletion, Selection};
pub use history::KeptRollup;
pub(crate) use plan::{ClockGuard, expires_unix_nano, expiry};
pub use policy::{DEFAULT_CLASS, KEPT_CLASS, Lifetime, Policy, PolicyChange, Rule};
pub(crate) use scan::Traces;
