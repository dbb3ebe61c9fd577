//! Retention: which partitions leave the table, what that would cost, and the receipt afterwards.
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
    /// When the TTL removes it, Unix nanoseconds; `None` where nothing expires.
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
}

/// Proof of a drop, kept in the table's folder and in the Delta log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// When, Unix nanoseconds.
    pub at_unix_nano: i64,
    /// Why: `ttl` or `command`.
    pub reason: String,
    /// The Delta version whose commit removed them; `None` where nothing had to go.
    pub version: Option<u64>,
    /// What went.
    pub loss: Loss,
}

/// The rule in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// Age of a partition's end beyond which it goes; `None` = never.
    pub duration: Option<Duration>,
    /// True where a command set it for this table (then it outranks the config file).
    pub by_command: bool,
}

mod carry_out;
mod plan;
pub(crate) mod receipt;

pub(crate) use plan::ClockGuard;
pub(crate) use plan::expired;
