//! Ledger of refusals: which spans came and were not stored, and why, so that a missing parent can be explained.
//!
//! Owns the file `ledger` beside the log. Bounded: a refused span is 17 bytes under a hash of its ids, the oldest go first,
//! and the ledger says since when it knows everything. It is saved in an orderly end; after any other it begins anew.
//! Sampling needs no list: whether a rate leaves a trace out follows from the trace's id, so the rates are enough.
//! Layout of the file: docs/format.md#ledger.
mod stored;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::time::NANOS_PER_SECOND;
use crate::wal::Folder;

/// Refused spans that are remembered: 60 bytes each in memory, 6 MiB together.
const SPANS_MAX: usize = 100_000;
/// Rates, and minutes with unread refusals, that are remembered.
const MARKS_MAX: usize = 1_440;
/// A parent may come so long after its child: it is sent when it ends, and a sender tries again for a while.
const LATE_NANO: i64 = 120 * NANOS_PER_SECOND;
const MINUTE_NANO: i64 = 60 * NANOS_PER_SECOND;

/// Why a span was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It started before the time that is accepted.
    Late,
    /// A limit or a rule is against it.
    Dropped,
}

/// Why a parent is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absence {
    /// It came too late to be stored, or may still come.
    Late,
    /// Sampling left it out.
    SampledOut,
    /// A limit or a rule was against it.
    Dropped,
    /// Nobody sent it.
    NeverSent,
    /// The ledger does not know.
    Unknown,
}

impl Absence {
    /// All, in the order of counts.
    pub const ALL: [Self; 5] =
        [Self::Late, Self::SampledOut, Self::Dropped, Self::NeverSent, Self::Unknown];

    /// For rows and notes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::SampledOut => "sampled_out",
            Self::Dropped => "dropped",
            Self::NeverSent => "never_sent",
            Self::Unknown => "unknown",
        }
    }
}

/// A parent that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Missing {
    /// The trace.
    pub trace: [u8; 16],
    /// The parent's id, big-endian.
    pub span: u64,
    /// When the child that names it ended, Unix nanoseconds.
    pub child_end_nano: i64,
    /// Spans of the trace stand for different numbers of spans: services sample at different rates.
    pub mixed_weights: bool,
}

/// See the module. Shared by all that refuse and all that ask.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Entries>);

/// What the ledger holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entries {
    /// Everything since then is known.
    since_nano: i64,
    /// Refused spans, oldest first: hash of the ids, when.
    order: VecDeque<(u64, i64)>,
    spans: HashMap<u64, Refused>,
    /// Rejection thresholds of sampling, each with when it began; 0 keeps everything.
    thresholds: VecDeque<(i64, u64)>,
    /// Minutes in which requests were refused whose spans nobody has read.
    unread: VecDeque<i64>,
}

impl Default for Entries {
    fn default() -> Self {
        Self {
            since_nano: i64::MIN,
            order: VecDeque::new(),
            spans: HashMap::new(),
            thresholds: VecDeque::new(),
            unread: VecDeque::new(),
        }
    }
}

impl Ledger {
    /// Knows nothing of what was before `since_nano`; `None`: there was nothing.
    pub fn since(since_nano: Option<i64>) -> Self {
        let since_nano = since_nano.unwrap_or(i64::MIN);
        Self(Mutex::new(Entries { since_nano, ..Entries::default() }))
    }

    /// Takes what was saved; where that is not there or not as it was written, begins now, or with the table where that
    /// `is_new`. What was saved is forgotten on the disk: only an orderly end saves it again.
    pub(crate) fn load(&self, folder: &dyn Folder, is_new: bool, now: i64) {
        let fresh =
            || Entries { since_nano: if is_new { i64::MIN } else { now }, ..Entries::default() };
        *self.entries() = stored::take(folder).unwrap_or_else(fresh);
    }

    /// Saves it for the next start. A ledger that cannot be saved begins anew then.
    pub(crate) fn save(&self, folder: &dyn Folder) {
        if let Err(error) = stored::save(folder, &self.entries()) {
            tracing::warn!(%error, "the ledger of refusals could not be saved");
        }
    }

