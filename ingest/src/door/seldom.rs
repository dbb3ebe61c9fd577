//! What would be said a thousand times a second in the log is said every ten seconds, with how often it was the case.
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Time between two times that it is said.
const SILENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Seldom {
    /// Nanoseconds since 1970.
    silent_until: AtomicI64,
    unsaid: AtomicU64,
}

impl Seldom {
    pub(super) fn new() -> Self {
        Self { silent_until: AtomicI64::new(i64::MIN), unsaid: AtomicU64::new(0) }
    }

    /// How often it was the case since it was said last, this time included; `None` where it is too soon to say it again.
    /// `now` is in nanoseconds since 1970.
    pub(super) fn turn(&self, now: i64) -> Option<u64> {
        let times = self.unsaid.fetch_add(1, Ordering::Relaxed) + 1;
        let until = self.silent_until.load(Ordering::Relaxed);
        if now < until {
            return None;
        }
        let next = now.saturating_add(i64::try_from(SILENCE.as_nanos()).unwrap_or(i64::MAX));
        // Only one of many at once says it.
        let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        self.silent_until.compare_exchange(until, next, order, failed).ok()?;
        self.unsaid.fetch_sub(times, Ordering::Relaxed);
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn it_is_said_at_once_and_then_every_ten_seconds_with_its_number() {
        let seldom = Seldom::new();
        assert_eq!(seldom.turn(5 * SECOND), Some(1));
        for second in 6..15 {
            assert_eq!(seldom.turn(second * SECOND), None);
        }
        assert_eq!(seldom.turn(15 * SECOND), Some(10));
        assert_eq!(seldom.turn(40 * SECOND), Some(1));
    }
}
