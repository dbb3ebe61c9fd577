//! The task that applies the policy, and the commands of people: each prepares what goes beside everything else, and
//! leaves the commit to the flusher.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::{mpsc, oneshot};

use super::flusher::Command;
use crate::error::{Error, Result};
use crate::id::TraceId;
use crate::retain::pins::{self, Pin};
use crate::retain::{Deletion, Receipt, Removal, Selection};
use crate::table::Table;

const INTERVAL: Duration = Duration::from_secs(60);
/// How often a removal is prepared anew because another process has changed the table.
const ATTEMPTS_MAX: u32 = 10;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Retention {
    pub(super) table: Arc<Table>,
    pub(super) commands: mpsc::WeakSender<Command>,
    /// Shared with compaction: while files are being merged, nothing of what they hold goes, and the other way round.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Something was unpinned: there may be copies that nothing keeps any more.
    pub(super) unpinned: Arc<AtomicBool>,
}

impl Retention {
    /// Works until the flusher has ended.
    pub(super) async fn run(self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.commands.upgrade().is_none() {
                return;
            }
            match self.apply().await {
                Ok(_) => {}
                Err(Error::Closed) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "could not apply the retention policy");
                }
            }
        }
    }

    /// Applies the policy; nothing where the clock has just jumped ahead.
    pub(super) async fn apply(&self) -> Result<Vec<Receipt>> {
        let now = self.table.clock().now_unix_nano();
        if !self.table.clock_is_confirmed(now).await {
            tracing::warn!(
                "the clock jumped ahead by more than an hour; nothing expires until it is confirmed"
            );
            return Ok(Vec::new());
        }
        let _turn = self.turn.lock().await;
        let unpinned = self.unpinned.swap(false, Ordering::AcqRel);
        let mut receipts = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            let removal = self.table.next_removal(unpinned && receipts.is_empty()).await;
            let Some(removal) = removal.inspect_err(|_| self.remember(unpinned))? else { break };
            let receipt = self.commit(removal).await.inspect_err(|_| self.remember(unpinned))?;
            receipts.extend(receipt);
        }
        Ok(receipts)
    }

    fn remember(&self, unpinned: bool) {
        self.unpinned.fetch_or(unpinned, Ordering::AcqRel);
    }

    /// Removes whole dates, or one class of them.
    pub(super) async fn drop(
        &self,
        dates: &[NaiveDate],
        class: Option<&str>,
        reason: &'static str,
    ) -> Result<Receipt> {
        let _turn = self.turn.lock().await;
        self.send(Command::Flush).await?;
        for _ in 0..ATTEMPTS_MAX {
            let removal = self.table.removal_of(dates, class, reason).await?;
            if removal.inputs.is_empty() {
                return Ok(removal.receipt);
            }
            if let Some(receipt) = self.commit(removal).await? {
                return Ok(receipt);
            }
        }
        Err(changed_too_often())
    }

    /// What a deletion would do.
    pub(super) async fn plan_deletion(&self, selection: &Selection) -> Result<Receipt> {
        self.send(Command::Flush).await?;
        let (_, _, loss) = self.table.find(selection).await?;
        let at_unix_nano = self.table.clock().now_unix_nano();
        let (reason, rollups) = ("deletion".into(), Vec::new());
        Ok(Receipt { at_unix_nano, reason, version: None, loss, rollups })
    }

    /// Deletes traces: hot spans go into files, the files that hold them are written anew without them in one commit,
    /// the log gives up every segment written so far; the old files go after the grace, or `now`.
    pub(super) async fn delete(&self, selection: &Selection, now: bool) -> Result<Deletion> {
        // No file is being merged from here on, so that no spare copy of a span is on its way.
        let _turn = self.turn.lock().await;
        self.send(Command::Flush).await?;
        for _ in 0..ATTEMPTS_MAX {
            let (removal, traces) = self.table.deletion_of(selection).await?;
            if removal.inputs.is_empty() {
                return self.finish(removal.receipt, now).await;
            }
            for trace in &traces {
                pins::unpin(&self.table.place().tenant, &TraceId(*trace)).await?;
            }
            crate::fault::point("deletion: files rewritten");
            let traces = Arc::new(traces);
            self.send(|done| Command::Forget(traces, done)).await?;
            if let Some(receipt) = self.commit(removal).await? {
                crate::fault::point("deletion: committed");
                return self.finish(receipt, now).await;
            }
        }
        Err(changed_too_often())
    }

    async fn finish(&self, receipt: Receipt, now: bool) -> Result<Deletion> {
        // Twice: the segment that is being written is closed by the first and goes with the second, once everything
        // in it is in files.
        self.send(Command::PurgeLog).await?;
        self.send(Command::PurgeLog).await?;
        if now {
            self.send(Command::Vacuum).await?;
        }
        Ok(Deletion { receipt, vacuumed: now })
    }

    pub(super) async fn pin(&self, trace: &TraceId, note: &str) -> Result<Pin> {
        let at_unix_nano = self.table.clock().now_unix_nano();
        let pin = Pin { trace_id: trace.to_string(), at_unix_nano, note: note.to_owned() };
        // Not while a drop has already looked for pins.
        let _turn = self.turn.lock().await;
        pins::pin(&self.table.place().tenant, trace, &pin).await?;
        crate::fault::point("pin: written");
        Ok(pin)
    }

    pub(super) async fn unpin(&self, trace: &TraceId) -> Result<bool> {
        let unpinned = pins::unpin(&self.table.place().tenant, trace).await?;
        self.remember(unpinned);
        Ok(unpinned)
    }

    async fn commit(&self, removal: Removal) -> Result<Option<Receipt>> {
        let removal = Arc::new(removal);
        self.send(|done| Command::Remove(removal, done)).await
    }

    async fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (done, finished) = oneshot::channel();
        // Only while there is a store: this task alone must not keep the flusher waiting for commands.
        let commands = self.commands.upgrade().ok_or(Error::Closed)?;
        commands.send(command(done)).await.map_err(|_| Error::Closed)?;
        drop(commands);
        finished.await.map_err(|_| Error::Closed)?
    }
}

fn changed_too_often() -> Error {
    let source = "another process changed the table each time".into();
    Error::Table { step: "remove files", source }
}

#[cfg(test)]
mod tests;
