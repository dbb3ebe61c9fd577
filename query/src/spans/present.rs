//! Stored spans as rows of SQL `spans`, outside of any query: for the live tail.
use std::fmt;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as PlanResult;
use storage::SpanBatch;
use storage::schema::AttributeColumns;

use crate::spans::columns::{ATTRIBUTES_REST, Columns};
use crate::spans::hot::with_columns;
use crate::{Error, Result};

/// Makes rows as `SELECT * FROM spans` would show them, up to where the columns of single attributes begin.
pub struct Presenter {
    columns: Columns,
    schema: SchemaRef,
}

impl fmt::Debug for Presenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presenter").field("columns", &self.schema.fields().len()).finish()
    }
}

impl Presenter {
    /// For batches whose attribute columns are among `attributes`.
    ///
    /// # Errors
    /// Two columns have one name: a mistake in the table's schema.
    pub fn new(attributes: &AttributeColumns) -> Result<Self> {
        let columns = Columns::new(attributes)?;
        let presented = &columns.presented;
        let shown = presented.index_of(ATTRIBUTES_REST).unwrap_or(presented.fields().len());
        let schema = presented.project(&(0..shown).collect::<Vec<_>>())?;
        Ok(Self { columns, schema: SchemaRef::new(schema) })
    }

    /// Names of the columns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.schema.fields().iter().map(|field| field.name().as_str())
    }

    /// The rows of `batch` where `wanted` is set.
    ///
    /// # Errors
    /// The batch is not one of this table: a mistake of ours.
    pub fn rows(&self, batch: &SpanBatch, wanted: &BooleanArray) -> Result<RecordBatch> {
        self.present(batch, wanted).map_err(Error::from)
    }

    fn present(&self, batch: &SpanBatch, wanted: &BooleanArray) -> PlanResult<RecordBatch> {
        let stored = with_columns(batch, &self.columns.stored, Some(wanted))?;
        let made = self.columns.physical()?.iter().take(self.schema.fields().len());
        let columns = made.map(|column| column.evaluate(&stored)?.into_array(stored.num_rows()));
        let columns = columns.collect::<PlanResult<Vec<_>>>()?;
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?)
    }
}

#[cfg(test)]
mod tests;
