//! A data file that is read row group by row group: never more of it is in memory than one of them.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use xxhash_rust::xxh3::Xxh3Default;

use super::aside::aside;
use super::read;
use crate::batch::SpanBatch;
use crate::error::{Error, Result};
use crate::file::fetched::Fetched;
use crate::schema::AttributeColumns;
use crate::snapshot::DataFile;

/// Read at a time while a file's checksum is made.
const STEP_BYTES: u64 = 8 << 20;
/// A footer that is longer takes a second read.
const FOOTER_BYTES: usize = 512 << 10;
/// Smaller files are read at once, and kept.
pub(super) const WHOLE_BYTES: u64 = 128 << 10;
/// Rows of one batch.
const BATCH_ROWS: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<DataFile>,
    store: Arc<dyn ObjectStore>,
    path: Path,
    whole: Option<Fetched>,
    pub(crate) metadata: Arc<ParquetMetaData>,
    /// The stored fields.
    stored: SchemaRef,
}

/// Says which columns are wanted, by name.
pub(crate) type Wanted<'a> = &'a (dyn Fn(&str) -> bool + Sync);

impl Source {
    /// Opens `file` after a look at its checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Parquet`] where it is damaged; otherwise it could not be read.
    pub(crate) async fn open(store: Arc<dyn ObjectStore>, file: &Arc<DataFile>) -> Result<Self> {
        let path = file.path.clone();
        let failed = |source: object_store::Error| Error::ObjectStore {
            step: "read data file",
            path: path.clone(),
            source,
        };
        let location = Path::parse(&path).map_err(|error| failed(error.into()))?;
        let mut whole = None;
        if file.bytes <= WHOLE_BYTES {
            let bytes = file.read_checked(store.as_ref()).await?;
            let range = 0..file.bytes;
            whole = Some(Fetched::new(file.bytes, std::slice::from_ref(&range), vec![bytes]));
        } else {
            check(store.as_ref(), file, &location).await?;
        }
        let of_parquet =
            |source| Error::Parquet { step: "read the footer of", path: path.clone(), source };
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = match &whole {
            Some(fetched) => reader.parse_and_finish(fetched),
            None => {
                let footer = Footer { store: store.as_ref(), path: &location };
                let reader = reader.with_prefetch_hint(Some(FOOTER_BYTES));
                reader.load_and_finish(footer, file.bytes).await
            }
        };
        let metadata = metadata.map_err(of_parquet)?;
        let metadata = Arc::new(metadata);
        let stored = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options());
        let stored = Arc::clone(stored.map_err(of_parquet)?.schema());
        Ok(Self { file: Arc::clone(file), store, path: location, whole, metadata, stored })
    }

    /// Number of row groups.
    pub(crate) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Rows of a row group.
    pub(crate) fn rows(&self, group: usize) -> usize {
        usize::try_from(self.metadata.row_group(group).num_rows()).unwrap_or(0)
    }

    /// The Parquet columns of a field; none where the file lacks it.
    pub(crate) fn leaves(&self, name: &str) -> Range<usize> {
        let columns = self.metadata.file_metadata().schema_descr().columns();
        let is_of =
            |place: &usize| columns[*place].path().parts().first().is_some_and(|part| part == name);
        let first = (0..columns.len()).find(is_of).unwrap_or(columns.len());
        first..(first..columns.len()).take_while(is_of).last().map_or(first, |last| last + 1)
    }

    /// The bytes of the wanted columns of a row group, bloom filters left out.
    pub(crate) async fn fetch(&self, group: usize, wanted: Wanted<'_>) -> Result<Fetched> {
        let row_group = self.metadata.row_group(group);
        let mut ranges = Vec::new();
        for column in row_group.columns() {
            let name = column.column_path().parts().first().map_or("", String::as_str);
            if wanted(name) {
                let (start, length) = column.byte_range();
                ranges.push(start..start.saturating_add(length));
            }
        }
        self.fetch_ranges(&ranges).await
    }

    /// The bytes of a row group, with its bloom filters.
    pub(crate) async fn fetch_group(&self, group: usize) -> Result<Fetched> {
        let columns = self.metadata.row_group(group).columns();
        let filters = columns.iter().filter_map(|column| {
            let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
            Some(start..start.saturating_add(u64::try_from(column.bloom_filter_length()?).ok()?))
        });
        let chunks = columns.iter().map(|column| {
            let (start, length) = column.byte_range();
            start..start.saturating_add(length)
        });
        self.fetch_ranges(&chunks.chain(filters).collect::<Vec<_>>()).await
    }

    /// These bytes.
    async fn fetch_ranges(&self, ranges: &[Range<u64>]) -> Result<Fetched> {
        if let Some(whole) = &self.whole {
            return Ok(whole.clone());
        }
        let read = self.store.get_ranges(&self.path, ranges).await;
        let read = read.map_err(|source| Error::ObjectStore {
            step: "read data file",
            path: self.file.path.clone(),
            source,
        })?;
        Ok(Fetched::new(self.file.bytes, ranges, read))
    }

    /// The wanted columns of a row group, of the selected rows or of all, strings as dictionaries.
    ///
    /// # Errors
    /// The file is damaged, has columns that are not ours, or cannot be read.
    pub(crate) async fn read(
        &self,
        group: usize,
        wanted: Wanted<'_>,
        selection: Option<RowSelection>,
        attributes: &AttributeColumns,
    ) -> Result<Vec<RecordBatch>> {
        let fetched = self.fetch(group, wanted).await?;
        let failed = |source| Error::Parquet { step: "read", path: self.file.path.clone(), source };
        let in_memory = read::in_memory(&self.stored, &attributes.schema()).map_err(failed)?;
        let metadata = Arc::clone(&self.metadata);
        let schema = metadata.file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields().iter().enumerate();
        let places = fields.filter(|(_, field)| wanted(field.name())).map(|(place, _)| place);
        let mask = ProjectionMask::roots(schema, places.collect::<Vec<_>>());
        let decode = move || -> std::result::Result<Vec<RecordBatch>, ParquetError> {
            let options = options().with_schema(in_memory);
            let metadata = ArrowReaderMetadata::try_new(metadata, options)?;
            let mut reader = ParquetRecordBatchReaderBuilder::new_with_metadata(fetched, metadata)
                .with_row_groups(vec![group])
                .with_projection(mask)
                .with_batch_size(BATCH_ROWS);
            if let Some(selection) = selection {
                reader = reader.with_row_selection(selection);
            }
            reader.build()?.map(|batch| Ok(shrunk(batch?)?)).collect()
        };
        aside("read", decode).await?.map_err(failed)
    }

    /// [`Self::read`] as spans: columns that were not wanted are null.
    pub(crate) async fn spans(
        &self,
        group: usize,
        wanted: Wanted<'_>,
        selection: Option<RowSelection>,
        attributes: &AttributeColumns,
    ) -> Result<Vec<Arc<SpanBatch>>> {
        let batches = self.read(group, wanted, selection, attributes).await?;
        let failed = |source| Error::Parquet { step: "read", path: self.file.path.clone(), source };
        let spans = batches.iter().map(|batch| read::to_spans(batch, attributes));
        spans.collect::<std::result::Result<_, _>>().map_err(failed)
    }
}

