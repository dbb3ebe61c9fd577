//! Which file was it? The reader of Parquet does not say, so the files are compared with their checksums. What was found is
//! remembered: a page that asks every few seconds must not have the whole table read each time.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use storage::{DataFile, Kind, Snapshot};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Error;

/// So long is looked at most: an error must not become a timeout.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Looking through all files takes no larger share of the time than one part in so many.
const SHARE: u32 = 20;
/// And not more often than this.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// What is known of damaged files.
#[derive(Debug, Default)]
pub(super) struct Damage(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// Paths of files that were not as they were written when they were last compared.
    damaged: BTreeSet<String>,
    /// All files are not compared again before.
    next_look: Option<Instant>,
}

impl Damage {
    /// Where `error` says that a file is damaged: names in the log the files that are not as they were written. Those
    /// known are compared first, and the others only where it was none of them. While one looks, others do not wait.
    pub(super) async fn name(&self, error: &Error, snapshot: &Snapshot) {
        self.name_at(Instant::now(), error, snapshot).await;
    }

    async fn name_at(&self, now: Instant, error: &Error, snapshot: &Snapshot) {
        if error.kind != Kind::Corrupt {
            return;
        }
        let Ok(mut found) = self.0.try_lock() else { return };
        if found.look_again(snapshot).await {
            return;
        }
        if found.next_look.is_some_and(|next| now < next) {
            tracing::error!("a data file is damaged; which one was looked for a moment ago");
            return;
        }
        let begun = Instant::now();
        if tokio::time::timeout(TIME_MAX, found.look(snapshot)).await.is_err() {
            tracing::error!(
                "more files than could be compared in time; run spanlake doctor --scrub"
            );
        }
        found.next_look = Some(now + PAUSE_MIN.max(begun.elapsed() * (SHARE + 1)));
    }
}

impl Found {
    /// True where a file that was damaged still is.
    async fn look_again(&mut self, snapshot: &Snapshot) -> bool {
        let known = std::mem::take(&mut self.damaged);
        for file in snapshot.files.iter().filter(|file| known.contains(&file.path)) {
            self.compare(file, snapshot).await;
        }
        !self.damaged.is_empty()
    }

    /// The newest files first: most questions are about them.
    async fn look(&mut self, snapshot: &Snapshot) {
        for file in snapshot.files.iter().rev() {
            self.compare(file, snapshot).await;
        }
    }

    async fn compare(&mut self, file: &Arc<DataFile>, snapshot: &Snapshot) {
        if let Err(error) = file.read_checked(&snapshot.object_store).await {
            let path = &file.path;
            let error = &error as &dyn std::error::Error;
            tracing::error!(path, error, "a data file is damaged; the others are served");
            self.damaged.insert(path.clone());
        }
    }
}

#[cfg(test)]
mod tests;
