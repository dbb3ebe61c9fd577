//! Which files leave the table, and when: whole partitions, by age and by size.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;

use super::policy::{KEPT_CLASS, Lifetime, Policy};
use super::{Loss, LossPart, Staying};
use crate::file::{date_of, start_of};
use crate::snapshot::DataFile;
use crate::time::{NANOS_PER_DAY, NANOS_PER_SECOND};

/// Files that leave for one reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Due {
    /// See [`super::Receipt::reason`].
    pub(crate) reason: &'static str,
    pub(crate) files: Vec<Arc<DataFile>>,
}

/// When a lifetime removes a date: its last nanosecond has then that age.
pub(crate) fn expires_unix_nano(date: NaiveDate, ttl: Duration) -> i64 {
    let ttl = i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX);
    start_of(date).saturating_add(NANOS_PER_DAY).saturating_add(ttl)
}

/// When a file leaves by age; `None` where it does not.
pub(crate) fn expiry(file: &DataFile, policy: &Policy) -> Option<i64> {
    match policy.lifetime_of(file) {
        Lifetime::For(ttl) => Some(expires_unix_nano(file.date, ttl)),
        Lifetime::Forever | Lifetime::Unnamed => None,
    }
}

/// What age and size remove now, whole partitions of one class at a time.
pub(crate) fn due(files: &[Arc<DataFile>], policy: &Policy, now: i64) -> Vec<Due> {
    if policy.unreadable {
        return Vec::new();
    }
    let (old, stays): (Vec<Arc<DataFile>>, Vec<Arc<DataFile>>) = files
        .iter()
        .map(Arc::clone)
        .partition(|file| expiry(file, policy).is_some_and(|expires| expires <= now));
    let large = policy.max_bytes.map_or_else(Vec::new, |max| beyond(stays, max, now));
    let due = [Due { reason: "ttl", files: old }, Due { reason: "max_bytes", files: large }];
    due.into_iter().filter(|due| !due.files.is_empty()).collect()
}

/// What must go so that at most `bytes_max` stay: dates before today as a whole, oldest first; of today single files,
/// those first that end first. Kept copies stay.
fn beyond(files: Vec<Arc<DataFile>>, bytes_max: u64, now: i64) -> Vec<Arc<DataFile>> {
    let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let today = date_of(now);
    let mut parts: BTreeMap<_, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.class() != KEPT_CLASS) {
        let within = (file.date >= today).then(|| (file.start.until, file.path.clone()));
        parts.entry((file.date.min(today), within)).or_default().push(file);
    }
    let mut gone = Vec::new();
    for files in parts.into_values() {
        if bytes <= bytes_max {
            break;
        }
        bytes -= files.iter().map(|file| file.bytes).sum::<u64>();
        gone.extend(files);
    }
    gone
}

/// Rows, files and bytes of `files` by date and class; traces are not known here.
pub(crate) fn loss(due: &[Due]) -> Loss {
    let mut parts: BTreeMap<(NaiveDate, &str, &str), LossPart> = BTreeMap::new();
    for (file, reason) in due.iter().flat_map(|due| due.files.iter().map(|file| (file, due.reason)))
    {
        let part = parts.entry((file.date, file.class(), reason)).or_insert_with(|| LossPart {
            date: file.date,
            class: file.class().to_owned(),
            reason: reason.to_owned(),
            rows: 0,
            files: 0,
            bytes: 0,
            rollups_until_unix_nano: None,
        });
        part.rows += file.rows;
        part.files += 1;
        part.bytes += file.bytes;
    }
    let parts: Vec<LossPart> = parts.into_values().collect();
    let mut dates: Vec<NaiveDate> = parts.iter().map(|part| part.date).collect();
    dates.dedup();
    let sum = |of: fn(&LossPart) -> u64| parts.iter().map(of).sum::<u64>();
    let (rows, files, bytes) = (sum(|p| p.rows), sum(|p| p.files), sum(|p| p.bytes));
    Loss { dates, rows, files, bytes, parts, ..Loss::default() }
}

/// What is left of `files` without `due`, by date and class, with the reason.
pub(crate) fn staying(files: &[Arc<DataFile>], due: &[Due], policy: &Policy) -> Vec<Staying> {
    let gone: std::collections::HashSet<&str> =
        due.iter().flat_map(|due| &due.files).map(|file| file.path.as_str()).collect();
    let mut parts: BTreeMap<(NaiveDate, &str), Staying> = BTreeMap::new();
    for file in files.iter().filter(|file| !gone.contains(file.path.as_str())) {
        let part = parts.entry((file.date, file.class())).or_insert_with(|| Staying {
            date: file.date,
            class: file.class().to_owned(),
            rows: 0,
            files: 0,
            bytes: 0,
            expires_unix_nano: expiry(file, policy),
            why: why(file, policy),
        });
        part.rows += file.rows;
        part.files += 1;
        part.bytes += file.bytes;
    }
    parts.into_values().collect()
}

fn why(file: &DataFile, policy: &Policy) -> String {
    let class = file.class();
    if policy.unreadable {
        return "a setting in the table cannot be read: nothing goes".into();
    }
    if class == KEPT_CLASS {
        return "pinned, or among the latest of its operation".into();
    }
    match policy.lifetime_of(file) {
        Lifetime::For(_) => "not old enough".into(),
        Lifetime::Forever => "kept for ever".into(),
        Lifetime::Unnamed => format!("no rule names the class {class}: kept until one does"),
    }
}

/// A clock that jumps ahead by more than this must not delete at once.
const JUMP_NANO: i64 = 3600 * NANOS_PER_SECOND;
/// So many looks without a jump must follow one before the policy is applied again.
const CONFIRMATIONS: u32 = 2;

/// Watches the clock between applications of the policy.
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
