//! A flush: hot batches -> one sorted Parquet file per date and class -> one Delta commit with the log's position.
//!
//! The order is: data files written and fsynced, sidecars and rollups written and fsynced, commit. Until the commit, what was
//! written is an orphan that nobody sees and maintenance deletes; after it, the log is trimmed by the caller. So a
//! crash between any two steps is harmless.
mod extras;
mod fragments;
mod gather;
mod heads;
mod lift;
pub(crate) mod mend;
mod order;
mod resolve;
mod rest;
mod targets;
mod texts;

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef};
use bytes::Bytes;
use chrono::NaiveDate;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::batch::{self, SpanBatch};
use crate::error::{Error, Result};
use crate::file::chunk::NULL;
use crate::file::footer::Footer;
use crate::file::sidecar::Sidecar;
use crate::file::writer::{ColumnWriter, EncodedFile, Plan};
use crate::file::{FilePaths, stats};
use crate::id::{TraceId, WalSeq};
use crate::retain::classify::Classifier;
use crate::rollup::Content;
use crate::schema::{AttributeColumns, column};
use crate::table::{NewFile, Table};
use fragments::Fragments;
use gather::{Gather, Memory};
use heads::Heads;
use order::Order;
pub(crate) use resolve::Resolved;
use texts::Words;

pub(crate) use fragments::{Elsewhere, fitted};
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
        table.seen().add(&heads::trace_ids(batches));
        return Ok(());
    }
    crate::fault::point("flush: begun");
    let batches: Arc<[Arc<SpanBatch>]> =
        batches.iter().filter(|batch| batch.rows() > 0).map(Arc::clone).collect();
    let columns = Arc::new(columns.clone());
    let (wanted, classifier) = (Arc::clone(&columns), table.classifier());
    let seen = Arc::clone(table.seen());
    let encoded = tokio::task::spawn_blocking(move || {
        encode_by_class(&batches, &wanted, &classifier, &|trace: &TraceId| seen.contains(trace))
    });
    let encoded =
        encoded.await.map_err(|error| Error::Table { step: "encode", source: error.into() })?;
    let Encoded { files, traces } = encoded?;
    crate::fault::point("flush: encoded");
    let files = write(table, files).await?;
    crate::fault::point("flush: all files written");
    table.commit_flush(files, columns, through).await?;
    crate::fault::point("flush: committed");
    table.seen().add(&traces);
    Ok(())
}

/// Files ready to be written.
#[derive(Default)]
pub(crate) struct Encoded {
    /// One for each date and class.
    pub(crate) files: Vec<Unwritten>,
    /// Every trace in them, once.
    traces: Vec<[u8; 16]>,
}

/// A file ready to be written.
pub(crate) struct Unwritten {
    date: NaiveDate,
    /// Retention class; `None` for the default one.
    class: Option<Arc<str>>,
    file: EncodedFile,
    sidecar: Sidecar,
    rollup: Option<Bytes>,
}

/// Data files first, then what belongs to them: each durable when its call returns.
pub(crate) async fn write(table: &Table, unwritten: Vec<Unwritten>) -> Result<Vec<NewFile>> {
    let mut files = Vec::with_capacity(unwritten.len());
    let mut beside = Vec::with_capacity(unwritten.len());
    for Unwritten { date, class, file, sidecar, rollup } in unwritten {
        let paths = FilePaths::unique(date);
        let new = NewFile {
            date,
            class,
            bytes: file.bytes.len() as u64,
            checksum: xxhash_rust::xxh3::xxh3_128(&file.bytes),
            footer: Footer::of(&file.bytes, file.bytes.len() as u64, &file.metadata),
            traces: sidecar.traces,
            stats: stats::to_json(&file.metadata),
            known: sidecar.clone().into(),
            has_rollup: rollup.is_some(),
            paths,
        };
        put(table, "write data file", &new.paths.data, file.bytes).await?;
        crate::fault::point("flush: data file written");
        table.count_file(new.bytes);
        beside.push((sidecar, rollup));
        files.push(new);
    }
    for (file, (sidecar, rollup)) in files.iter().zip(beside) {
        write_beside(table, file, &sidecar, rollup).await?;
    }
    Ok(files)
}

