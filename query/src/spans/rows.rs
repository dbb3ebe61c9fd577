//! Rows of one file by their place in it, across its row groups.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use parquet::file::metadata::ParquetMetaData;
use storage::DataFile;

use super::Tables;
use super::files::partitioned;
use super::known::Known;
use super::pick::Pick;
use super::reader::{Reader, Readers};
use super::select::{Condition, exactly};
use super::shape::Shape;

/// A file whose footer was read.
#[derive(Debug)]
pub(crate) struct FileRows {
    readers: Readers,
    file: Arc<DataFile>,
    metadata: Arc<ParquetMetaData>,
    known: Arc<Known>,
    /// Where each row group ends.
    ends: Vec<usize>,
}

impl FileRows {
    /// Opens `file` of `tables`.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub(crate) async fn open(
        state: &dyn Session,
        tables: &Tables,
        file: &Arc<DataFile>,
    ) -> Result<Self> {
        let readers = Readers::new(state, Arc::clone(&tables.snapshot.object_store));
        let metadata = reader(&readers, file)?.get_metadata(None).await?;
        let mut end = 0usize;
        let ends = metadata.row_groups().iter().map(|group| {
            end = end.saturating_add(usize::try_from(group.num_rows()).unwrap_or(0));
            end
        });
        let ends = ends.collect();
        let known = Arc::clone(&tables.known);
        Ok(Self { readers, file: Arc::clone(file), metadata, known, ends })
    }

    /// The rows for which all `conditions` hold, as ranges that rise; `None` where dictionaries do not tell it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn matching(
        &self,
        conditions: &[Condition],
    ) -> Result<Option<Vec<Range<usize>>>> {
        let mut reader = reader(&self.readers, &self.file)?;
        let file = (self.file.path.as_str(), &self.known.chosen);
        let mut all = Vec::new();
        for (row_group, end) in self.metadata.row_groups().iter().zip(&self.ends) {
            let begin = end - usize::try_from(row_group.num_rows()).unwrap_or(0);
            let Some(ranges) = exactly(file, (&mut reader, row_group), conditions).await? else {
                return Ok(None);
            };
            all.extend(ranges.into_iter().map(|range| range.start + begin..range.end + begin));
        }
        Ok(Some(all))
    }

    /// Who stands above whom; `None` where the file is not as we write files.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn shape(&self) -> Result<Option<Shape>> {
        Shape::read(&|| reader(&self.readers, &self.file), &self.metadata).await
    }

    /// The rows at `wanted`, which rise, with the columns of `schema`; `None` as for [`Self::shape`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn pick(
        &self,
        wanted: &[usize],
        schema: &SchemaRef,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let mut batches = Vec::new();
        let (mut rest, mut begin) = (wanted, 0);
        for (group, end) in self.ends.iter().enumerate() {
            let (here, behind) = rest.split_at(rest.partition_point(|row| row < end));
            rest = behind;
            if !here.is_empty() {
                let pick = Pick {
                    open: &|| reader(&self.readers, &self.file),
                    open_pages: &|| {
                        self.readers.pages_of(&self.file, &ExecutionPlanMetricsSet::new())
                    },
                    metadata: &self.metadata,
                    group,
                    rows: here.iter().map(|row| row - begin).collect(),
                    path: self.file.path.as_str().into(),
                    dictionaries: &self.known.dictionaries,
                };
                let Some(batch) = pick.read(schema).await? else { return Ok(None) };
                batches.push(batch);
            }
            begin = *end;
        }
        Ok(Some(batches))
    }
}

fn reader(readers: &Readers, file: &Arc<DataFile>) -> Result<Reader> {
    readers.create_reader(0, partitioned(file), None, &ExecutionPlanMetricsSet::new())
}
