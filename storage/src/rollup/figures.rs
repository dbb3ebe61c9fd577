//! What a rollup counts: operations, edges, roots. Everything can be added and taken away again, except what bounds
//! something (`longest_nano`, `first_nano`, `last_nano`): after a subtraction a bound still holds, but may be wide.
use std::collections::BTreeMap;

use super::edge::{Edge, EdgeKind, Moved};
use super::histogram::{Histogram, bucket};
use super::trace::{Span, SpanKind, Status, known};
use super::weight::{Cluster, ONE, Weight};

/// Spans by service, name and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationKey {
    /// Service.
    pub service: u32,
    /// Operation.
    pub name: u32,
    /// Kind.
    pub kind: SpanKind,
}

/// Calls by caller, callee and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeKey {
    /// Calling service.
    pub caller: u32,
    /// Called service, or peer.
    pub callee: u32,
    /// How.
    pub kind: EdgeKind,
}

/// Traces by the operation of their root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootKey {
    /// Service of the root.
    pub service: u32,
    /// Operation of the root.
    pub name: u32,
}

/// The spans of one operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Operation {
    /// Spans.
    pub spans: i64,
    /// Status ERROR.
    pub errors: i64,
    /// Status OK.
    pub oks: i64,
    /// Spans that name no parent.
    pub roots: i64,
    /// Spans that carried a size, of those whose kind calls or is called.
    pub sized: i64,
    /// Bytes there: of the request, of a PRODUCER's or CONSUMER's message.
    pub request: i128,
    /// Bytes back.
    pub response: i128,
    /// Of all spans. The variance is that of plain fragments only.
    pub weight: Weight,
    /// Of those with status ERROR.
    pub failed: Weight,
    /// In nanoseconds.
    pub durations: Histogram,
    /// The longest duration.
    pub longest_nano: i64,
}

impl Operation {
    /// Adds one span.
    #[inline]
    pub fn add(&mut self, span: &Span, is_root: bool) {
        self.spans += 1;
        self.roots += i64::from(is_root);
        self.weight.add(span.weight);
        match span.status {
            Status::Error => {
                self.errors += 1;
                self.failed.add(span.weight);
            }
            Status::Ok => self.oks += 1,
            Status::Unset => {}
        }
        let (request, response) = match span.kind {
            SpanKind::Producer | SpanKind::Consumer => (known(span.sizes.message), None),
            SpanKind::Server | SpanKind::Client => {
                (known(span.sizes.request), known(span.sizes.response))
            }
            SpanKind::Internal | SpanKind::Unspecified => (None, None),
        };
        self.sized += i64::from(request.is_some() || response.is_some());
        self.request += i128::from(request.unwrap_or(0));
        self.response += i128::from(response.unwrap_or(0));
        self.durations.add(span.duration);
        self.longest_nano = self.longest_nano.max(span.duration);
    }

    /// Adds the spans of one trace, and those of them that failed, to the variances.
    pub fn add_variance(&mut self, all: Cluster, failed: Cluster) {
        self.weight.add_variance(all);
        self.failed.add_variance(failed);
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, 1);
        self.weight.merge(&other.weight);
        self.failed.merge(&other.failed);
        self.durations.merge(&other.durations);
        self.longest_nano = self.longest_nano.max(other.longest_nano);
    }

    /// Takes another's away.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, -1);
        self.weight.subtract(&other.weight);
        self.failed.subtract(&other.failed);
        self.durations.subtract(&other.durations);
    }

    fn combine(&mut self, other: &Self, sign: i64) {
        self.spans += sign * other.spans;
        self.errors += sign * other.errors;
        self.oks += sign * other.oks;
        self.roots += sign * other.roots;
        self.sized += sign * other.sized;
        self.request += i128::from(sign) * other.request;
        self.response += i128::from(sign) * other.response;
    }
}

/// All calls of one edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// Calls and their bytes.
    pub moved: Moved,
    /// Calls that failed, as the callee says (the caller, where the callee has no span).
    pub errors: i64,
    /// Of all calls.
    pub weight: Weight,
    /// Of those that failed.
    pub failed: Weight,
    /// As the caller saw them, in nanoseconds: where it is a CLIENT or PRODUCER.
    pub caller: Histogram,
    /// As the callee saw them: where it has a span.
    pub callee: Histogram,
    /// Start of the first call, Unix nanoseconds; `i64::MAX` of none.
    pub first_nano: i64,
    /// Start of the last call; `i64::MIN` of none.
    pub last_nano: i64,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            moved: Moved::default(),
            errors: 0,
            weight: Weight::default(),
            failed: Weight::default(),
            caller: Histogram::default(),
            callee: Histogram::default(),
            first_nano: i64::MAX,
            last_nano: i64::MIN,
        }
    }
}