    /// A span with readable ids was refused.
    pub fn refuse(&self, why: Refused, (trace, span): ([u8; 16], [u8; 8]), now: i64) {
        let key = key(&trace, u64::from_be_bytes(span));
        let mut entries = self.entries();
        if entries.spans.insert(key, why).is_none() {
            entries.order.push_back((key, now));
        }
        if entries.order.len() > SPANS_MAX
            && let Some((oldest, at)) = entries.order.pop_front()
        {
            entries.spans.remove(&oldest);
            entries.since_nano = entries.since_nano.max(at);
        }
    }

    /// The doors sample by this rejection threshold from now on: the last 56 bits of a trace's id, where smaller, leave
    /// it out.
    pub fn sample(&self, threshold: u64, now: i64) {
        let mut entries = self.entries();
        let last = entries.thresholds.back().map_or(0, |(_, threshold)| *threshold);
        if last != threshold {
            entries.thresholds.push_back((now, threshold));
        }
        if entries.thresholds.len() > MARKS_MAX
            && let Some((_, _)) = entries.thresholds.pop_front()
        {
            let since = entries.thresholds.front().map_or(now, |(from, _)| *from);
            entries.since_nano = entries.since_nano.max(since);
        }
    }

    /// A request was refused whose spans are not known.
    pub fn lose(&self, now: i64) {
        let minute = now.div_euclid(MINUTE_NANO);
        let mut entries = self.entries();
        if entries.unread.back() != Some(&minute) {
            entries.unread.push_back(minute);
        }
        if entries.unread.len() > MARKS_MAX
            && let Some(oldest) = entries.unread.pop_front()
        {
            let since = oldest.saturating_add(1).saturating_mul(MINUTE_NANO);
            entries.since_nano = entries.since_nano.max(since);
        }
    }

    /// Since when everything is known, Unix nanoseconds; `None`: since there are spans.
    pub fn knows_since(&self) -> Option<i64> {
        Some(self.entries().since_nano).filter(|since| *since > i64::MIN)
    }

    /// Why a parent is not there, as far as is known at `now`.
    pub fn explain(&self, missing: &Missing, now: i64) -> Absence {
        self.entries().explain(missing, now)
    }

    /// The same of many.
    pub fn explain_all<'a>(
        &self,
        missing: impl Iterator<Item = &'a Missing>,
        now: i64,
    ) -> Vec<Absence> {
        let entries = self.entries();
        missing.map(|one| entries.explain(one, now)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn explain(&self, missing: &Missing, now: i64) -> Absence {
        let end = missing.child_end_nano;
        match self.spans.get(&key(&missing.trace, missing.span)) {
            Some(Refused::Late) => return Absence::Late,
            Some(Refused::Dropped) => return Absence::Dropped,
            None => {}
        }
        if missing.mixed_weights || self.is_sampled_out(&missing.trace, end) {
            return Absence::SampledOut;
        }
        if now.saturating_sub(end) < LATE_NANO {
            return Absence::Late;
        }
        if end < self.since_nano || self.lost_around(end) {
            return Absence::Unknown;
        }
        Absence::NeverSent
    }

    /// A rate that was in force around `at` leaves the trace out.
    fn is_sampled_out(&self, trace: &[u8; 16], at: i64) -> bool {
        let low = trace[8..].iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let randomness = low & ((1 << 56) - 1);
        let ends = self.thresholds.iter().skip(1).map(|(from, _)| *from);
        let ends = ends.chain(std::iter::once(i64::MAX));
        self.thresholds.iter().zip(ends).any(|((from, threshold), until)| {
            let near = *from < at.saturating_add(LATE_NANO) && at < until;
            near && randomness < *threshold
        })
    }

    /// Requests were refused unread about when the parent should have come.
    fn lost_around(&self, at: i64) -> bool {
        let first = at.div_euclid(MINUTE_NANO);
        let last = at.saturating_add(LATE_NANO).div_euclid(MINUTE_NANO);
        self.unread.iter().any(|minute| (first..=last).contains(minute))
    }
}

fn key(trace: &[u8; 16], span: u64) -> u64 {
    let mut ids = [0; 24];
    ids[..16].copy_from_slice(trace);
    ids[16..].copy_from_slice(&span.to_be_bytes());
    xxh3_64(&ids)
}

#[cfg(test)]
mod tests;
