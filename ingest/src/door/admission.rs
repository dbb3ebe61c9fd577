//! Who may come in: asked before a byte of the body is read, so that a refusal costs next to nothing.
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use storage::{Clock, Store, TableVersion};

use super::bucket::Bucket;
use super::seldom::Seldom;
use crate::error::Rate;
use crate::{Config, Error, Result};

/// After the disk refused a request, no other is read for so long.
const DISK_PAUSE: Duration = Duration::from_millis(250);

/// Bytes a second of refused bodies that are read, for each core: reading them costs some half a microsecond a KiB, so that
/// refusals never take more than a hundredth of the machine from what gets in, however many senders come back at once.
const DRAINED_BYTES_PER_SECOND: u64 = 16 << 20;
/// Refused bodies wait so long for being read; then they are left.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// What a tenant may send and store, and how much of it is used.
#[derive(Debug)]
pub(crate) struct Admission {
    spans: Option<Bucket>,
    bytes: Option<Bucket>,
    /// Bytes of refused bodies that may be read.
    drained: Bucket,
    table_bytes_max: Option<u64>,
    /// Size of the files of a version of the table: summed up once a version.
    table: Mutex<Option<(TableVersion, u64)>>,
    disk_full_until: AtomicI64,
    disk_free_bytes: AtomicU64,
    /// Refusals by storage, as the log tells them.
    pub(super) told: Seldom,
}

impl Admission {
    pub(crate) fn new(config: &Config, now: i64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let bucket = |rate: Option<u64>| rate.map(|rate| Bucket::new(rate, config.rate_burst, now));
        Self {
            spans: bucket(config.spans_per_second_max),
            bytes: bucket(config.bytes_per_second_max),
            drained: Bucket::new(DRAINED_BYTES_PER_SECOND * cores, Duration::from_secs(1), now),
            table_bytes_max: config.table_bytes_max,
            table: Mutex::default(),
            disk_full_until: AtomicI64::new(i64::MIN),
            told: Seldom::new(),
            disk_free_bytes: AtomicU64::new(0),
        }
    }

    /// Whether the tenant's rates let a request in.
    ///
    /// # Errors
    /// [`Error::Rate`]: which rate, and when it lets the next one in.
    pub(crate) fn check_rates(&self, now: i64) -> Result<()> {
        for (rate, bucket) in [(Rate::Spans, &self.spans), (Rate::Bytes, &self.bytes)] {
            let Some(bucket) = bucket else { continue };
            bucket.admits(now).map_err(|retry_after| Error::Rate {
                rate,
                per_second: bucket.per_second(),
                retry_after,
            })?;
        }
        Ok(())
    }

    /// Whether the store has room; waits a moment where a flush is about to make some.
    ///
    /// # Errors
    /// What is full.
    pub(crate) async fn check_room(&self, store: &Store, now: i64) -> Result<()> {
        if now < self.disk_full_until.load(Ordering::Relaxed) {
            let free_bytes = self.disk_free_bytes.load(Ordering::Relaxed);
            let retry_after = DISK_PAUSE;
            return Err(storage::Error::DiskFull { free_bytes, retry_after }.into());
        }
        self.check_table(store)?;
        Ok(store.room().await?)
    }

    fn check_table(&self, store: &Store) -> Result<()> {
        let Some(limit_bytes) = self.table_bytes_max else { return Ok(()) };
        let snapshot = store.snapshot();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let used_bytes = match *table {
            Some((version, bytes)) if version == snapshot.version => bytes,
            _ => snapshot.files.iter().map(|file| file.bytes).sum(),
        };
        *table = Some((snapshot.version, used_bytes));
        if used_bytes < limit_bytes {
            return Ok(());
        }
        Err(Error::TableFull { used_bytes, limit_bytes })
    }

    /// When `bytes` of a refused body may be read; `None` where that is too far away.
    pub(crate) fn drains_after(&self, bytes: usize, now: i64) -> Option<Duration> {
        self.drained.book(now, bytes as u64, DRAIN_WAIT_MAX)
    }

    /// So many bytes more were read than had been expected.
    pub(crate) fn drained(&self, bytes: usize, now: i64) {
        self.drained.take(now, bytes as u64);
    }

    /// Learns from a refusal of the store. Those of the pause itself come by here too: they must not prolong it, or clients
    /// that keep trying would keep the door closed for ever.
    pub(crate) fn note(&self, error: &Error, now: i64) {
        if now < self.disk_full_until.load(Ordering::Relaxed) {
            return;
        }
        if let Error::Storage(storage::Error::DiskFull { free_bytes, .. }) = error {
            let pause = i64::try_from(DISK_PAUSE.as_nanos()).unwrap_or(i64::MAX);
            self.disk_free_bytes.store(*free_bytes, Ordering::Relaxed);
            self.disk_full_until.store(now.saturating_add(pause), Ordering::Relaxed);
        }
    }
}

/// What one request was charged; given back when dropped, unless it is [`Charge::keep`]t.
#[derive(Debug)]
pub(crate) struct Charge<'a> {
    admission: &'a Admission,
    clock: &'a dyn Clock,
    bytes: u64,
    spans: u64,
}

impl<'a> Charge<'a> {
    /// Nothing yet.
    pub(crate) fn new(admission: &'a Admission, clock: &'a dyn Clock) -> Self {
        Self { admission, clock, bytes: 0, spans: 0 }
    }

    /// The request has `bytes` in all, as far as is known.
    pub(crate) fn bytes(&mut self, bytes: usize) {
        let more = (bytes as u64).saturating_sub(self.bytes);
        if let (Some(bucket), 1..) = (&self.admission.bytes, more) {
            bucket.take(self.clock.now_unix_nano(), more);
            self.bytes += more;
        }
    }

    /// The request has `spans` to store.
    pub(crate) fn spans(&mut self, spans: u64) {
        if let Some(bucket) = &self.admission.spans {
            bucket.take(self.clock.now_unix_nano(), spans);
            self.spans += spans;
        }
    }

    /// The request was stored.
    pub(crate) fn keep(&mut self) {
        (self.bytes, self.spans) = (0, 0);
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        let now = self.clock.now_unix_nano();
        if let (Some(bucket), 1..) = (&self.admission.bytes, self.bytes) {
            bucket.give_back(now, self.bytes);
        }
        if let (Some(bucket), 1..) = (&self.admission.spans, self.spans) {
            bucket.give_back(now, self.spans);
        }
    }
}

#[cfg(test)]
mod tests;
