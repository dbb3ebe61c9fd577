//! Joins files of one date and class into one: their row groups are copied as they are, so it costs hardly more than reading
//! and writing them, and takes the memory of one row group, whatever the size of the files.
//!
//! What the files did not know of each other is mended: of traces with parts in several of them, the columns of callers and
//! roots are encoded anew, and the rollup counts them whole. Such traces are looked at in slices, so that memory is bounded
//! there too.
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use bytes::Bytes;

use super::Merged;
use super::aside::aside;
use super::elsewhere::Elsewhere;
use super::mends::{MendedColumn, Mends};
use super::source::Source;
use super::split::{Hashes, Rows, Split, hash, selection};
use super::sums::Sums;
use crate::error::{Error, Result};
use crate::file::fetched::Fetched;
use crate::file::footer::Footer;
use crate::file::sidecar::Sidecar;
use crate::file::splice::{Chunk, Piece, Splice};
use crate::file::upload::{Upload, Uploaded};
use crate::file::{FilePaths, stats};
use crate::flush::mend::{Counting, MENDED, Mended, Parts, mend};
use crate::flush::write_beside;
use crate::id::TraceId;
use crate::rollup::attribute;
use crate::schema::{AttributeColumns, AttributeScope, column, fixed_fields};
use crate::snapshot::{DataFile, TraceFilter};
use crate::table::{NewFile, Table};

/// Rows of split traces that are looked at at a time.
const SLICE_ROWS: usize = 256 << 10;

/// One join.
pub(super) struct Join<'a> {
    table: &'a Table,
    sources: Arc<[Source]>,
    attributes: Arc<AttributeColumns>,
    fields: Vec<FieldRef>,
}

impl<'a> Join<'a> {
    /// Of files that were opened.
    pub(super) fn new(table: &'a Table, sources: Vec<Source>) -> Self {
        let attributes = Arc::clone(&table.state().columns);
        Self { table, sources: sources.into(), attributes, fields: Vec::new() }
    }

    /// Writes the joined file; its commit is the caller's.
    ///
    /// # Errors
    /// Something cannot be read or written.
    pub(super) async fn run(mut self) -> Result<Merged> {
        let rows = Arc::new(Rows::of(&self.sources, &self.attributes).await?);
        let inputs: Vec<Arc<DataFile>> =
            self.sources.iter().map(|source| Arc::clone(&source.file)).collect();
        let (counted, whole) = (Arc::clone(&rows), self.without_rows(&inputs).await);
        let split = aside("compare traces", move || counted.split(&whole)).await?;
        let elsewhere = Arc::new(Elsewhere::of(self.table, &inputs).await);
        let mut sums = Sums::of(self.table, &inputs, &split).await;
        let mends = self.mend(&rows, &split, &elsewhere, &mut sums).await?;
        self.fields = self.fields(&mends);
        let Some(first) = inputs.first() else {
            return Err(Error::Table { step: "join files", source: "there are none".into() });
        };
        let of_all = (inputs.iter().map(|file| file.rows).sum(), rest(&inputs));
        let finish = move || Ok::<_, Error>((sidecar(rows.as_ref(), of_all), sums.finish()?));
        let (sidecar, rollup) = aside("add up rollups", finish).await??;
        let paths = FilePaths::unique(first.date);
        let written = self.write(&paths.data, mends).await?;
        let file = NewFile {
            date: first.date,
            class: first.class.clone(),
            bytes: written.uploaded.bytes,
            checksum: written.uploaded.checksum,
            footer: written.footer,
            traces: sidecar.traces,
            stats: written.stats,
            known: sidecar.clone().into(),
            has_rollup: rollup.is_some(),
            paths,
        };
        crate::fault::point("join: data file written");
        self.table.count_file(file.bytes);
        write_beside(self.table, &file, &sidecar, rollup).await?;
        crate::fault::point("join: all files written");
        Ok(Merged { inputs, outputs: vec![file], duplicates: 0 })
    }

    /// The files whose rollups were written by a version that kept no row for each trace: all of their traces are looked
    /// at again.
    async fn without_rows(&self, inputs: &[Arc<DataFile>]) -> Vec<usize> {
        let mut without = Vec::new();
        for (place, file) in inputs.iter().enumerate() {
            let rollup = self.table.rollups().whole(file).await;
            if rollup.is_some_and(|rollup| !rollup.has_traces()) {
                without.push(place);
            }
        }
        without
    }

