//! Counts the rows of a row group by the keys of one column.
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, new_null_array};
use arrow::compute::{concat, filter};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileScanConfig;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::FileColumn;
use crate::spans::halves::Shorter;
use crate::spans::pages;
use crate::spans::parts::RowGroup;
use crate::spans::select;
use crate::spans::source::SelectiveSource;

impl Shorter for FileColumn {
    fn name(&self) -> &'static str {
        "CountKeysExec"
    }

    fn detail(&self) -> String {
        format!(", column={}", self.name)
    }

    fn scan(&self) -> (&FileScanConfig, &SelectiveSource) {
        (&self.scan, &self.source)
    }

    fn of_row_group<'a>(
        &'a self,
        row_group: &'a mut RowGroup,
        schema: &'a SchemaRef,
    ) -> BoxFuture<'a, Result<Option<RecordBatch>>> {
        self.counts(row_group, schema).boxed()
    }
}

impl FileColumn {
    async fn counts(
        &self,
        row_group: &mut RowGroup,
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>> {
        let metadata = Arc::clone(&row_group.metadata);
        let of = metadata.row_group(row_group.number);
        let Some((_, chunk)) = select::chunk_of(of, &self.name) else {
            let none = new_null_array(&DataType::Utf8View, 0);
            return batch(schema, &none, &[], of.num_rows()).map(Some);
        };
        if chunk.dictionary_page_offset().is_none() {
            return Ok(None);
        }
        let (start, length) = chunk.byte_range();
        let known = &self.source.known().counts;
        let path = row_group.file.object_meta.location.as_ref();
        if let Some(counts) = known.find(path, start) {
            return batch(schema, &counts.values, &counts.by_key, counts.nulls).map(Some);
        }
        let bytes = row_group.reader.get_bytes(start..start.saturating_add(length)).await?;
        let rows = usize::try_from(of.num_rows()).unwrap_or(usize::MAX);
        let Some(counts) = pages::counts(bytes, chunk, rows)? else { return Ok(None) };
        let counts = Arc::new(counts);
        known.put(path, start, &counts);
        batch(schema, &counts.values, &counts.by_key, counts.nulls).map(Some)
    }
}

/// One row for each value that occurs.
fn batch(schema: &SchemaRef, values: &ArrayRef, by_key: &[i64], nulls: i64) -> Result<RecordBatch> {
    let null = new_null_array(&DataType::Utf8View, 1);
    let values = concat(&[values.as_ref(), null.as_ref()])?;
    let counts = Int64Array::from_iter_values(by_key.iter().copied().chain([nulls]));
    let occurs = BooleanArray::from_iter(counts.values().iter().map(|count| Some(*count > 0)));
    let counts = filter(&counts, &occurs)?;
    let mut columns = vec![filter(&values, &occurs)?];
    columns.extend((1..schema.fields().len()).map(|_| Arc::clone(&counts)));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
