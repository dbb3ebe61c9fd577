//! Token bucket: a steady rate with a burst, and debt.
//!
//! What a request costs is known only after it was read, and then it is too late to refuse it cheaply. So a request is
//! admitted unless there is debt, and may take the level below zero; the debt is paid before the next one is admitted.
//! Over time exactly the rate gets through, and a request larger than the burst is not refused for ever.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const NANOS: i128 = 1_000_000_000;

/// One rate of one tenant.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: u64,
    /// In tokens times [`NANOS`], as all levels.
    full: i128,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    level: i128,
    at: i64,
}

impl Bucket {
    /// A full bucket that holds what flows in during `burst`. `per_second` is at least 1.
    pub(crate) fn new(per_second: u64, burst: Duration, now: i64) -> Self {
        let per_second = per_second.max(1);
        let burst = i128::from(u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX));
        let full = i128::from(per_second).saturating_mul(burst).max(NANOS);
        Self { per_second, full, state: Mutex::new(State { level: full, at: now }) }
    }

    /// The rate.
    pub(crate) fn per_second(&self) -> u64 {
        self.per_second
    }

    /// Whether a request may come in now; else how long it takes until one may.
    pub(crate) fn admits(&self, now: i64) -> Result<(), Duration> {
        let level = self.change(now, 0);
        if level >= 0 {
            return Ok(());
        }
        let rate = i128::from(self.per_second);
        let nanos = (rate - 1).saturating_sub(level) / rate;
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Takes `tokens`, also where fewer are left.
    pub(crate) fn take(&self, now: i64, tokens: u64) {
        self.change(now, -i128::from(tokens) * NANOS);
    }

    /// Takes `tokens`, and says after what time they will have flowed in; takes nothing where that is longer than
    /// `wait_max`. Who waits for that time gets exactly the rate, in the order of asking.
    pub(crate) fn book(&self, now: i64, tokens: u64, wait_max: Duration) -> Option<Duration> {
        self.take(now, tokens);
        let wait = self.admits(now).err().unwrap_or_default();
        if wait > wait_max {
            self.give_back(now, tokens);
            return None;
        }
        Some(wait)
    }

    /// Gives back what a request took that then failed.
    pub(crate) fn give_back(&self, now: i64, tokens: u64) {
        self.change(now, i128::from(tokens) * NANOS);
    }

    fn change(&self, now: i64, by: i128) -> i128 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back brings nothing, and the flow goes on from there.
        let elapsed = i128::from(now.saturating_sub(state.at).max(0));
        state.at = now;
        let flown = state.level.saturating_add(elapsed * i128::from(self.per_second));
        state.level = flown.min(self.full).saturating_add(by).min(self.full);
        state.level
    }
}

#[cfg(test)]
mod tests;
