//! Which partitions a TTL removes, and when.
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;

use crate::file::start_of;
use crate::snapshot::DataFile;
use crate::time::{NANOS_PER_DAY, NANOS_PER_SECOND};

/// When a TTL removes a date: its last nanosecond has then the age `ttl`.
fn expires_unix_nano(date: NaiveDate, ttl: Duration) -> i64 {
    let ttl = i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX);
    start_of(date).saturating_add(NANOS_PER_DAY).saturating_add(ttl)
}

/// The dates that have files and are older than `ttl`, ascending.
pub(crate) fn expired(files: &[Arc<DataFile>], ttl: Option<Duration>, now: i64) -> Vec<NaiveDate> {
    let Some(ttl) = ttl else { return Vec::new() };
    let mut dates: Vec<NaiveDate> = files
        .iter()
        .map(|file| file.date)
        .filter(|date| expires_unix_nano(*date, ttl) <= now)
        .collect();
    dates.sort_unstable();
    dates.dedup();
    dates
}

/// A clock that jumps ahead by more than this must not delete at once.
const JUMP_NANO: i64 = 3600 * NANOS_PER_SECOND;
/// So many looks without a jump must follow one before the TTL is applied again.
const CONFIRMATIONS: u32 = 2;

/// Watches the clock between applications of the TTL.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    last_unix_nano: i64,
    unconfirmed: u32,
}

impl ClockGuard {
    /// The time at open is trusted: a machine that was off for days must still expire.
    pub(crate) fn new(now: i64) -> Self {
        Self { last_unix_nano: now, unconfirmed: 0 }
    }

    /// False where the clock has just jumped ahead, and until two more looks have found no jump.
    pub(crate) fn confirms(&mut self, now: i64) -> bool {
        let moved = now.saturating_sub(self.last_unix_nano);
        self.last_unix_nano = now;
        self.unconfirmed =
            if moved > JUMP_NANO { CONFIRMATIONS } else { self.unconfirmed.saturating_sub(1) };
        self.unconfirmed == 0
    }
}

#[cfg(test)]
mod tests;
