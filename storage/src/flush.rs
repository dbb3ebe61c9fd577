//! A flush: hot batches -> one sorted Parquet file per date -> one Delta commit with the log's position.
//!
//! The order is: data files written and fsynced, sidecars written and fsynced, commit. Until the commit, what was
//! written is an orphan that nobody sees and maintenance deletes; after it, the log is trimmed by the caller. So a
//! crash between any two steps is harmless.
mod lift;
mod order;
mod resolve;
mod rest;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array};
use arrow::datatypes::{Field, Int32Type, Int64Type, Schema};
use arrow::error::ArrowError;
use chrono::NaiveDate;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::batch::SpanBatch;
use crate::error::{Error, Result};
use crate::file::sidecar::Sidecar;
use crate::file::writer::{Column, EncodedFile, FileRows, LoadColumn};
use crate::file::{FilePaths, columns, stats, writer};
use crate::id::{TraceId, WalSeq};
use crate::schema::{AttributeColumns, column, fixed_fields};
use crate::snapshot::TraceFilter;
use crate::table::{NewFile, Table};
use order::DateRows;
use resolve::Resolved;

pub(crate) use lift::members;

/// Writes `batches` (possibly none) into files and commits them with `through`, the position of the last log entry in
/// them. `columns` lists every attribute column that a batch may have; a column that a batch lacks is filled from its
/// JSON. After `Ok`, [`Table::state`] has the new files.
///
/// # Errors
/// The step that failed; then the table is unchanged, and the same call may be made again.
pub(crate) async fn flush(
    table: &Table,
    batches: &[Arc<SpanBatch>],
    columns: &AttributeColumns,
    through: WalSeq,
) -> Result<()> {
    if table.has_committed(through).await? {
        return Ok(());
    }
    let batches: Arc<[Arc<SpanBatch>]> =
        batches.iter().filter(|batch| batch.rows() > 0).map(Arc::clone).collect();
    let columns = Arc::new(columns.clone());
    let wanted = Arc::clone(&columns);
    let encoded = tokio::task::spawn_blocking(move || encode(&batches, &wanted));
    let encoded =
        encoded.await.map_err(|error| Error::Table { step: "encode", source: error.into() })?;
    let files = write(table, encoded?).await?;
    table.commit_flush(files, columns, through).await
}

/// A file ready to be written.
pub(crate) struct Encoded {
    date: NaiveDate,
    file: EncodedFile,
    sidecar: Sidecar,
}

/// Data files first, then sidecars: each durable when its call returns.
pub(crate) async fn write(table: &Table, encoded: Vec<Encoded>) -> Result<Vec<NewFile>> {
    let mut files = Vec::with_capacity(encoded.len());
    let mut sidecars = Vec::with_capacity(encoded.len());
    for Encoded { date, file, sidecar } in encoded {
        let paths = FilePaths::unique(date);
        let new = NewFile {
            date,
            bytes: file.bytes.len() as u64,
            checksum: xxhash_rust::xxh3::xxh3_128(&file.bytes),
            traces: sidecar.traces,
            stats: stats::to_json(&file.metadata),
            known: sidecar.clone().into(),
            paths,
        };
        put(table, "write data file", &new.paths.data, file.bytes).await?;
        table.count_file(new.bytes);
        sidecars.push(sidecar.to_bytes());
        files.push(new);
    }
    for (file, sidecar) in files.iter().zip(sidecars) {
        put(table, "write sidecar", &file.paths.sidecar, sidecar).await?;
    }
    Ok(files)
}

async fn put(table: &Table, step: &'static str, path: &str, bytes: bytes::Bytes) -> Result<()> {
    let result = table.place().table.put(&Path::from(path), bytes.into()).await;
    result.map(drop).map_err(|source| Error::ObjectStore { step, path: path.into(), source })
}

fn parquet_failed(source: parquet::errors::ParquetError) -> Error {
    Error::Parquet { step: "encode", path: "a new data file".into(), source }
}

/// Sorts, resolves and encodes.
pub(crate) fn encode(
    batches: &[Arc<SpanBatch>],
    attributes: &AttributeColumns,
) -> Result<Vec<Encoded>> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let keys = Keys::merge(batches).map_err(|error| parquet_failed(error.into()))?;
    let resolved = keys.resolve();
    let dates = order::sort(&keys.start, &keys.service, &keys.name);
    let rows: Vec<FileRows> = dates.iter().map(|date| date.file_rows(&resolved)).collect();
    let lifted = lift::lift(batches, attributes).map_err(|error| parquet_failed(error.into()))?;
    let rest = rest::keys(&lifted);
    let file_columns = file_columns(&lifted, attributes, &keys, &resolved);
    let files = writer::encode(file_columns, &rows).map_err(parquet_failed)?;
    let encoded = dates.iter().zip(files).map(|(date, file)| Encoded {
        date: date.date,
        file,
        sidecar: Sidecar {
            rows: date.rows.len() as u64,
            traces: date.traces(&resolved) as u64,
            filter: filter(&keys, &resolved, date),
            rest: rest.clone(),
        },
    });
    Ok(encoded.collect())
}

