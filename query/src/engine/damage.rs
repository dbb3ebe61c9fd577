//! Which file was it? The reader of Parquet does not say, so the files are compared with their checksums.
use std::time::Duration;

use storage::{Kind, Snapshot};

use crate::error::Error;

/// So long is looked at most: an error must not become a timeout.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Where `error` says that a file is damaged: names in the log every file that is not as it was written.
pub(super) async fn name(error: &Error, snapshot: &Snapshot) {
    if error.kind == Kind::Corrupt && tokio::time::timeout(TIME_MAX, look(snapshot)).await.is_err()
    {
        tracing::error!("more files than could be compared in time; run spanlake doctor --scrub");
    }
}

/// The newest files first: most questions are about them.
async fn look(snapshot: &Snapshot) {
    for file in snapshot.files.iter().rev() {
        if let Err(error) = file.read_checked(&snapshot.object_store).await {
            let path = &file.path;
            let error = &error as &dyn std::error::Error;
            tracing::error!(path, error, "a data file is damaged; the others are served");
        }
    }
}
