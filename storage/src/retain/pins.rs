//! Pinned traces: one small JSON object each below `pins/` in the tenant's folder. What is pinned outlives every drop.
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use super::scan::Traces;
use crate::error::{Error, Result};
use crate::id::TraceId;

const FOLDER: &str = "pins";
/// Pins of one table at most: every drop looks for each of them.
pub const PINS_MAX: usize = 10_000;
/// Bytes of a note at most.
pub const NOTE_BYTES_MAX: usize = 4_096;
const PARALLEL_READS: usize = 16;

/// A pinned trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The trace, 32 hex digits.
    pub trace_id: String,
    /// When, Unix nanoseconds.
    pub at_unix_nano: i64,
    /// Why, in the user's words.
    #[serde(default)]
    pub note: String,
}

fn path(trace: &TraceId) -> Path {
    Path::from(format!("{FOLDER}/{trace}.json"))
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(object_store::Error) -> Error {
    let path = path.to_string();
    move |source| Error::ObjectStore { step, path, source }
}

/// Pins `trace`; a pin that is there already gets the new note.
pub(crate) async fn pin(tenant: &Arc<dyn ObjectStore>, trace: &TraceId, pin: &Pin) -> Result<()> {
    if pin.note.len() > NOTE_BYTES_MAX {
        return Err(Error::Invalid(format!("a note has at most {NOTE_BYTES_MAX} bytes")));
    }
    let pinned = traces(tenant).await?;
    if pinned.len() >= PINS_MAX && !pinned.contains(&trace.0) {
        return Err(Error::Invalid(format!("there are {PINS_MAX} pins already; unpin some first")));
    }
    let path = path(trace);
    let bytes = serde_json::to_vec(pin)
        .map_err(|error| Error::Table { step: "write a pin", source: error.into() })?;
    tenant.put(&path, bytes.into()).await.map(drop).map_err(failed("write", &path))
}

/// Unpins `trace`. False where it was not pinned.
pub(crate) async fn unpin(tenant: &Arc<dyn ObjectStore>, trace: &TraceId) -> Result<bool> {
    if !traces(tenant).await?.contains(&trace.0) {
        return Ok(false);
    }
    let path = path(trace);
    match tenant.delete(&path).await {
        Ok(()) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(failed("delete", &path)(error)),
    }
}

/// All pinned traces. An object of another name is none of ours.
pub(crate) async fn traces(tenant: &Arc<dyn ObjectStore>) -> Result<Traces> {
    let folder = Path::from(FOLDER);
    let objects: Vec<_> =
        tenant.list(Some(&folder)).try_collect().await.map_err(failed("list", &folder))?;
    let names = objects.iter().filter_map(|object| object.location.filename());
    Ok(names
        .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
        .map(|id: TraceId| id.0)
        .collect())
}

/// All pins, oldest first.
pub(crate) async fn all(tenant: &Arc<dyn ObjectStore>) -> Result<Vec<Pin>> {
    let traces = traces(tenant).await?;
    let reads = futures::stream::iter(traces).map(|trace| read(tenant, TraceId(trace)));
    let mut pins: Vec<Pin> = reads.buffer_unordered(PARALLEL_READS).try_collect().await?;
    pins.sort_by(|a, b| (a.at_unix_nano, &a.trace_id).cmp(&(b.at_unix_nano, &b.trace_id)));
    Ok(pins)
}

/// A pin whose text is damaged is still a pin.
async fn read(tenant: &Arc<dyn ObjectStore>, trace: TraceId) -> Result<Pin> {
    let path = path(&trace);
    let bare = Pin { trace_id: trace.to_string(), at_unix_nano: 0, note: String::new() };
    let object = match tenant.get(&path).await {
        // Unpinned just now.
        Err(object_store::Error::NotFound { .. }) => return Ok(bare),
        object => object.map_err(failed("read", &path))?,
    };
    let bytes = object.bytes().await.map_err(failed("read", &path))?;
    Ok(serde_json::from_slice(&bytes).unwrap_or(bare))
}