/// What belongs to a data file that is written.
pub(crate) async fn write_beside(
    table: &Table,
    file: &NewFile,
    sidecar: &Sidecar,
    rollup: Option<Bytes>,
) -> Result<()> {
    put(table, "write sidecar", &file.paths.sidecar, sidecar.to_bytes()).await?;
    crate::fault::point("flush: sidecar written");
    if let Some(rollup) = rollup {
        put(table, "write rollup", &file.paths.rollup, rollup.clone()).await?;
        crate::fault::point("flush: rollup written");
        table.rollups().put_fresh(&file.paths.rollup, &rollup, sidecar.rows);
    }
    Ok(())
}

async fn put(table: &Table, step: &'static str, path: &str, bytes: Bytes) -> Result<()> {
    let result = table.place().table.put(&Path::from(path), bytes.into()).await;
    result.map(drop).map_err(|source| Error::ObjectStore { step, path: path.into(), source })
}

fn parquet_failed(source: parquet::errors::ParquetError) -> Error {
    Error::Parquet { step: "encode", path: "a new data file".into(), source }
}

/// Files that are all of one class.
pub(crate) fn in_class(files: Vec<Unwritten>, class: Option<&Arc<str>>) -> Vec<Unwritten> {
    files.into_iter().map(|file| Unwritten { class: class.cloned(), ..file }).collect()
}

/// Sorts, resolves, adds up and encodes. `elsewhere` says whether a trace may have spans in other files.
pub(crate) fn encode(
    batches: &[Arc<SpanBatch>],
    attributes: &AttributeColumns,
    elsewhere: Elsewhere<'_>,
) -> Result<Encoded> {
    encode_by_class(batches, attributes, &Classifier::default(), elsewhere)
}

/// As [`encode`], each trace into a file of its class.
fn encode_by_class(
    batches: &[Arc<SpanBatch>],
    attributes: &AttributeColumns,
    classifier: &Classifier,
    elsewhere: Elsewhere<'_>,
) -> Result<Encoded> {
    if batches.is_empty() {
        return Ok(Encoded::default());
    }
    let heads = Heads::of(batches);
    let resolved = heads.resolve();
    let mut order = heads.sort();
    let classes = match classifier.classes(batches, attributes, &resolved).as_slice() {
        [] => Vec::new(),
        classes => order.split(classes),
    };
    let lifted = lift::lift(batches, attributes).map_err(|error| parquet_failed(error.into()))?;
    let rest = rest::keys(&lifted);
    let rollups = rollups(&lifted, attributes, (&heads, &resolved, &order), elsewhere)?;
    let columns = Columns {
        gather: Gather { batches: &lifted, places: &order.places(), rows: &order.rows },
        heads: &heads,
        resolved: &resolved,
    };
    let places: Vec<Range<usize>> = order.dates.iter().map(|(_, places)| places.clone()).collect();
    let plan = Plan::new(columns.fields(attributes), &places).map_err(parquet_failed)?;
    let write = |column: &mut ColumnWriter<'_>, memory: &mut Memory| columns.write(column, memory);
    let files = plan.encode(Memory::default, write).map_err(parquet_failed)?;
    let dated = order.dates.iter().zip(files).zip(rollups);
    let files = dated.enumerate().map(|(number, (((date, places), file), rollup))| {
        let first_rows = order.first_rows(places.clone(), &resolved);
        let sidecar = Sidecar {
            rows: places.len() as u64,
            traces: first_rows.len() as u64,
            filter: heads.filter(&first_rows, places.len()),
            rest: rest.clone(),
        };
        let class = classes.get(number).and_then(|class| classifier.name(*class));
        Unwritten { date: *date, class, file, sidecar, rollup }
    });
    Ok(Encoded { files: files.collect(), traces: resolved.ids.clone() })
}

/// By file its rollup; none where it would not be worth its bytes.
fn rollups(
    batches: &[Arc<SpanBatch>],
    attributes: &AttributeColumns,
    (heads, resolved, order): (&Heads, &Resolved, &Order),
    elsewhere: Elsewhere<'_>,
) -> Result<Vec<Option<Bytes>>> {
    let fragments = Fragments::of(batches, attributes, heads, resolved);
    let contents = fragments.contents(order, elsewhere);
    contents.iter().map(|content| content.as_ref().map(Content::to_bytes).transpose()).collect()
}

/// For [`crate::micro`].
pub(crate) fn encode_files(
    batches: &[Arc<SpanBatch>],
    attributes: &AttributeColumns,
) -> Result<Vec<Bytes>> {
    let encoded = encode(batches, attributes, &|_| false)?;
    Ok(encoded.files.into_iter().map(|file| file.file.bytes).collect())
}

