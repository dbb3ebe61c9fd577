//! Encodes sorted Parquet files, a column of all files at a time.
//!
//! How each column is written is in [`super::layout`], with its figures in docs/format.md#file. Columns of keys are
//! encoded by [`super::chunk`]; times, truths and lists by the stock writer.
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::datatypes::{FieldRef, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::Int64Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};

use super::chunk::value::Values;
use super::chunk::{EncodedChunk, Encoder};
use super::{layout, page, splice};

/// Rows of a row group at most.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 20;
/// More threads than this would only wait for the few wide columns.
const THREADS_MAX: usize = 4;

/// A finished file.
#[derive(Debug)]
pub(crate) struct EncodedFile {
    pub(crate) bytes: Bytes,
    pub(crate) metadata: ParquetMetaData,
}

/// Files to be written: their columns, and which places of the sorted rows go into each.
pub(crate) struct Plan {
    schema: Arc<Schema>,
    parquet: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    /// By file, then row group.
    places: Vec<Vec<Range<usize>>>,
    /// The first Parquet column of each field.
    leaves: Vec<usize>,
}

impl Plan {
    /// One file for each of `files`, all with the columns `fields`.
    pub(crate) fn new(fields: Vec<FieldRef>, files: &[Range<usize>]) -> Result<Self> {
        let schema = Arc::new(Schema::new(fields));
        let parquet = Arc::new(ArrowSchemaConverter::new().convert(&schema)?);
        let mut leaves = Vec::with_capacity(schema.fields().len());
        let mut next = 0;
        for field in schema.fields() {
            leaves.push(next);
            next += layout::leaves(field.data_type());
        }
        let groups = |file: &Range<usize>| {
            let starts = file.clone().step_by(ROW_GROUP_ROWS);
            starts.map(|start| start..file.end.min(start + ROW_GROUP_ROWS)).collect()
        };
        Ok(Self {
            properties: Arc::new(layout::properties(&schema)),
            schema,
            parquet,
            places: files.iter().map(groups).collect(),
            leaves,
        })
    }

    /// Encodes the files. `write` makes the column with this index in the order of the sorted rows and hands it to
    /// the writer; it is called for several columns at a time where there are processors for it, each call with the
    /// memory that `memory` makes once for a thread.
    pub(crate) fn encode<M: Send>(
        &self,
        memory: impl Fn() -> M + Sync,
        write: impl Fn(&mut ColumnWriter<'_>, &mut M) -> Result<()> + Sync,
    ) -> Result<Vec<EncodedFile>> {
        let mut columns = self.run(&memory, &write)?;
        let mut files = Vec::with_capacity(self.places.len());
        for index in 0..self.places.len() {
            let groups = columns.iter_mut().map(|column| std::mem::take(&mut column[index]));
            files.push(self.assemble(groups.collect(), self.places[index].len())?);
        }
        Ok(files)
    }

    /// Works through the columns on a few threads; the results are in the order of the columns.
    fn run<M: Send>(
        &self,
        memory: &(impl Fn() -> M + Sync),
        write: &(impl Fn(&mut ColumnWriter<'_>, &mut M) -> Result<()> + Sync),
    ) -> Result<Vec<ColumnChunks>> {
        let count = self.schema.fields().len();
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<ColumnChunks>>>> =
            (0..count).map(|_| Mutex::new(None)).collect();
        let work = || -> Result<()> {
            let (mut encoder, mut memory) = (Encoder::new()?, memory());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(result) = results.get(index) else { return Ok(()) };
                let mut column = ColumnWriter::new(self, index, &mut encoder);
                let written = write(&mut column, &mut memory).map(|()| column.files);
                *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
            }
        };
        // Half of the processors: the others receive meanwhile.
        let threads = std::thread::available_parallelism().map_or(1, usize::from) / 2;
        std::thread::scope(|scope| {
            for _ in 1..threads.min(THREADS_MAX) {
                scope.spawn(work);
            }
            work()
        })?;
        let missing = || Err(ParquetError::General("a column was not encoded".into()));
        let results = results.into_iter();
        results
            .map(|result| {
                result.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(missing)
            })
            .collect()
    }

    /// Puts the chunks (by column, row group) together.
    fn assemble(&self, columns: Vec<Vec<Chunk>>, row_groups: usize) -> Result<EncodedFile> {
        let bytes: usize = columns.iter().flatten().map(Chunk::bytes).sum();
        let footer = columns.len() * FOOTER_BYTES_PER_COLUMN;
        let mut writer = self.open(Vec::with_capacity(bytes + footer))?;
        let mut columns: Vec<_> = columns.into_iter().map(IntoIterator::into_iter).collect();
        for _ in 0..row_groups {
            let mut row_group = writer.next_row_group()?;
            for groups in &mut columns {
                match groups.next() {
                    Some(Chunk::Own(chunk)) => {
                        row_group.append_column(&chunk.bytes, chunk.close)?;
                    }
                    Some(Chunk::Stock(leaves)) => {
                        for leaf in leaves {
                            row_group.append_column(&leaf.bytes, leaf.close)?;
                        }
                    }
                    None => return Err(ParquetError::General("a row group lacks a column".into())),
                }
            }
            row_group.close()?;
        }
        let metadata = writer.finish()?;
        let bytes = std::mem::take(writer.inner_mut());
        Ok(EncodedFile { bytes: bytes.into(), metadata })
    }

    /// The field with this index.
    pub(crate) fn field(&self, index: usize) -> &FieldRef {
        &self.schema.fields()[index]
    }

    /// Its Parquet columns.
    pub(crate) fn columns(&self, index: usize) -> &[ColumnDescPtr] {
        let end = self.leaves.get(index + 1).copied().unwrap_or(self.parquet.num_columns());
        &self.parquet.columns()[self.leaves[index]..end]
    }

    /// An empty file with these columns.
    pub(crate) fn open(&self, out: Vec<u8>) -> Result<SerializedFileWriter<Vec<u8>>> {
        let root = self.parquet.root_schema_ptr();
        SerializedFileWriter::new(out, root, Arc::clone(&self.properties))
    }
}

/// A guess, so that the file's memory is seldom moved.
const FOOTER_BYTES_PER_COLUMN: usize = 2048;

/// One column of one row group.
enum Chunk {
    Own(Box<EncodedChunk>),
    /// By leaf.
    Stock(Vec<EncodedChunk>),
}

impl Chunk {
    fn bytes(&self) -> usize {
        match self {
            Self::Own(chunk) => chunk.bytes.len(),
            Self::Stock(leaves) => leaves.iter().map(|leaf| leaf.bytes.len()).sum(),
        }
    }
}

/// Chunks of one column, by file and row group.
type ColumnChunks = Vec<Vec<Chunk>>;

/// What the stock writer makes of a column, with our checksums; by leaf.
pub(crate) fn encode_array(field: &FieldRef, array: &ArrayRef) -> Result<Vec<EncodedChunk>> {
    // A file of this column alone, because the stock writer makes writers for all columns of a schema at once.
    let alone = Plan::new(vec![Arc::clone(field)], &[])?;
    let mut file = alone.open(Vec::new())?;
    let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&alone.schema));
    let mut writers = factory.create_column_writers(0)?;
    for (writer, leaf) in writers.iter_mut().zip(compute_leaves(field, array)?) {
        writer.write(&leaf)?;
    }
    let mut row_group = file.next_row_group()?;
    for leaf in writers.into_iter().map(ArrowColumnWriter::close) {
        leaf?.append_to_row_group(&mut row_group)?;
    }
    row_group.close()?;
    let metadata = file.finish()?;
    let bytes = std::mem::take(file.inner_mut());
    let leaf = |leaf| {
        let (start, length) = metadata.row_group(0).column(leaf).byte_range();
        let range = usize::try_from(start).ok().zip(usize::try_from(start + length).ok());
        let pages = range.and_then(|(start, end)| bytes.get(start..end));
        let lost = || ParquetError::General("a column has no pages".into());
        page::checked(pages.ok_or_else(lost)?, splice::close_of(&metadata, (0, leaf)))
    };
    (0..metadata.row_group(0).num_columns()).map(leaf).collect()
}

