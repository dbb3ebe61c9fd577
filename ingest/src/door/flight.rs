//! Bytes being handled at once, counted against one limit for all doors.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// The limit; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    free: Arc<Semaphore>,
}

impl Flight {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))) }
    }

    /// Nothing yet.
    pub(crate) fn hold(&self) -> Result<Held> {
        self.take(0).map(|permit| Held { flight: self.clone(), permit })
    }

    /// Bytes that may still be taken.
    pub(crate) fn free_bytes(&self) -> usize {
        self.free.available_permits()
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.free)
            .try_acquire_many_owned(bytes)
            .map_err(|_| Error::Busy { retry_after: retry_after() })
    }
}

/// Bytes held by one request; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    flight: Flight,
    permit: OwnedSemaphorePermit,
}

impl Held {
    /// Holds `bytes` more.
    ///
    /// # Errors
    /// [`Error::Busy`] where the limit is reached; what was held stays held.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        let more = self.flight.take(bytes)?;
        self.permit.merge(more);
        Ok(())
    }

    /// Gives all but `bytes` back.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let excess = self.permit.num_permits().saturating_sub(bytes);
        drop(self.permit.split(excess));
    }
}

/// One to five seconds, spread so that senders refused together do not come back together.
pub(crate) fn retry_after() -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0u8);
    Duration::from_secs(1 + random % 5)
}
