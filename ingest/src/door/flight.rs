//! Bytes being handled at once: one limit for all doors, and in it a share for the tenant. Where they are reached, a request
//! waits a moment for its turn, unread: that costs nothing, while a refusal and the next attempt cost both sides.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::{Error, Result};

/// The limits; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    free: Arc<Semaphore>,
    share: Arc<Share>,
    queue: Arc<Queue>,
}

/// Requests that wait for their turn, in the order in which they came. Only the first one is woken when room is made, so that
/// it keeps its place where that is not yet enough, and the others cost nothing.
#[derive(Debug)]
struct Queue {
    /// One permit: who has it is the first. Given in the order of asking.
    first: Semaphore,
    room: Notify,
    length: AtomicUsize,
}

impl Default for Queue {
    fn default() -> Self {
        Self { first: Semaphore::new(1), room: Notify::new(), length: AtomicUsize::new(0) }
    }
}

/// A place in the queue.
struct Waiting<'a>(&'a Queue);

impl<'a> Waiting<'a> {
    fn new(queue: &'a Queue) -> Self {
        queue.length.fetch_add(1, Ordering::SeqCst);
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.length.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What one tenant may have in flight.
#[derive(Debug)]
struct Share {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Flight {
    pub(crate) fn new(bytes_max: usize, tenant_bytes_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))),
            share: Arc::new(Share { used: AtomicUsize::new(0), bytes_max: tenant_bytes_max }),
            queue: Arc::default(),
        }
    }

    /// Holds the first `ahead` bytes of a body of `bytes` as soon as there is room for it, before those who come later.
    ///
    /// # Errors
    /// Which limit was in the way for all of `wait_max`.
    pub(crate) async fn enter(
        &self,
        bytes: usize,
        ahead: usize,
        wait_max: Duration,
    ) -> Result<Held> {
        if self.waiting() == 0
            && let Ok(held) = self.hold_first(bytes, ahead)
        {
            return Ok(held);
        }
        let _waiting = Waiting::new(&self.queue);
        match timeout(wait_max, self.hold_in_turn(bytes, ahead)).await {
            Ok(held) => held,
            Err(_) => self.hold_first(bytes, ahead),
        }
    }

    /// Holds them once those who came before have theirs, and there is room.
    async fn hold_in_turn(&self, bytes: usize, ahead: usize) -> Result<Held> {
        let _first = self.queue.first.acquire().await.map_err(|_| busy())?;
        loop {
            let room = self.queue.room.notified();
            if let Ok(held) = self.hold_first(bytes, ahead) {
                return Ok(held);
            }
            room.await;
        }
    }

    /// Requests that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.length.load(Ordering::SeqCst)
    }

    fn hold_first(&self, bytes: usize, ahead: usize) -> Result<Held> {
        // Where nothing was announced, there is room as long as not all is taken.
        self.fits(bytes.max(1))?;
        let mut held = self.hold()?;
        held.grow(bytes.min(ahead))?;
        Ok(held)
    }

    /// Whether a body of `bytes` has room now. Holds nothing.
    fn fits(&self, bytes: usize) -> Result<()> {
        let used = self.share.used.load(Ordering::SeqCst);
        if used > 0 && used.saturating_add(bytes) > self.share.bytes_max {
            return Err(tenant_busy());
        }
        if self.free_bytes() < bytes { Err(busy()) } else { Ok(()) }
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
        Arc::clone(&self.free).try_acquire_many_owned(bytes).map_err(|_| busy())
    }
}

/// Bytes held by one request; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    flight: Flight,
    permit: OwnedSemaphorePermit,
}

impl Held {
    /// How many.
    pub(crate) fn bytes(&self) -> usize {
        self.permit.num_permits()
    }

    /// Holds `bytes` more.
    ///
    /// # Errors
    /// A limit is reached; what was held stays held.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        let share = &self.flight.share;
        let before = share.used.fetch_add(bytes, Ordering::SeqCst);
        // A tenant's only request is never in its own way: it could come back for ever.
        let others = before > self.permit.num_permits();
        let taken = match others && before.saturating_add(bytes) > share.bytes_max {
            true => Err(tenant_busy()),
            false => self.flight.take(bytes),
        };
        match taken {
            Ok(more) => {
                self.permit.merge(more);
                Ok(())
            }
            Err(error) => {
                share.used.fetch_sub(bytes, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// Gives all but `bytes` back.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let excess = self.permit.num_permits().saturating_sub(bytes);
        drop(self.permit.split(excess));
        self.flight.share.used.fetch_sub(excess, Ordering::SeqCst);
        if excess > 0 && self.flight.waiting() > 0 {
            self.flight.queue.room.notify_one();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

fn busy() -> Error {
    Error::Busy { retry_after: retry_after() }
}

fn tenant_busy() -> Error {
    Error::TenantBusy { retry_after: retry_after() }
}

/// One to five seconds, spread so that senders refused together do not come back together.
pub(crate) fn retry_after() -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0u8);
    Duration::from_secs(1 + random % 5)
}

#[cfg(test)]
mod tests;
