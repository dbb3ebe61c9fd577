//! What the limits took from spans, as a set and as counts for `/metrics`.
use std::sync::atomic::{AtomicU64, Ordering};

use storage::metrics::{Metric, Shape};

/// One kind of loss. What it leaves in the stored span: docs/format.md#attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A text, bytes, or what was nested too deeply or too large.
    Value,
    /// The name of a span, event or scope.
    Name,
    /// Attributes beyond the number allowed.
    Attributes,
    /// Attributes with too long a key.
    Key,
    /// Attributes beyond the bytes that a span, resource or scope may have in all.
    Bytes,
    /// Events beyond the number allowed.
    Events,
    /// Links beyond the number allowed.
    Links,
}

impl Cut {
    const ALL: [Self; 7] = [
        Self::Value,
        Self::Name,
        Self::Attributes,
        Self::Key,
        Self::Bytes,
        Self::Events,
        Self::Links,
    ];

    /// Label value in metrics.
    fn label(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Name => "name",
            Self::Attributes => "attributes",
            Self::Key => "key",
            Self::Bytes => "bytes",
            Self::Events => "events",
            Self::Links => "links",
        }
    }
}

/// A set of [`Cut`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cuts(u8);

impl Cuts {
    #[inline]
    pub(crate) fn add(&mut self, cut: Cut) {
        self.0 |= 1 << cut as u8;
    }

    /// All of both.
    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn holds(self, cut: Cut) -> bool {
        self.0 >> cut as u8 & 1 == 1
    }
}

/// Spans that lost something, by what they lost.
#[derive(Debug, Default)]
pub(crate) struct CutCounts([u64; Cut::ALL.len()]);

impl CutCounts {
    /// Counts one span.
    #[cold]
    pub(crate) fn span(&mut self, cuts: Cuts) {
        for cut in Cut::ALL {
            self.0[cut as usize] += u64::from(cuts.holds(cut));
        }
    }
}

/// The counts of a process.
#[derive(Debug, Default)]
pub(crate) struct CutTotals([AtomicU64; Cut::ALL.len()]);

impl CutTotals {
    pub(crate) fn add(&self, counts: &CutCounts) {
        for (total, count) in self.0.iter().zip(counts.0) {
            if count > 0 {
                total.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub(crate) fn metrics(&self, tenant: &str) -> Vec<Metric> {
        let metric = |cut: Cut| Metric {
            name: "spanlake_ingest_truncated_spans_total",
            help: "Spans stored without a part that exceeded a limit; after a restart those replayed from the log too.",
            shape: Shape::Counter,
            labels: vec![("tenant", tenant.to_owned()), ("what", cut.label().to_owned())],
            value: self.0[cut as usize].load(Ordering::Relaxed) as f64,
        };
        Cut::ALL.into_iter().map(metric).collect()
    }
}
