//! What `benches/` measures: the steps of a flush without a table. Not an interface.
use std::sync::Arc;

use bytes::Bytes;

use crate::Result;
use crate::batch::SpanBatch;
use crate::flush;
use crate::schema::AttributeColumns;

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

/// Finds parents and the order of rows only; returns the number of rows.
pub fn resolve_and_sort(batches: &[Arc<SpanBatch>]) -> usize {
    flush::resolve_and_sort(batches)
}
