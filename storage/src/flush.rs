//! A flush: hot batches -> one sorted Parquet file per date -> one Delta commit with the log's position.
use std::sync::Arc;

use crate::batch::SpanBatch;
use crate::error::Result;
use crate::id::WalSeq;
use crate::schema::AttributeColumns;
use crate::table::Table;

/// Writes `batches` (possibly none) into files and commits them with `through`, the position of the last log entry in
/// them. `columns` lists every attribute column that a batch may have. After `Ok`, [`Table::state`] has the new files.
///
/// # Errors
/// The step that failed; then the table is unchanged, and the same call may be made again.
pub(crate) async fn flush(
    table: &Table,
    batches: &[Arc<SpanBatch>],
    columns: &AttributeColumns,
    through: WalSeq,
) -> Result<()> {
    let _ = (table, batches, columns, through);
    unimplemented!()
}
