//! Compaction: small files become large ones, off the ingest path, one Delta commit a step.
//!
//! ```text
//! plan (which files) -> merge: read (checked) -> drop duplicates -> sort, resolve, encode as a flush does -> write -> commit
//!                    -> join:  copy row groups (checked), mend what the files did not know of each other   -> write -> commit
//! ```
//! A merge decodes what it reads, and is limited to what memory can hold; a join holds one row group at a time.
//! Owns no state of the table: a step reads files of one snapshot and hands the commit to the flusher, which refuses
//! it where one of those files has left the table meanwhile. Until the commit, what was written is an orphan that
//! nobody sees; so a crash between any two steps is harmless. A file that cannot be read is parked: named in the log,
//! counted, and left alone, while the others go on.
pub(crate) mod aside;
mod duplicates;
pub(crate) mod elsewhere;
mod join;
mod mends;
mod plan;
pub(crate) mod read;
mod rest;
pub(crate) mod source;
pub(crate) mod split;
mod sums;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Kind, Result};
use crate::metrics::{Counter, Metric, Shape};
use crate::snapshot::DataFile;
use crate::table::{NewFile, Table};
use crate::{SpanBatch, flush};
use aside::aside;
use elsewhere::Elsewhere;
pub(crate) use elsewhere::HORIZON_NANO;
use join::Join;
pub(crate) use join::is_needed;
use plan::Step;
use source::Source;

/// What one step made.
#[derive(Debug)]
pub(crate) struct Merged {
    /// The files that it read.
    pub(crate) inputs: Vec<Arc<DataFile>>,
    /// What takes their place.
    pub(crate) outputs: Vec<NewFile>,
    /// Spans left out because they were stored twice.
    pub(crate) duplicates: u64,
}

/// Which files may be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Those of hours and dates that are over and quiet, and some of others, so that nothing is rewritten often.
    WhenQuiet,
    /// All that are not full, as if no more spans would come.
    Now,
}

/// Works step by step; keeps what must not be tried again.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    parked: Mutex<HashSet<String>>,
    steps: Counter,
    files: Counter,
    rows: Counter,
    duplicates: Counter,
}

impl Compactor {
    /// Does the next step up to the commit; `None` where nothing is worth it now.
    ///
    /// # Errors
    /// A file could not be read for now, or written; the next call tries again.
    pub(crate) async fn step(&self, table: &Table, due: Due) -> Result<Option<Merged>> {
        loop {
            let now = match due {
                Due::WhenQuiet => table.clock().now_unix_nano(),
                Due::Now => i64::MAX,
            };
            let Some(step) = plan::next(&table.state().files, &self.parked(), now) else {
                return Ok(None);
            };
            let done = match step {
                Step::Merge(inputs) => self.merge(table, inputs).await,
                Step::Join(inputs) => self.join(table, &inputs).await,
            };
            // Where a file was parked, the step is planned anew without it.
            if let Some(merged) = done? {
                return Ok(Some(merged));
            }
        }
    }

    /// Takes note of a step that was committed.
    pub(crate) fn committed(&self, merged: &Merged) {
        self.steps.add(1);
        self.files.add(merged.inputs.len() as u64);
        self.rows.add(merged.inputs.iter().map(|file| file.rows).sum());
        self.duplicates.add(merged.duplicates);
        tracing::debug!(
            files = merged.inputs.len(),
            into = merged.outputs.len(),
            duplicates = merged.duplicates,
            "files merged"
        );
    }

    /// `None` where a file had to be parked.
    async fn merge(&self, table: &Table, inputs: Vec<Arc<DataFile>>) -> Result<Option<Merged>> {
        let (store, columns) = (table.object_store(), Arc::clone(&table.state().columns));
        let mut batches = Vec::new();
        for file in &inputs {
            match self.usable(file, read::read(Arc::clone(&store), file, &columns).await)? {
                Some(read) => batches.extend(read),
                None => return Ok(None),
            }
        }
        crate::fault::point("merge: files read");
        merge(table, inputs, batches).await.map(Some)
    }

    /// `None` where a file had to be parked.
    async fn join(&self, table: &Table, inputs: &[Arc<DataFile>]) -> Result<Option<Merged>> {
        let mut sources = Vec::with_capacity(inputs.len());
        for file in inputs {
            match self.usable(file, Source::open(table.object_store(), file).await)? {
                Some(source) => sources.push(source),
                None => return Ok(None),
            }
        }
        match Join::new(table, sources).run().await {
            Err(error) => {
                let is_of = |file: &&Arc<DataFile>| match &error {
                    Error::Parquet { path, .. } => file.path == *path,
                    _ => false,
                };
                match inputs.iter().find(is_of) {
                    Some(file) => self.usable(file, Err(error)),
                    None => Err(error),
                }
            }
            joined => joined.map(Some),
        }
    }

    /// Parks the file where reading it again would fail again.
    fn usable<T>(&self, file: &DataFile, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if is_lasting(&error) => {
                tracing::error!(
                    path = file.path,
                    error = &error as &dyn std::error::Error,
                    "file not readable: left out of compaction"
                );
                self.parked
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(file.path.clone());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn parked(&self) -> HashSet<String> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For `/metrics`.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        vec![
            self.steps.metric("spanlake_compactions_total", "Compaction steps committed."),
            self.files.metric("spanlake_compacted_files_total", "Files merged into larger ones."),
            self.rows.metric("spanlake_compacted_spans_total", "Spans rewritten by compaction."),
            self.duplicates.metric(
                "spanlake_compaction_duplicates_total",
                "Spans that were stored twice, dropped by compaction.",
            ),
            Metric {
                name: "spanlake_compaction_parked_files",
                help: "Files that compaction leaves alone because they cannot be read.",
                shape: Shape::Gauge,
                labels: Vec::new(),
                value: self.parked().len() as f64,
            },
        ]
    }
}

/// Whether reading the file again would fail again.
fn is_lasting(error: &Error) -> bool {
    error.kind() == Kind::Corrupt || matches!(error, Error::Parquet { .. })
}

async fn merge(
    table: &Table,
    inputs: Vec<Arc<DataFile>>,
    batches: Vec<Arc<SpanBatch>>,
) -> Result<Merged> {
    let columns = Arc::clone(&table.state().columns);
    let elsewhere = Elsewhere::of(table, &inputs).await;
    let work = move || {
        let (batches, duplicates) = duplicates::drop_duplicates(batches).map_err(|error| {
            Error::Parquet { step: "compare", path: "files to merge".into(), source: error.into() }
        })?;
        let encoded = flush::encode(&batches, &columns, &|trace| elsewhere.may_hold(trace))?;
        Ok((encoded, duplicates))
    };
    let (encoded, duplicates) = aside("merge files", work).await??;
    crate::fault::point("merge: encoded");
    // All inputs are of one class.
    let class = inputs.first().and_then(|file| file.class.clone());
    let outputs = flush::write(table, flush::in_class(encoded.files, class.as_ref())).await?;
    crate::fault::point("merge: files written");
    Ok(Merged { inputs, outputs, duplicates })
}

#[cfg(test)]
mod tests;
