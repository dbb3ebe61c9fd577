//! An object store that knows how many bytes of what was read from it are in memory.
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct CountingStore {
    inner: Arc<dyn ObjectStore>,
    held: Arc<Held>,
}

#[derive(Debug, Default)]
struct Held {
    now: AtomicU64,
    most: AtomicU64,
    all: AtomicU64,
}

/// Bytes that are counted until the last reader lets go of them.
struct Counted(Vec<u8>, Arc<Held>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.now.fetch_sub(self.0.len() as u64, Ordering::Relaxed);
    }
}

impl CountingStore {
    /// Over `inner`; nothing was read yet.
    pub(crate) fn over(inner: &Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), held: Arc::default() })
    }

    /// Bytes held at a time at most, and bytes read in all.
    pub(crate) fn most_and_all(&self) -> (u64, u64) {
        (self.held.most.load(Ordering::Relaxed), self.held.all.load(Ordering::Relaxed))
    }

    fn count(&self, bytes: &Bytes) -> Bytes {
        let (length, held) = (bytes.len() as u64, &self.held);
        let now = held.now.fetch_add(length, Ordering::Relaxed) + length;
        held.most.fetch_max(now, Ordering::Relaxed);
        held.all.fetch_add(length, Ordering::Relaxed);
        Bytes::from_owner(Counted(bytes.to_vec(), Arc::clone(held)))
    }
}

impl std::fmt::Display for CountingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CountingStore")
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let read = self.inner.get_opts(location, options).await?;
        let (meta, range, attributes) =
            (read.meta.clone(), read.range.clone(), read.attributes.clone());
        let bytes = self.count(&read.bytes().await?);
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let read = self.inner.get_ranges(location, ranges).await?;
        Ok(read.iter().map(|bytes| self.count(bytes)).collect())
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
