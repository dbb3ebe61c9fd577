//! The Delta table: which files are the spans, at which version, up to which log position.
//!
//! [`crate::Store`] lets one changing call (flush, drop, TTL, maintenance) run at a time and afterwards
//! publishes [`Table::state`] together with what is left in the hot buffer, in one swap.
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use object_store::ObjectStore;
use uuid::Uuid;

use crate::config::Config;
use crate::error::Result;
use crate::id::{TableVersion, WalSeq};
use crate::metrics::Metric;
use crate::retain::{Loss, Receipt, Ttl};
use crate::schema::AttributeColumns;
use crate::snapshot::DataFile;
use crate::time::Clock;

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
    /// The TTL in force.
    pub(crate) ttl: Ttl,
}

/// One open table.
#[derive(Debug)]
pub(crate) struct Table {}

impl Table {
    /// Opens or creates the table of `config.tenant` at `config.location`. `log` is the id of the write-ahead log
    /// whose position ([`TableState::wal_through`]) this process follows.
    pub(crate) async fn open(config: &Config, log: Uuid, clock: Arc<dyn Clock>) -> Result<Self> {
        let _ = (config, log, clock);
        unimplemented!()
    }

    /// The newest version known.
    pub(crate) fn state(&self) -> Arc<TableState> {
        unimplemented!()
    }

    /// The store that file paths are relative to.
    pub(crate) fn object_store(&self) -> Arc<dyn ObjectStore> {
        unimplemented!()
    }

    /// Sets the TTL in the table's properties.
    pub(crate) async fn set_ttl(&self, ttl: Option<Duration>) -> Result<()> {
        let _ = ttl;
        unimplemented!()
    }

    /// What `ttl` would remove now. May run beside other calls.
    pub(crate) async fn plan_ttl(&self, ttl: Option<Duration>) -> Result<Loss> {
        let _ = ttl;
        unimplemented!()
    }

    /// Removes whole partitions in one commit.
    pub(crate) async fn drop_partitions(
        &self,
        dates: &[NaiveDate],
        reason: &str,
    ) -> Result<Receipt> {
        let _ = (dates, reason);
        unimplemented!()
    }

    /// Applies the TTL in force. `None` where nothing was due.
    pub(crate) async fn apply_ttl(&self) -> Result<Option<Receipt>> {
        unimplemented!()
    }

    /// Checkpoints when due and deletes files whose grace is over. Called every minute between other calls.
    pub(crate) async fn maintain(&self) -> Result<()> {
        unimplemented!()
    }

    /// All receipts, oldest first. May run beside other calls.
    pub(crate) async fn receipts(&self) -> Result<Vec<Receipt>> {
        unimplemented!()
    }

    /// Figures about files and commits.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }
}
