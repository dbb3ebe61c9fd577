//! Sessions by the key that a cancel request names.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// What BackendKeyData tells the client, and a cancel request tells us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) process: u32,
    pub(super) secret: u32,
}

/// All sessions of the door.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Arc<Mutex<HashMap<Key, Arc<Cancel>>>>,
}

/// A wish that the running statement stops.
#[derive(Debug, Default)]
pub(super) struct Cancel {
    is_asked: AtomicBool,
    asked: Notify,
}

impl Cancel {
    /// A new statement begins; what was asked before does not concern it.
    pub(super) fn clear(&self) {
        self.is_asked.store(false, Ordering::Release);
    }

    /// Returns once the running statement shall stop.
    pub(super) async fn asked(&self) {
        while !self.is_asked.load(Ordering::Acquire) {
            self.asked.notified().await;
        }
    }
}

/// One open session; leaves the list when dropped.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) key: Key,
    pub(super) cancel: Arc<Cancel>,
    open: Arc<Mutex<HashMap<Key, Arc<Cancel>>>>,
}

impl Sessions {
    /// Adds a session under a key that nobody can guess.
    ///
    /// # Errors
    /// The system gave no random numbers.
    pub(super) fn enter(&self) -> Result<Entered, getrandom::Error> {
        let cancel = Arc::new(Cancel::default());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = random()?;
        while open.contains_key(&key) {
            key = random()?;
        }
        open.insert(key, Arc::clone(&cancel));
        Ok(Entered { key, cancel, open: Arc::clone(&self.open) })
    }

    /// Stops what the session `key` runs; nothing where there is none.
    pub(super) fn cancel(&self, key: Key) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cancel) = open.get(&key) else { return false };
        cancel.is_asked.store(true, Ordering::Release);
        cancel.asked.notify_one();
        true
    }

    pub(super) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn random() -> Result<Key, getrandom::Error> {
    let number = getrandom::u64()?;
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    // A process id is a positive number to clients.
    let process = u32::from_be_bytes([a, b, c, d]) >> 1;
    Ok(Key { process, secret: u32::from_be_bytes([e, f, g, h]) })
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
