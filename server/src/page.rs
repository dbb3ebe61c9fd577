//! Threads of the page, the API and the live tail: behind those of the doors, so that a thousand readers or a large answer
//! never delay an acknowledgement.
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// As `nice -n 5`: a third of the CPU where doors and page both want all of it, all of it where the doors want none.
const NICENESS: i32 = 5;

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
pub(crate) struct Page(Option<Runtime>, Handle);

impl Page {
    /// Starts the threads.
    ///
    /// # Errors
    /// There are none to be had.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("page")
            .on_thread_start(|| {
                // On Linux this is the calling thread's alone. Elsewhere, or where it is forbidden, all are equal.
                if cfg!(target_os = "linux") {
                    let _ = rustix::process::setpriority_process(None, NICENESS);
                }
            })
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    /// To start work on it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Connections have ended by now; waiting here would block the thread of whoever drops this.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
