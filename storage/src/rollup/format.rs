//! Figures as bytes (docs/format.md#rollup): three streams of numbers, so that like stands beside like.
//!
//! `rows` has keys and counts, `buckets` which buckets a histogram uses, `counts` how many durations lie in each. Rows
//! are sorted by key; rows of one part share what their part says once.
use super::edge::{EdgeKind, Moved};
use super::figures::{Calls, EdgeKey, Operation, OperationKey, RootKey, Traces};
use super::histogram::{Histogram, bounds};
use super::sum::Figures;
use super::trace::SpanKind;
use super::varint::{Reader, put, put_signed, put_wide};
use super::weight::{ONE, Weight};

/// Figures as three streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Streams {
    pub(super) rows: Vec<u8>,
    pub(super) buckets: Vec<u8>,
    pub(super) counts: Vec<u8>,
}

/// Receives rows as they are read; histograms come beside their row, as buckets.
pub(super) trait Visit {
    fn operation(&mut self, key: OperationKey, row: &Operation, durations: &[(u16, i64)]);
    fn edge(&mut self, key: EdgeKey, row: &Calls, both: [&[(u16, i64)]; 2]);
    fn root(&mut self, key: RootKey, row: &Traces, durations: &[(u16, i64)]);
    fn unnamed(&mut self, calls: i64);
}

// What of a row is not zero. Operations and edges have their kind in the lowest three bits.
const KIND: u8 = 0b111;
const ERRORS: u8 = 1 << 3;
const BYTES: u8 = 1 << 4;
const WEIGHTS: u8 = 1 << 5;
const OKS: u8 = 1 << 6;
const ROOTS: u8 = 1 << 7;
const CALLER: u8 = 1 << 6;
const CALLEE: u8 = 1 << 7;

impl Streams {
    /// Writes `figures` with other keys, as `own` has them.
    pub(super) fn write(figures: &Figures, own: &[u32]) -> Self {
        let own = |key: u32| own[key as usize];
        let mut streams = Self::default();
        put_signed(&mut streams.rows, figures.unnamed);
        put(&mut streams.rows, figures.operations.len() as u64);
        let mut operations: Vec<_> =
            figures.operations.iter().map(|(key, row)| (key.with(own), row)).collect();
        operations.sort_unstable_by_key(|(key, _)| *key);
        operations.into_iter().for_each(|(key, row)| streams.operation(key, row));
        put(&mut streams.rows, figures.edges.len() as u64);
        let mut edges: Vec<_> =
            figures.edges.iter().map(|(key, row)| (key.with(own), row)).collect();
        edges.sort_unstable_by_key(|(key, _)| *key);
        let base = edges.iter().map(|(_, row)| row.first_nano).min().unwrap_or(0);
        put_signed(&mut streams.rows, base);
        edges.into_iter().for_each(|(key, row)| streams.edge(key, row, base));
        put(&mut streams.rows, figures.roots.len() as u64);
        let mut roots: Vec<_> =
            figures.roots.iter().map(|(key, row)| (key.with(own), row)).collect();
        roots.sort_unstable_by_key(|(key, _)| *key);
        roots.into_iter().for_each(|(key, row)| streams.root(key, row));
        streams
    }

    fn operation(&mut self, key: OperationKey, row: &Operation) {
        let has_bytes = (row.sized, row.request, row.response) != (0, 0, 0);
        let has_weights =
            is_weighted(&row.weight, row.spans) || is_weighted(&row.failed, row.errors);
        let flags = flag(ERRORS, row.errors != 0)
            | flag(BYTES, has_bytes)
            | flag(WEIGHTS, has_weights)
            | flag(OKS, row.oks != 0)
            | flag(ROOTS, row.roots != 0);
        self.key(key.service, key.name);
        self.rows.push(key.kind as u8 | flags);
        self.integers([(row.errors, ERRORS), (row.oks, OKS), (row.roots, ROOTS)], flags);
        if has_bytes {
            self.bytes(row.sized, row.request, row.response);
        }
        if has_weights {
            self.weights(&row.weight, row.spans);
            self.weights(&row.failed, row.errors);
        }
        let high = self.histogram(&row.durations);
        put_signed(&mut self.rows, high.wrapping_sub(row.longest_nano));
    }