/// The columns that decide about order, parents and roots, merged first.
struct Keys {
    trace: ArrayRef,
    span: ArrayRef,
    parent: ArrayRef,
    start: ArrayRef,
    service: ArrayRef,
    name: ArrayRef,
    /// What earlier flushes found out, where the spans come from files: by column.
    known: Vec<(&'static str, ArrayRef)>,
}

/// Columns that are found out, not sent.
const RESOLVED: [&str; 4] =
    [column::CALLER_SERVICE, column::CALLER_NAME, column::ROOT_SERVICE, column::ROOT_NAME];

impl Keys {
    fn merge(batches: &[Arc<SpanBatch>]) -> std::result::Result<Self, ArrowError> {
        let schema = Schema::new(fixed_fields());
        let merged = |name: &str| columns::merge(batches, schema.field_with_name(name)?);
        let mut known = Vec::new();
        for name in RESOLVED {
            if !columns::is_all_null(batches, schema.field_with_name(name)?) {
                known.push((name, merged(name)?));
            }
        }
        Ok(Self {
            known,
            trace: merged(column::TRACE_ID)?,
            span: merged(column::SPAN_ID)?,
            parent: merged(column::PARENT_SPAN_ID)?,
            start: merged(column::START)?,
            service: merged(column::SERVICE)?,
            name: merged(column::NAME)?,
        })
    }

    fn resolve(&self) -> Resolved {
        resolve::resolve(&resolve::Spans {
            trace: self.trace.as_fixed_size_binary(),
            span: self.span.as_fixed_size_binary(),
            parent: self.parent.as_fixed_size_binary(),
            start: self.start.as_primitive::<Int64Type>(),
        })
    }

    /// `found`, and where that is null what was known of the column `name` before.
    fn or_known(&self, name: &str, found: ArrayRef) -> ArrayRef {
        let Some((_, known)) = self.known.iter().find(|(of, _)| *of == name) else { return found };
        let (found, known) =
            (found.as_dictionary::<Int32Type>(), known.as_dictionary::<Int32Type>());
        let text = text_of(found);
        let known = text_of(known);
        let both = (0..found.len()).map(|row| text(row).or_else(|| known(row)));
        Arc::new(both.collect::<DictionaryArray<Int32Type>>())
    }

    /// A column that is ready without merging.
    fn ready(&self, name: &str, resolved: &Resolved) -> Option<ArrayRef> {
        let parent = |row: usize| resolved.parent[row];
        let root = |row: usize| resolved.root_of(row);
        Some(match name {
            column::TRACE_ID => Arc::clone(&self.trace),
            column::SPAN_ID => Arc::clone(&self.span),
            column::PARENT_SPAN_ID => Arc::clone(&self.parent),
            column::START => Arc::clone(&self.start),
            column::SERVICE => Arc::clone(&self.service),
            column::NAME => Arc::clone(&self.name),
            column::CALLER_SERVICE => self.or_known(name, of_other_row(&self.service, parent)),
            column::CALLER_NAME => self.or_known(name, of_other_row(&self.name, parent)),
            column::ROOT_SERVICE => self.or_known(name, of_other_row(&self.service, root)),
            column::ROOT_NAME => self.or_known(name, of_other_row(&self.name, root)),
            _ => return None,
        })
    }
}

/// The text of a row, `None` where it is null.
fn text_of<'a>(dictionary: &'a DictionaryArray<Int32Type>) -> impl Fn(usize) -> Option<&'a str> {
    let values = dictionary.values().as_string::<i32>();
    move |row| dictionary.key(row).map(|key| values.value(key))
}

/// For each row the value that `text` has in the row that `other` names.
fn of_other_row(text: &ArrayRef, other: impl Fn(usize) -> Option<u32>) -> ArrayRef {
    let text = text.as_dictionary::<Int32Type>();
    let key = |row: u32| {
        let row = row as usize;
        text.keys().is_valid(row).then(|| text.keys().value(row))
    };
    let keys: Int32Array = (0..text.len()).map(|row| other(row).and_then(key)).collect();
    Arc::new(DictionaryArray::new(keys, Arc::clone(text.values())))
}

/// All columns that have a value in some row, in the order of the schema.
fn file_columns<'a>(
    batches: &'a [Arc<SpanBatch>],
    attributes: &AttributeColumns,
    keys: &'a Keys,
    resolved: &'a Resolved,
) -> Vec<Column<'a>> {
    let mut columns = Vec::new();
    for field in attributes.schema().fields() {
        let ready = keys.ready(field.name(), resolved);
        let all_null = match &ready {
            Some(array) => array.null_count() == array.len(),
            None => columns::is_all_null(batches, field),
        };
        if all_null {
            continue;
        }
        let load: LoadColumn<'a> = match ready {
            Some(array) => Box::new(move || Ok(array)),
            None => {
                let field = Arc::clone(field);
                Box::new(move || columns::merge(batches, &field))
            }
        };
        let plain = Field::new(field.name(), field.data_type().clone(), field.is_nullable());
        columns.push(Column { field: Arc::new(plain), load });
    }
    columns
}

fn filter(keys: &Keys, resolved: &Resolved, date: &DateRows) -> TraceFilter {
    let ids = keys.trace.as_fixed_size_binary();
    let mut filter = TraceFilter::with_capacity(date.traces(resolved));
    for row in date.first_rows(resolved) {
        if let Some(id) = TraceId::from_slice(ids.value(row as usize)) {
            filter.insert(&id);
        }
    }
    filter
}

#[cfg(test)]
pub(crate) mod tests;
