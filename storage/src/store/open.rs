//! Opening: table, replay, then the owners. Nobody can append before everything acknowledged earlier is visible again.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::compaction::Compaction;
use super::flusher::{Command, Flusher};
use super::folders::Folders;
use super::health::Health;
use super::retention::Retention;
use super::supervisor::{Supervisor, Task};
use super::{Shared, Store, Tasks};
use crate::config::{Config, Durability};
use crate::entry::{Decode, Decoded, Sessions};
use crate::error::{Error, Result};
use crate::flush;
use crate::hot::{Hot, Publisher};
use crate::id::WalSeq;
use crate::lock::Lock;
use crate::table::Table;
use crate::table::place::Place;
use crate::time::Clock;
use crate::wal::{
    self, Disk, Folder, Parts, Recent, Recovery, Replay, ReplayGroup, Settings, Status, Wal,
};

/// Commands that wait while the flusher works: administration and the rare flush on demand.
const COMMANDS_MAX: usize = 64;

/// A table whose log has been replayed.
struct Opened {
    config: Config,
    sessions: Arc<Sessions>,
    clock: Arc<dyn Clock>,
    folder: Arc<dyn Folder>,
    log: Uuid,
    table: Arc<Table>,
    hot: Arc<Hot>,
    status: Arc<Status>,
    locks: Arc<Vec<Lock>>,
}

/// See [`Store::open`].
pub(super) async fn open(
    config: Config,
    decode: Arc<dyn Decode>,
    clock: Arc<dyn Clock>,
    folders: Folders,
) -> Result<Store> {
    let folder: Arc<dyn Folder> =
        Arc::new(Disk::new(&folders.wal, config.durability == Durability::Fsync));
    let place = Place::open(&config)?;
    open_with(config, decode, clock, (folder, folders.locks), place).await
}

/// As [`open`], over any folder for the log and any place for the table.
pub(super) async fn open_with(
    config: Config,
    decode: Arc<dyn Decode>,
    clock: Arc<dyn Clock>,
    (folder, locks): (Arc<dyn Folder>, Vec<Lock>),
    place: Place,
) -> Result<Store> {
    if config.durability == Durability::Os {
        tracing::warn!(
            "durability is \"os\": a power cut loses what was acknowledged in the last seconds (about 30)"
        );
    }
    let log = wal::open_id(&*folder)?;
    let table = Arc::new(Table::open(place, &config, log, Arc::clone(&clock)).await?);
    let readable = (table.query_store(), Arc::clone(table.rollups()));
    let hot = Hot::new(table.state(), readable, config.flush_bytes);
    let hot = Arc::new(hot.in_folder(table.place().folder.clone()));
    let status = Arc::new(Status::default());
    let locks = Arc::new(locks);
    let sessions = Arc::new(Sessions::new(decode));
    let opened = Opened { config, sessions, clock, folder, log, table, hot, status, locks };
    let recovery = opened.replay().await?;
    opened.load_ledger();
    opened.start(recovery)
}

impl Opened {
    /// Reads the log into the hot buffer, and flushes on the way where there is more than the buffer should hold.
    async fn replay(&self) -> Result<Recovery> {
        let folder = Arc::clone(&self.folder);
        let recent = Recent::load(&*folder, self.config.dedup_window).map_err(|source| {
            Error::File { step: "read recent requests in", path: folder.path(""), source }
        })?;
        let committed = self.table.state().wal_through;
        let mut replay = Replay::open(folder, self.log, committed, recent)?;
        // One group is read ahead while every core decodes one; each is a few MiB.
        let decoding_max = cores() + 1;
        let mut decoding = VecDeque::new();
        loop {
            let (rest, group) = read_group(replay).await?;
            replay = rest;
            let ended = group.is_none();
            decoding.extend(group.map(|group| (group.through, self.decode(group))));
            while decoding.len() >= if ended { 1 } else { decoding_max } {
                let Some((through, decoded)) = decoding.pop_front() else { break };
                self.show(through, decoded).await?;
            }
            if ended {
                break;
            }
        }
        let recovery = replay.finish();
        self.report(&recovery);
        Ok(recovery)
    }

    fn decode(&self, group: ReplayGroup) -> JoinHandle<(Decoded, u64)> {
        let (sessions, columns) = (Arc::clone(&self.sessions), self.hot.columns());
        tokio::task::spawn_blocking(move || group.decode(&sessions, &columns))
    }

