//! Writes one object piece by piece: in one request where it is small, else as a multipart upload, so that no more than a
//! few parts are in memory. The object is there, whole, once [`Upload::finish`] has returned, and not before.
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;
use xxhash_rust::xxh3::Xxh3Default;

use crate::error::{Error, Result};

/// Of one part; smaller objects are written at once.
const PART_BYTES: usize = 16 << 20;
/// Parts on their way at a time.
const PARTS: usize = 2;

/// See the module.
pub(crate) struct Upload {
    path: String,
    writer: BufWriter,
    hash: Xxh3Default,
    bytes: u64,
}

/// An object that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uploaded {
    pub(crate) bytes: u64,
    /// XXH3-128 of them.
    pub(crate) checksum: u128,
}

impl Upload {
    /// Of the object `path`; nothing is written yet.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: &str) -> Self {
        let writer = BufWriter::with_capacity(store, Path::from(path), PART_BYTES);
        Self {
            path: path.to_owned(),
            writer: writer.with_max_concurrency(PARTS),
            hash: Xxh3Default::new(),
            bytes: 0,
        }
    }

    /// Appends `bytes`; waits while too many parts are on their way.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.hash.update(&bytes);
        self.bytes += bytes.len() as u64;
        let written = self.writer.put(bytes).await;
        written.map_err(|source| self.failed(source))
    }

    /// Makes the object.
    pub(crate) async fn finish(mut self) -> Result<Uploaded> {
        let closed = self.writer.shutdown().await;
        closed.map_err(|error| {
            let store = "upload";
            self.failed(object_store::Error::Generic { store, source: error.into() })
        })?;
        Ok(Uploaded { bytes: self.bytes, checksum: self.hash.digest128() })
    }

    fn failed(&self, source: object_store::Error) -> Error {
        Error::ObjectStore { step: "write data file", path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests;
