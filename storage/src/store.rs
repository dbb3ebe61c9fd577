//! `Store`: open, append, snapshot, flush, retain, close. The only door to one tenant's table.
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::{broadcast, watch};

use crate::SpanBatch;
use crate::config::Config;
use crate::entry::{Appended, Decode, Entry};
use crate::error::Result;
use crate::id::WalSeq;
use crate::metrics::Metric;
use crate::retain::{Loss, Partition, Receipt, Ttl};
use crate::schema::AttributeColumns;
use crate::snapshot::Snapshot;
use crate::time::Clock;

/// A handle to one open table; cheap to clone. The table closes by [`Store::close`].
#[derive(Debug, Clone)]
pub struct Store {}

impl Store {
    /// Opens or creates the table at `config.location`, takes its lock, replays what the log holds and no file
    /// does, and starts the owners (WAL writer, flusher, maintenance). Returns once everything acknowledged
    /// earlier is visible.
    ///
    /// # Errors
    /// [`crate::Error::Locked`] where another process holds it; otherwise the step that failed.
    pub async fn open(
        config: Config,
        decode: Arc<dyn Decode>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let _ = (config, decode, clock);
        unimplemented!()
    }

    /// Appends one request and returns once it is fsynced and visible in [`Store::snapshot`].
    ///
    /// Safe to cancel: the entry is then stored or not, as after a lost answer.
    ///
    /// # Errors
    /// [`crate::Kind::Busy`] when unflushed bytes exceed a limit, [`crate::Kind::Unavailable`] after a disk failure;
    /// the entry is then not stored.
    pub async fn append(&self, entry: Entry) -> Result<Appended> {
        let _ = entry;
        unimplemented!()
    }

    /// The state of the table now. Never blocks, never waits for IO.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        unimplemented!()
    }

    /// Attributes that have columns now.
    pub fn columns(&self) -> Arc<AttributeColumns> {
        unimplemented!()
    }

    /// Every batch that becomes visible from now on, with the position of its last entry (for live tail).
    /// A slow receiver loses the oldest and is told how many.
    pub fn tail(&self) -> broadcast::Receiver<(WalSeq, Arc<SpanBatch>)> {
        unimplemented!()
    }

    /// Writes everything appended before the call into files and commits them.
    ///
    /// # Errors
    /// The step that failed; nothing acknowledged is lost, and a later flush tries again.
    pub async fn flush(&self) -> Result<()> {
        unimplemented!()
    }

    /// All partitions, oldest first, hot spans included.
    pub fn partitions(&self) -> Vec<Partition> {
        unimplemented!()
    }

    /// The TTL in force.
    pub fn ttl(&self) -> Ttl {
        unimplemented!()
    }

    /// Sets the TTL of this table (kept in its Delta properties); `None` keeps everything.
    ///
    /// # Errors
    /// The commit failed.
    pub async fn set_ttl(&self, ttl: Option<Duration>) -> Result<()> {
        let _ = ttl;
        unimplemented!()
    }

    /// What the given TTL would remove now. Reads the trace ids of those partitions.
    ///
    /// # Errors
    /// A file could not be read.
    pub async fn plan_ttl(&self, ttl: Option<Duration>) -> Result<Loss> {
        let _ = ttl;
        unimplemented!()
    }

    /// Removes whole partitions in one commit (flushing their hot spans first); files are deleted after the grace.
    ///
    /// # Errors
    /// The commit failed: then nothing was removed.
    pub async fn drop_partitions(&self, dates: &[NaiveDate], reason: &str) -> Result<Receipt> {
        let _ = (dates, reason);
        unimplemented!()
    }

    /// Applies the TTL now, as the background task does every minute.
    ///
    /// # Errors
    /// The commit failed.
    pub async fn apply_ttl(&self) -> Result<Option<Receipt>> {
        unimplemented!()
    }

    /// Receipts of all drops, oldest first.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn receipts(&self) -> Result<Vec<Receipt>> {
        unimplemented!()
    }

    /// Whether appends are taken and files can be written; `Err` says why not, in words for `/readyz`.
    pub fn ready(&self) -> std::result::Result<(), String> {
        unimplemented!()
    }

    /// Figures for `/metrics`.
    pub fn metrics(&self) -> Vec<Metric> {
        unimplemented!()
    }

    /// A new value whenever [`Store::snapshot`] changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        unimplemented!()
    }

    /// Stops taking appends, drains the log, flushes, commits, ends all tasks, gives up the lock.
    ///
    /// # Errors
    /// The last flush failed; everything acknowledged is still in the log.
    pub async fn close(&self) -> Result<()> {
        unimplemented!()
    }
}