/// Without the room to grow that the reader leaves behind, which can be as much again as the values: batches wait for all
/// others of their merge.
fn shrunk(batch: RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let (schema, mut columns, rows) = batch.into_parts();
    columns.iter_mut().for_each(Array::shrink_to_fit);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new()
}

/// Compares length and checksum with what the log says, piece by piece.
async fn check(store: &dyn ObjectStore, file: &DataFile, path: &Path) -> Result<()> {
    let failed =
        |source| Error::ObjectStore { step: "read data file", path: file.path.clone(), source };
    let corrupt = |detail| Error::Corrupt { path: file.path.clone(), detail };
    let found = store.head(path).await.map_err(failed)?.size;
    if found != file.bytes {
        let expected = file.bytes;
        return Err(corrupt(format!("{found} bytes long where the table says {expected}")));
    }
    let Some(expected) = file.checksum else { return Ok(()) };
    let mut hash = Xxh3Default::new();
    let mut at = 0;
    while at < file.bytes {
        let end = at.saturating_add(STEP_BYTES).min(file.bytes);
        hash.update(&store.get_range(path, at..end).await.map_err(failed)?);
        at = end;
    }
    match hash.digest128() {
        found if found == expected => Ok(()),
        found => {
            Err(corrupt(format!("checksum {found:032x} where the table says {expected:032x}")))
        }
    }
}

/// Reads a footer.
struct Footer<'a> {
    store: &'a dyn ObjectStore,
    path: &'a Path,
}

impl MetadataFetch for Footer<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let read = self.store.get_range(self.path, range);
        read.map(|read| read.map_err(|error| ParquetError::External(error.into()))).boxed()
    }
}
