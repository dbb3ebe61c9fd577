//! Receipts: proof of each drop, one JSON object in `receipts/` of the tenant's folder and in the drop's `commitInfo`.
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Map, Value};

use super::Receipt;
use crate::error::{Error, Kind, Result};

const FOLDER: &str = "receipts";
const PARALLEL_READS: usize = 16;
/// Key in `commitInfo`.
const INFO_KEY: &str = "spanlakeReceipt";

fn path(receipt: &Receipt) -> Path {
    let version = receipt.version.unwrap_or(0);
    Path::from(format!("{FOLDER}/{version:020}.json"))
}

/// What the drop's commit says.
pub(super) fn to_info(receipt: &Receipt) -> Map<String, Value> {
    let receipt = serde_json::to_value(receipt).unwrap_or_default();
    [(INFO_KEY.to_owned(), receipt)].into_iter().collect()
}

/// The receipt in a commit's entry, where it was a drop.
pub(crate) fn from_entry(version: u64, entry: &str) -> Option<Receipt> {
    let info: Value = serde_json::from_str(entry.lines().next()?).ok()?;
    let receipt = info.get("commitInfo")?.get(INFO_KEY)?.clone();
    let receipt: Receipt = serde_json::from_value(receipt).ok()?;
    Some(Receipt { version: Some(version), ..receipt })
}

/// Writes a receipt; the same one again changes nothing.
pub(crate) async fn write(tenant: &Arc<dyn ObjectStore>, receipt: &Receipt) -> Result<()> {
    let path = path(receipt);
    let failed = |source| Error::ObjectStore { step: "write", path: path.to_string(), source };
    let bytes = serde_json::to_vec(receipt)
        .map_err(|error| Error::Table { step: "write a receipt", source: error.into() })?;
    tenant.put(&path, bytes.into()).await.map(drop).map_err(failed)
}

/// All receipts that can be read, oldest first.
pub(crate) async fn read_all(tenant: &Arc<dyn ObjectStore>) -> Result<Vec<Receipt>> {
    let folder = Path::from(FOLDER);
    let failed = |source| Error::ObjectStore { step: "list", path: FOLDER.into(), source };
    let mut objects: Vec<_> = tenant.list(Some(&folder)).try_collect().await.map_err(failed)?;
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    let reads = objects.iter().map(|object| read(tenant, &object.location));
    let read: Vec<Result<Receipt>> =
        futures::stream::iter(reads).buffered(PARALLEL_READS).collect().await;
    let mut receipts = Vec::with_capacity(read.len());
    for receipt in read {
        match receipt {
            // A damaged receipt must not keep the table from opening.
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::warn!(error = &error as &dyn std::error::Error, "receipt not readable");
            }
            receipt => receipts.push(receipt?),
        }
    }
    Ok(receipts)
}

async fn read(tenant: &Arc<dyn ObjectStore>, path: &Path) -> Result<Receipt> {
    let failed = |source| Error::ObjectStore { step: "read", path: path.to_string(), source };
    let object = tenant.get(path).await.map_err(failed)?;
    let bytes = object.bytes().await.map_err(failed)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Corrupt { path: path.to_string(), detail: error.to_string() })
}