    fn edge(&mut self, key: EdgeKey, row: &Calls, base: i64) {
        let moved = &row.moved;
        let has_bytes = (moved.sized, moved.request, moved.response) != (0, 0, 0);
        let has_weights =
            is_weighted(&row.weight, moved.calls) || is_weighted(&row.failed, row.errors);
        let flags = flag(ERRORS, row.errors != 0)
            | flag(BYTES, has_bytes)
            | flag(WEIGHTS, has_weights)
            | flag(CALLER, row.caller.count() != 0)
            | flag(CALLEE, row.callee.count() != 0);
        self.key(key.caller, key.callee);
        self.rows.push(key.kind as u8 | flags);
        put_signed(&mut self.rows, moved.calls);
        self.integers([(row.errors, ERRORS)], flags);
        if has_bytes {
            self.bytes(moved.sized, moved.request, moved.response);
        }
        if has_weights {
            self.weights(&row.weight, moved.calls);
            self.weights(&row.failed, row.errors);
        }
        put_signed(&mut self.rows, row.first_nano.wrapping_sub(base));
        put_signed(&mut self.rows, row.last_nano.wrapping_sub(row.first_nano));
        for (histogram, one) in [(&row.caller, CALLER), (&row.callee, CALLEE)] {
            if flags & one != 0 {
                self.histogram(histogram);
            }
        }
    }

    fn root(&mut self, key: RootKey, row: &Traces) {
        let has_weights =
            is_weighted(&row.weight, row.traces) || is_weighted(&row.failed, row.errors);
        let has_bytes = row.caused != Moved::default();
        let flags = flag(ERRORS, row.errors != 0)
            | flag(BYTES, has_bytes)
            | flag(WEIGHTS, has_weights || !row.excess.is_empty());
        self.key(key.service, key.name);
        self.rows.push(flags);
        self.integers([(row.errors, ERRORS)], flags);
        if has_bytes {
            put_signed(&mut self.rows, row.caused.calls);
            self.bytes(row.caused.sized, row.caused.request, row.caused.response);
        }
        if flags & WEIGHTS != 0 {
            self.weights(&row.weight, row.traces);
            self.weights(&row.failed, row.errors);
            put(&mut self.rows, row.excess.len() as u64);
            for (bucket, weight) in &row.excess {
                put(&mut self.rows, u64::from(*bucket));
                self.weights(weight, 0);
            }
        }
        let high = self.histogram(&row.durations);
        put_signed(&mut self.rows, high.wrapping_sub(row.longest_nano));
    }

    fn key(&mut self, first: u32, second: u32) {
        put(&mut self.rows, u64::from(first));
        put(&mut self.rows, u64::from(second));
    }

    fn integers<const N: usize>(&mut self, numbers: [(i64, u8); N], flags: u8) {
        for (number, _) in numbers.into_iter().filter(|(_, one)| flags & one != 0) {
            put_signed(&mut self.rows, number);
        }
    }

    fn bytes(&mut self, sized: i64, request: i128, response: i128) {
        put_signed(&mut self.rows, sized);
        put_wide(&mut self.rows, request);
        put_wide(&mut self.rows, response);
    }

    /// By how much a sum of weights exceeds the number of its spans, and its variance.
    fn weights(&mut self, weight: &Weight, spans: i64) {
        put_wide(&mut self.rows, excess(weight, spans));
        put_wide(&mut self.rows, weight.variance);
    }

