//! An object store that fails as a network does.
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// Fails one write or deletion, before or after it took effect, and reads for as long as it is told to.
#[derive(Debug)]
pub(crate) struct FailingStore {
    inner: Arc<dyn ObjectStore>,
    /// Changes that still succeed; below zero, all do.
    left: AtomicI64,
    after: AtomicBool,
    unreadable: AtomicBool,
    panics: AtomicBool,
}

impl FailingStore {
    /// Over `inner`; nothing fails yet.
    pub(crate) fn over(inner: &Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            left: AtomicI64::new(-1),
            after: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
            panics: AtomicBool::new(false),
        })
    }

    /// The change number `change` from now (the first is 0) fails: `after` it took effect, so that only its answer is
    /// lost, or before.
    pub(crate) fn fail_change(&self, change: i64, after: bool) {
        self.after.store(after, Ordering::Relaxed);
        self.left.store(change, Ordering::Relaxed);
    }

    /// Whether reads fail from now on.
    pub(crate) fn fail_reads(&self, fail: bool) {
        self.unreadable.store(fail, Ordering::Relaxed);
    }

    /// The next listing panics.
    pub(crate) fn panic_in_list(&self) {
        self.panics.store(true, Ordering::Relaxed);
    }

    fn is_now(&self) -> bool {
        self.left.load(Ordering::Relaxed) >= 0 && self.left.fetch_sub(1, Ordering::Relaxed) == 0
    }

    fn is_after(&self) -> bool {
        self.after.load(Ordering::Relaxed)
    }

    fn readable(&self) -> object_store::Result<()> {
        if self.unreadable.load(Ordering::Relaxed) { Err(Self::error()) } else { Ok(()) }
    }

    fn error() -> object_store::Error {
        object_store::Error::Generic { store: "FailingStore", source: "planted".into() }
    }
}

impl std::fmt::Display for FailingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FailingStore")
    }
}

#[async_trait]
impl ObjectStore for FailingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let fails = self.is_now();
        if fails && !self.is_after() {
            return Err(Self::error());
        }
        let result = self.inner.put_opts(location, payload, options).await;
        if fails { Err(Self::error()) } else { result }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.readable()?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        self.readable()?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        if self.is_now() && !self.is_after() {
            return futures::stream::once(async { Err(Self::error()) }).boxed();
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "as asked");
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
