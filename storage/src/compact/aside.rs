//! CPU work that nobody waits for: on a thread of its own, below everything that somebody does wait for.
//!
//! Linux knows a priority of each thread, which a thread cannot raise again: so there is a thread for each piece of work, and
//! threads that it begins inherit it. Elsewhere the thread has the priority of all others.
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Added to the niceness of the process: a tenth of the CPU where all of it is wanted, all where it is idle.
const NICER: i32 = 10;

/// Runs `work`, the step `step` of something. Goes on where the caller stops waiting.
///
/// # Errors
/// It panicked, or there is no thread for it.
pub(crate) async fn aside<T: Send + 'static>(
    step: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (done, answer) = oneshot::channel();
    let run = move || {
        step_back();
        // Whoever asked may have gone.
        drop(done.send(work()));
    };
    let failed = |source| Error::Table { step, source };
    let thread = std::thread::Builder::new().name("spanlake-compact".to_owned());
    thread.spawn(run).map_err(|error| failed(error.into()))?;
    answer.await.map_err(|_| failed("it panicked".into()))
}

#[cfg(target_os = "linux")]
fn step_back() {
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(error = &error as &dyn std::error::Error, "priority not lowered");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back() {
    let _ = NICER;
}

#[cfg(test)]
mod tests;
