//! `Store`: open, append, snapshot, flush, retain, close. The only door to one tenant's table.
//!
//! ```text
//! append -> wal (own thread) -> publisher -> hot -> flusher -> table
//!                                             \-> snapshot, tail
//! ```
mod compaction;
mod flusher;
mod folders;
mod health;
mod open;
mod partitions;
mod retention;
mod supervisor;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::compact::Due;
use crate::config::Config;
use crate::entry::{Appended, Compressed, Decode, Entry};
use crate::error::{Error, Result};
use crate::hot::Hot;
use crate::hot::tail::Tail;
use crate::id::TraceId;
use crate::ledger::Ledger;
use crate::lock::Lock;
use crate::metrics::{Metric, Shape};
use crate::patch::{Patch, What};
use crate::retain::pins::{self, Pin};
use crate::retain::{
    Deletion, Loss, Partition, Plan, Policy, PolicyChange, Receipt, Selection, Ttl,
};
use crate::schema::AttributeColumns;
use crate::snapshot::Snapshot;
use crate::table::{LogFindings, Table};
use crate::time::Clock;
use crate::wal::{Folder, Wal};

use compaction::Compaction;
use flusher::Command;
use folders::Folders;
use health::Health;
use retention::Retention;
use supervisor::Supervisor;

/// How long an append waits for a flush to make room before it is refused.
const ROOM_WAIT: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A handle to one open table; cheap to clone. The table closes by [`Store::close`]; where all handles are dropped without
/// it, the owners end too, and what is not in a file yet is replayed at the next open.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    wal_bytes_max: u64,
    hot_bytes_max: usize,
    wal: Wal,
    hot: Arc<Hot>,
    table: Arc<Table>,
    health: Arc<Health>,
    supervisor: Arc<Supervisor>,
    compaction: Compaction,
    retention: Retention,
    /// Of the log; the ledger is saved there.
    folder: Arc<dyn Folder>,
    commands: mpsc::Sender<Command>,
    closed: AtomicBool,
    tasks: Mutex<Option<Tasks>>,
}

