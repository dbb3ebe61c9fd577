//! Whether flushes succeed.
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::metrics::{Counter, Metric};

/// So many flushes in a row must fail before the store calls itself not ready: one timeout is no outage.
const FAILURES_MAX: u32 = 3;

/// Written by the flusher, read by `ready` and `metrics`.
#[derive(Debug, Default)]
pub(super) struct Health {
    flushes: Counter,
    failures: Counter,
    failing: Mutex<Failing>,
}

#[derive(Debug, Default)]
struct Failing {
    in_a_row: u32,
    last: String,
}

impl Health {
    /// Takes note of a flush; logs a failed one.
    pub(super) fn flushed(&self, result: &Result<()>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                self.flushes.add(1);
                *failing = Failing::default();
            }
            Err(error) => {
                self.failures.add(1);
                failing.in_a_row += 1;
                failing.last = chain(error);
                tracing::error!(
                    error = failing.last,
                    in_a_row = failing.in_a_row,
                    "flush failed; everything is still in the WAL"
                );
            }
        }
    }

    /// Why files cannot be written, where that has gone on for a while.
    pub(super) fn problem(&self) -> Option<String> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        (failing.in_a_row >= FAILURES_MAX)
            .then(|| format!("the last {} flushes failed: {}", failing.in_a_row, failing.last))
    }

    /// For `/metrics`.
    pub(super) fn metrics(&self) -> [Metric; 2] {
        [
            self.flushes.metric("spanlake_flushes_total", "Flushes committed."),
            self.failures.metric("spanlake_flush_failures_total", "Flushes that failed."),
        ]
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
