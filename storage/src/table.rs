//! The Delta table: which files are the spans, at which version, up to which log position.
//!
//! Commits are made by a small committer of our own (`commit`): it holds the state of the newest version it knows,
//! writes the next one with put-if-absent, and on a collision first reads what others committed, then decides anew.
//! The library loads the log at open, writes checkpoints and cleans the log (`maintain`).
//!
//! [`crate::Store`] lets one changing call (flush, drop, TTL, maintenance) run at a time and afterwards
//! publishes [`Table::state`] together with what is left in the hot buffer, in one swap.
mod commit;
mod durable;
mod load;
mod maintain;
pub(crate) mod place;
mod policy;
mod ranges;
mod schema;
mod scrub;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::ObjectStore;
use serde_json::Value;
use uuid::Uuid;

use crate::config::{Config, Location};
use crate::error::{Error, Result};
use crate::id::{TableVersion, TraceId, WalSeq};
use crate::metrics::{Counter, Metric, Shape};
use crate::patch::{self, Patch, Patches, What};
use crate::retain::classify::{Classifier, Recent};
use crate::retain::{ClockGuard, Policy, Receipt, receipt};
use crate::rollup::{Rollups, Seen};
use crate::schema::AttributeColumns;
use crate::snapshot::{DataFile, Rearrangement};
use crate::time::Clock;

pub(crate) use commit::{Change, NewFile, maintenance_transaction};
use maintain::Tombstone;
use place::Place;
use ranges::HotRanges;
pub use scrub::LogFindings;

/// What one version of the table consists of. Immutable: a commit makes a new one.
#[derive(Debug, Clone)]
pub(crate) struct TableState {
    /// The Delta version.
    pub(crate) version: TableVersion,
    /// Live files.
    pub(crate) files: Arc<[Arc<DataFile>]>,
    /// Attribute columns of the Delta schema, oldest first.
    pub(crate) columns: Arc<AttributeColumns>,
    /// The last log position that the files contain (the `txn` action of `wal/<log id>`); 0 before the first flush.
    pub(crate) wal_through: WalSeq,
    /// What leaves the table, and when.
    pub(crate) policy: Arc<Policy>,
    /// Receipts of all that was removed, oldest first.
    pub(crate) receipts: Arc<[Receipt]>,
    /// What people added to spans afterwards.
    pub(crate) patches: Arc<Patches>,
    /// The last steps of compaction, oldest first.
    pub(crate) rearranged: Arc<[Arc<Rearrangement>]>,
}

/// One open table.
#[derive(Debug)]
pub(crate) struct Table {
    place: Place,
    clock: Arc<dyn Clock>,
    /// Application id of this process's log positions: `wal/<log id>`.
    log_app: String,
    policy_by_config: Policy,
    /// Traces that matched a rule lately.
    recent: Arc<Mutex<Recent>>,
    delete_grace: Duration,
    /// Nobody else writes here: a local folder, which is locked.
    is_local: bool,
    state: Mutex<Arc<TableState>>,
    ledger: tokio::sync::Mutex<Ledger>,
    figures: Figures,
    rollups: Arc<Rollups>,
    /// Of a remote table.
    ranges: Option<Arc<HotRanges>>,
    seen: Arc<Seen>,
}

/// What only changing calls need; whoever holds it may commit.
#[derive(Debug)]
struct Ledger {
    /// The `metaData` action in force.
    metadata: Value,
    /// Removed files that still lie in the folder.
    tombstones: Vec<Tombstone>,
    /// Commits since the last checkpoint.
    commits: u64,
    /// The log may hold commits that `state` does not: a write's answer was lost.
    behind: bool,
    /// When the folder was last searched for files that no version names, Unix nanoseconds.
    swept_unix_nano: i64,
    guard: ClockGuard,
}

#[derive(Debug, Default)]
struct Figures {
    commits: Counter,
    collisions: Counter,
    files_written: Counter,
    bytes_written: Counter,
    files_deleted: Counter,
}

impl Table {
    /// Opens or creates the table at `place`. `log` is the id of the write-ahead log whose position
    /// ([`TableState::wal_through`]) this process follows.
    pub(crate) async fn open(
        place: Place,
        config: &Config,
        log: Uuid,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let log_app = format!("wal/{log}");
        load::create_if_absent(&place, clock.as_ref()).await?;
        let loaded = load::load(&place, &log_app).await?;
        let now = clock.now_unix_nano();
        let state = TableState {
            version: loaded.version,
            files: loaded.files.into(),
            columns: Arc::new(schema::attribute_columns(load::schema_string(&loaded.metadata))?),
            wal_through: loaded.wal_through,
            policy: Arc::new(policy::read(&loaded.metadata, &Policy::of(config))),
            receipts: receipt::read_all(&place.tenant).await?.into(),
            patches: patch::load(&place.tenant, &Arc::default()).await?,
            rearranged: Arc::default(),
        };
        let rollups = Rollups::new(Arc::clone(&place.table), config.rollup_cache_bytes).into();
        let is_local = matches!(config.location, Location::Folder(_));
        let ranges = (!is_local && config.range_cache_bytes > 0)
            .then(|| HotRanges::new(Arc::clone(&place.table), config.range_cache_bytes).into());
        let table = Self {
            place,
            clock,
            log_app,
            policy_by_config: Policy::of(config),
            recent: Arc::default(),
            delete_grace: config.delete_grace,
            is_local,
            state: Mutex::new(Arc::new(state)),
            ledger: tokio::sync::Mutex::new(Ledger {
                metadata: loaded.metadata,
                tombstones: loaded.tombstones,
                commits: loaded.commits,
                behind: false,
                swept_unix_nano: now,
                guard: ClockGuard::new(now),
            }),
            figures: Figures::default(),
            rollups,
            ranges,
            seen: Arc::default(),
        };
        table.restore_receipts().await;
        table.recall().await;
        Ok(table)
    }