/// Receives one column of all files.
pub(crate) struct ColumnWriter<'a> {
    plan: &'a Plan,
    index: usize,
    encoder: &'a mut Encoder,
    files: ColumnChunks,
}

impl<'a> ColumnWriter<'a> {
    fn new(plan: &'a Plan, index: usize, encoder: &'a mut Encoder) -> Self {
        Self { plan, index, encoder, files: Vec::with_capacity(plan.places.len()) }
    }

    /// The column's field.
    pub(crate) fn field(&self) -> &'a FieldRef {
        &self.plan.schema.fields()[self.index]
    }

    /// Writes rows in sorted order, each a key into `values`.
    pub(crate) fn write_keys<V: Values + ?Sized>(
        &mut self,
        keys: &[u32],
        values: &V,
    ) -> Result<()> {
        let descr = self.descr();
        let layout = layout::layout(self.field().name());
        self.write(|encoder, places| {
            let chunk = encoder.encode(&descr, layout, &keys[places], values)?;
            Ok(Chunk::Own(Box::new(chunk)))
        })
    }

    /// Writes times in sorted order, which never are null.
    pub(crate) fn write_times(&mut self, times: &[i64]) -> Result<()> {
        let descr = self.descr();
        let properties = &self.plan.properties;
        self.write(|_, places| {
            let mut sink = TrackedWrite::new(Vec::new());
            let pages = Box::new(SerializedPageWriter::new(&mut sink));
            let (descr, properties) = (Arc::clone(&descr), Arc::clone(properties));
            let mut writer = ColumnWriterImpl::<Int64Type>::new(descr, properties, pages);
            writer.write_batch(&times[places], None, None)?;
            let close = writer.close()?;
            let chunk = page::checked(&sink.into_inner()?, close)?;
            Ok(Chunk::Own(Box::new(chunk)))
        })
    }

    /// Writes `array`; its rows in sorted order are `rows`.
    pub(crate) fn write_array(&mut self, array: &ArrayRef, rows: &[u32]) -> Result<()> {
        let field = self.field();
        self.write(|_, places| {
            let rows = UInt32Array::from(rows[places].to_vec());
            let sorted = arrow::compute::take(array, &rows, None)?;
            encode_array(field, &sorted).map(Chunk::Stock)
        })
    }

    fn write(
        &mut self,
        mut encode: impl FnMut(&mut Encoder, Range<usize>) -> Result<Chunk>,
    ) -> Result<()> {
        for groups in &self.plan.places {
            let mut chunks = Vec::with_capacity(groups.len());
            for places in groups {
                chunks.push(encode(self.encoder, places.clone())?);
            }
            self.files.push(chunks);
        }
        Ok(())
    }

    fn descr(&self) -> ColumnDescPtr {
        self.plan.parquet.column(self.plan.leaves[self.index])
    }
}
