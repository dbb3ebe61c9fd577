//! Readers of Parquet files that keep the page index with the footer, and notice damage.
//!
//! The stock reader asks for the footer alone, and whoever needs the page index then reads and parses it again at each
//! query: several milliseconds for a file of a hundred and fifty columns.
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use storage::DataFile;

use super::files::partitioned;
use super::near::Near;

/// A reader of one file.
pub(crate) type Reader = Box<dyn AsyncFileReader + Send>;

/// Opens files of one object store; footers and page indexes stay in the cache of all queries.
#[derive(Debug)]
pub(crate) struct Readers {
    stock: Arc<CachedParquetFileReaderFactory>,
    object_store: Arc<dyn ObjectStore>,
    folder: Option<Arc<Path>>,
    cache: Arc<FileMetadataCache>,
}

impl Readers {
    /// Readers of files in `object_store`.
    pub(crate) fn new(state: &dyn Session, object_store: Arc<dyn ObjectStore>) -> Self {
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let (store, own) = (Arc::clone(&object_store), Arc::clone(&cache));
        let stock = Arc::new(CachedParquetFileReaderFactory::new(store, own));
        Self { stock, object_store, folder: None, cache }
    }

    /// The same for few rows: where the files lie in `folder`, they are read by [`Near`].
    pub(crate) fn near(self, folder: Option<&Arc<Path>>) -> Self {
        Self { folder: folder.map(Arc::clone), ..self }
    }

    /// True where a read costs no more than a call of the system.
    pub(super) fn is_near(&self) -> bool {
        self.folder.is_some()
    }

