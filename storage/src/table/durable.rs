//! A local folder as an object store whose writes are durable when they return.
//!
//! `object_store`'s local store never calls fsync: a power cut could leave an empty commit in the Delta log. Here
//! a file is written under another name, fsynced, linked into place, and its folder (and each new folder above)
//! fsynced. Folders are private to the user (0700), files too (0600).
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart,
};
use uuid::Uuid;

/// The local file system below `/`.
#[derive(Debug)]
pub(crate) struct DurableFileSystem {
    inner: Arc<LocalFileSystem>,
}

impl DurableFileSystem {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()) }
    }
}

impl std::fmt::Display for DurableFileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DurableFileSystem")
    }
}

#[async_trait]
impl ObjectStore for DurableFileSystem {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => {
                return Err(object_store::Error::NotImplemented {
                    operation: "conditional update".into(),
                    implementer: "DurableFileSystem".into(),
                });
            }
        };
        let path = self.inner.path_to_filesystem(location)?;
        blocking(location, move || write(&path, &payload, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let folder = path.clone();
        blocking(location, move || create_folder_of(&folder)).await?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(DurableUpload { inner, location: location.clone(), path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
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

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.sync(to).await
    }
}

impl DurableFileSystem {
    async fn sync(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        blocking(location, move || sync_file(&path)).await
    }
}

#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    location: Path,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let path = self.path.clone();
        blocking(&self.location, move || sync_file(&path)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

async fn blocking<F>(location: &Path, work: F) -> Result<()>
where
    F: FnOnce() -> io::Result<()> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    done.and_then(|result| result).map_err(|source| as_store_error(location, source))
}

fn as_store_error(location: &Path, source: io::Error) -> object_store::Error {
    let (path, kind) = (location.to_string(), source.kind());
    let source = Box::new(source);
    match kind {
        io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path, source },
        io::ErrorKind::NotFound => object_store::Error::NotFound { path, source },
        io::ErrorKind::PermissionDenied => object_store::Error::PermissionDenied { path, source },
        _ => object_store::Error::Generic { store: "DurableFileSystem", source },
    }
}

/// Writes a file so that it is either absent or complete, also after a power cut.
fn write(path: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
    create_folder_of(path)?;
    let mut staged = path.as_os_str().to_owned();
    // Listings skip names that end in `#` and digits, as object_store's own staged files do.
    staged.push(format!("#{}", Uuid::new_v4().as_u128()));
    let staged = PathBuf::from(staged);
    let linked = write_synced(&staged, payload).and_then(|()| {
        if create { fs::hard_link(&staged, path) } else { fs::rename(&staged, path) }
    });
    if create || linked.is_err() {
        // The link under the final name is what counts; a staged file left behind is swept later.
        let _ = fs::remove_file(&staged);
    }
    linked?;
    sync_folder_of(path)
}

fn write_synced(path: &FilePath, payload: &PutPayload) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for bytes in payload {
        file.write_all(bytes)?;
    }
    file.sync_all()
}

fn sync_file(path: &FilePath) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_folder_of(path)
}

fn sync_folder_of(path: &FilePath) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Creates the folder that `path` lies in, fsyncing the folder above each new one.
fn create_folder_of(path: &FilePath) -> io::Result<()> {
    path.parent().map_or(Ok(()), create_folder)
}

/// Creates `folder` and what is missing above it, private to the user, durably.
pub(crate) fn create_folder(folder: &FilePath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    create_folder_of(folder)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder_of(folder),
    }
}
