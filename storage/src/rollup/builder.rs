//! Adds up the figures of traces. The same code makes a file's rollup, the part that one fragment has in it, and what a
//! whole trace adds: that is why they can be taken away from each other.
use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::edge::{Edge, EdgeKind, Link, Moved};
use super::figures::{Calls, EdgeKey, Operation, OperationKey, RootKey, Traces};
use super::sum::{Figures, Names, Sum};
use super::trace::{Caller, Trace, Words};
use super::weight::Cluster;
use crate::time::TimeRange;

/// Adds up; see the module. A span counts in the slot of its own start, an edge in that of the callee's start (the
/// caller's, where the callee has no span), a trace in that of its root's start, the variance of a trace's weights in
/// that of the first of its spans there.
pub struct Builder<'w> {
    words: &'w dyn Words,
    clock: SlotClock,
    range: TimeRange,
    operations: Table<OperationKey, Operation>,
    edges: Table<EdgeKey, Calls>,
    roots: Table<RootKey, Traces>,
    unnamed: HashMap<i64, i64, RandomState>,
    answered: Vec<bool>,
}

impl std::fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("range", &self.range).finish_non_exhaustive()
    }
}

/// What adding a trace found out about it.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Place of its root.
    pub root: u32,
    /// What its edges moved, links not among them.
    pub caused: Moved,
}

/// Figures by slot of time.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// Services, operations, peers.
    pub names: Names,
    /// Length of a slot.
    pub slot_nano: i64,
    /// By slot: number `n` begins at `n * slot_nano`, Unix nanoseconds.
    pub slots: BTreeMap<i64, Figures>,
}

impl Slots {
    /// Makes slots longer: `slot_nano` is a multiple of what they are now.
    pub(crate) fn widen(&mut self, slot_nano: i64) {
        let times = slot_nano / self.slot_nano.max(1);
        let slots = std::mem::take(&mut self.slots);
        for (slot, figures) in slots {
            let wide = self.slots.entry(slot.div_euclid(times.max(1))).or_default();
            if wide.is_empty() {
                *wide = figures;
            } else {
                wide.merge(&figures);
            }
        }
        self.slot_nano = slot_nano;
    }

    /// What the slots take when they are stored: measured on generated traces, off by a third at most.
    pub(crate) fn bytes_about(&self) -> usize {
        self.slots.values().map(Figures::bytes_about).sum()
    }
}

impl<'w> Builder<'w> {
    /// Counts what lies in `range`, all in one slot; see [`Self::sum`].
    pub fn new(words: &'w dyn Words, range: TimeRange) -> Self {
        Self::over(words, range, 0)
    }

    /// Counts everything, in slots of `slot_nano`; see [`Self::slots`].
    pub fn with_slots(words: &'w dyn Words, slot_nano: i64) -> Self {
        Self::over(words, TimeRange { from: i64::MIN, until: i64::MAX }, slot_nano)
    }

    fn over(words: &'w dyn Words, range: TimeRange, slot_nano: i64) -> Self {
        Self {
            words,
            clock: SlotClock { slot_nano, slot: 0, from: 0, until: 0 },
            range,
            operations: Table::default(),
            edges: Table::default(),
            roots: Table::default(),
            unnamed: HashMap::default(),
            answered: Vec::new(),
        }
    }

    /// Adds each span to its operation. Of any fragment, also an open one, or of spans in the hot buffer.
    pub fn add_spans(&mut self, trace: &Trace<'_>) {
        for (span, caller) in trace.spans.iter().zip(trace.callers) {
            if self.range.contains(span.start) {
                let slot = self.clock.slot(span.start);
                let key = OperationKey { service: span.service, name: span.name, kind: span.kind };
                self.operations.get(slot, key).add(span, *caller == Caller::Root);
            }
        }
    }

