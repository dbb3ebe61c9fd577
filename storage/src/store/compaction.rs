//! The task that compacts: plans and merges beside everything else, and leaves each commit to the flusher.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::flusher::Command;
use crate::compact::Compactor;
use crate::error::{Error, Result};
use crate::table::Table;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Compaction {
    pub(super) table: Arc<Table>,
    pub(super) compactor: Arc<Compactor>,
    pub(super) commands: mpsc::WeakSender<Command>,
    /// One step at a time, whoever asks for it.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// How often it looks for work. After a step it looks again at once.
    pub(super) interval: Duration,
}

impl Compaction {
    /// Works until the flusher has ended.
    pub(super) async fn run(self) {
        loop {
            tokio::time::sleep(self.interval).await;
            if self.commands.upgrade().is_none() {
                return;
            }
            match self.all().await {
                Ok(_) => {}
                Err(Error::Closed) => return,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "compaction failed");
                }
            }
        }
    }

    /// Steps until nothing is worth one; returns how many.
    pub(super) async fn all(&self) -> Result<u64> {
        let _turn = self.turn.lock().await;
        let mut steps = 0;
        while let Some(merged) = self.compactor.step(&self.table).await? {
            let (done, answer) = oneshot::channel();
            let merged = Arc::new(merged);
            // Only while there is a store: this task alone must not keep the flusher waiting for commands.
            let commands = self.commands.upgrade().ok_or(Error::Closed)?;
            let command = Command::Merged(Arc::clone(&merged), done);
            commands.send(command).await.map_err(|_| Error::Closed)?;
            drop(commands);
            if answer.await.map_err(|_| Error::Closed)?? {
                self.compactor.committed(&merged);
                steps += 1;
            }
        }
        Ok(steps)
    }
}