/// What [`Store::close`] waits for.
#[derive(Debug)]
struct Tasks {
    writer: std::thread::JoinHandle<()>,
    publisher: JoinHandle<()>,
    flusher: JoinHandle<()>,
    retention: JoinHandle<()>,
    compaction: Option<JoinHandle<()>>,
    locks: Arc<Vec<Lock>>,
}

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
        let folders = Folders::prepare(&config)?;
        open::open(config, decode, clock, folders).await
    }

    /// Appends one request and returns once it is fsynced and visible in [`Store::snapshot`].
    ///
    /// Safe to cancel: the entry is then stored or not, as after a lost answer.
    ///
    /// # Errors
    /// [`crate::Kind::Busy`] when unflushed bytes exceed a limit, [`crate::Kind::Unavailable`] after a disk failure;
    /// the entry is then not stored.
    pub async fn append(&self, entry: Entry) -> Result<Appended> {
        self.shared.append(entry, None).await
    }

    /// As [`Store::append`], for an entry whose body came compressed: `sent` is what the log keeps in its place, so
    /// nothing is inflated again unless the log is replayed.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn append_compressed(&self, entry: Entry, sent: Compressed) -> Result<Appended> {
        self.shared.append(entry, Some(sent)).await
    }

    /// Returns where an append would not be refused for want of room in the log or in memory; waits a moment where a
    /// flush is about to make some. What a door asks before it reads a body.
    ///
    /// # Errors
    /// What [`Store::append`] would say.
    pub async fn room(&self) -> Result<()> {
        let shared = &*self.shared;
        if shared.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        shared.check_wal(0)?;
        shared.wait_for_hot().await
    }

    /// The state of the table now. Never blocks, never waits for IO.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.hot.snapshot()
    }

    /// What is refused: doors write into it, and it explains missing parents.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.shared.hot.ledger()
    }

    /// Attributes that have columns now.
    pub fn columns(&self) -> Arc<AttributeColumns> {
        self.shared.hot.columns()
    }

    /// A listener to the spans as they become visible (live tail). Wait with [`Store::changes`], then ask it.
    pub fn tail(&self) -> Tail {
        self.shared.hot.tail()
    }

    /// Writes everything appended before the call into files and commits them.
    ///
    /// # Errors
    /// The step that failed; nothing acknowledged is lost, and a later flush tries again.
    pub async fn flush(&self) -> Result<()> {
        self.shared.command(Command::Flush).await
    }

    /// Merges small files now, as the background task does; returns the number of steps. May run beside other calls.
    ///
    /// # Errors
    /// The step that failed; what was committed before stays.
    pub async fn compact(&self, due: Due) -> Result<u64> {
        self.shared.compaction.all(due).await
    }

    /// All partitions, oldest first, hot spans included.
    pub fn partitions(&self) -> Vec<Partition> {
        partitions::partitions(&self.snapshot(), &self.policy())
    }

    /// The default TTL in force.
    pub fn ttl(&self) -> Ttl {
        self.policy().ttl
    }

    /// What leaves the table, and when.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.shared.table.state().policy)
    }

    /// Sets the default TTL of this table; `None` keeps everything.
    ///
    /// # Errors
    /// The commit failed.
    pub async fn set_ttl(&self, ttl: Option<Duration>) -> Result<()> {
        self.set_policy(PolicyChange { ttl: Some(ttl), ..PolicyChange::default() }).await
    }

    /// Changes the policy of this table (kept in its Delta properties, where it outranks the configuration).
    ///
    /// # Errors
    /// The rules cannot stand together, or the commit failed.
    pub async fn set_policy(&self, change: PolicyChange) -> Result<()> {
        self.shared.command(|done| Command::SetPolicy(change, done)).await
    }

    /// What the given default TTL would remove now. Reads the trace ids of those partitions.
    ///
    /// # Errors
    /// A file could not be read.
    pub async fn plan_ttl(&self, ttl: Option<Duration>) -> Result<Loss> {
        let change = PolicyChange { ttl: Some(ttl), ..PolicyChange::default() };
        Ok(self.plan(&change).await?.loss)
    }

    /// What the policy with `change` would remove now, and what would stay. Reads as [`Store::plan_ttl`].
    ///
    /// # Errors
    /// The rules cannot stand together, or a file could not be read.
    pub async fn plan(&self, change: &PolicyChange) -> Result<Plan> {
        self.shared.table.plan(&self.policy().with(change)?).await
    }

    /// Removes whole partitions in one commit (flushing their hot spans first), pinned traces and the latest of each
    /// operation excepted; files are deleted after the grace.
    ///
    /// # Errors
    /// The commit failed: then nothing was removed.
    pub async fn drop_partitions(&self, dates: &[NaiveDate]) -> Result<Receipt> {
        self.shared.retention.drop(dates, None, "command").await
    }

    /// As [`Store::drop_partitions`], only files of one retention class.
    ///
    /// # Errors
    /// As there.
    pub async fn drop_class(&self, dates: &[NaiveDate], class: &str) -> Result<Receipt> {
        self.shared.retention.drop(dates, Some(class), "command").await
    }

    /// Applies the policy now, as the background task does every minute.
    ///
    /// # Errors
    /// A file could not be read or written, or the commit failed.
    pub async fn apply_policy(&self) -> Result<Vec<Receipt>> {
        self.shared.retention.apply().await
    }

    /// Receipts of all removals, oldest first.
    pub fn receipts(&self) -> Arc<[Receipt]> {
        Arc::clone(&self.shared.table.state().receipts)
    }

    /// What [`Store::delete`] would delete; hot spans are flushed to find them.
    ///
    /// # Errors
    /// A file could not be read.
    pub async fn plan_deletion(&self, selection: &Selection) -> Result<Receipt> {
        self.shared.retention.plan_deletion(selection).await
    }

    /// Deletes whole traces from files, memory and log; see docs/operating.md for what is gone when. `now` also deletes
    /// the old files at once: a query that reads them just now fails. Goes on where the caller does not wait for it; after a
    /// failure or a crash, the same call does what is left.
    ///
    /// # Errors
    /// A file could not be read or written: then nothing was deleted.
    pub async fn delete(&self, selection: &Selection, now: bool) -> Result<Deletion> {
        // In a task of its own: whoever asked may go away, and half a deletion is none.
        let (retention, selection) = (self.shared.retention.clone(), selection.clone());
        let deleting = tokio::spawn(async move { retention.delete(&selection, now).await });
        deleting.await.map_err(|_| Error::Closed)?
    }

    /// Pins a trace: no drop removes it, only a deletion.
    ///
    /// # Errors
    /// The note is too long, there are too many pins, or the pin could not be stored.
    pub async fn pin(&self, trace: &TraceId, note: &str) -> Result<Pin> {
        self.shared.retention.pin(trace, note).await
    }

    /// Unpins a trace; false where it was not pinned. Copies that nothing keeps any more go with the next look.
    ///
    /// # Errors
    /// The pin could not be removed.
    pub async fn unpin(&self, trace: &TraceId) -> Result<bool> {
        self.shared.retention.unpin(trace).await
    }

    /// All pins, oldest first.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn pins(&self) -> Result<Vec<Pin>> {
        pins::all(&self.shared.table.place().tenant).await
    }

    /// Stores what people add to spans afterwards; visible in the next snapshot.
    ///
    /// # Errors
    /// It cannot be meant, there are too many, or it could not be stored.
    pub async fn patch(&self, what: What) -> Result<Patch> {
        self.shared.command(|done| Command::Patch(what, done)).await
    }

    /// Whether appends are taken and files can be written.
    ///
    /// # Errors
    /// Why not, in words for `/readyz`.
    pub fn ready(&self) -> std::result::Result<(), String> {
        self.shared.ready()
    }

    /// Returns the name of a task that nothing works without, once it has panicked; else never. Everything acknowledged is
    /// in the log then: close the store and open it again.
    pub async fn failed(&self) -> &'static str {
        self.shared.supervisor.failed().await
    }

    /// Reads the table's log of commits whole, checkpoints included.
    ///
    /// # Errors
    /// It could not be listed.
    pub async fn check_log(&self) -> Result<LogFindings> {
        self.shared.table.check_log().await
    }

    /// Figures for `/metrics`.
    pub fn metrics(&self) -> Vec<Metric> {
        self.shared.metrics()
    }

    /// A new value whenever [`Store::snapshot`] changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.hot.changes()
    }

    /// Stops taking appends, drains the log, flushes, commits, ends all tasks, gives up the lock.
    ///
    /// # Errors
    /// The last flush failed; everything acknowledged is still in the log.
    pub async fn close(&self) -> Result<()> {
        self.shared.end(true).await
    }
}

