//! A synthetic shop that sends its spans to the server beside it: seeded, with incidents.
//!
//! ```text
//! model, shop (tables) -> trace (one request) -> workload (a second of load) -> send -> the server's doors
//! ```
mod attributes;
mod encode;
mod incident;
mod model;
mod send;
mod shop;
mod span;
#[cfg(test)]
mod tests;
mod trace;
mod workload;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use storage::time::NANOS_PER_SECOND;
use storage::{Clock, SystemClock};
use tokio::time::{Instant, MissedTickBehavior};

use crate::running::Addresses;
use incident::Incident;
use send::Sender;
use span::Span;
use workload::Shop;

/// Seconds of history that the demo makes up at its start.
const HISTORY_SECONDS: i64 = 30 * 60;
/// It stops making up history after this.
const HISTORY_TIME_MAX: Duration = Duration::from_secs(40);

/// The shop's seed and load, and what its table holds already.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Spans a second.
    pub(crate) rate: f64,
    /// Start of the newest span that the table holds. A shop that opens again makes up history from there on only: the
    /// same seconds would be the same spans once more.
    pub(crate) newest_unix_nano: Option<i64>,
}

/// Sends the shop's spans for ever: new ones as they happen, and beside them the last half hour, newest first.
///
/// # Errors
/// Spans could not be made.
pub(crate) async fn run(at: Addresses, plan: Plan) -> anyhow::Result<()> {
    let now = SystemClock.now_unix_nano() / NANOS_PER_SECOND;
    let shop = Arc::new(Shop::new(plan.seed, plan.rate, now * NANOS_PER_SECOND));
    let from = history_from(now, plan.newest_unix_nano);
    tokio::try_join!(live(&shop, at, now.max(from)), history(&shop, at, from..now))?;
    Ok(())
}

/// The first second of history at `now`.
fn history_from(now: i64, newest_unix_nano: Option<i64>) -> i64 {
    let held = newest_unix_nano.map_or(i64::MIN, |newest| newest / NANOS_PER_SECOND + 1);
    held.max(now - HISTORY_SECONDS)
}

async fn second(shop: &Arc<Shop>, second: i64) -> anyhow::Result<Vec<Span>> {
    let shop = Arc::clone(shop);
    tokio::task::spawn_blocking(move || shop.second(second)).await.context("make spans")
}

async fn history(shop: &Arc<Shop>, at: Addresses, seconds: Range<i64>) -> anyhow::Result<()> {
    /// Seconds sent at once.
    const STEP: i64 = 10;
    let begin = Instant::now();
    let mut sender = Sender::new(at);
    let mut sent = 0;
    let mut from = seconds.end;
    while from > seconds.start && begin.elapsed() < HISTORY_TIME_MAX {
        let mut spans = Vec::new();
        let next = seconds.start.max(from - STEP);
        for earlier in (next..from).rev() {
            spans.append(&mut second(shop, earlier).await?);
        }
        from = next;
        sent += deliver(&mut sender, spans).await;
    }
    tracing::info!(spans = sent, minutes = (seconds.end - from) / 60, "history is in place");
    Ok(())
}

/// A door that refuses costs these spans; the shop goes on.
async fn deliver(sender: &mut Sender, spans: Vec<Span>) -> usize {
    match sender.send(spans).await {
        Ok(sent) => sent,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "spans of the shop were refused");
            0
        }
    }
}

async fn live(shop: &Arc<Shop>, at: Addresses, begin: i64) -> anyhow::Result<()> {
    let mut sender = Sender::new(at);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut next = begin;
    let mut open: Vec<Span> = Vec::new();
    let mut incident = None;
    loop {
        ticks.tick().await;
        let now = SystemClock.now_unix_nano();
        while next <= now / NANOS_PER_SECOND {
            open.append(&mut second(shop, next).await?);
            next += 1;
        }
        // A service exports a span when it has ended, not before.
        let (ended, still) = open.into_iter().partition(|span| span.end <= now);
        open = still;
        deliver(&mut sender, ended).await;
        incident = announce(incident, Incident::at(shop.origin, now));
    }
}

fn announce(before: Option<Incident>, now: Option<Incident>) -> Option<Incident> {
    match (before, now) {
        (None, Some(incident)) => tracing::info!("{}", incident.words()),
        (Some(_), None) => tracing::info!("the incident is over"),
        _ => {}
    }
    now
}
