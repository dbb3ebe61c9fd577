//! The traces of one pattern.
use std::cmp::Reverse;

use hashbrown::HashMap;

use super::Head;
use super::slower::{Slower, slower};
use crate::views::edge::Moved;
use crate::views::forest::Texts;
use crate::views::rows::Weight;

/// Service and name.
type Operation = (u32, u32);

/// What one trace adds to its group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) head: Head,
    pub(super) error_spans: i64,
    pub(super) moved: Moved,
    pub(super) self_times: Vec<(Operation, i64)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    /// Of the root.
    pub(crate) service: u32,
    /// Of the root.
    pub(crate) name: u32,
    /// Of the root of each trace, with the trace's id and its start; in this order, once sorted.
    pub(crate) durations: Vec<(i64, [u8; 16], i64)>,
    /// When they got slow, once sorted.
    pub(crate) slower: Option<Slower>,
    /// Of each trace.
    pub(crate) spans: Vec<i64>,
    /// Roots that failed.
    pub(crate) errors: i64,
    /// Spans that failed.
    pub(crate) error_spans: i64,
    /// Traces that miss a parent or their root.
    pub(crate) incomplete: i64,
    /// Spans on the longest way down.
    pub(crate) depth: u32,
    /// Different services.
    pub(crate) services: i64,
    /// What the traces' calls carried.
    pub(crate) moved: Moved,
    /// Earliest start of a root.
    pub(crate) first: i64,
    /// Latest start of a root.
    pub(crate) last: i64,
    /// The shape for people.
    pub(crate) text: String,
    /// Traces before sampling.
    pub(crate) weight: Weight,
    /// Those whose root failed, before sampling.
    pub(crate) failed: Weight,
    self_times: HashMap<Operation, i64>,
}

impl Group {
    /// No traces yet of the shape with this `text`.
    pub(crate) fn new(text: String, depth: u32, services: i64) -> Self {
        Self {
            service: 0,
            name: 0,
            durations: Vec::new(),
            slower: None,
            spans: Vec::new(),
            errors: 0,
            error_spans: 0,
            incomplete: 0,
            depth,
            services,
            moved: Moved::default(),
            first: i64::MAX,
            last: i64::MIN,
            text,
            weight: Weight::default(),
            failed: Weight::default(),
            self_times: HashMap::new(),
        }
    }

    /// Adds a trace.
    pub(super) fn add(&mut self, member: Member) {
        let head = member.head;
        (self.service, self.name) = (head.service, head.name);
        self.durations.push((head.duration, head.id, head.start));
        self.spans.push(i64::from(head.spans));
        self.errors += i64::from(head.error);
        self.error_spans += member.error_spans;
        self.incomplete += i64::from(!head.complete);
        self.moved.merge(&member.moved);
        self.first = self.first.min(head.start);
        self.last = self.last.max(head.start);
        self.weight.add(u128::from_be_bytes(head.id), head.weight);
        if head.error {
            self.failed.add(u128::from_be_bytes(head.id), head.weight);
        }
        for (operation, nanos) in member.self_times {
            let sum = self.self_times.entry(operation).or_default();
            *sum = sum.saturating_add(nanos);
        }
    }

    /// Adds the traces of another group of the same pattern.
    pub(crate) fn merge(&mut self, other: Self) {
        self.durations.extend(other.durations);
        self.spans.extend(other.spans);
        self.errors += other.errors;
        self.error_spans += other.error_spans;
        self.incomplete += other.incomplete;
        self.moved.merge(&other.moved);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.weight.merge(&other.weight);
        self.failed.merge(&other.failed);
        for (operation, nanos) in other.self_times {
            let sum = self.self_times.entry(operation).or_default();
            *sum = sum.saturating_add(nanos);
        }
    }

    /// What traces took longer while they were slow than they usually take, in nanoseconds.
    pub(crate) fn lost_nano(&self) -> i64 {
        self.slower.map_or(0, |slower| slower.lost_nano)
    }

    /// How much that matters.
    pub(crate) fn slowdown(&self) -> f64 {
        self.slower.map_or(0.0, |slower| slower.slowdown)
    }

    /// Puts what quantiles need into order, and finds out when they got slow.
    pub(crate) fn sort(&mut self) {
        self.durations.sort_unstable();
        self.spans.sort_unstable();
        let traces = self.durations.iter().map(|(duration, _, start)| (*start, *duration));
        self.slower = slower(traces.collect());
    }

    /// Service and name of the operation with most self time.
    pub(crate) fn top<'t>(&self, texts: &'t Texts) -> (&'t str, &'t str) {
        let words = |(service, name): Operation| (texts.text(service), texts.text(name));
        let all = self.self_times.iter().map(|(operation, nanos)| (*nanos, words(*operation)));
        all.max_by_key(|(nanos, words)| (*nanos, Reverse(*words))).unwrap_or_default().1
    }

    /// Its share of all self time.
    pub(crate) fn top_share(&self) -> Option<f64> {
        let all: i128 = self.self_times.values().map(|nanos| i128::from(*nanos)).sum();
        let top = self.self_times.values().max()?;
        (all > 0).then(|| *top as f64 / all as f64)
    }

    /// Memory held, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.durations.capacity() * size_of::<(i64, [u8; 16], i64)>()
            + self.spans.capacity() * size_of::<i64>()
            + self.text.capacity()
            + self.self_times.capacity() * (size_of::<(Operation, i64)>() + 1)
    }
}