impl Shared {
    async fn append(&self, entry: Entry, sent: Option<Compressed>) -> Result<Appended> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.check_wal(sent.as_ref().map_or(entry.body.len(), |sent| sent.body.len()))?;
        self.wait_for_hot().await?;
        self.wal.append(entry, sent).await
    }

    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (done, finished) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| Error::Closed)?;
        finished.await.map_err(|_| Error::Closed)?
    }

    fn check_wal(&self, bytes: usize) -> Result<()> {
        let status = self.wal.status();
        if status.is_read_only() {
            return Err(Error::ReadOnly);
        }
        let used_bytes = status.bytes_used();
        if used_bytes.saturating_add(bytes as u64) <= self.wal_bytes_max {
            return Ok(());
        }
        self.hot.request_flush();
        let limit_bytes = self.wal_bytes_max;
        Err(Error::WalFull { used_bytes, limit_bytes, retry_after: RETRY_AFTER })
    }

    async fn wait_for_hot(&self) -> Result<()> {
        if self.hot.bytes() < self.hot_bytes_max {
            return Ok(());
        }
        self.hot.request_flush();
        let mut changes = self.hot.changes();
        let room = async {
            while self.hot.bytes() >= self.hot_bytes_max {
                // The sender lives in `hot`, so there is always a next change to wait for.
                let _ = changes.changed().await;
            }
        };
        tokio::time::timeout(ROOM_WAIT, room).await.map_err(|_| Error::HotFull {
            used_bytes: self.hot.bytes() as u64,
            limit_bytes: self.hot_bytes_max as u64,
            retry_after: RETRY_AFTER,
        })
    }

    fn ready(&self) -> std::result::Result<(), String> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed.to_string());
        }
        if self.wal.status().is_read_only() {
            return Err(Error::ReadOnly.to_string());
        }
        if let Some(task) = self.supervisor.failure() {
            return Err(format!("the task {task} ended unexpectedly; restart the server"));
        }
        let (lost, quarantined) = self.wal.status().damage();
        if lost > 0 || quarantined > 0 {
            return Err(format!(
                "degraded: the WAL was damaged, {lost} requests are lost and {quarantined} segments \
                 set aside; see the log, then restart"
            ));
        }
        self.health.problem().map_or(Ok(()), Err)
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    fn metrics(&self) -> Vec<Metric> {
        let gauge = |name, help, value: f64| Metric {
            name,
            help,
            shape: Shape::Gauge,
            labels: Vec::new(),
            value,
        };
        let mut metrics = self.wal.status().metrics();
        metrics.extend(self.health.metrics());
        metrics.extend(self.supervisor.metrics());
        metrics.push(gauge(
            "spanlake_hot_bytes",
            "Memory of spans not yet in a file.",
            self.hot.bytes() as f64,
        ));
        metrics.push(gauge(
            "spanlake_hot_rows",
            "Spans not yet in a file.",
            self.hot.rows() as f64,
        ));
        metrics.extend(self.table.metrics());
        metrics.extend(self.compaction.compactor.metrics());
        metrics
    }

    /// Ends everything in the order of the flow. A second call waits for the first.
    async fn end(&self, flush: bool) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let mut tasks = self.tasks.lock().await;
        let Some(Tasks { writer, publisher, flusher, retention, compaction, locks }) = tasks.take()
        else {
            return Ok(());
        };
        // What it has written so far without a commit is an orphan.
        retention.abort();
        if let Some(compaction) = compaction {
            // What a step has written so far is an orphan; its files are as they were.
            compaction.abort();
        }
        let drained = self.wal.drain().await;
        let flushed = self.command(|done| Command::End { flush, done }).await;
        // Panics of all of them are the supervisor's matter; a runtime that is shutting down cancels them.
        let _ = flusher.await;
        self.wal.end();
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        let _ = publisher.await;
        if flush {
            let (ledger, folder) = (self.hot.ledger(), Arc::clone(&self.folder));
            let _ = tokio::task::spawn_blocking(move || ledger.save(&*folder)).await;
        }
        drop(locks);
        drained.and(flushed)
    }
}