    /// The newest version known.
    pub(crate) fn state(&self) -> Arc<TableState> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts traces into classes by the rules in force.
    pub(crate) fn classifier(&self) -> Classifier {
        Classifier::new(&self.state().policy.rules, &self.recent)
    }

    /// Stores a patch.
    pub(crate) async fn add_patch(&self, what: What) -> Result<Patch> {
        let _ledger = self.ledger.lock().await;
        let (known, now) = (Arc::clone(&self.state().patches), self.clock.now_unix_nano());
        let patches = patch::add(&self.place.tenant, &known, what, now).await?;
        let added = patches.all().last().cloned();
        self.publish(TableState { patches, ..(*self.state()).clone() });
        added
            .ok_or_else(|| Error::Table { step: "write a patch", source: "it is not there".into() })
    }

    /// Deletes the patches of traces.
    pub(crate) async fn forget_patches(&self, about: impl Fn(&TraceId) -> bool) -> Result<()> {
        let _ledger = self.ledger.lock().await;
        let known = Arc::clone(&self.state().patches);
        let patches = patch::forget(&self.place.tenant, &known, about).await?;
        self.publish(TableState { patches, ..(*self.state()).clone() });
        Ok(())
    }

    /// Reads what other nodes have patched.
    pub(crate) async fn reload_patches(&self) -> Result<()> {
        if self.is_local {
            return Ok(());
        }
        let _ledger = self.ledger.lock().await;
        let patches = patch::load(&self.place.tenant, &self.state().patches).await?;
        self.publish(TableState { patches, ..(*self.state()).clone() });
        Ok(())
    }

    fn publish(&self, state: TableState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    /// The store that file paths are relative to.
    pub(crate) fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.place.table)
    }

    /// The same for queries: what they read of remote files stays in memory for a while.
    pub(crate) fn query_store(&self) -> Arc<dyn ObjectStore> {
        match &self.ranges {
            Some(ranges) => Arc::<HotRanges>::clone(ranges),
            None => self.object_store(),
        }
    }

    /// Rollups of the files.
    pub(crate) fn rollups(&self) -> &Arc<Rollups> {
        &self.rollups
    }

    /// Traces of the files that this process wrote last.
    pub(crate) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Figures about files and commits.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let state = self.state();
        let gauge = |name, help, value: u64| Metric {
            name,
            help,
            shape: Shape::Gauge,
            labels: Vec::new(),
            value: value as f64,
        };
        let removed = REASONS.iter().map(|reason| Metric {
            name: "spanlake_retention_removed_spans_total",
            help: "Spans removed for good, by reason.",
            shape: Shape::Counter,
            labels: vec![("reason", (*reason).to_owned())],
            value: removed_spans(&state.receipts, reason) as f64,
        });
        let sum = |of: fn(&DataFile) -> u64| state.files.iter().map(|file| of(file)).sum::<u64>();
        let figures = &self.figures;
        let mut metrics = self.rollups.metrics();
        metrics.extend(self.ranges.iter().flat_map(|ranges| ranges.metrics()));
        metrics.extend(removed);
        metrics.extend([
            gauge("spanlake_table_version", "Newest Delta version.", state.version.0),
            gauge("spanlake_table_files", "Live Parquet files.", state.files.len() as u64),
            gauge("spanlake_table_rows", "Spans in live files.", sum(|file| file.rows)),
            gauge("spanlake_table_bytes", "Size of live files.", sum(|file| file.bytes)),
            figures.commits.metric("spanlake_table_commits_total", "Delta commits made."),
            figures.collisions.metric(
                "spanlake_table_collisions_total",
                "Commits that another writer was faster with.",
            ),
            figures.files_written.metric("spanlake_table_files_written_total", "Files written."),
            figures.bytes_written.metric("spanlake_table_bytes_written_total", "Bytes written."),
            figures
                .files_deleted
                .metric("spanlake_table_files_deleted_total", "Files deleted after their grace."),
        ]);
        metrics
    }
}

/// Why spans leave.
const REASONS: [&str; 5] = ["ttl", "max_bytes", "command", "unpinned", "deletion"];

fn removed_spans(receipts: &[Receipt], reason: &str) -> u64 {
    let of_reason = receipts.iter().filter(|receipt| receipt.reason == reason);
    of_reason.map(|receipt| receipt.loss.rows).sum()
}

#[cfg(test)]
pub(crate) mod tests;
