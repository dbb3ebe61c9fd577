//! A Parquet file in memory that tests read.
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

/// The file, and how often it was read.
pub(super) struct Bare {
    bytes: Bytes,
    reads: Arc<Mutex<usize>>,
}

impl Bare {
    pub(super) fn new(bytes: &Bytes) -> Self {
        Self::counted(bytes, &Arc::default())
    }

    /// The same, which counts in `reads`.
    pub(super) fn counted(bytes: &Bytes, reads: &Arc<Mutex<usize>>) -> Self {
        Self { bytes: bytes.clone(), reads: Arc::clone(reads) }
    }
}

impl AsyncFileReader for Bare {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        *self.reads.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let [from, until] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        async move { Ok(self.bytes.slice(from..until)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move { Ok(Arc::new(metadata(&self.bytes))) }.boxed()
    }
}

/// What the footer of `file` says, with its page index, if there is one.
pub(super) fn metadata(file: &Bytes) -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.parse_and_finish(file).unwrap()
}
