//! Answers of a moment ago, for questions that come while spans arrive faster than they can be added up for each.
//!
//! Adding up what is hot takes about as much CPU time as storing it did. So an answer that was dear is given again for a while
//! (`query.view_lag_max`) if many spans have arrived since; a task makes it anew meanwhile, one for all who ask. Who asks of a
//! store where little arrives always gets an answer of now.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use storage::TimeRange;
use storage::retain::Receipt;
use tokio::sync::Notify;

use super::Totals;
use crate::spans::Tables;

/// An answer that took less is made anew for each question.
pub(crate) const DEAR: Duration = Duration::from_millis(20);
/// So many spans must have arrived since: below it, whoever stored something and looks for it finds it.
pub(crate) const ARRIVED_MIN: u64 = 10_000;
/// Answers that are kept.
const ANSWERS_MAX: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    answers: Mutex<VecDeque<Kept>>,
    lag_nano_max: AtomicI64,
    wanted: Notify,
    /// Held by whoever makes an answer that was dear the last time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    asked: Asked,
    took: Duration,
    /// The state of the table that it tells of.
    seen: Seen,
    totals: Totals,
    /// The last question that it was given to since it was made.
    given: Option<Asked>,
}

/// What was asked, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    range: TimeRange,
    now: i64,
    /// Whether the bounds move with the time, as of "the last hour".
    moves: [bool; 2],
}

impl Asked {
    pub(super) fn of(range: TimeRange, tables: &Tables) -> Self {
        Self { range, now: tables.now_unix_nano, moves: [false, false] }
    }

    /// The same question at another time.
    fn at(self, now: i64) -> TimeRange {
        let elapsed = now.saturating_sub(self.now);
        let bound = |bound: i64, moves| if moves { bound.saturating_add(elapsed) } else { bound };
        let [from, until] = self.moves;
        TimeRange { from: bound(self.range.from, from), until: bound(self.range.until, until) }
    }

    /// `later`, if it is the same question at another time.
    fn repeated(&self, later: Self) -> Option<Self> {
        let elapsed = later.now.saturating_sub(self.now);
        let moves = |before: i64, bound: i64| match bound.checked_sub(before)? {
            0 => Some(false),
            shift if shift == elapsed => Some(true),
            _ => None,
        };
        let from = moves(self.range.from, later.range.from)?;
        Some(Self { moves: [from, moves(self.range.until, later.range.until)?], ..later })
    }
}

/// Says whether spans came or went.
#[derive(Debug)]
pub(crate) struct Seen {
    version: u64,
    rows: u64,
    receipts: Arc<[Receipt]>,
}

impl Seen {
    /// What `tables` have.
    pub(crate) fn of(tables: &Tables) -> Self {
        let snapshot = &tables.snapshot;
        let receipts = Arc::clone(&snapshot.receipts);
        Self { version: snapshot.version.0, rows: snapshot.rows(), receipts }
    }

    /// Spans of the table.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Nothing came or went since, and no file took the place of another.
    pub(crate) fn is_same(&self, now: &Self) -> bool {
        self.version == now.version && self.rows == now.rows && !self.lost(now)
    }

    /// Something was removed, or deleted, since.
    pub(crate) fn lost(&self, now: &Self) -> bool {
        !Arc::ptr_eq(&self.receipts, &now.receipts) || now.rows < self.rows
    }
}

impl Recent {
    /// Allows answers up to this old.
    pub(crate) fn allow(&self, lag_max: Duration) {
        let nanos = i64::try_from(lag_max.as_nanos()).unwrap_or(i64::MAX);
        self.lag_nano_max.store(nanos, Ordering::Relaxed);
    }

    /// An answer that will do. Without one, says whether making it was dear the last time.
    pub(super) fn find(&self, asked: Asked, tables: &Tables) -> Result<Totals, bool> {
        let lag_max = self.lag_nano_max.load(Ordering::Relaxed);
        if lag_max == 0 {
            return Err(false);
        }
        let mut answers = self.lock();
        let same = answers.iter_mut().find_map(|kept| {
            let asked = kept.asked.repeated(asked)?;
            Some((kept, asked))
        });
        let Some((kept, asked)) = same else { return Err(false) };
        let (now, elapsed) = (Seen::of(tables), asked.now.saturating_sub(kept.asked.now));
        if kept.took < DEAR {
            return Err(false);
        }
        // What outlives its spans does so up to a time, so nothing is given again for ever.
        let is_young = elapsed.saturating_abs() <= lag_max;
        if is_young && asked.range == kept.asked.range && kept.seen.is_same(&now) {
            return Ok(kept.totals.clone());
        }
        let arrived = now.rows.saturating_sub(kept.seen.rows);
        if kept.seen.lost(&now) || arrived < ARRIVED_MIN || !(0..=lag_max).contains(&elapsed) {
            return Err(true);
        }
        kept.given = Some(asked);
        self.want();
        let age = Duration::from_nanos(elapsed.unsigned_abs()).as_secs_f64();
        let mut totals = kept.totals.clone();
        totals.source =
            format!("{}; as of {age:.1} s ago, {arrived} spans came since", totals.source);
        Ok(totals)
    }

    /// Keeps an answer, which took so long to make.
    pub(super) fn put(&self, asked: Asked, tables: &Tables, totals: &Totals, took: Duration) {
        let mut answers = self.lock();
        let before = answers.iter().position(|kept| kept.asked.repeated(asked).is_some());
        let before = before.and_then(|place| answers.remove(place));
        let asked = before.and_then(|kept| kept.asked.repeated(asked)).unwrap_or(asked);
        answers.truncate(ANSWERS_MAX - 1);
        let (seen, totals) = (Seen::of(tables), totals.clone());
        answers.push_front(Kept { asked, took, seen, totals, given: None });
    }

    /// Has what was given, though it was not of now, made anew.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Returns once an answer was given that was not of now; says how long the slowest of those took to make.
    pub(crate) async fn wanted(&self) -> Duration {
        self.wanted.notified().await;
        let answers = self.lock();
        let given = answers.iter().filter(|kept| kept.given.is_some());
        given.map(|kept| kept.took).sum()
    }

    /// What was asked and given such an answer, as it would be asked at `now`.
    pub(super) fn given(&self, now: i64) -> Vec<TimeRange> {
        self.lock().iter().filter_map(|kept| Some(kept.given?.at(now))).collect()
    }

    /// How old an answer may be.
    pub(crate) fn lag_max(&self) -> Duration {
        Duration::from_nanos(self.lag_nano_max.load(Ordering::Relaxed).unsigned_abs())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
