//! Ranges of an object that were fetched beforehand, as Parquet's readers ask for them.
use std::ops::Range;

use bytes::Buf;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// See the module. Whoever asks for other bytes gets an error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetched {
    object_bytes: u64,
    /// Where each begins in the object.
    parts: Vec<(u64, Bytes)>,
}

impl Fetched {
    /// Of an object of this length, the ranges with what was read there.
    pub(crate) fn new(object_bytes: u64, ranges: &[Range<u64>], read: Vec<Bytes>) -> Self {
        let parts = ranges.iter().map(|range| range.start).zip(read).collect();
        Self { object_bytes, parts }
    }

    /// The bytes from `start` to the end of the range that it lies in.
    fn from(&self, start: u64) -> Result<Bytes> {
        let found = self.parts.iter().find_map(|(begin, bytes)| {
            let offset = usize::try_from(start.checked_sub(*begin)?).ok()?;
            (offset < bytes.len()).then(|| bytes.slice(offset..))
        });
        found.ok_or_else(|| ParquetError::EOF(format!("byte {start} was not fetched")))
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.object_bytes
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} were not fetched")));
        }
        Ok(bytes.slice(..length))
    }
}
