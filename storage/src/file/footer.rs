//! The end of a data file: page index and footer. Its length and checksum are in the Delta log, because a bit that flips there
//! would send a reader to the wrong pages, or past those with a wanted row.
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::file::metadata::ParquetMetaData;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::snapshot::DataFile;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// From the first byte of the page index to the file's end.
    pub bytes: u64,
    /// XXH3-64 of them.
    pub checksum: u64,
}

impl Footer {
    /// Of a file of `file_bytes`, whose last bytes are `tail`; `None` where `tail` does not have all of it.
    pub(crate) fn of(tail: &[u8], file_bytes: u64, metadata: &ParquetMetaData) -> Option<Self> {
        let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
        let indexes =
            chunks.flat_map(|chunk| [chunk.column_index_offset(), chunk.offset_index_offset()]);
        let first = u64::try_from(indexes.flatten().min()?).ok()?;
        let bytes = file_bytes.checked_sub(first)?;
        let begin = tail.len().checked_sub(usize::try_from(bytes).ok()?)?;
        Some(Self { bytes, checksum: xxh3_64(&tail[begin..]) })
    }

    /// As the tag of an add action has it: `<bytes>:<checksum, 16 hex digits>`.
    pub(crate) fn to_tag(self) -> String {
        format!("{}:{:016x}", self.bytes, self.checksum)
    }

    /// `None` where the tag says something else.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let (bytes, checksum) = tag.split_once(':')?;
        let checksum = u64::from_str_radix(checksum, 16).ok()?;
        Some(Self { bytes: bytes.parse().ok()?, checksum })
    }
}

impl DataFile {
    /// Reads page index and footer in one request, and compares them with what the log says; `None` where it does not say.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where they are not as they were written; otherwise they could not be read.
    pub async fn read_footer(&self, store: &dyn ObjectStore) -> Result<Option<Bytes>> {
        let Some(footer) = self.footer else { return Ok(None) };
        let failed = |source| {
            let path = self.path.clone();
            Error::ObjectStore { step: "read footer", path, source }
        };
        let begin = self.bytes.saturating_sub(footer.bytes);
        let path = Path::parse(&self.path).map_err(|error| failed(error.into()))?;
        let bytes = store.get_range(&path, begin..self.bytes).await.map_err(failed)?;
        if bytes.len() as u64 == footer.bytes && xxh3_64(&bytes) == footer.checksum {
            return Ok(Some(bytes));
        }
        let detail = "page index or footer are not as they were written".into();
        Err(Error::Corrupt { path: self.path.clone(), detail })
    }
}

#[cfg(test)]
mod tests;