    /// Returns the upper bound of the highest bucket.
    fn histogram(&mut self, histogram: &Histogram) -> i64 {
        let buckets = histogram.buckets();
        put(&mut self.buckets, buckets.len() as u64);
        let mut next = 0;
        for (bucket, count) in &buckets {
            put(&mut self.buckets, u64::from(bucket - next));
            next = bucket + 1;
            // What was only ever added to is never below one.
            put(&mut self.counts, u64::try_from(count - 1).unwrap_or(0));
        }
        buckets.last().map_or(0, |(bucket, _)| bounds(*bucket).1)
    }
}

fn flag(flag: u8, is_set: bool) -> u8 {
    if is_set { flag } else { 0 }
}

fn excess(weight: &Weight, spans: i64) -> i128 {
    weight.total.saturating_sub(ONE.saturating_mul(i128::from(spans)))
}

fn is_weighted(weight: &Weight, spans: i64) -> bool {
    excess(weight, spans) != 0 || weight.variance != 0
}

/// Reads one part's streams.
#[derive(Debug)]
pub(super) struct PartReader<'a> {
    pub(super) rows: Reader<'a>,
    pub(super) buckets: Reader<'a>,
    pub(super) counts: Reader<'a>,
    /// Keys are below this.
    pub(super) names: u32,
}

/// Buckets and counts of one histogram; its memory is used again.
type Scratch = Vec<(u16, i64)>;

