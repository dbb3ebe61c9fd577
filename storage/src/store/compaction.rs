//! The task that compacts: plans and merges beside everything else, and leaves each commit to the flusher.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::flusher::Command;
use crate::compact::{Compactor, Due, Merged};
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
            match self.all(Due::WhenQuiet).await {
                Ok(_) => {}
                Err(Error::Closed) => return,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "compaction failed");
                }
            }
        }
    }

    /// Steps until nothing is worth one; returns how many. Between two steps, a drop that waits has its turn.
    pub(super) async fn all(&self, due: Due) -> Result<u64> {
        let mut steps = 0;
        loop {
            let _turn = self.turn.lock().await;
            let merged = self.compactor.step(&self.table, due).await?;
            let Some(merged) = merged else { return Ok(steps) };
            steps += u64::from(self.commit(Arc::new(merged)).await?);
        }
    }

    /// Whether the step's files were still there.
    async fn commit(&self, merged: Arc<Merged>) -> Result<bool> {
        let (done, answer) = oneshot::channel();
        // Only while there is a store: this task alone must not keep the flusher waiting for commands.
        let commands = self.commands.upgrade().ok_or(Error::Closed)?;
        let command = Command::Merged(Arc::clone(&merged), done);
        commands.send(command).await.map_err(|_| Error::Closed)?;
        drop(commands);
        let was_live = answer.await.map_err(|_| Error::Closed)??;
        if was_live {
            self.compactor.committed(&merged);
        }
        Ok(was_live)
    }
}
