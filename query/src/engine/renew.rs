//! Makes answers anew that were given to questions though they were not of now ([`crate::views`], `router::recent`).
use std::sync::Weak;
use std::time::{Duration, Instant};

use datafusion::prelude::SessionContext;
use tokio::time::sleep;

use super::Shared;
use crate::Result;
use crate::spans::Tables;
use crate::views::{self, Cache};

/// A pause is so many times as long as the work before it: a fifth of one core, however many ask.
const REST: u32 = 4;
const REST_MIN: Duration = Duration::from_millis(100);

/// Runs until the engine is gone.
pub(super) async fn keep(shared: Weak<Shared>) {
    let Some(cache) = shared.upgrade().and_then(|shared| shared.cache()) else { return };
    let mut worked = Duration::ZERO;
    loop {
        let expected = cache.recent.wanted().await + cache.moments.expected();
        sleep(rest(&cache, worked, expected)).await;
        let begun = Instant::now();
        // One after the other, each with a session of its own: what is hot is held no longer than it is read.
        let Some((context, tables)) = session(&shared) else { return };
        note(Box::pin(views::renew(context, tables)).await);
        let Some((context, tables)) = session(&shared) else { return };
        note(Box::pin(views::renew_lists(context, tables)).await);
        worked = begun.elapsed();
    }
}

/// A session over what a query sees now; `None` where the engine is gone. It may go meanwhile.
fn session(shared: &Weak<Shared>) -> Option<(SessionContext, Tables)> {
    shared.upgrade()?.session().ok()
}

fn note(renewed: Result<()>) {
    if let Err(error) = renewed {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(error, "an answer could not be made anew");
    }
}

/// How long to wait after so much work, so that the next answer is there before the last one is too old.
fn rest(cache: &Cache, worked: Duration, expected: Duration) -> Duration {
    let in_time = cache.recent.lag_max().saturating_sub(expected * 2);
    (worked * REST).min(in_time).max(REST_MIN)
}
