//! Pages of a file that were read together.
use std::ops::Range;

use bytes::Bytes;
use datafusion::common::Result;
use parquet::errors::ParquetError;

use super::Pick;
use super::page::damaged;
use crate::spans::reader::{Reader, is_ours};

/// Bytes of a file that were read together.
pub(super) struct Fetched {
    /// By where they begin.
    pieces: Vec<(u64, Bytes)>,
    /// Pages of files of ours have checksums.
    is_ours: bool,
}

/// What lies between two ranges is read with them up to this size: a read costs more.
const GAP_BYTES: u64 = 8 << 10;

impl Pick<'_> {
    /// What lies at `wanted`.
    pub(super) async fn fetch(
        &self,
        reader: &mut Reader,
        mut wanted: Vec<Range<u64>>,
    ) -> Result<Fetched> {
        wanted.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in wanted {
            match merged.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(GAP_BYTES) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        let starts: Vec<u64> = merged.iter().map(|range| range.start).collect();
        let read =
            if merged.is_empty() { Vec::new() } else { reader.get_byte_ranges(merged).await? };
        let pieces = starts.into_iter().zip(read).collect();
        Ok(Fetched { pieces, is_ours: is_ours(self.metadata) })
    }
}

impl Fetched {
    /// The page at `range`, compared with its checksums.
    pub(super) fn of(&self, range: &Range<u64>) -> Result<Bytes> {
        let found = || {
            let place = self.pieces.partition_point(|(start, _)| *start <= range.start);
            let (start, bytes) = self.pieces.get(place.checked_sub(1)?)?;
            let from = usize::try_from(range.start - start).ok()?;
            let until = usize::try_from(range.end - start).ok()?;
            (until <= bytes.len()).then(|| bytes.slice(from..until))
        };
        let page = found().ok_or_else(|| damaged("a column"))?;
        if self.is_ours {
            storage::check_pages(&page).map_err(|damage| ParquetError::General(damage.into()))?;
        }
        Ok(page)
    }
}