impl Calls {
    /// Adds one call; `span` is the one that tells of it.
    pub fn add(&mut self, edge: &Edge, span: &Span) {
        self.moved.add(edge);
        self.weight.add(span.weight);
        if span.is_error() {
            self.errors += 1;
            self.failed.add(span.weight);
        }
        if let Some(duration) = edge.caller_nano {
            self.caller.add(duration);
        }
        if let Some(duration) = edge.callee_nano {
            self.callee.add(duration);
        }
        self.first_nano = self.first_nano.min(span.start);
        self.last_nano = self.last_nano.max(span.start);
    }

    /// Adds the calls of one trace, and those of them that failed, to the variances.
    pub fn add_variance(&mut self, all: Cluster, failed: Cluster) {
        self.weight.add_variance(all);
        self.failed.add_variance(failed);
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.moved.merge(&other.moved);
        self.errors += other.errors;
        self.weight.merge(&other.weight);
        self.failed.merge(&other.failed);
        self.caller.merge(&other.caller);
        self.callee.merge(&other.callee);
        self.first_nano = self.first_nano.min(other.first_nano);
        self.last_nano = self.last_nano.max(other.last_nano);
    }

    /// Takes another's away.
    pub fn subtract(&mut self, other: &Self) {
        self.moved.subtract(&other.moved);
        self.errors -= other.errors;
        self.weight.subtract(&other.weight);
        self.failed.subtract(&other.failed);
        self.caller.subtract(&other.caller);
        self.callee.subtract(&other.callee);
    }
}

/// The traces of one root operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traces {
    /// Traces.
    pub traces: i64,
    /// Traces whose root has the status ERROR.
    pub errors: i64,
    /// Of all traces.
    pub weight: Weight,
    /// Of those whose root failed.
    pub failed: Weight,
    /// Durations of the roots, in nanoseconds.
    pub durations: Histogram,
    /// The longest duration.
    pub longest_nano: i64,
    /// What the edges of these traces carried (links not among them).
    pub caused: Moved,
    /// By bucket of `durations`, by how much the weights there exceed the number of traces, and their variance; only
    /// where something was sampled.
    pub(super) excess: BTreeMap<u16, Weight>,
}

impl Traces {
    /// Adds one trace.
    pub fn add(&mut self, root: &Span, caused: &Moved) {
        let mut weight = Weight::default();
        weight.add(root.weight);
        let mut cluster = Cluster::default();
        cluster.add(root.weight);
        weight.add_variance(cluster);
        self.traces += 1;
        self.weight.merge(&weight);
        if root.is_error() {
            self.errors += 1;
            self.failed.merge(&weight);
        }
        self.durations.add(root.duration);
        self.longest_nano = self.longest_nano.max(root.duration);
        self.caused.merge(caused);
        weight.total -= ONE;
        if weight != Weight::default() {
            self.excess.entry(bucket(root.duration)).or_default().merge(&weight);
        }
    }

    /// The weight of the `count` traces in a bucket of `durations`.
    pub fn weight_in(&self, bucket: u16, count: i64) -> Weight {
        let mut weight = self.excess.get(&bucket).copied().unwrap_or_default();
        weight.total = weight.total.saturating_add(ONE.saturating_mul(i128::from(count)));
        weight
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.traces += other.traces;
        self.errors += other.errors;
        self.weight.merge(&other.weight);
        self.failed.merge(&other.failed);
        self.durations.merge(&other.durations);
        self.longest_nano = self.longest_nano.max(other.longest_nano);
        self.caused.merge(&other.caused);
        for (bucket, weight) in &other.excess {
            self.excess.entry(*bucket).or_default().merge(weight);
        }
    }

    /// Takes another's away.
    pub fn subtract(&mut self, other: &Self) {
        self.traces -= other.traces;
        self.errors -= other.errors;
        self.weight.subtract(&other.weight);
        self.failed.subtract(&other.failed);
        self.durations.subtract(&other.durations);
        self.caused.subtract(&other.caused);
        for (bucket, weight) in &other.excess {
            self.excess.entry(*bucket).or_default().subtract(weight);
        }
        self.excess.retain(|_, weight| *weight != Weight::default());
    }
}
