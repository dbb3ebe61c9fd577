//! After a start: which traces the newest files hold, and in which class, as the process before knew it.
//!
//! Without it, a trace of several roots that was stored in two parts, one before and one after the restart, would count as two,
//! and what comes later of a trace would not follow it into its class.
use std::sync::Arc;

use futures::StreamExt;

use super::policy::KEPT_CLASS;
use super::scan::{self, Traces};
use crate::snapshot::DataFile;
use crate::table::Table;

/// Files that were written longer ago than this are not looked at: their traces have ended.
const AGE_MILLI: i64 = 3_600_000;
/// So many at most, the newest.
const FILES_MAX: usize = 32;
/// Spans in them at most.
const ROWS_MAX: u64 = 8 << 20;
/// Read at a time.
const PARALLEL: usize = 4;

impl Table {
    /// Reads the trace ids of the newest files. What cannot be read is not recalled.
    pub(crate) async fn recall(&self) {
        let state = self.state();
        let since = self.clock().now_unix_nano() / 1_000_000 - AGE_MILLI;
        let mut files: Vec<&Arc<DataFile>> =
            state.files.iter().filter(|file| file.modified_unix_milli >= since).collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.modified_unix_milli));
        files.truncate(FILES_MAX);
        let mut rows = 0;
        files.retain(|file| {
            rows += file.rows;
            rows <= ROWS_MAX
        });
        // The newest last: it is remembered longest.
        files.reverse();
        let reads = files.into_iter().map(|file| async move {
            let mut traces = Traces::default();
            let read = scan::traces(self.object_store(), file, &mut traces).await;
            (file, read.map(|()| traces))
        });
        let mut reads = futures::stream::iter(reads).buffered(PARALLEL);
        let classifier = self.classifier();
        while let Some((file, read)) = reads.next().await {
            match read {
                Ok(traces) => {
                    let traces: Vec<[u8; 16]> = traces.into_iter().collect();
                    if file.class() != KEPT_CLASS {
                        classifier.recall(file.class(), &traces);
                    }
                    self.seen().add(&traces);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(path = file.path, error, "traces not recalled");
                }
            }
        }
    }
}
