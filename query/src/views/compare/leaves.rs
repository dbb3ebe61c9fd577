//! How long spans with a value took on either side. A value that every trace has says nothing by being there, but its spans
//! may have got slow: the statement that waits for a lock, the server that is far away.
//!
//! Only spans without children count. What lasts in them lasts there, and not in what they called; and a selection by
//! duration makes every span above the cause longer, too. Roots never count: their durations are what traces are chosen by.
use datafusion::common::Result;
use futures::StreamExt;
use hashbrown::HashSet;
use storage::TimeRange;
use storage::schema::column;
use xxhash_rust::xxh3::xxh3_64;

use super::Counts;
use super::sides::Sides;
use crate::views::load::{Source, trace_filter, window};
use crate::views::read::{ids, named};

/// Traces that a side needs: fewer tell nothing about how spans vary.
const TRACES_MIN: i64 = 8;
/// The geometric means differ by this factor at least.
const FACTOR_MIN: f64 = 1.1;
/// Logarithms are summed as whole numbers of this part, so that the order of reading does not show.
const PARTS: f64 = 4096.0;
/// Durations are never taken to vary by less than this, as a standard deviation of their logarithms.
const DEVIATION_MIN: f64 = 0.05;

/// Durations on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Side {
    spans: i64,
    nanos: i64,
    /// Of the natural logarithms, in [`PARTS`].
    logs: i64,
    squares: i64,
}

impl Side {
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of 63 bits is below 44")]
    fn add(&mut self, nanos: i64) {
        let log = ((nanos.max(1) as f64).ln() * PARTS).round() as i64;
        self.spans += 1;
        self.nanos = self.nanos.saturating_add(nanos);
        self.logs = self.logs.saturating_add(log);
        self.squares = self.squares.saturating_add(log * log);
    }

    fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.logs = self.logs.saturating_add(other.logs);
        self.squares = self.squares.saturating_add(other.squares);
    }

    /// Mean of the logarithms, and its variance when `traces` are independent of each other but the spans of one are all
    /// alike: with more spans than traces nothing is known better.
    fn mean(&self, traces: i64) -> Option<(f64, f64)> {
        let independent = traces.min(self.spans);
        if independent < TRACES_MIN {
            return None;
        }
        let mean = self.logs as f64 / self.spans as f64 / PARTS;
        let square = self.squares as f64 / self.spans as f64 / PARTS / PARTS;
        let variance = (square - mean * mean).max(DEVIATION_MIN * DEVIATION_MIN);
        Some((mean, variance / independent as f64))
    }
}

/// Durations of the spans without children that have a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leaves {
    selection: Side,
    baseline: Side,
}

impl Leaves {
    /// Adds a span.
    pub(crate) fn add(&mut self, selected: bool, nanos: i64) {
        if selected { &mut self.selection } else { &mut self.baseline }.add(nanos);
    }

    /// Adds those of another value.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.selection.merge(&other.selection);
        self.baseline.merge(&other.baseline);
    }

    /// Mean durations of selection and baseline in nanoseconds.
    pub(crate) fn means(&self) -> [Option<i64>; 2] {
        [self.selection, self.baseline].map(|side| side.nanos.checked_div(side.spans))
    }

    /// Welch's test of the logarithms, squared: chi-squared with one degree of freedom where only chance makes them
    /// differ. `traces` have the value.
    pub(crate) fn chi_squared(&self, traces: Counts) -> f64 {
        let sides = (self.selection.mean(traces.selection), self.baseline.mean(traces.baseline));
        let (Some((selection, variance)), Some((baseline, other))) = sides else { return 0.0 };
        let difference = selection - baseline;
        if difference.abs() < FACTOR_MIN.ln() {
            return 0.0;
        }
        difference * difference / (variance + other)
    }

    /// Equal where the same spans are in it, most likely.
    pub(crate) fn signature(&self) -> u64 {
        let sides = [self.selection, self.baseline];
        let parts = sides.map(|side| [side.spans, side.nanos, side.logs, side.squares]);
        let bytes: Vec<u8> = parts.concat().iter().flat_map(|part| part.to_le_bytes()).collect();
        xxh3_64(&bytes)
    }
}

/// The spans that have children, as hashes of trace and span.
#[derive(Debug)]
pub(crate) struct Parents(HashSet<u64>);

impl Parents {
    /// Of the traces of `sides`; `None` where they are too many to be held beside `held` bytes.
    pub(crate) async fn of(
        source: &Source,
        range: TimeRange,
        sides: &Sides,
        held: usize,
    ) -> Result<Option<Self>> {
        let mut parents = HashSet::new();
        let only = trace_filter(sides.traces.keys().copied());
        let read = [column::TRACE_ID, column::PARENT_SPAN_ID];
        let mut batches = source.scan(window(range), &read, only)?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let traces = ids(named(&batch, column::TRACE_ID)?)?;
            let above = ids(named(&batch, column::PARENT_SPAN_ID)?)?;
            for (trace, above) in traces.iter().zip(&above) {
                if let (Some(trace), Some(above)) = (trace, above)
                    && sides.traces.contains_key(trace)
                {
                    parents.insert(hash(trace, above));
                }
            }
            if source.hold(held + parents.capacity() * 2 * size_of::<u64>()).is_err() {
                return Ok(None);
            }
        }
        Ok(Some(Self(parents)))
    }

    /// Whether no other span of the trace is below this one.
    pub(crate) fn is_leaf(&self, trace: &[u8], span: &[u8]) -> bool {
        !self.0.contains(&hash(trace, span))
    }

    /// Memory held, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * (size_of::<u64>() + 1)
    }
}

fn hash(trace: &[u8], span: &[u8]) -> u64 {
    let mut key = [0; 24];
    for (to, from) in key.iter_mut().zip(trace.iter().chain(span)) {
        *to = *from;
    }
    xxh3_64(&key)
}

#[cfg(test)]
mod tests;
