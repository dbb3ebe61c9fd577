//! The end of a process: the first signal asks, the second insists.
use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::http::Stop;

/// SIGTERM and Ctrl-C.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns at the next signal, with its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From now on a further signal cuts all requests off and, at the one after that, ends the process.
    pub(crate) fn insist(mut self, stop: watch::Sender<Stop>) {
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "second signal: leaving at once");
            let _ = stop.send(Stop::Now);
            // What is acknowledged is in the log; the next start replays it.
            std::process::exit(130);
        });
    }
}