    /// Looks at the split traces, slice by slice.
    async fn mend(
        &self,
        rows: &Arc<Rows>,
        split: &Split,
        elsewhere: &Arc<Elsewhere>,
        sums: &mut Sums,
    ) -> Result<Mends> {
        let mut mends = Mends::default();
        if split.traces.is_empty() {
            return Ok(mends);
        }
        let (counted, all) = (Arc::clone(rows), split.slice(0, 1).1);
        let count = aside("count split traces", move || counted.count(&all)).await?;
        let slices = count.div_ceil(SLICE_ROWS).max(1) as u64;
        for number in 0..slices {
            let (own, all) = split.slice(number, slices);
            let (parts, places) = self.parts(rows, Arc::new(all)).await?;
            let mended = self.mend_slice(parts, own, elsewhere, sums).await?;
            mended.known.into_iter().for_each(|known| mends.add(known, &places));
            sums.mend(mended.plus, &mended.minus);
        }
        Ok(mends)
    }

    async fn mend_slice(
        &self,
        parts: Parts,
        own: Hashes,
        elsewhere: &Arc<Elsewhere>,
        sums: &Sums,
    ) -> Result<Mended> {
        let (attributes, elsewhere) = (Arc::clone(&self.attributes), Arc::clone(elsewhere));
        let counted = sums.counted();
        let work = move || {
            let Some((slot_nano, rollups)) = counted else {
                return mend(&parts, &attributes, None);
            };
            let counting = Counting {
                slot_nano,
                counts: &|trace: &TraceId| own.contains(&hash(trace)),
                was_open: &|file, trace| rollups[usize::from(file)].is_open(trace),
                elsewhere: &|trace| elsewhere.may_hold(trace),
            };
            mend(&parts, &attributes, Some(&counting))
        };
        aside("mend traces", work).await?
    }

    /// The spans of `traces`, and for each its file, row group and row.
    async fn parts(
        &self,
        rows: &Arc<Rows>,
        traces: Arc<Hashes>,
    ) -> Result<(Parts, Vec<(usize, usize, usize)>)> {
        let mut parts = Parts { batches: Vec::new(), files: Vec::new() };
        let mut places = Vec::new();
        for (file, source) in self.sources.iter().enumerate() {
            let wanted = |name: &str| is_needed(name, &source.file, &self.attributes);
            for group in 0..source.groups() {
                let (rows, traces) = (Arc::clone(rows), Arc::clone(&traces));
                let of_group = move || rows.of_group((file, group), &traces);
                let ranges = aside("find split traces", of_group).await?;
                if ranges.is_empty() {
                    continue;
                }
                places.extend(ranges.iter().cloned().flatten().map(|row| (file, group, row)));
                let selection = selection(ranges, source.rows(group));
                let spans = source.spans(group, &wanted, Some(selection), &self.attributes).await?;
                parts.batches.extend(spans);
            }
            parts.files.resize(places.len(), u16::try_from(file).unwrap_or(u16::MAX));
        }
        Ok((parts, places))
    }

    /// The columns of the new file, in the order of the schema.
    fn fields(&self, mends: &Mends) -> Vec<FieldRef> {
        let is_mended = |name: &str| mends.columns().any(|column| column == name);
        let schema = self.attributes.schema();
        let fields = schema.fields().iter().filter(|field| {
            let name = field.name().as_str();
            is_mended(name) || self.sources.iter().any(|source| !source.leaves(name).is_empty())
        });
        fields.map(crate::flush::plain).collect()
    }

