//! The one task that changes the table: flushes, removals, settings, upkeep, one after the other.
//!
//! A flush goes *files written -> commit with the log's position -> files visible and hot batches gone in one swap -> log
//! trimmed*. A crash between any two steps is harmless: before the commit, replay brings the batches back; after it, replay
//! skips what the committed position covers.
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::health::Health;
use crate::compact::Merged;
use crate::entry::Sessions;
use crate::error::{Error, Result};
use crate::flush;
use crate::hot::Hot;
use crate::lock::Lock;
use crate::patch::{Patch, What};
use crate::retain::{PolicyChange, Receipt, Removal, Traces};
use crate::table::Table;
use crate::wal::Wal;

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Short, because ingest that ran out of room goes on with the first flush that succeeds.
const BACKOFF_MAX: Duration = Duration::from_secs(3);

type Answer<T> = oneshot::Sender<Result<T>>;

/// What the flusher can be asked.
#[derive(Debug)]
pub(super) enum Command {
    Flush(Answer<()>),
    SetPolicy(PolicyChange, Answer<()>),
    /// Commits a removal; `None` where its files were no longer there.
    Remove(Arc<Removal>, Answer<Option<Receipt>>),
    /// Flushes, and deletes every file of the log whose entries are in files now.
    PurgeLog(Answer<()>),
    /// Stores a patch.
    Patch(What, Answer<Patch>),
    /// Deletes the patches of these traces.
    Forget(Arc<Traces>, Answer<()>),
    /// Deletes what no version names, without a grace.
    Vacuum(Answer<()>),
    /// Commits a compaction step; answers whether its files were still there.
    Merged(Arc<Merged>, Answer<bool>),
    /// Ends the task; flushes before where `flush` is set.
    End {
        flush: bool,
        done: Answer<()>,
    },
}

/// See the module. Ends when the last store handle is dropped; what is hot then stays in the log.
pub(super) struct Flusher {
    pub(super) table: Arc<Table>,
    pub(super) hot: Arc<Hot>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) wal: Wal,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) interval: Duration,
    pub(super) upkeep_interval: Duration,
    pub(super) health: Arc<Health>,
    /// Held until the task ends: nobody else may open the table while a commit is on its way.
    pub(super) _locks: Arc<Vec<Lock>>,
}

impl Flusher {
    pub(super) async fn run(mut self) {
        let mut backoff = BACKOFF_FIRST;
        let mut flush_at = Instant::now() + self.interval;
        let mut upkeep_at = Instant::now() + self.upkeep_interval;
        loop {
            let hot = Arc::clone(&self.hot);
            // While a failed flush waits for its turn, a full buffer does not call for another one.
            let retrying = backoff > BACKOFF_FIRST;
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => if self.obey(command).await { return },
                    None => return,
                },
                () = tokio::time::sleep_until(upkeep_at) => {
                    self.upkeep().await;
                    upkeep_at = Instant::now() + self.upkeep_interval;
                }
                () = tokio::time::sleep_until(flush_at) => {
                    (flush_at, backoff) = self.flush_in_turn(backoff).await;
                }
                () = hot.flush_requested(), if !retrying => {
                    (flush_at, backoff) = self.flush_in_turn(backoff).await;
                }
            }
        }
    }

    /// Flushes and says when the next turn is.
    async fn flush_in_turn(&self, backoff: Duration) -> (Instant, Duration) {
        match self.flush().await {
            Ok(()) => (Instant::now() + self.interval, BACKOFF_FIRST),
            Err(_) => (Instant::now() + backoff, (backoff * 2).min(BACKOFF_MAX)),
        }
    }

    /// Returns whether the task ends.
    async fn obey(&mut self, command: Command) -> bool {
        // Whoever asked may have gone: answers are sent into the void then.
        match command {
            Command::Flush(done) => drop(done.send(self.flush().await)),
            Command::SetPolicy(change, done) => {
                let result = self.table.set_policy(&change).await;
                crate::fault::point("policy: set");
                self.publish_table();
                drop(done.send(result));
            }
            Command::Remove(removal, done) => {
                let result = self.table.commit_removal(&removal).await;
                self.publish_table();
                drop(done.send(result));
            }
            Command::PurgeLog(done) => drop(done.send(self.purge_log().await)),
            Command::Patch(what, done) => {
                let result = self.table.add_patch(what).await;
                crate::fault::point("patch: written");
                self.publish_table();
                drop(done.send(result));
            }
            Command::Forget(traces, done) => {
                let result = self.table.forget_patches(|trace| traces.contains(&trace.0)).await;
                crate::fault::point("deletion: patches forgotten");
                self.publish_table();
                drop(done.send(result));
            }
            Command::Vacuum(done) => drop(done.send(self.table.vacuum().await)),
            Command::Merged(merged, done) => {
                let result = self.table.commit_merged(&merged).await;
                crate::fault::point("compaction: committed");
                self.publish_table();
                drop(done.send(result));
            }
            Command::End { flush, done } => {
                let result = if flush { self.flush().await } else { Ok(()) };
                drop(done.send(result));
                return true;
            }
        }
        false
    }

    async fn flush(&self) -> Result<()> {
        if self.hot.is_dirty() {
            let flushed = self.write().await;
            self.health.flushed(&flushed);
            flushed?;
            self.publish_table();
            crate::fault::point("flush: visible");
        }
        // Also without new spans: segments may be left from a trim that failed, or from before a restart.
        if self.wal.status().bytes_used() > 0 {
            self.trim().await;
        }
        Ok(())
    }

    /// Files and commit. A panic in there (a mistake of ours) is a failed flush: the log keeps everything.
    async fn write(&self) -> Result<()> {
        // A flush before may have been committed though its answer was lost: what it holds is not written again.
        self.table.refresh().await?;
        self.publish_table();
        // The batches of this flush and those of the next share no strings, so that none have to be compared.
        let pause = self.sessions.pause().await;
        self.sessions.renew();
        let sealed = self.hot.seal();
        drop(pause);
        let flush = flush::flush(&self.table, &sealed.batches, &sealed.columns, sealed.through);
        AssertUnwindSafe(flush).catch_unwind().await.unwrap_or_else(|_| {
            let source = "it panicked".into();
            Err(Error::Table { step: "write a flush", source })
        })
    }

    async fn trim(&self) {
        if let Err(error) = self.wal.trim(self.table.state().wal_through).await {
            // Nothing is lost or doubled by a segment that stays: replay skips what is committed.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "could not trim the WAL");
        }
    }

    async fn purge_log(&self) -> Result<()> {
        // What is in the log must be hot, or its segment would outlast the flush.
        self.wal.drain().await?;
        self.flush().await?;
        self.wal.purge(self.table.state().wal_through).await
    }

    async fn upkeep(&self) {
        if let Err(error) = self.table.reload_patches().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not read patches");
        }
        if let Err(error) = self.table.maintain().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not maintain the table"
            );
        }
        self.publish_table();
    }

    /// The newest table becomes visible, and the hot batches that it holds go.
    fn publish_table(&self) {
        self.hot.replace(self.table.state());
    }
}
