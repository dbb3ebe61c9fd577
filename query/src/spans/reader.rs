//! Readers of Parquet files that keep the page index with the footer.
//!
//! The stock reader asks for the footer alone, and whoever needs the page index then reads and parses it again at each
//! query: several milliseconds for a file of a hundred and fifty columns.
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

/// A reader of one file.
pub(crate) type Reader = Box<dyn AsyncFileReader + Send>;

/// Opens files of one object store; footers and page indexes stay in the cache of all queries.
#[derive(Debug)]
pub(crate) struct Readers(CachedParquetFileReaderFactory);

impl Readers {
    /// Readers of files in `object_store`.
    pub(crate) fn new(state: &dyn Session, object_store: Arc<dyn ObjectStore>) -> Self {
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        Self(CachedParquetFileReaderFactory::new(object_store, cache))
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
        let inner = self.0.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(Indexed(inner)))
    }
}

/// Always asks for the page index, too.
struct Indexed(Reader);

impl fmt::Debug for Indexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Indexed")
    }
}

impl AsyncFileReader for Indexed {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default();
        let options = options.with_page_index_policy(PageIndexPolicy::Optional);
        Box::pin(async move { self.0.get_metadata(Some(&options)).await })
    }
}
