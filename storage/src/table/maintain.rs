//! Upkeep between other calls: checkpoints, log cleanup, and the deletion of files that no version names any more.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use deltalake::DeltaTable;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::{Ledger, Table};
use crate::error::{Error, Result};
use crate::file::SIDECAR_FOLDER;
use crate::retain::KeptRollup;

/// Commits after which a checkpoint is made.
const CHECKPOINT_COMMITS: u64 = 50;
/// A file that no version ever named may be an upload under way until it is this old.
const ORPHAN_AGE_MILLI: i64 = 3_600_000;
/// How often the whole folder is searched for such files.
const SWEEP_INTERVAL_NANO: i64 = 600 * crate::time::NANOS_PER_SECOND;

/// A file that left the table; deleted after the grace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(super) path: String,
    /// Sidecar and rollup where known; otherwise the search for orphans finds them.
    pub(super) beside: Vec<String>,
    pub(super) removed_unix_milli: i64,
}

impl Table {
    /// Checkpoints when due and deletes files whose grace is over. Called every minute between other calls.
    pub(crate) async fn maintain(&self) -> Result<()> {
        let mut ledger = self.ledger.lock().await;
        if ledger.behind {
            self.catch_up(&mut ledger).await?;
        }
        if ledger.commits >= CHECKPOINT_COMMITS {
            crate::fault::point("checkpoint: due");
            self.checkpoint().await?;
            ledger.commits = 0;
        }
        self.delete_removed(&mut ledger, self.delete_grace).await?;
        let now = self.clock.now_unix_nano();
        if now.saturating_sub(ledger.swept_unix_nano) >= SWEEP_INTERVAL_NANO {
            self.delete_orphans(&ledger, now / 1_000_000 - ORPHAN_AGE_MILLI).await?;
            ledger.swept_unix_nano = now;
        }
        Ok(())
    }

    /// A freshly loaded handle each time: a long-lived one grows slower with each commit.
    async fn checkpoint(&self) -> Result<()> {
        let failed = |source| Error::Table { step: "write a checkpoint", source };
        let mut table = DeltaTable::new(Arc::clone(&self.place.log));
        table.load().await.map_err(|error| failed(error.into()))?;
        let written = deltalake::checkpoints::create_checkpoint(&table, None).await;
        written.map_err(|error| failed(error.into()))?;
        crate::fault::point("checkpoint: written");
        let cleaned = deltalake::checkpoints::cleanup_metadata(&table, None).await;
        let cleaned = cleaned.map_err(|error| failed(error.into()))?;
        crate::fault::point("checkpoint: log cleaned");
        tracing::debug!(version = self.state().version.0, cleaned, "checkpoint written");
        Ok(())
    }

    /// Deletes at once what no version names: removed files, and (in a local folder, which this process has for itself)
    /// files that were never committed. Called between other calls, while no file is being merged.
    pub(crate) async fn vacuum(&self) -> Result<()> {
        let mut ledger = self.ledger.lock().await;
        if ledger.behind {
            self.catch_up(&mut ledger).await?;
        }
        self.delete_removed(&mut ledger, Duration::ZERO).await?;
        let until = if self.is_local {
            i64::MAX
        } else {
            self.clock.now_unix_nano() / 1_000_000 - ORPHAN_AGE_MILLI
        };
        self.delete_orphans(&ledger, until).await
    }

    async fn delete_removed(&self, ledger: &mut Ledger, grace: Duration) -> Result<()> {
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let now = self.clock.now_unix_nano() / 1_000_000;
        let is_due =
            |tombstone: &Tombstone| now.saturating_sub(tombstone.removed_unix_milli) >= grace;
        while let Some(place) = ledger.tombstones.iter().position(is_due) {
            let tombstone = ledger.tombstones[place].clone();
            self.delete(&tombstone.path).await?;
            crate::fault::point("delete: data file deleted");
            for object in &tombstone.beside {
                self.delete(object).await?;
            }
            crate::fault::point("delete: all of a file deleted");
            ledger.tombstones.swap_remove(place);
        }
        Ok(())
    }

    /// Deletes data files, sidecars and rollups from before `until_milli` that no version names: of flushes that failed
    /// before their commit.
    async fn delete_orphans(&self, ledger: &Ledger, until_milli: i64) -> Result<()> {
        let state = self.state();
        let mut named: HashSet<&str> = state.files.iter().map(|file| file.path.as_str()).collect();
        named.extend(state.files.iter().filter_map(|file| file.sidecar.as_deref()));
        named.extend(state.files.iter().filter_map(|file| file.rollup.as_deref()));
        let now = self.clock.now_unix_nano();
        let kept = state.receipts.iter().flat_map(|receipt| &receipt.rollups);
        named.extend(kept.filter(|kept| kept.expires_unix_nano > now).flat_map(KeptRollup::paths));
        let waiting = ledger.tombstones.iter();
        named.extend(waiting.clone().map(|tombstone| tombstone.path.as_str()));
        named.extend(waiting.flat_map(|tombstone| &tombstone.beside).map(String::as_str));
        let mut orphans = Vec::new();
        let mut objects = self.place.table.list(None);
        while let Some(object) = objects.next().await {
            let failed = |source| Error::ObjectStore { step: "list", path: String::new(), source };
            let object = object.map_err(failed)?;
            let old = object.last_modified.timestamp_millis() <= until_milli;
            if old && is_ours(&object) && !named.contains(object.location.as_ref()) {
                orphans.push(object.location.to_string());
            }
        }
        crate::fault::point("delete: orphans found");
        for path in &orphans {
            tracing::info!(path, "deleting a file that no table version names");
            self.delete(path).await?;
        }
        Ok(())
    }

    async fn delete(&self, path: &str) -> Result<()> {
        match self.place.table.delete(&Path::from(path)).await {
            Ok(()) => {
                self.figures.files_deleted.add(1);
                Ok(())
            }
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::ObjectStore { step: "delete", path: path.into(), source }),
        }
    }
}

/// Only what a flush writes is ever deleted: never the log, never another engine's files.
fn is_ours(object: &ObjectMeta) -> bool {
    let path = object.location.as_ref();
    let extension = |wanted: &str| path.rsplit_once('.').is_some_and(|(_, found)| found == wanted);
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    (path.starts_with("date=") && extension("parquet"))
        || (below(SIDECAR_FOLDER) && (extension("sidecar") || extension("rollup")))
}
