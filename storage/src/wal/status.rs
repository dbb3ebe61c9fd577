//! What others may know about the log at any time.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::metrics::{Counter, Metric, Shape};

/// Figures and flags, written by the log's writer and the publisher.
#[derive(Debug, Default)]
pub(crate) struct Status {
    read_only: AtomicBool,
    bytes_used: AtomicU64,
    lost: AtomicU64,
    quarantined: AtomicU64,
    /// Entries written.
    pub(crate) entries: Counter,
    /// Body bytes written.
    pub(crate) bytes: Counter,
    /// Group commits.
    pub(crate) groups: Counter,
    /// Requests recognised as sent before.
    pub(crate) duplicates: Counter,
    /// Writes or syncs that failed.
    pub(crate) failures: Counter,
    /// Requests refused for want of disk space.
    pub(crate) refused: Counter,
    /// Time spent in write and fsync, nanoseconds.
    pub(crate) commit_nanos: Counter,
    /// Entries that made the decoder panic.
    pub(crate) unreadable: Counter,
    /// Whether the writer panicked.
    pub(crate) panicked: AtomicBool,
}

impl Status {
    /// True once the log takes nothing more.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Acquire)
    }

    pub(crate) fn set_read_only(&self) {
        self.read_only.store(true, Ordering::Release);
    }

    /// Bytes of segments that are not trimmed yet.
    pub(crate) fn bytes_used(&self) -> u64 {
        self.bytes_used.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes_used(&self, bytes: u64) {
        self.bytes_used.store(bytes, Ordering::Relaxed);
    }

    /// Entries found missing at the last replay, and segments set aside by it.
    pub(crate) fn damage(&self) -> (u64, u64) {
        (self.lost.load(Ordering::Relaxed), self.quarantined.load(Ordering::Relaxed))
    }

    pub(crate) fn set_damage(&self, lost: u64, quarantined: u64) {
        self.lost.store(lost, Ordering::Relaxed);
        self.quarantined.store(quarantined, Ordering::Relaxed);
    }

    /// For `/metrics`.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let (lost, quarantined) = self.damage();
        let gauge = |name, help, value: f64| Metric {
            name,
            help,
            shape: Shape::Gauge,
            labels: Vec::new(),
            value,
        };
        let seconds = Metric {
            name: "spanlake_wal_commit_seconds_total",
            help: "Time spent writing and syncing groups of requests.",
            shape: Shape::Counter,
            labels: Vec::new(),
            value: self.commit_nanos.value() as f64 / 1e9,
        };
        vec![
            self.entries.metric("spanlake_wal_entries_total", "Requests written to the log."),
            self.bytes.metric("spanlake_wal_bytes_total", "Request bytes written to the log."),
            self.groups.metric("spanlake_wal_groups_total", "Group commits (one fsync each)."),
            seconds,
            self.duplicates.metric(
                "spanlake_wal_duplicates_total",
                "Retried requests that were recognised and not stored again.",
            ),
            self.failures.metric("spanlake_wal_failures_total", "Failed writes and fsyncs."),
            self.refused
                .metric("spanlake_wal_refused_total", "Requests refused on a nearly full disk."),
            self.unreadable.metric(
                "spanlake_wal_unreadable_entries_total",
                "Stored requests that could not be decoded.",
            ),
            gauge(
                "spanlake_wal_used_bytes",
                "Log segments not yet trimmed.",
                self.bytes_used() as f64,
            ),
            gauge("spanlake_wal_lost_entries", "Entries missing at the last replay.", lost as f64),
            gauge(
                "spanlake_wal_quarantined_segments",
                "Damaged segments set aside by the last replay.",
                quarantined as f64,
            ),
            gauge(
                "spanlake_wal_read_only",
                "1 after a failed write: nothing is taken until a restart.",
                f64::from(u8::from(self.is_read_only())),
            ),
        ]
    }
}
