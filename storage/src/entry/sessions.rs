//! Decoding sessions: as many as groups are decoded at one time, each used for many groups.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Decode, DecodeSession, Decoded, Entry};
use crate::batch::SpanBatch;
use crate::schema::AttributeColumns;

/// A session that holds more than this is given up: shared strings pay while they fit the processor's caches.
const SESSION_BYTES_MAX: usize = 64 << 20;

/// See the module.
pub(crate) struct Sessions {
    decode: Arc<dyn Decode>,
    idle: Mutex<Idle>,
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
        Self { decode, idle: Mutex::default() }
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
            return Decoded { batches: vec![batch], unreadable: Vec::new() };
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
