//! Corrections, applied to the rows of one trace.
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use serde_json::{Map, Value};
use storage::patch::{Patch, What};

use crate::{Error, Result};

/// `batch` with what `patches` correct, in their order. Columns that it does not have are left out.
pub(super) fn apply(batch: RecordBatch, patches: &[&Patch]) -> Result<RecordBatch> {
    let failed = |error: ArrowError| Error::Internal(format!("correct a trace: {error}"));
    let mut batch = batch;
    for patch in patches {
        let What::Correction { span_id, fields, attributes, .. } = &patch.what else { continue };
        let rows = rows_of(&batch, span_id).map_err(failed)?;
        for (field, value) in fields {
            let set = |_: &str| value.clone();
            batch = with(batch, field, &rows, &set).map_err(failed)?;
        }
        if !attributes.is_empty() {
            let merge = |json: &str| {
                let mut object: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
                object.extend(attributes.iter().map(|(key, value)| (key.clone(), value.clone())));
                Value::Object(object).to_string()
            };
            batch = with(batch, "attributes", &rows, &merge).map_err(failed)?;
        }
    }
    Ok(batch)
}

fn rows_of(batch: &RecordBatch, span_id: &str) -> std::result::Result<Vec<bool>, ArrowError> {
    let Some(ids) = batch.column_by_name("span_id") else { return Ok(Vec::new()) };
    let ids = cast(ids, &DataType::Utf8)?;
    Ok(ids.as_string::<i32>().iter().map(|id| id == Some(span_id)).collect())
}

/// The column `name` with other texts in `rows`.
fn with(
    batch: RecordBatch,
    name: &str,
    rows: &[bool],
    change: &dyn Fn(&str) -> String,
) -> std::result::Result<RecordBatch, ArrowError> {
    let Ok(place) = batch.schema_ref().index_of(name) else { return Ok(batch) };
    let texts = cast(batch.column(place), &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    let changed: StringArray = (0..texts.len())
        .map(|row| {
            let text = texts.is_valid(row).then(|| texts.value(row));
            if rows.get(row) == Some(&true) {
                Some(change(text.unwrap_or_default()))
            } else {
                text.map(str::to_owned)
            }
        })
        .collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns[place] = cast(&(Arc::new(changed) as ArrayRef), batch.column(place).data_type())?;
    RecordBatch::try_new(batch.schema(), columns)
}