/// For [`crate::micro`].
pub(crate) fn encode_rollups(
    batches: &[Arc<SpanBatch>],
    attributes: &AttributeColumns,
) -> Result<impl FnMut() -> Result<usize>> {
    let heads = Heads::of(batches);
    let resolved = heads.resolve();
    let order = heads.sort();
    let lifted = lift::lift(batches, attributes).map_err(|error| parquet_failed(error.into()))?;
    let attributes = attributes.clone();
    Ok(move || {
        let made = rollups(&lifted, &attributes, (&heads, &resolved, &order), &|_| false)?;
        Ok(made.iter().flatten().map(Bytes::len).sum())
    })
}

/// For [`crate::micro`].
pub(crate) fn rollup_objects(
    batches: &[Arc<SpanBatch>],
    attributes: &AttributeColumns,
) -> Result<Vec<Bytes>> {
    let encoded = encode(batches, attributes, &|_| false)?;
    Ok(encoded.files.into_iter().filter_map(|file| file.rollup).collect())
}

/// For [`crate::micro`].
pub(crate) fn resolve_and_sort(batches: &[Arc<SpanBatch>]) -> usize {
    let heads = Heads::of(batches);
    heads.resolve();
    heads.sort().rows.len()
}

/// A field as it is stored.
pub(crate) fn plain(field: &FieldRef) -> FieldRef {
    Field::new(field.name(), field.data_type().clone(), field.is_nullable()).into()
}

/// Every column of the files.
struct Columns<'a> {
    gather: Gather<'a>,
    heads: &'a Heads,
    resolved: &'a Resolved,
}

impl Columns<'_> {
    /// The columns that have a value in some row, in the order of the schema.
    fn fields(&self, attributes: &AttributeColumns) -> Vec<FieldRef> {
        let schema = attributes.schema();
        let fields = schema.fields().iter().filter(|field| self.has_value(field.name()));
        fields.map(plain).collect()
    }

    fn has_value(&self, name: &str) -> bool {
        match name {
            column::CALLER_SERVICE | column::CALLER_NAME => {
                self.heads.known(name).is_some() || self.resolved.has_parents()
            }
            column::ROOT_SERVICE | column::ROOT_NAME => {
                self.heads.known(name).is_some() || self.resolved.has_roots()
            }
            _ => !batch::is_all_null(self.gather.batches, name),
        }
    }

    /// For a row the key that `words` has in the row of its parent or root, as the column says; where that is not
    /// here, what was known before.
    fn key_of_other_row(&self, column: &str, words: &Words) -> impl Fn(u32) -> u32 {
        let is_caller = matches!(column, column::CALLER_SERVICE | column::CALLER_NAME);
        let known = self.heads.known(column);
        move |row| {
            let row = row as usize;
            let other =
                if is_caller { self.resolved.parent[row] } else { self.resolved.root_of(row) };
            match words.key(other) {
                NULL => known.map_or(NULL, |known| known[row]),
                key => key,
            }
        }
    }

    fn write(
        &self,
        column: &mut ColumnWriter<'_>,
        memory: &mut Memory,
    ) -> parquet::errors::Result<()> {
        let (gather, heads, resolved) = (&self.gather, self.heads, self.resolved);
        let of_column = column.field().name().as_str();
        match of_column {
            column::TRACE_ID => {
                let trace = |row: u32| resolved.trace[row as usize];
                gather.write_keys(column, memory, trace, resolved.ids.as_slice())
            }
            column::SPAN_ID => gather.write_keys(column, memory, |row| row, heads.span.as_slice()),
            column::PARENT_SPAN_ID => {
                let key = |row: u32| if heads.parent[row as usize].is_some() { row } else { NULL };
                gather.write_keys(column, memory, key, heads.parent.as_slice())
            }
            column::START => {
                let times = gather.rows.iter().map(|row| heads.start[*row as usize]);
                column.write_times(&times.collect::<Vec<_>>())
            }
            column::DURATION => column.write_times(&gather.times(column::DURATION)),
            column::SERVICE => {
                gather.write_keys(column, memory, |row| heads.service.key(row), &&heads.service)
            }
            column::NAME => {
                gather.write_keys(column, memory, |row| heads.name.key(row), &&heads.name)
            }
            column::CALLER_SERVICE | column::ROOT_SERVICE => {
                let key = self.key_of_other_row(of_column, &heads.service);
                gather.write_keys(column, memory, key, &&heads.service)
            }
            column::CALLER_NAME | column::ROOT_NAME => {
                let key = self.key_of_other_row(of_column, &heads.name);
                gather.write_keys(column, memory, key, &&heads.name)
            }
            _ => gather.write(column, memory),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
