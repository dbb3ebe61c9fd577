//! Decoding sessions: as many as groups are decoded at one time, each used for many groups.
//!
//! Groups take turns, from the begin of decoding until they are visible. Few turns are better than many: each session has
//! strings of its own, which compete for the processor's caches, and which a flush has to compare with those of the others.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use super::{Decode, DecodeSession, Decoded, Entry};
use crate::batch::SpanBatch;
use crate::schema::AttributeColumns;

/// A session that holds more than this is given up: shared strings pay while they fit the processor's caches.
const SESSION_BYTES_MAX: usize = 64 << 20;

/// See the module.
pub(crate) struct Sessions {
    decode: Arc<dyn Decode>,
    idle: Mutex<Idle>,
    turns: Arc<Semaphore>,
    turns_max: u32,
}

#[derive(Default)]
struct Idle {
    /// Counts renewals, so that a session which was in use at one does not come back.
    renewals: u64,
    sessions: Vec<Box<dyn DecodeSession>>,
}

impl Sessions {
    /// Sessions of `decode`, begun when they are needed.
    pub(crate) fn new(decode: Arc<dyn Decode>) -> Self {
        // Half of the processors: the others receive, and write files. One decodes a million spans a second.
        let half = std::thread::available_parallelism().map_or(1, usize::from) / 2;
        let turns_max = u32::try_from(half).unwrap_or(1).max(1);
        let turns = Arc::new(Semaphore::new(turns_max as usize));
        Self { decode, idle: Mutex::default(), turns, turns_max }
    }

    /// Decodes a group on a thread of its own when its turn has come, in the order of the calls. The turn ends with what
    /// it became. `None` where the runtime is shutting down.
    pub(crate) fn start(
        self: Arc<Self>,
        runtime: &Handle,
        entries: Vec<Entry>,
        columns: Arc<AttributeColumns>,
    ) -> JoinHandle<Option<Decoded>> {
        let turns = Arc::clone(&self.turns);
        let decode = move |turn| {
            let decoded = self.decode_group(&entries, &columns);
            Some(Decoded { turn: Some(turn), ..decoded })
        };
        // Asked for here, where groups come one after the other: those that wait stand in a queue. If each asked in a task of
        // its own, a later group could take the turn that an earlier one needs, and neither could ever become visible.
        let mut turn = Box::pin(turns.acquire_owned());
        match (&mut turn).now_or_never() {
            Some(Ok(turn)) => runtime.spawn_blocking(move || decode(turn)),
            Some(Err(_)) => runtime.spawn(async { None }),
            None => runtime.spawn(async move {
                let turn = turn.await.ok()?;
                tokio::task::spawn_blocking(move || decode(turn)).await.ok()?
            }),
        }
    }

    /// Returns when no group is between the begin of its decoding and being visible; none begins while the answer lives.
    pub(crate) async fn pause(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire_many(self.turns_max).await.ok()
    }

    /// Whose sessions these are.
    pub(crate) fn decoder(&self) -> &dyn Decode {
        &*self.decode
    }

    /// Gives up all sessions, because a flush takes what they shared strings with.
    pub(crate) fn renew(&self) {
        let mut idle = self.lock();
        idle.renewals += 1;
        let given_up = std::mem::take(&mut idle.sessions);
        drop(idle);
        drop(given_up);
    }

    /// Decodes a group. An entry whose decoding panics (a mistake of ours) costs only itself.
    pub(crate) fn decode_group(
        &self,
        entries: &[Entry],
        columns: &Arc<AttributeColumns>,
    ) -> Decoded {
        if let Some(batch) = self.decode_caught(entries, columns) {
            return Decoded { batches: vec![batch], ..Decoded::default() };
        }
        let mut decoded = Decoded::default();
        for (index, entry) in entries.iter().enumerate() {
            match self.decode_caught(std::slice::from_ref(entry), columns) {
                Some(batch) => decoded.batches.push(batch),
                None => decoded.unreadable.push(index),
            }
        }
        decoded
    }

    fn decode_caught(
        &self,
        entries: &[Entry],
        columns: &Arc<AttributeColumns>,
    ) -> Option<SpanBatch> {
        let mut idle = self.lock();
        let (renewals, taken) = (idle.renewals, idle.sessions.pop());
        drop(idle);
        let mut session = taken.unwrap_or_else(|| self.decode.session());
        // After a panic the session is not used again, so nothing half changed is seen.
        let call = std::panic::AssertUnwindSafe(|| session.decode(entries, columns));
        let Ok(batch) = std::panic::catch_unwind(call) else {
            tracing::error!(entries = entries.len(), "decoding panicked");
            return None;
        };
        self.put_back(session, renewals);
        Some(batch)
    }

    fn put_back(&self, session: Box<dyn DecodeSession>, renewals: u64) {
        if session.bytes() > SESSION_BYTES_MAX {
            return;
        }
        let mut idle = self.lock();
        if idle.renewals == renewals {
            idle.sessions.push(session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing in a locked section panics half-way.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
