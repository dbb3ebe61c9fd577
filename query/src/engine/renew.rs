//! Makes answers anew that were given to questions though they were not of now ([`crate::views`], `router::recent`).
use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Shared;
use crate::views::{self, Cache};

/// A pause is so many times as long as the work before it: a fifth of one core, however many ask.
const REST: u32 = 4;
const REST_MIN: Duration = Duration::from_millis(100);

/// Runs until the engine is gone.
pub(super) async fn keep(shared: Weak<Shared>) {
    let Some(cache) = shared.upgrade().and_then(|shared| shared.cache()) else { return };
    let mut worked = Duration::ZERO;
    loop {
        let expected = cache.recent.wanted().await;
        sleep(rest(&cache, worked, expected)).await;
        let Some(engine) = shared.upgrade() else { return };
        let session = engine.session();
        // The engine may go meanwhile.
        drop(engine);
        let Ok((context, tables)) = session else { return };
        let begun = Instant::now();
        if let Err(error) = Box::pin(views::renew(context, tables)).await {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "an answer could not be made anew");
        }
        worked = begun.elapsed();
    }
}

/// How long to wait after so much work, so that the next answer is there before the last one is too old.
fn rest(cache: &Cache, worked: Duration, expected: Duration) -> Duration {
    let in_time = cache.recent.lag_max().saturating_sub(expected * 2);
    (worked * REST).min(in_time).max(REST_MIN)
}
