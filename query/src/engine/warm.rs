//! Reads what views need of new files before anybody asks: the first question after a flush or a compaction would wait for
//! rollups, and for the spans of traces that lie in several files.
//!
//! Only once the files have settled and few spans arrive: under load a new file comes every second, each would cost as much
//! as a question (a tenth of all CPU time, measured), and the next one would make it useless. Whoever asks then reads what
//! the question needs, as without this.
use std::sync::{Arc, Weak};
use std::time::Duration;

use storage::DataFile;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Shared;
use crate::views;

/// Files that stayed the same for so long are worth reading about.
const SETTLED: Duration = Duration::from_millis(500);

/// So many spans may arrive in this time: reading ahead then costs 3 % of a processor at most.
const ARRIVING_MAX: usize = 50_000;

type Files = Arc<[Arc<DataFile>]>;

/// Runs until the engine, or the store that sends `changes`, is gone. Several changes are seen as one.
pub(super) async fn keep(shared: Weak<Shared>, mut changes: watch::Receiver<u64>) {
    let mut warmed: Option<Files> = None;
    loop {
        let Some((before, rows_before)) = stored(&shared) else { return };
        sleep(SETTLED).await;
        let Some((now, rows_now)) = stored(&shared) else { return };
        let is_calm = rows_now.saturating_sub(rows_before) <= ARRIVING_MAX;
        let is_warm = warmed.as_ref().is_some_and(|warmed| Arc::ptr_eq(warmed, &now));
        if is_warm {
            if changes.changed().await.is_err() {
                return;
            }
        } else if is_calm && Arc::ptr_eq(&before, &now) {
            warmed = Some(now);
            warm(&shared).await;
        }
    }
}

/// The files, and how many spans are in none yet.
fn stored(shared: &Weak<Shared>) -> Option<(Files, usize)> {
    let snapshot = (shared.upgrade()?.snapshots)();
    let rows = snapshot.hot.iter().map(|batch| batch.rows()).sum();
    Some((Arc::clone(&snapshot.files), rows))
}

/// Does without what cannot be read: a question will say why.
async fn warm(shared: &Weak<Shared>) {
    let Some(engine) = shared.upgrade() else { return };
    let session = engine.session();
    // The engine may go meanwhile.
    drop(engine);
    let Ok((context, tables)) = session else { return };
    if let Err(error) = Box::pin(views::warm(context, tables)).await {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(error, "new files could not be read ahead");
    }
}

#[cfg(test)]
mod tests;
