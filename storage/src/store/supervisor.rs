//! Watches the tasks of a store: a panic in one is counted, and the task begins anew or the store asks to be closed.
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::watch;

use crate::metrics::{Counter, Metric};

/// Tasks of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Wal,
    Publisher,
    Flusher,
    Retention,
    Compaction,
}

const TASKS: [Task; 5] =
    [Task::Wal, Task::Publisher, Task::Flusher, Task::Retention, Task::Compaction];

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Publisher => "publisher",
            Self::Flusher => "flusher",
            Self::Retention => "retention",
            Self::Compaction => "compaction",
        }
    }
}

/// See the module. Written by the tasks, read by [`crate::Store::failed`] and `metrics`.
#[derive(Debug)]
pub(super) struct Supervisor {
    panics: [Counter; TASKS.len()],
    failed: watch::Sender<Option<&'static str>>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self { panics: Default::default(), failed: watch::Sender::new(None) }
    }
}

impl Supervisor {
    /// Runs a task that nothing works without. It owns what it changes, so after a panic nobody can go on with it: the
    /// store has failed, and only opening it again (which replays the log) helps.
    pub(super) async fn once(self: Arc<Self>, task: Task, work: impl Future<Output = ()>) {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            self.fail(task);
        }
    }

    /// Runs a task that keeps nothing between two turns: after a panic, it begins anew.
    pub(super) async fn again<W>(self: Arc<Self>, task: Task, work: impl Fn() -> W)
    where
        W: Future<Output = ()>,
    {
        while AssertUnwindSafe(work()).catch_unwind().await.is_err() {
            self.count(task);
            tracing::error!(task = task.name(), "a task panicked; it begins anew");
        }
    }

    /// A task that nothing works without has panicked.
    pub(super) fn fail(&self, task: Task) {
        self.count(task);
        tracing::error!(task = task.name(), "a task panicked; the table has to be opened again");
        self.failed.send_replace(Some(task.name()));
    }

    /// Returns the name of the task once one has failed for good; else never.
    pub(super) async fn failed(&self) -> &'static str {
        let mut failed = self.failed.subscribe();
        loop {
            if let Some(name) = *failed.borrow_and_update() {
                return name;
            }
            // The sender lives in `self`, so there is always a next change to wait for.
            let _ = failed.changed().await;
        }
    }

    /// What [`Self::failed`] would return by now.
    pub(super) fn failure(&self) -> Option<&'static str> {
        *self.failed.borrow()
    }

    /// For `/metrics`.
    pub(super) fn metrics(&self) -> impl Iterator<Item = Metric> {
        TASKS.into_iter().zip(&self.panics).map(|(task, panics)| Metric {
            labels: vec![("task", task.name().to_owned())],
            ..panics.metric("spanlake_task_panics_total", "Panics of the tasks of the store.")
        })
    }

    fn count(&self, task: Task) {
        if let Some(panics) = self.panics.get(task as usize) {
            panics.add(1);
        }
    }
}

#[cfg(test)]
mod tests;