    /// A reader of `file` that leaves it to whoever asks to compare pages with their checksums.
    ///
    /// # Errors
    /// There is none: a mistake of ours.
    pub(super) fn pages_of(
        &self,
        file: &Arc<DataFile>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Reader> {
        let open = self.open(0, partitioned(file), None, metrics)?;
        Ok(Box::new(Checked { leaves_pages: true, ..open }))
    }

    fn open(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Checked> {
        let known = file.extensions.get::<Arc<DataFile>>();
        let footer = known.map(|known| StoredFooter {
            file: Arc::clone(known),
            meta: file.object_meta.clone(),
            object_store: Arc::clone(&self.object_store),
            cache: Arc::clone(&self.cache),
        });
        let near = self.folder.as_ref().zip(known);
        let near =
            near.and_then(|(folder, file)| Some(Near::new(file.in_folder(folder)?, metrics)));
        let bytes = match near {
            None => {
                let (stock, metrics) = (&self.stock, metrics);
                let reader =
                    stock.create_reader(partition_index, file, metadata_size_hint, metrics)?;
                Source::Far(reader)
            }
            Some(near) => {
                let (stock, metrics) = (Arc::clone(&self.stock), metrics.clone());
                let far =
                    move || stock.create_reader(partition_index, file.clone(), None, &metrics);
                Source::Near(near, Box::new(far))
            }
        };
        Ok(Checked { bytes, footer, metadata: None, leaves_pages: false })
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Reader> {
        Ok(Box::new(self.open(partition_index, file, metadata_size_hint, metrics)?))
    }
}

/// Always asks for the page index, too; compares with their checksums what the stock reader would believe: footers, page
/// indexes, pages and their headers.
struct Checked {
    bytes: Source,
    footer: Option<StoredFooter>,
    metadata: Option<Arc<ParquetMetaData>>,
    /// Pages are compared by whoever asks for them.
    leaves_pages: bool,
}

/// Where bytes come from.
enum Source {
    /// The stock reader.
    Far(Reader),
    /// What fails there is asked of the stock reader, which says in its words what is wrong.
    Near(Near, Box<dyn Fn() -> Result<Reader> + Send>),
}

impl Source {
    fn far(&mut self) -> ParquetResult<&mut Reader> {
        if let Self::Near(_, far) = self {
            let far = far().map_err(|error| ParquetError::External(Box::new(error)))?;
            *self = Self::Far(far);
        }
        match self {
            Self::Far(reader) => Ok(reader),
            Self::Near(..) => Err(ParquetError::General("a reader is lost".into())),
        }
    }

    async fn read(&mut self, ranges: Vec<Range<u64>>) -> ParquetResult<Vec<Bytes>> {
        if let Self::Near(near, _) = self
            && let Ok(read) = near.read(&ranges)
        {
            return Ok(read);
        }
        self.far()?.get_byte_ranges(ranges).await
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checked")
    }
}

impl Checked {
    async fn metadata(
        &mut self,
        options: Option<&ArrowReaderOptions>,
    ) -> ParquetResult<Arc<ParquetMetaData>> {
        if let Some(metadata) = &self.metadata {
            return Ok(Arc::clone(metadata));
        }
        let read = match &self.footer {
            Some(footer) => footer.read().await?,
            None => None,
        };
        let metadata = match read {
            Some(metadata) => metadata,
            None => {
                let options = options.cloned().unwrap_or_default();
                let options = options.with_page_index_policy(PageIndexPolicy::Optional);
                self.bytes.far()?.get_metadata(Some(&options)).await?
            }
        };
        self.metadata = Some(Arc::clone(&metadata));
        Ok(metadata)
    }
}

impl AsyncFileReader for Checked {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        Box::pin(async move {
            let bytes = match &mut self.bytes {
                Source::Far(reader) => reader.get_bytes(range.clone()).await?,
                near @ Source::Near(..) => {
                    let read = near.read(vec![range.clone()]).await?;
                    read.into_iter().next().unwrap_or_default()
                }
            };
            if self.leaves_pages {
                return Ok(bytes);
            }
            check(&*self.metadata(None).await?, &range, &bytes)?;
            Ok(bytes)
        })
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        Box::pin(async move {
            if self.leaves_pages {
                return self.bytes.read(ranges).await;
            }
            let read = self.bytes.read(ranges.clone()).await?;
            let metadata = self.metadata(None).await?;
            for (range, bytes) in ranges.iter().zip(&read) {
                check(&metadata, range, bytes)?;
            }
            Ok(read)
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        Box::pin(self.metadata(options))
    }
}

/// Compares the pages in `bytes`, which lie at `range` of a file of ours. Other bytes than whole pages pass.
fn check(metadata: &ParquetMetaData, range: &Range<u64>, bytes: &[u8]) -> ParquetResult<()> {
    if !is_ours(metadata) || !begins_with_page(metadata, range).unwrap_or(false) {
        return Ok(());
    }
    storage::check_pages(bytes).map_err(|damage| ParquetError::General(damage.into()))
}

/// True of a file that we wrote: its pages have our checksums, or none.
pub(super) fn is_ours(metadata: &ParquetMetaData) -> bool {
    let writer = metadata.file_metadata().created_by();
    writer.is_some_and(|writer| writer.starts_with("spanlake "))
}

/// Whether `range` begins where a page does, and lies within its column chunk.
fn begins_with_page(metadata: &ParquetMetaData, range: &Range<u64>) -> Option<bool> {
    let groups = metadata.row_groups();
    let start_of = |group: &RowGroupMetaData| group.columns().first().map(|it| it.byte_range().0);
    let group = groups.partition_point(|group| start_of(group) <= Some(range.start));
    let group = group.checked_sub(1)?;
    let chunks = groups[group].columns();
    let chunk = chunks.partition_point(|chunk| chunk.byte_range().0 <= range.start);
    let chunk = chunk.checked_sub(1)?;
    let (start, length) = chunks[chunk].byte_range();
    if range.end > start.checked_add(length)? {
        return Some(false);
    }
    if range.start == start {
        return Some(true);
    }
    let pages = metadata.offset_index()?.get(group)?.get(chunk)?.page_locations();
    let at = i64::try_from(range.start).ok()?;
    Some(pages.binary_search_by_key(&at, |page| page.offset).is_ok())
}

/// Page index and footer of a file whose checksum of them is known.
struct StoredFooter {
    file: Arc<DataFile>,
    meta: ObjectMeta,
    object_store: Arc<dyn ObjectStore>,
    cache: Arc<FileMetadataCache>,
}

impl StoredFooter {
    /// From the cache, or read, compared, and put there; `None` where no checksum is known.
    async fn read(&self) -> ParquetResult<Option<Arc<ParquetMetaData>>> {
        let cached = self.cache.get(&self.meta.location);
        let cached = cached.filter(|cached| cached.is_valid_for(&self.meta));
        let cached = cached.and_then(|cached| {
            let held = cached.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?;
            Some(Arc::clone(held.parquet_metadata()))
        });
        if cached.as_ref().is_some_and(|metadata| metadata.offset_index().is_some()) {
            return Ok(cached);
        }
        let read = self.file.read_footer(&self.object_store).await;
        let Some(bytes) = read.map_err(parquet_error)? else { return Ok(None) };
        let mut parser =
            ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        parser.try_parse_sized(&bytes, self.file.bytes)?;
        let metadata = Arc::new(parser.finish()?);
        let held = Arc::new(CachedParquetMetaData::new(Arc::clone(&metadata)));
        let entry = CachedFileMetadataEntry::new(self.meta.clone(), held);
        self.cache.put(&self.meta.location, entry);
        Ok(Some(metadata))
    }
}

/// In the words by which a failure of the store is told from damage.
fn parquet_error(error: storage::Error) -> ParquetError {
    ParquetError::General(match error {
        storage::Error::ObjectStore { source, .. } => format!("Object Store error: {source}"),
        damaged => damaged.to_string(),
    })
}
