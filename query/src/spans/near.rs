//! Reads of a file in a folder of this machine, right on the thread that asks.
//!
//! The stock reader hands each read to another thread and waits for it. Where a few pages are copied out of the system's
//! memory, waking two threads takes ten times as long as the copy. A page that lies on the disk alone keeps the thread
//! waiting; threads of queries do nothing else, and a trace needs a few hundred pages.
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

/// See the module. Opens the file when it is read first.
pub(super) struct Near {
    path: PathBuf,
    /// With its length.
    file: Option<(File, u64)>,
    bytes_scanned: Count,
}

impl Near {
    /// A reader of the file at `path` that counts what it reads, as the stock reader does.
    pub(super) fn new(path: PathBuf, metrics: &ExecutionPlanMetricsSet) -> Self {
        let name = path.display().to_string();
        let metric = MetricBuilder::new(metrics).with_new_label("filename", name);
        Self { path, file: None, bytes_scanned: metric.counter("bytes_scanned", 0) }
    }

    /// What lies at `ranges`.
    ///
    /// # Errors
    /// The file cannot be opened or read, or is shorter.
    pub(super) fn read(&mut self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let (file, length) = match &mut self.file {
            Some(open) => open,
            closed => {
                let file = File::open(&self.path)?;
                let length = file.metadata()?.len();
                closed.insert((file, length))
            }
        };
        let mut read = Vec::with_capacity(ranges.len());
        for range in ranges {
            if range.end > *length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = range.end.checked_sub(range.start).map(usize::try_from);
            let Some(Ok(bytes)) = bytes else { return Err(io::ErrorKind::InvalidInput.into()) };
            let mut buffer = vec![0; bytes];
            file.read_exact_at(&mut buffer, range.start)?;
            self.bytes_scanned.add(bytes);
            read.push(Bytes::from(buffer));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
