//! Opening: the table's first commit where there is none, else its newest version from the Delta log.
use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::CommitOrBytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Value, json};
use uuid::Uuid;

use super::commit::{PARALLEL_READS, data_file};
use super::maintain::Tombstone;
use super::place::Place;
use super::schema;
use crate::error::{Error, Result};
use crate::file::sidecar::{Known, Sidecar};
use crate::id::{TableVersion, WalSeq};
use crate::schema::{AttributeColumns, column};
use crate::snapshot::DataFile;
use crate::time::Clock;

/// What the log says.
pub(super) struct Loaded {
    pub(super) version: TableVersion,
    pub(super) files: Vec<Arc<DataFile>>,
    pub(super) metadata: Value,
    pub(super) wal_through: WalSeq,
    pub(super) tombstones: Vec<Tombstone>,
    /// Commits since the last checkpoint.
    pub(super) commits: u64,
}

fn failed<E>(step: &'static str) -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |error| Error::Table { step, source: error.into() }
}

/// Writes version 0 unless there is a table. Two processes may try: the second finds the first's.
pub(super) async fn create_if_absent(place: &Place, clock: &dyn Clock) -> Result<()> {
    let table = DeltaTable::new(Arc::clone(&place.log));
    if table.verify_deltatable_existence().await.map_err(failed("look for the Delta log"))? {
        return Ok(());
    }
    let body = first_commit(clock.now_unix_nano() / 1_000_000);
    let bytes = CommitOrBytes::LogBytes(body.into());
    match place.log.write_commit_entry(0, bytes, Uuid::new_v4()).await {
        Ok(()) | Err(TransactionError::VersionAlreadyExists(_)) => Ok(()),
        Err(error) => Err(failed("create the Delta table")(error)),
    }
}

fn first_commit(now_milli: i64) -> String {
    let protocol = json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } });
    let metadata = json!({ "metaData": {
        "id": Uuid::new_v4().to_string(),
        "name": "spans",
        "format": { "provider": "parquet", "options": {} },
        "schemaString": schema::to_delta(&AttributeColumns::from_start()),
        "partitionColumns": [column::DATE],
        "createdTime": now_milli,
        "configuration": {
            "delta.checkpointInterval": "50",
            "delta.logRetentionDuration": "interval 1 days",
            "delta.deletedFileRetentionDuration": "interval 1 days",
        },
    } });
    let info = json!({ "commitInfo": {
        "timestamp": now_milli,
        "operation": "CREATE TABLE",
        "operationParameters": {},
        "engineInfo": concat!("spanlake/", env!("CARGO_PKG_VERSION")),
    } });
    format!("{info}\n{protocol}\n{metadata}\n")
}

/// The newest version, by the library.
pub(super) async fn load(place: &Place, log_app: &str) -> Result<Loaded> {
    let step = "read the Delta log";
    let mut table = DeltaTable::new(Arc::clone(&place.log));
    table.load().await.map_err(failed(step))?;
    let state = table.snapshot().map_err(failed(step))?.clone();
    let log = place.log.as_ref();
    let position = state.transaction_version(log, log_app).await.map_err(failed(step))?;
    let mut files = Vec::new();
    for view in state.log_data().iter() {
        #[expect(deprecated, reason = "tags are not among the Arrow columns that replace it")]
        let add = view.add_action();
        files.push(data_file(&add)?);
    }
    let tombstones: Vec<Tombstone> = state
        .all_tombstones(log)
        .map_ok(|view| Tombstone {
            path: view.path().into_owned(),
            beside: Vec::new(),
            removed_unix_milli: view.deletion_timestamp().unwrap_or(0),
        })
        .try_collect()
        .await
        .map_err(failed(step))?;
    let version = state.version();
    Ok(Loaded {
        version: TableVersion(version),
        files: with_filters(place, files).await,
        metadata: serde_json::to_value(state.metadata()).map_err(failed(step))?,
        wal_through: WalSeq(position.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0)),
        tombstones,
        commits: version.saturating_sub(last_checkpoint(place).await.unwrap_or(0)),
    })
}

async fn with_filters(place: &Place, files: Vec<DataFile>) -> Vec<Arc<DataFile>> {
    let files = futures::stream::iter(files).map(|mut file| async move {
        sidecar(place, file.sidecar.as_deref()).await.fill(&mut file);
        Arc::new(file)
    });
    files.buffered(PARALLEL_READS).collect().await
}

/// What a sidecar says. Without one (lost, damaged, another engine's file) every trace may be in the file: slower, not
/// wrong.
pub(super) async fn sidecar(place: &Place, path: Option<&str>) -> Known {
    let Some(path) = path else { return Known::default() };
    let read = async {
        let failed = |source| Error::ObjectStore { step: "read", path: path.into(), source };
        let object = place.table.get(&Path::from(path)).await.map_err(failed)?;
        Sidecar::from_bytes(path, &object.bytes().await.map_err(failed)?)
    };
    match read.await {
        Ok(sidecar) => Known::from(sidecar),
        Err(error) => {
            tracing::warn!(path, error = &error as &dyn std::error::Error, "sidecar not usable");
            Known::default()
        }
    }
}

/// The version of the newest checkpoint, where there is one.
pub(super) async fn last_checkpoint(place: &Place) -> Option<u64> {
    let object = place.table.get(&Path::from("_delta_log/_last_checkpoint")).await.ok()?;
    let pointer: Value = serde_json::from_slice(&object.bytes().await.ok()?).ok()?;
    pointer.get("version")?.as_u64()
}

/// The `schemaString` of a `metaData` action.
pub(super) fn schema_string(metadata: &Value) -> &str {
    metadata.get("schemaString").and_then(Value::as_str).unwrap_or_default()
}