    /// Adds the edges, the root, and the variances of weights. Of a whole trace, or of a plain fragment; `links` are
    /// those of its CONSUMER spans to stored spans (of a fragment: to spans in the same file).
    pub fn add_trace(&mut self, trace: &Trace<'_>, links: &[Link]) -> Head {
        let sampled = trace.spans.iter().any(|span| span.weight != 1.0);
        if sampled {
            self.add_operation_variances(trace);
        }
        let mut clusters = Clusters::default();
        let mut caused = Moved::default();
        let mut answered = std::mem::take(&mut self.answered);
        trace.edges(&mut answered, |edge| {
            if edge.callee.is_some() {
                caused.add(&edge);
            }
            self.add_edge(trace, &edge, sampled.then_some(&mut clusters));
        });
        self.answered = answered;
        for edge in links.iter().filter_map(|link| trace.link_edge(link)) {
            self.add_edge(trace, &edge, sampled.then_some(&mut clusters));
        }
        for (key, group) in clusters.0 {
            if self.range.contains(group.first_nano) {
                let slot = self.clock.slot(group.first_nano);
                self.edges.get(slot, key).add_variance(group.all, group.failed);
            }
        }
        let (place, _) = trace.root(self.words);
        let head = Head { root: place, caused };
        let Some(root) = trace.spans.get(place as usize) else { return head };
        if self.range.contains(root.start) {
            let slot = self.clock.slot(root.start);
            let key = RootKey { service: root.service, name: root.name };
            self.roots.get(slot, key).add(root, &caused);
        }
        head
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.operations.rows.len() + self.edges.rows.len() + self.roots.rows.len()
    }

    /// Different keys among them.
    pub(crate) fn keys(&self) -> usize {
        fn different<K: Copy + Hash + Eq, V>(table: &Table<K, V>) -> usize {
            let keys = table.places.keys().map(|(_, key)| *key);
            keys.collect::<HashSet<K, RandomState>>().len()
        }
        different(&self.operations) + different(&self.edges) + different(&self.roots)
    }

    /// Everything in one sum.
    pub fn sum(self) -> Sum {
        let mut slots = self.slots();
        let mut sum = Sum { names: slots.names, figures: Figures::default() };
        if let Some((_, first)) = slots.slots.pop_first() {
            sum.figures = first;
        }
        slots.slots.values().for_each(|figures| sum.figures.merge(figures));
        sum
    }

    /// By slot.
    pub fn slots(self) -> Slots {
        let mut slots = Slots { slot_nano: self.clock.slot_nano, ..Slots::default() };
        let mut names = Naming { words: self.words, names: &mut slots.names };
        for ((slot, key), row) in self.operations.into_rows() {
            let key = names.operation(key);
            // Two keys may have one text: then this is no insertion.
            slots.slots.entry(slot).or_default().operations.entry(key).or_default().merge(&row);
        }
        for ((slot, key), row) in self.edges.into_rows() {
            let key = names.edge(key);
            slots.slots.entry(slot).or_default().edges.entry(key).or_default().merge(&row);
        }
        for ((slot, key), row) in self.roots.into_rows() {
            let key = names.root(key);
            slots.slots.entry(slot).or_default().roots.entry(key).or_default().merge(&row);
        }
        for (slot, calls) in self.unnamed {
            slots.slots.entry(slot).or_default().unnamed += calls;
        }
        slots
    }

    fn add_edge(
        &mut self,
        trace: &Trace<'_>,
        edge: &Edge,
        clusters: Option<&mut Clusters<EdgeKey>>,
    ) {
        let span = &trace.spans[edge.span as usize];
        let counts = self.range.contains(span.start);
        let slot = self.clock.slot(span.start);
        let Some(callee) = edge.callee else {
            if counts {
                *self.unnamed.entry(slot).or_default() += 1;
            }
            return;
        };
        let key = EdgeKey { caller: edge.caller, callee, kind: edge.kind };
        if counts {
            self.edges.get(slot, key).add(edge, span);
        }
        if let Some(clusters) = clusters {
            clusters.add(key, span);
        }
    }

    fn add_operation_variances(&mut self, trace: &Trace<'_>) {
        let mut clusters = Clusters::default();
        for span in trace.spans {
            let key = OperationKey { service: span.service, name: span.name, kind: span.kind };
            clusters.add(key, span);
        }
        for (key, group) in clusters.0 {
            if self.range.contains(group.first_nano) {
                let slot = self.clock.slot(group.first_nano);
                self.operations.get(slot, key).add_variance(group.all, group.failed);
            }
        }
    }
}

/// Which slot a time is in. Spans of one trace are mostly in the last one.
#[derive(Debug, Clone, Copy)]
struct SlotClock {
    slot_nano: i64,
    slot: i64,
    from: i64,
    until: i64,
}