impl PartReader<'_> {
    /// Hands every row to `visit`; `None` where the bytes are no figures: some rows may have been handed over then.
    pub(super) fn read(mut self, visit: &mut dyn Visit) -> Option<()> {
        let (mut first, mut second) = (Scratch::new(), Scratch::new());
        visit.unnamed(self.rows.signed()?);
        for _ in 0..self.rows.count()? {
            self.operation(&mut first, visit)?;
        }
        let edges = self.rows.count()?;
        let base = self.rows.signed()?;
        for _ in 0..edges {
            self.edge(base, (&mut first, &mut second), visit)?;
        }
        for _ in 0..self.rows.count()? {
            self.root(&mut first, visit)?;
        }
        (self.rows.is_empty() && self.buckets.is_empty() && self.counts.is_empty()).then_some(())
    }

    fn operation(&mut self, scratch: &mut Scratch, visit: &mut dyn Visit) -> Option<()> {
        let (service, name) = self.key()?;
        let flags = self.flags()?;
        let kind = *SpanKind::ALL.get(usize::from(flags & KIND))?;
        let mut row = Operation {
            errors: self.integer(flags, ERRORS)?,
            oks: self.integer(flags, OKS)?,
            roots: self.integer(flags, ROOTS)?,
            ..Operation::default()
        };
        if flags & BYTES != 0 {
            row.sized = self.rows.signed()?;
            (row.request, row.response) = (self.rows.wide()?, self.rows.wide()?);
        }
        let weights = self.weights(flags)?;
        let high = self.histogram(scratch)?;
        row.spans = scratch.iter().map(|(_, count)| count).sum();
        (row.weight, row.failed) = sums(weights, row.spans, row.errors);
        row.longest_nano = high.wrapping_sub(self.rows.signed()?);
        visit.operation(OperationKey { service, name, kind }, &row, scratch);
        Some(())
    }

    fn edge(
        &mut self,
        base: i64,
        (first, second): (&mut Scratch, &mut Scratch),
        visit: &mut dyn Visit,
    ) -> Option<()> {
        let (caller, callee) = self.key()?;
        let flags = self.flags()?;
        let kind = *EdgeKind::ALL.get(usize::from(flags & KIND))?;
        let mut row = Calls::default();
        row.moved.calls = self.rows.signed()?;
        row.errors = self.integer(flags, ERRORS)?;
        if flags & BYTES != 0 {
            row.moved.sized = self.rows.signed()?;
            (row.moved.request, row.moved.response) = (self.rows.wide()?, self.rows.wide()?);
        }
        let weights = self.weights(flags)?;
        (row.weight, row.failed) = sums(weights, row.moved.calls, row.errors);
        row.first_nano = base.wrapping_add(self.rows.signed()?);
        row.last_nano = row.first_nano.wrapping_add(self.rows.signed()?);
        first.clear();
        second.clear();
        if flags & CALLER != 0 {
            self.histogram(first)?;
        }
        if flags & CALLEE != 0 {
            self.histogram(second)?;
        }
        visit.edge(EdgeKey { caller, callee, kind }, &row, [first, second]);
        Some(())
    }

    fn root(&mut self, scratch: &mut Scratch, visit: &mut dyn Visit) -> Option<()> {
        let (service, name) = self.key()?;
        let flags = self.flags()?;
        let mut row = Traces { errors: self.integer(flags, ERRORS)?, ..Traces::default() };
        if flags & BYTES != 0 {
            row.caused.calls = self.rows.signed()?;
            row.caused.sized = self.rows.signed()?;
            (row.caused.request, row.caused.response) = (self.rows.wide()?, self.rows.wide()?);
        }
        let weights = self.weights(flags)?;
        if flags & WEIGHTS != 0 {
            for _ in 0..self.rows.count()? {
                let bucket = u16::try_from(self.rows.number()?).ok()?;
                let weight = Weight { total: self.rows.wide()?, variance: self.rows.wide()? };
                row.excess.insert(bucket, weight);
            }
        }
        let high = self.histogram(scratch)?;
        row.traces = scratch.iter().map(|(_, count)| count).sum();
        (row.weight, row.failed) = sums(weights, row.traces, row.errors);
        row.longest_nano = high.wrapping_sub(self.rows.signed()?);
        visit.root(RootKey { service, name }, &row, scratch);
        Some(())
    }

    fn key(&mut self) -> Option<(u32, u32)> {
        let names = self.names;
        let mut key = || u32::try_from(self.rows.number()?).ok().filter(|key| *key < names);
        Some((key()?, key()?))
    }

    fn flags(&mut self) -> Option<u8> {
        self.rows.take(1).map(|byte| byte[0])
    }

    fn integer(&mut self, flags: u8, one: u8) -> Option<i64> {
        if flags & one == 0 { Some(0) } else { self.rows.signed() }
    }

    fn weights(&mut self, flags: u8) -> Option<[Weight; 2]> {
        let mut weights = [Weight::default(); 2];
        if flags & WEIGHTS != 0 {
            for weight in &mut weights {
                *weight = Weight { total: self.rows.wide()?, variance: self.rows.wide()? };
            }
        }
        Some(weights)
    }

    /// Returns the upper bound of the highest bucket.
    fn histogram(&mut self, scratch: &mut Scratch) -> Option<i64> {
        scratch.clear();
        let buckets = self.buckets.count()?;
        if buckets > self.counts.rest() {
            return None;
        }
        scratch.reserve(buckets);
        let mut next = 0;
        let mut add = |distance: u64| {
            let bucket = u16::try_from(distance.saturating_add(next)).unwrap_or(u16::MAX);
            scratch.push((bucket, 1));
            next = u64::from(bucket) + 1;
        };
        self.buckets.each(buckets, &mut add)?;
        let mut counts = scratch.iter_mut();
        self.counts.each(buckets, &mut |more| {
            if let Some((_, count)) = counts.next() {
                *count = count.saturating_add_unsigned(more);
            }
        })?;
        let (last, _) = scratch.last().copied().unwrap_or_default();
        // No file has so many; sums of such could overflow.
        let too_many = scratch.iter().any(|(_, count)| *count >= 1 << 48);
        (usize::from(last) <= super::histogram::LAST && !too_many).then(|| bounds(last).1)
    }
}

/// The weights of all spans and of those that failed, from their excesses.
fn sums([all, failed]: [Weight; 2], spans: i64, errors: i64) -> (Weight, Weight) {
    let sum = |excess: Weight, count: i64| {
        let total = excess.total.saturating_add(ONE.saturating_mul(i128::from(count)));
        Weight { total, ..excess }
    };
    (sum(all, spans), sum(failed, errors))
}