    /// Waits for a group and makes it visible; groups come in order. Flushes where that was enough for a file.
    async fn show(&self, through: WalSeq, decoded: JoinHandle<(Decoded, u64)>) -> Result<()> {
        // Decoding catches its panics; a runtime that is shutting down cancels it.
        let (decoded, unreadable) = decoded.await.map_err(|_| Error::Closed)?;
        self.status.unreadable.add(unreadable);
        self.hot.push(through, decoded.batches);
        if self.hot.bytes() >= self.config.flush_bytes {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        self.sessions.renew();
        let sealed = self.hot.seal();
        flush::flush(&self.table, &sealed.batches, &sealed.columns, sealed.through).await?;
        self.hot.replace(self.table.state());
        Ok(())
    }

    /// A table without spans has nothing that the ledger would have to know of.
    fn load_ledger(&self) {
        let is_new = self.table.state().files.is_empty() && self.hot.rows() == 0;
        self.hot.ledger().load(&*self.folder, is_new, self.clock.now_unix_nano());
    }

    fn report(&self, recovery: &Recovery) {
        self.status.set_damage(recovery.lost, recovery.quarantined.len() as u64);
        if recovery.lost > 0 {
            tracing::error!(
                lost_entries = recovery.lost,
                "the WAL lacks entries that were acknowledged once"
            );
        }
        let (rows, next) = (self.hot.rows(), recovery.next.0);
        tracing::info!(rows, next, "WAL replayed");
    }

    fn start(self, recovery: Recovery) -> Result<Store> {
        let Self { config, hot, table, status, locks, .. } = self;
        // Durable groups that are decoded, or wait for it.
        let (groups, durable) = mpsc::channel(cores());
        let parts = Parts {
            settings: settings(&config),
            folder: Arc::clone(&self.folder),
            log: self.log,
            clock: self.clock,
            status: Arc::clone(&status),
            hot: Arc::clone(&hot),
            sessions: Arc::clone(&self.sessions),
            runtime: tokio::runtime::Handle::current(),
            groups,
            _locks: Arc::clone(&locks),
        };
        let (wal, writer) = Wal::start(parts, recovery)?;
        let supervisor = Arc::new(Supervisor::default());
        let publisher =
            Publisher { groups: durable, hot: Arc::clone(&hot), status: Arc::clone(&status) };
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let health = Arc::new(Health::default());
        let flusher = Flusher {
            table: Arc::clone(&table),
            hot: Arc::clone(&hot),
            sessions: self.sessions,
            wal: wal.clone(),
            commands: asked,
            interval: config.flush_interval,
            upkeep_interval: config.upkeep_interval,
            health: Arc::clone(&health),
            _locks: Arc::clone(&locks),
        };
        let (compaction, retention) = upkeep(&config, &table, &commands);
        let tasks = Tasks {
            retention: spawn_again(&supervisor, Task::Retention, &retention, Retention::run),
            compaction: config
                .compact
                .then(|| spawn_again(&supervisor, Task::Compaction, &compaction, Compaction::run)),
            writer,
            publisher: tokio::spawn(publish(Arc::clone(&supervisor), publisher, status)),
            flusher: tokio::spawn(Arc::clone(&supervisor).once(Task::Flusher, flusher.run())),
            locks,
        };
        let shared = Shared {
            wal_bytes_max: config.wal_bytes_max,
            hot_bytes_max: config.hot_bytes_max,
            wal,
            hot,
            table,
            health,
            supervisor,
            compaction,
            retention,
            folder: self.folder,
            commands,
            closed: AtomicBool::new(false),
            tasks: Mutex::new(Some(tasks)),
        };
        Ok(Store { shared: Arc::new(shared) })
    }
}

/// Who keeps the table in order: they take turns.
fn upkeep(
    config: &Config,
    table: &Arc<Table>,
    commands: &mpsc::Sender<Command>,
) -> (Compaction, Retention) {
    let compaction = Compaction {
        table: Arc::clone(table),
        compactor: Arc::default(),
        commands: commands.downgrade(),
        turn: Arc::default(),
        interval: config.compact_interval,
    };
    let retention = Retention {
        table: Arc::clone(table),
        commands: commands.downgrade(),
        turn: Arc::clone(&compaction.turn),
        unpinned: Arc::default(),
    };
    (compaction, retention)
}

/// A background task that begins anew after a panic.
fn spawn_again<T, W>(
    supervisor: &Arc<Supervisor>,
    task: Task,
    worker: &T,
    run: fn(T) -> W,
) -> JoinHandle<()>
where
    T: Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let (supervisor, worker) = (Arc::clone(supervisor), worker.clone());
    tokio::spawn(async move { supervisor.again(task, || run(worker.clone())).await })
}

/// The publisher ends with the writer, whose panic nobody else would see.
async fn publish(supervisor: Arc<Supervisor>, publisher: Publisher, status: Arc<Status>) {
    Arc::clone(&supervisor).once(Task::Publisher, publisher.run()).await;
    if status.panicked.load(Ordering::Acquire) {
        supervisor.fail(Task::Wal);
    }
}

/// Reads on, off the async threads.
async fn read_group(mut replay: Replay) -> Result<(Replay, Option<ReplayGroup>)> {
    let read = move || replay.next_group().map(|group| (replay, group));
    // Reading never panics; a runtime that is shutting down cancels it.
    tokio::task::spawn_blocking(read).await.map_err(|_| Error::Closed)?
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn settings(config: &Config) -> Settings {
    Settings {
        sync: config.durability == Durability::Fsync,
        group_wait: config.group_commit_wait,
        group_bytes: config.group_commit_bytes,
        // Trimming works by whole segments, so the limit must span several.
        segment_bytes: config.wal_segment_bytes.min(config.wal_bytes_max / 4),
        disk_free_bytes_min: config.disk_free_bytes_min,
    }
}