    /// Copies row group by row group.
    async fn write(&self, path: &str, mends: Mends) -> Result<Written> {
        let failed = |source| Error::Parquet { step: "join", path: path.into(), source };
        let mut upload = Upload::new(self.table.object_store(), path);
        let mut splice = Splice::new(self.fields.clone()).map_err(failed)?;
        self.check(&splice)?;
        for (file, source) in self.sources.iter().enumerate() {
            for group in 0..source.groups() {
                let mended = mends.of_group(source, (file, group), &self.attributes).await?;
                let copy = Copy {
                    fetched: source.fetch_group(group).await?,
                    sources: Arc::clone(&self.sources),
                    place: (file, group),
                    fields: self.fields.clone(),
                    mended,
                };
                let done = aside("join files", move || copy.into(splice)).await?;
                let bytes;
                (splice, bytes) = done.map_err(failed)?;
                upload.write(bytes).await?;
            }
        }
        let (rest, metadata) = splice.finish().map_err(failed)?;
        upload.write(rest.clone()).await?;
        let stats = stats::to_json(&metadata);
        let uploaded = upload.finish().await?;
        let footer = Footer::of(&rest, uploaded.bytes, &metadata);
        Ok(Written { uploaded, footer, stats })
    }

    /// An error that names the file where one stores a column in another way than files do now.
    fn check(&self, splice: &Splice) -> Result<()> {
        for source in self.sources.iter() {
            for (place, field) in self.fields.iter().enumerate() {
                let leaves = source.leaves(field.name());
                if !leaves.is_empty() && !splice.takes(place, &source.metadata, leaves.start) {
                    let what = format!("column {} is stored in another way", field.name());
                    return Err(Error::Parquet {
                        step: "join",
                        path: source.file.path.clone(),
                        source: parquet::errors::ParquetError::General(what),
                    });
                }
            }
        }
        Ok(())
    }
}

/// One row group on its way.
struct Copy {
    fetched: Fetched,
    sources: Arc<[Source]>,
    /// File and row group.
    place: (usize, usize),
    fields: Vec<FieldRef>,
    mended: Vec<MendedColumn>,
}

impl Copy {
    fn into(self, mut splice: Splice) -> parquet::errors::Result<(Splice, Bytes)> {
        let (file, group) = self.place;
        let source = &self.sources[file];
        let mut pieces = Vec::with_capacity(self.fields.len());
        for (place, field) in self.fields.iter().enumerate() {
            let leaves = source.leaves(field.name());
            let mended = self.mended.iter().find(|column| column.name == field.name());
            pieces.push(match mended {
                Some(column) => splice.keys(place, &column.keys, column.texts().as_slice())?,
                None if leaves.is_empty() => splice.nulls(place, source.rows(group))?,
                None => {
                    let chunk = |leaf| Chunk::of(&source.metadata, (group, leaf), &self.fetched);
                    Piece::Stored(leaves.map(chunk).collect::<parquet::errors::Result<_>>()?)
                }
            });
        }
        let bytes = splice.push(pieces)?;
        Ok((splice, bytes))
    }
}

/// A data file that is there.
struct Written {
    uploaded: Uploaded,
    footer: Option<Footer>,
    stats: String,
}

/// Of so many rows, in whose JSON these attributes lie.
fn sidecar(rows: &Rows, (number, rest): (u64, Vec<(AttributeScope, String)>)) -> Sidecar {
    let distinct = rows.distinct();
    let spans = usize::try_from(number).unwrap_or(usize::MAX);
    let filter = TraceFilter::of_hashes(&distinct, spans);
    Sidecar { rows: number, traces: distinct.len() as u64, filter, rest }
}

/// What lies in the JSON of any of `files`.
fn rest(files: &[Arc<DataFile>]) -> Vec<(AttributeScope, String)> {
    let keys = files.iter().filter_map(|file| file.rest.as_ref()).flat_map(|rest| rest.iter());
    keys.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a column tells about callers, or counts in a rollup.
pub(crate) fn is_needed(name: &str, file: &DataFile, attributes: &AttributeColumns) -> bool {
    const ALSO: [&str; 3] = [column::PARENT_SPAN_ID, column::WEIGHT, column::LINKS];
    let counts = |key: &str| attribute::all().any(|known| known == key);
    let is_required = |name: &str| {
        fixed_fields().iter().any(|field| field.name() == name && !field.is_nullable())
    };
    if name == column::ATTRIBUTES {
        return attribute::all().any(|key| file.may_hold_rest(AttributeScope::Span, key));
    }
    is_required(name)
        || ALSO.contains(&name)
        || MENDED.contains(&name)
        || attributes.as_slice().iter().any(|column| {
            column.column == name && column.scope == AttributeScope::Span && counts(&column.key)
        })
}
