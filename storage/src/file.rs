//! Data files: one sorted Parquet file per date and flush, and a sidecar object beside each.
//!
//! Owns how a file is laid out (docs/format.md#file), what its statistics say, and where it lies. Never reads or
//! writes the Delta log.
//!
//! ```text
//! SpanBatch.. -> columns (one dictionary each) -> writer (sort order given, columns in parallel) -> EncodedFile
//! ```
pub(crate) mod chunk;
pub(crate) mod fetched;
pub(crate) mod footer;
pub(crate) mod layout;
pub(crate) mod page;
pub(crate) mod sidecar;
pub(crate) mod splice;
pub(crate) mod stats;
pub(crate) mod upload;
pub(crate) mod writer;

use chrono::NaiveDate;
use uuid::Uuid;

use crate::time::NANOS_PER_DAY;

/// Folder of the sidecars and rollups. Engines and their vacuum ignore folders that begin with `_`.
pub(crate) const SIDECAR_FOLDER: &str = "_sidecars";

/// Where a data file, its sidecar and its rollup lie, relative to the table's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePaths {
    pub(crate) data: String,
    pub(crate) sidecar: String,
    pub(crate) rollup: String,
}

impl FilePaths {
    /// Names never used before, for a file of this date.
    pub(crate) fn unique(date: NaiveDate) -> Self {
        let name = Uuid::new_v4().simple().to_string();
        Self {
            data: format!("date={date}/{name}.parquet"),
            sidecar: format!("{SIDECAR_FOLDER}/{date}-{name}.sidecar"),
            rollup: format!("{SIDECAR_FOLDER}/{date}-{name}.rollup"),
        }
    }
}

/// The UTC date of a start time. Times beyond the calendar's end fall on its last day.
pub(crate) fn date_of(start_unix_nano: i64) -> NaiveDate {
    let days = start_unix_nano.div_euclid(NANOS_PER_DAY);
    let days = i32::try_from(days).unwrap_or(0); // at most 106,751 days fit into 64 bits of nanoseconds
    NaiveDate::from_epoch_days(days).unwrap_or(NaiveDate::MAX)
}

/// The first nanosecond of a date, saturating.
pub(crate) fn start_of(date: NaiveDate) -> i64 {
    i64::from(date.to_epoch_days()).saturating_mul(NANOS_PER_DAY)
}

#[cfg(test)]
mod tests;
