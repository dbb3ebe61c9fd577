//! Which files to merge next.
//!
//! Within a date and retention class (which are never mixed), files belong to the hour in which their first span starts. While an hour is open, files of about the
//! same size are merged eight at a time (each span is rewritten once per factor of eight); when it has been closed for
//! a while, what is small in it becomes one file. Files of [`ROWS_SMALL`] spans or more are left alone. So a day holds at
//! most one small file for each closed hour, [`FAN_IN`] - 1 of each size in the open ones, and one large file for
//! each [`ROWS_SMALL`] spans.
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::snapshot::DataFile;
use crate::time::NANOS_PER_SECOND;

/// Files with fewer spans are merged.
pub(crate) const ROWS_SMALL: u64 = 128 << 10;
/// Spans of one step at most: what is decoded at a time.
const ROWS_MAX: u64 = 512 << 10;
/// Bytes of the files of one step at most; decoded they take about eight times as much.
const BYTES_MAX: u64 = 32 << 20;
/// Files of about the same size that are merged while their hour is open.
const FAN_IN: usize = 8;
/// Length of a window.
const WINDOW_NANO: i64 = 3_600 * NANOS_PER_SECOND;
/// A window is closed when no file has come into it for this long after its end.
const SETTLED_NANO: i64 = 600 * NANOS_PER_SECOND;

/// The files of the next step, oldest first; `None` where nothing is worth it. Files whose paths are in `parked` are left alone.
pub(crate) fn next(
    files: &[Arc<DataFile>],
    parked: &HashSet<String>,
    now_unix_nano: i64,
) -> Option<Vec<Arc<DataFile>>> {
    let small = |file: &&Arc<DataFile>| {
        // Without a checksum it is another engine's: its owner may have reasons for its shape.
        file.rows < ROWS_SMALL && file.checksum.is_some() && !parked.contains(&file.path)
    };
    let mut windows: BTreeMap<_, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in files.iter().filter(small) {
        let window = file.start.from.div_euclid(WINDOW_NANO);
        windows.entry((file.date, file.class(), window)).or_default().push(file);
    }
    windows.into_iter().find_map(|((.., window), files)| {
        let settled = is_settled(window, &files, now_unix_nano);
        let step = if settled { limited(files) } else { similar(&files) };
        (step.len() > 1).then_some(step)
    })
}

fn is_settled(window: i64, files: &[&Arc<DataFile>], now_unix_nano: i64) -> bool {
    let end = window.saturating_add(1).saturating_mul(WINDOW_NANO);
    let newest = files.iter().map(|file| file.modified_unix_milli).max().unwrap_or(0);
    let newest = newest.saturating_mul(1_000_000);
    now_unix_nano.saturating_sub(end.max(newest)) >= SETTLED_NANO
}

/// The smallest first, as many as one step may hold.
fn limited(mut files: Vec<&Arc<DataFile>>) -> Vec<Arc<DataFile>> {
    files.sort_by_key(|file| (file.rows, file.start.from));
    let (mut rows, mut bytes) = (0, 0);
    let mut step: Vec<Arc<DataFile>> = Vec::new();
    for file in files {
        rows += file.rows;
        bytes += file.bytes;
        if rows > ROWS_MAX || bytes > BYTES_MAX {
            break;
        }
        step.push(Arc::clone(file));
    }
    step.sort_by_key(|file| (file.start.from, file.modified_unix_milli));
    step
}

/// [`FAN_IN`] or more files of about one size, the smallest size first.
fn similar(files: &[&Arc<DataFile>]) -> Vec<Arc<DataFile>> {
    let mut sizes: BTreeMap<u32, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in files {
        sizes.entry(file.rows.max(1).ilog2() / FAN_IN.ilog2()).or_default().push(file);
    }
    let enough = sizes.into_values().find(|files| files.len() >= FAN_IN);
    enough.map(limited).unwrap_or_default()
}

#[cfg(test)]
mod tests;
