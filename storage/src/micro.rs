//! What `benches/` measures, the steps of a flush without a table, and what `fuzz/` damages. Not an interface.
use std::sync::Arc;

use bytes::Bytes;

use crate::Result;
use crate::batch::SpanBatch;
use crate::flush;
use crate::rollup::Sum;
use crate::schema::AttributeColumns;
use crate::wal;

/// The files that a flush of `batches` would write.
///
/// # Errors
/// An encoder fails.
pub fn encode(batches: &[Arc<SpanBatch>], columns: &AttributeColumns) -> Result<Vec<Bytes>> {
    flush::encode_files(batches, columns)
}

/// What makes the rollups of the files that a flush of `batches` would write, again at each call; returns their bytes.
///
/// # Errors
/// An encoder fails.
pub fn rollups(
    batches: &[Arc<SpanBatch>],
    columns: &AttributeColumns,
) -> Result<impl FnMut() -> Result<usize>> {
    flush::encode_rollups(batches, columns)
}

/// What adds the rollup of such a file to a sum as often as it is told; returns the rows of the sum.
///
/// # Errors
/// An encoder fails, or makes nothing.
pub fn rollup_sums(
    batches: &[Arc<SpanBatch>],
    columns: &AttributeColumns,
) -> Result<impl FnMut(usize) -> usize> {
    let objects = flush::rollup_objects(batches, columns)?;
    let read = objects.iter().map(|object| crate::rollup::read("bench", object));
    let rollups = read.collect::<Result<Vec<_>>>()?;
    Ok(move |times| {
        let mut sum = Sum::default();
        for rollup in (0..times).flat_map(|_| &rollups) {
            rollup.add_to(&mut sum);
        }
        sum.figures.rows()
    })
}

/// Finds parents and the order of rows only; returns the number of rows.
pub fn resolve_and_sort(batches: &[Arc<SpanBatch>]) -> usize {
    flush::resolve_and_sort(batches)
}

/// A segment of the log that holds `bodies` at positions from 1 on.
pub fn write_log_segment(bodies: &[Bytes]) -> Vec<u8> {
    wal::image::write(bodies)
}

/// Position and body of every entry that replay would find in such a segment, whatever became of it since.
pub fn read_log_segment(segment: &Bytes) -> Vec<(u64, Bytes)> {
    wal::image::read(segment)
}
