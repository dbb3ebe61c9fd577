//! How many queries work and how many wait.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use storage::Kind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// Places for running queries and a bounded queue before them.
#[derive(Debug)]
pub(crate) struct Permits {
    places: Arc<Semaphore>,
    running_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Permits {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        let running_max = running_max.max(1);
        let places = Arc::new(Semaphore::new(running_max));
        Self { places, running_max, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// A place, after waiting for one where all are taken.
    ///
    /// # Errors
    /// [`Kind::Busy`] where the queue is full, too.
    pub(crate) async fn acquire(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::enter(&self.waiting, self.waiting_max)?;
        let permit = Arc::clone(&self.places).acquire_owned().await;
        permit.map_err(|_| Error::new(Kind::Unavailable, "the server is shutting down"))
    }

    pub(crate) fn running(&self) -> usize {
        self.running_max - self.places.available_permits().min(self.running_max)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// One in the queue, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, waiting_max: usize) -> Result<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self(waiting);
        if before >= waiting_max {
            let message = format!("{before} queries are waiting already; try again in a moment");
            return Err(Error::new(Kind::Busy, message));
        }
        Ok(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
