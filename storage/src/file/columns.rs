//! Many small batches as one: a column at a time, repeated strings with one dictionary.
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Field;
use arrow::error::ArrowError;

use crate::batch::{self, SpanBatch};

/// The column `field.name()` of all `batches`, one after the other; null where a batch does not have it.
pub(crate) fn merge(batches: &[Arc<SpanBatch>], field: &Field) -> Result<ArrayRef, ArrowError> {
    batch::merge(batches, field.name(), field.data_type())
}

/// True where no batch has a value in the column.
pub(crate) fn is_all_null(batches: &[Arc<SpanBatch>], field: &Field) -> bool {
    batch::is_all_null(batches, field.name())
}
