//! How many spans a second each reader may have, so that all of them together take no more of the machine than they
//! should: a reader that wants little gets it whole, the others share what is left alike.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What the readers of one filter would take if nothing held them back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) readers: f64,
    /// Spans a second for each.
    pub(super) rate: f64,
}

/// Spans a second for each reader at which all wishes together come to `budget`. Infinite where it meets all of them.
pub(super) fn level(mut wishes: Vec<Wish>, budget: f64) -> f64 {
    wishes.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    let mut readers: f64 = wishes.iter().map(|wish| wish.readers).sum();
    let mut left = budget;
    for wish in wishes {
        if wish.rate * readers > left {
            return left / readers;
        }
        left -= wish.rate * wish.readers;
        readers -= wish.readers;
    }
    f64::INFINITY
}

/// How large events are, and how many bytes all readers together may get in a second.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_per_second: f64,
    event_bytes: f64,
}

impl Budget {
    /// Before any event is known: one of a kibibyte.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn new(bytes_per_second: usize) -> Self {
        Self { bytes_per_second: bytes_per_second as f64, event_bytes: 1_024.0 }
    }

    /// Events a second, all readers together.
    pub(super) fn events(&self) -> f64 {
        self.bytes_per_second / self.event_bytes
    }

    /// Learns from the events of a round.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn learn(&mut self, events: usize, bytes: usize) {
        if events > 0 {
            self.event_bytes = self.event_bytes.midpoint(bytes as f64 / events as f64).max(1.0);
        }
    }
}

/// How many spans of one filter may come now, and how many it would have liked.
#[derive(Debug)]
pub(super) struct Bucket(Mutex<State>);

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Instant,
    /// Between the last two askings.
    elapsed: Duration,
    /// Spans a second wanted of late; all that the limit allows as long as nothing is known.
    wish: f64,
}

impl Bucket {
    /// A second's worth.
    pub(super) fn new(limit: f64, now: Instant) -> Self {
        let elapsed = Duration::ZERO;
        Self(Mutex::new(State { tokens: limit, at: now, elapsed, wish: limit }))
    }

    /// Spans that may come now at `rate` a second: what flowed in since the last time, a second's worth at most.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a limit of a filter"
    )]
    pub(super) fn tokens(&self, rate: f64, now: Instant) -> usize {
        let mut state = self.lock();
        let elapsed = now.saturating_duration_since(state.at);
        // Also where there is less than one a second to have.
        let most = rate.max(1.0);
        let tokens = (state.tokens + elapsed.as_secs_f64() * rate).clamp(0.0, most);
        (state.tokens, state.at, state.elapsed) = (tokens.fract(), now, elapsed);
        tokens as usize
    }

    /// After a round: tokens that were not used, and spans that the filter wanted in it.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn settle(&self, unused: usize, wanted: u64, limit: f64) {
        let mut state = self.lock();
        state.tokens += unused as f64;
        let seconds = state.elapsed.as_secs_f64();
        if seconds > 0.0 {
            // What was wanted in bursts is not forgotten at once.
            state.wish = (wanted as f64 / seconds).max(state.wish / 2.0).min(limit);
        }
    }

    /// Spans a second that the filter wanted of late.
    pub(super) fn wish(&self) -> f64 {
        self.lock().wish
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
