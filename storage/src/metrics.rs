//! Figures about this crate, in a form that `web` prints for Prometheus.
use std::sync::atomic::{AtomicU64, Ordering};

/// One sample of one figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Name in Prometheus' manner, with unit and `_total` where it counts: `spanlake_wal_bytes_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Counter or gauge.
    pub shape: Shape,
    /// Label names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The value now.
    pub value: f64,
}

/// What kind of figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The sum as a [`Metric`].
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub fn metric(&self, name: &'static str, help: &'static str) -> Metric {
        Metric { name, help, shape: Shape::Counter, labels: Vec::new(), value: self.value() as f64 }
    }
}