impl SlotClock {
    #[inline]
    fn slot(&mut self, nano: i64) -> i64 {
        if self.slot_nano == 0 {
            return 0;
        }
        if nano < self.from || nano >= self.until {
            self.slot = nano.div_euclid(self.slot_nano);
            self.from = self.slot.saturating_mul(self.slot_nano);
            self.until = self.from.saturating_add(self.slot_nano);
        }
        self.slot
    }
}

/// Rows by slot and key.
struct Table<K, V> {
    places: HashMap<(i64, K), usize, RandomState>,
    rows: Vec<V>,
    /// The last rows, by [`Spread`]: what comes often is found without hashing.
    memo: Vec<Option<(i64, K, usize)>>,
}

/// Rows found without hashing, at most.
const MEMO: usize = 2_048;

/// Tells keys apart, not always.
trait Spread {
    fn spread(&self) -> u32;
}

impl Spread for OperationKey {
    fn spread(&self) -> u32 {
        self.name // nearly always says the rest
    }
}

impl Spread for EdgeKey {
    fn spread(&self) -> u32 {
        self.caller.wrapping_mul(61).wrapping_add(self.callee).wrapping_add((self.kind as u32) << 9)
    }
}

impl Spread for RootKey {
    fn spread(&self) -> u32 {
        self.name
    }
}

impl<K: Copy, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { places: HashMap::default(), rows: Vec::new(), memo: vec![None; MEMO] }
    }
}

impl<K: Copy + Hash + Eq + Spread, V: Default> Table<K, V> {
    #[inline]
    fn get(&mut self, slot: i64, key: K) -> &mut V {
        let memo = key.spread() as usize % MEMO;
        let row = match &self.memo[memo] {
            Some((of, known, row)) if *of == slot && *known == key => *row,
            _ => self.find(slot, key, memo),
        };
        &mut self.rows[row]
    }

    #[cold]
    fn find(&mut self, slot: i64, key: K, memo: usize) -> usize {
        let next = self.rows.len();
        let row = *self.places.entry((slot, key)).or_insert(next);
        if row == next {
            self.rows.push(V::default());
        }
        self.memo[memo] = Some((slot, key, row));
        row
    }

    fn into_rows(self) -> impl Iterator<Item = ((i64, K), V)> {
        let mut rows: Vec<Option<V>> = self.rows.into_iter().map(Some).collect();
        self.places.into_iter().filter_map(move |(key, row)| Some((key, rows[row].take()?)))
    }
}

/// The spans of one trace by key.
struct Clusters<K>(Vec<(K, Group)>);

impl<K> Default for Clusters<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[derive(Debug, Clone, Copy)]
struct Group {
    all: Cluster,
    failed: Cluster,
    first_nano: i64,
}

impl<K: PartialEq> Clusters<K> {
    fn add(&mut self, key: K, span: &super::trace::Span) {
        let place = self.0.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            let (all, failed) = (Cluster::default(), Cluster::default());
            self.0.push((key, Group { all, failed, first_nano: i64::MAX }));
            self.0.len() - 1
        });
        let group = &mut self.0[place].1;
        group.all.add(span.weight);
        if span.is_error() {
            group.failed.add(span.weight);
        }
        group.first_nano = group.first_nano.min(span.start);
    }
}

/// Gives keys of [`Words`] those of [`Names`].
struct Naming<'a> {
    words: &'a dyn Words,
    names: &'a mut Names,
}

impl Naming<'_> {
    fn operation(&mut self, key: OperationKey) -> OperationKey {
        let RootKey { service, name } = self.root(RootKey { service: key.service, name: key.name });
        OperationKey { service, name, kind: key.kind }
    }

    fn root(&mut self, key: RootKey) -> RootKey {
        let service = self.names.key(self.words.service(key.service));
        RootKey { service, name: self.names.key(self.words.name(key.name)) }
    }

    fn edge(&mut self, key: EdgeKey) -> EdgeKey {
        let callee = match key.kind {
            EdgeKind::Rpc | EdgeKind::Messaging | EdgeKind::Link => self.words.service(key.callee),
            EdgeKind::Database | EdgeKind::External => self.words.peer(key.callee),
        };
        let callee = self.names.key(callee);
        EdgeKey { caller: self.names.key(self.words.service(key.caller)), callee, kind: key.kind }
    }
}
