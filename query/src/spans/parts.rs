//! Row groups of files, which partitions share: whichever is free takes the next.
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::reader::{Reader, Readers};

/// See the module.
pub(super) struct Parts {
    left: Mutex<VecDeque<Part>>,
    files: usize,
}

enum Part {
    File(PartitionedFile),
    RowGroup(PartitionedFile, usize),
}

/// A row group of a file that is open.
pub(super) struct RowGroup {
    pub(super) file: PartitionedFile,
    pub(super) reader: Reader,
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) number: usize,
}

impl Parts {
    /// All of the files of `scan`, each once and whole, though a large one may be in several of its groups.
    pub(super) fn of(scan: &FileScanConfig) -> Self {
        let mut seen = HashSet::new();
        let files = scan.file_groups.iter().flat_map(FileGroup::iter);
        let once = files.filter(|file| seen.insert(file.object_meta.location.clone()));
        let whole = once.map(|file| PartitionedFile { range: None, ..file.clone() });
        let left: VecDeque<Part> = whole.map(Part::File).collect();
        Self { files: left.len(), left: Mutex::new(left) }
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    fn left(&self) -> MutexGuard<'_, VecDeque<Part>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next row group that nobody has taken; `None` after the last.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) async fn next(
        &self,
        readers: &Readers,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Option<RowGroup>> {
        loop {
            let Some(part) = self.left().pop_front() else { return Ok(None) };
            let (Part::File(file) | Part::RowGroup(file, _)) = &part;
            let file = file.clone();
            let mut reader = readers.create_reader(0, file.clone(), None, metrics)?;
            let metadata = reader.get_metadata(None).await?;
            let number = match part {
                Part::RowGroup(_, number) => number,
                Part::File(_) => {
                    let mut left = self.left();
                    for number in (1..metadata.num_row_groups()).rev() {
                        left.push_front(Part::RowGroup(file.clone(), number));
                    }
                    0
                }
            };
            if number < metadata.num_row_groups() {
                return Ok(Some(RowGroup { file, reader, metadata, number }));
            }
        }
    }
}

impl RowGroup {
    /// What it says of itself.
    pub(super) fn of(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.number)
    }

    /// The part of the file that it is; `None` where it lies nowhere.
    pub(super) fn part(&self) -> Option<PartitionedFile> {
        let first = self.of().columns().first()?;
        let start = first.dictionary_page_offset().unwrap_or_else(|| first.data_page_offset());
        Some(self.file.clone().with_range(start, start.checked_add(1)?))
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files", self.files)
    }
}
