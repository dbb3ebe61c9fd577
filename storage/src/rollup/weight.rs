//! Sums of weights and their standard errors, in whole numbers: the same in any order, and what was added can be taken
//! away again.
//!
//! Traces are sampled, not spans, so the variance is that of a sum over traces (Horvitz-Thompson): a trace whose `n`
//! spans here have weights that add up to `S` contributes `S * (S - n)`. With one weight `w = 1/p` in the trace that is
//! `(1 - p) / p^2 * n^2`; with several it is no less than the truth.

/// Weights are added as multiples of 2^-40.
const UNITS: f64 = (1u64 << 40) as f64;

/// A sum of weights, and its variance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    pub(super) total: i128,
    pub(super) variance: i128,
}

impl Weight {
    /// Adds a span that stands for `weight` spans to the sum; its trace is added by [`Self::add_variance`].
    #[inline]
    pub fn add(&mut self, weight: f64) {
        self.total = self.total.saturating_add(units(weight));
    }

    /// Adds the spans of one trace to the variance; nothing where they all stand for themselves.
    pub fn add_variance(&mut self, cluster: Cluster) {
        self.variance = self.variance.saturating_add(cluster.variance());
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.total = self.total.saturating_add(other.total);
        self.variance = self.variance.saturating_add(other.variance);
    }

    /// Takes another sum away.
    pub fn subtract(&mut self, other: &Self) {
        self.total = self.total.saturating_sub(other.total);
        self.variance = self.variance.saturating_sub(other.variance);
    }

    /// The estimated number of spans before sampling.
    pub fn total(&self) -> f64 {
        self.total as f64 / UNITS
    }

    /// The standard error of [`Self::total`]; 0 without sampling.
    pub fn standard_error(&self) -> f64 {
        (self.variance.max(0) as f64 / UNITS).sqrt()
    }
}

/// Spans of one trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cluster {
    sum: i128,
    spans: u32,
}

impl Cluster {
    /// Adds one span that stands for `weight` spans.
    pub fn add(&mut self, weight: f64) {
        self.sum = self.sum.saturating_add(units(weight));
        self.spans = self.spans.saturating_add(1);
    }

    fn variance(self) -> i128 {
        let sum = self.sum as f64 / UNITS;
        units(sum * (sum - f64::from(self.spans)))
    }
}

/// What a span of weight 1 adds.
pub(super) const ONE: i128 = 1 << 40;

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is meant")]
fn units(value: f64) -> i128 {
    if value == 1.0 { ONE } else { (value * UNITS).round() as i128 }
}
