//! A log with a hot buffer, over a folder in memory; "files" are a list of span ids and a committed position.
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::config::Config;
use crate::entry::{Appended, Sessions};
use crate::error::Result;
use crate::hot::{Hot, Publisher};
use crate::id::{TableVersion, WalSeq};
use crate::retain::Policy;
use crate::schema::AttributeColumns;
use crate::table::TableState;
use crate::testing::{CountDecode, DAY, MemoryFolder, entry, ids};
use crate::time::ManualClock;
use crate::wal::{self, Folder, Parts, Recent, Recovery, Replay, Settings, Status, Wal};

/// What survives a crash: the log's folder and the table.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) folder: MemoryFolder,
    pub(super) table: Vec<u64>,
    pub(super) committed: u64,
}

pub(super) struct Rig {
    pub(super) disk: Disk,
    pub(super) wal: Wal,
    pub(super) status: Arc<Status>,
    pub(super) lost: u64,
    pub(super) quarantined: Vec<String>,
    hot: Arc<Hot>,
    writer: std::thread::JoinHandle<()>,
    publisher: tokio::task::JoinHandle<()>,
}

pub(super) const SEGMENT_BYTES: u64 = 512;

pub(super) fn settings() -> Settings {
    Settings {
        sync: true,
        group_wait: Duration::ZERO,
        group_bytes: 1 << 10,
        segment_bytes: SEGMENT_BYTES,
        disk_free_bytes_min: 1000,
    }
}

fn table_state(committed: u64) -> Arc<TableState> {
    Arc::new(TableState {
        version: TableVersion(committed),
        files: Arc::new([]),
        columns: Arc::new(AttributeColumns::default()),
        wal_through: WalSeq(committed),
        policy: Arc::new(Policy::of(&Config::in_folder("unused"))),
        rearranged: Arc::default(),
        receipts: Arc::new([]),
        patches: Arc::default(),
    })
}

/// Everything that a replay hands out.
pub(super) fn replay(
    folder: &MemoryFolder,
    log: Uuid,
    committed: u64,
) -> Result<(Vec<(u64, crate::entry::Entry)>, Recovery)> {
    let recent = Recent::load(folder, Duration::from_secs(600)).unwrap();
    let shared: Arc<dyn Folder> = Arc::new(folder.clone());
    let mut replay = Replay::open(shared, log, WalSeq(committed), recent)?;
    let mut entries = Vec::new();
    while let Some(group) = replay.next_group()? {
        assert_eq!(group.entries.last().map(|last| last.place.seq), Some(group.through));
        entries.extend(group.entries.into_iter().map(|stored| (stored.place.seq.0, stored.entry)));
    }
    Ok((entries, replay.finish()))
}

impl Rig {
    /// Opens as the store does: id, replay, then the writer.
    pub(super) fn open(disk: Disk) -> Result<Self> {
        let log = wal::open_id(&disk.folder)?;
        let hot = Arc::new(Hot::new(
            table_state(disk.committed),
            crate::hot::tests::nowhere(),
            usize::MAX,
        ));
        let folder: Arc<dyn Folder> = Arc::new(disk.folder.clone());
        let recent = Recent::load(&*folder, Duration::from_secs(600)).unwrap();
        let status = Arc::new(Status::default());
        let sessions = Arc::new(Sessions::new(Arc::new(CountDecode)));
        let mut replay = Replay::open(Arc::clone(&folder), log, WalSeq(disk.committed), recent)?;
        while let Some(group) = replay.next_group()? {
            let through = group.through;
            let (decoded, unreadable) = group.decode(&sessions, &hot.columns());
            status.unreadable.add(unreadable);
            hot.push(through, decoded.batches);
        }
        let recovery = replay.finish();
        let (lost, quarantined) = (recovery.lost, recovery.quarantined.clone());
        let (groups, durable) = tokio::sync::mpsc::channel(2);
        let parts = Parts {
            settings: settings(),
            folder,
            log,
            clock: Arc::new(ManualClock::at(DAY)),
            status: Arc::clone(&status),
            hot: Arc::clone(&hot),
            sessions,
            runtime: tokio::runtime::Handle::current(),
            groups,
            _locks: Arc::new(Vec::new()),
        };
        let (wal, writer) = Wal::start(parts, recovery)?;
        let publisher =
            Publisher { groups: durable, hot: Arc::clone(&hot), status: Arc::clone(&status) };
        let publisher = tokio::spawn(publisher.run());
        Ok(Self { disk, wal, status, lost, quarantined, hot, writer, publisher })
    }

    pub(super) async fn append(&self, body: &str) -> Result<Appended> {
        self.wal.append(entry(body), None).await
    }

    /// All ids visible now, sorted.
    pub(super) fn visible(&self) -> Vec<u64> {
        let snapshot = self.hot.snapshot();
        let mut visible = self.disk.table.clone();
        visible.extend(snapshot.hot.iter().flat_map(|batch| ids(batch)));
        visible.sort_unstable();
        visible
    }

    /// The table takes what is hot, with its position; the log still has it.
    pub(super) fn commit(&mut self) -> WalSeq {
        let sealed = self.hot.seal();
        self.disk.table.extend(sealed.batches.iter().flat_map(|batch| ids(batch)));
        self.disk.committed = sealed.through.0;
        self.hot.replace(table_state(sealed.through.0));
        sealed.through
    }

    pub(super) async fn commit_and_trim(&mut self) -> Result<()> {
        let through = self.commit();
        self.wal.trim(through).await
    }

    /// Ends the tasks; returns what is left.
    pub(super) async fn end(self) -> Disk {
        self.wal.end();
        drop(self.wal);
        let writer = self.writer;
        tokio::task::spawn_blocking(move || writer.join().unwrap()).await.unwrap();
        self.publisher.await.unwrap();
        self.disk
    }
}
