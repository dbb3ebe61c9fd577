//! What rollups do not tell: whole traces from their spans, less what rollups say of them.
use std::sync::Arc;

use datafusion::common::Result;
use hashbrown::HashSet;
use storage::rollup::{self, Builder, Caller, Sum, Words};
use storage::{TimeRange, TraceId};

use super::Part;
use super::cache::Known;
use super::gather::{Fragment, Rows};
use crate::views::load::Source;
use crate::views::read::{Slice, hash};
use crate::views::sweep::{SLICES_MAX, is_exhausted};
use crate::views::totals::Gaps;

/// What to add to the figures of rollups, and what to take away.
#[derive(Default)]
pub(super) struct Rest {
    plus: Sum,
    minus: Sum,
    gaps: Gaps,
    /// Linked trace that is nowhere, trace with the link.
    pub(super) dangling: Vec<([u8; 16], [u8; 16])>,
}

impl Rest {
    /// Corrects the figures.
    pub(super) fn apply(&self, sum: &mut Sum, gaps: &mut Gaps) {
        sum.add(&self.plus);
        sum.subtract(&self.minus);
        gaps.merge(self.gaps.clone());
    }

    fn merge(&mut self, other: Self) {
        self.plus.add(&other.plus);
        self.minus.add(&other.minus);
        self.gaps.merge(other.gaps);
        self.dangling.extend(other.dangling);
    }
}

/// The same for traces in hot batches.
pub(super) struct Hot {
    pub(super) rest: Rest,
    /// Traces that were not computed from spans before.
    pub(super) new_traces: usize,
}

/// What hot batches change in what is known of the files; `None` where there are none.
pub(super) async fn of_hot(
    source: &Source,
    known: &Known,
    range: TimeRange,
) -> Result<Option<Hot>> {
    if source.tables.snapshot.hot.is_empty() {
        return Ok(None);
    }
    let is_new = |at: usize| at >= known.parts.len();
    let job = Job { source, parts: &known.parts, range, before: Some(known), is_new: &is_new };
    let mut settled_traces = 0;
    let (settled, mut traces) = match Rows::of_hot(source).await {
        Ok(rows) => {
            let (settled, others) = job.settle(&rows, known);
            settled_traces = rows.traces().len() - others.len();
            (settled, others)
        }
        Err(error) if is_exhausted(&error) => (Rest::default(), source.hot_traces().await?),
        Err(error) => return Err(error),
    };
    let linked = traces.iter().filter_map(|trace| known.dangling.get(trace));
    let linked: Vec<[u8; 16]> = linked.flatten().copied().collect();
    traces.extend(linked);
    let mut rest = job.run(&traces).await?;
    rest.merge(settled);
    let new_traces = traces.iter().filter(|trace| !known.traces.contains(*trace));
    let new_traces = settled_traces + new_traces.count();
    Ok(Some(Hot { rest, new_traces }))
}

/// Counts traces whole that have something in new files, or in hot batches.
pub(super) struct Job<'a> {
    pub(super) source: &'a Source,
    pub(super) parts: &'a [Arc<Part>],
    pub(super) range: TimeRange,
    /// What is counted already, of other files than new ones.
    pub(super) before: Option<&'a Known>,
    /// By place in `parts`; hot batches come behind the last.
    pub(super) is_new: &'a (dyn Fn(usize) -> bool + Sync),
}

impl Job<'_> {
    /// Slice by slice, as memory allows.
    pub(super) async fn run(&self, traces: &HashSet<[u8; 16]>) -> Result<Rest> {
        let mut rest = Rest::default();
        let mut slices = vec![Slice::ALL];
        while let Some(slice) = slices.pop() {
            let own = traces.iter().filter(|trace| slice.contains(hash(trace)));
            let own: HashSet<[u8; 16]> = own.copied().collect();
            let with_hot = (self.is_new)(self.parts.len());
            match Rows::of(self.source, &own, with_hot).await {
                Err(error) if is_exhausted(&error) && slice.of < SLICES_MAX => {
                    slices.extend(slice.halves());
                }
                rows => rest.merge(self.compute(&rows?)),
            }
        }
        Ok(rest)
    }

    fn compute(&self, rows: &Rows) -> Rest {
        let words = rows.words();
        let mut sums = Sums::new(&words, self.range);
        for trace in rows.traces() {
            let all = rows.fragment(trace, |_| true);
            if all.spans.is_empty() {
                continue;
            }
            let mut callers = Vec::new();
            let whole = rollup::Trace::resolve(&all.spans, &mut callers, &words);
            let links = rows.links(&all, |_| true);
            sums.dangling.extend(links.missing.iter().map(|linked| (*linked, all.id)));
            sums.plus.add_trace(&whole, &links.found);
            sums.count_gaps(all.id, &whole, 1);
            let (spans, callers) = self.uncovered(&all, &whole);
            sums.plus.add_spans(&rollup::Trace { spans: &spans, callers: &callers });
            self.take_away(rows, trace, &mut sums);
        }
        sums.finish()
    }

    /// Counts the traces that lie in hot batches alone; returns the others. As in a flush, a trace with a root and all
    /// parents here is taken to be elsewhere only where one of the newest files may hold it, or where it was open there.
    fn settle(&self, rows: &Rows, known: &Known) -> (Rest, HashSet<[u8; 16]>) {
        const NEWEST: usize = 16;
        let mut newest: Vec<_> = self.parts.iter().map(|part| &part.file).collect();
        newest.sort_by_key(|file| std::cmp::Reverse(file.modified_unix_milli));
        newest.truncate(NEWEST);
        let words = rows.words();
        let mut sums = Sums::new(&words, self.range);
        let mut others = HashSet::new();
        for trace in rows.traces() {
            let id = rows.id(trace);
            let all = rows.fragment(trace, |_| true);
            let mut callers = Vec::new();
            let whole = rollup::Trace::resolve(&all.spans, &mut callers, &words);
            let links = rows.links(&all, |_| true);
            let elsewhere = || newest.iter().any(|file| file.may_hold_trace(&TraceId(id)));
            if !whole.is_whole()
                || !links.missing.is_empty()
                || known.traces.contains(&id)
                || known.dangling.contains_key(&id)
                || elsewhere()
            {
                others.insert(id);
                continue;
            }
            sums.plus.add_trace(&whole, &links.found);
            sums.plus.add_spans(&whole);
        }
        (sums.finish(), others)
    }

    /// What is counted of a trace already: of the files before perhaps the whole of it, otherwise by rollups its plain
    /// fragments.
    fn take_away(&self, rows: &Rows, trace: u32, sums: &mut Sums<'_>) {
        let id = rows.id(trace);
        let is_whole = self.before.is_some_and(|before| before.traces.contains(&id));
        if is_whole {
            let in_files = rows.fragment(trace, |origin| !(self.is_new)(origin as usize));
            if !in_files.spans.is_empty() {
                let mut callers = Vec::new();
                let whole = rollup::Trace::resolve(&in_files.spans, &mut callers, sums.words);
                let links = rows.links(&in_files, |origin| !(self.is_new)(origin as usize)).found;
                sums.minus(self.range).add_trace(&whole, &links);
                sums.count_gaps(id, &whole, -1);
            }
        }
        for origin in rows.origins(trace) {
            if is_whole && !(self.is_new)(origin as usize) {
                continue;
            }
            let Some(part) = self.parts.get(origin as usize) else { continue };
            let Some(rollup) = &part.rollup else { continue };
            if rollup.is_open(&TraceId(id)) {
                continue;
            }
            let own = rows.fragment(trace, |other| other == origin);
            let mut callers = Vec::new();
            let fragment = rollup::Trace::resolve(&own.spans, &mut callers, sums.words);
            let links = rows.links(&own, |other| other == origin).found;
            sums.minus(part.covered).add_trace(&fragment, &links);
        }
    }

    /// The spans that nobody has counted among their operations, with their callers.
    fn uncovered(
        &self,
        all: &Fragment,
        whole: &rollup::Trace<'_>,
    ) -> (Vec<rollup::Span>, Vec<Caller>) {
        let is_uncovered = |at: usize| match self.parts.get(all.origins[at] as usize) {
            None => true,
            Some(_) if !(self.is_new)(all.origins[at] as usize) => false,
            Some(part) => {
                let start = all.spans[at].start;
                part.uncovered(self.range).iter().any(|piece| piece.contains(start))
            }
        };
        let places = (0..all.spans.len()).filter(|at| is_uncovered(*at));
        places.map(|at| (all.spans[at], whole.callers[at])).unzip()
    }
}

/// Figures to add and to take away.
struct Sums<'w> {
    words: &'w dyn Words,
    range: TimeRange,
    plus: Builder<'w>,
    /// By what they count.
    minus: Vec<(TimeRange, Builder<'w>)>,
    gaps: Gaps,
    dangling: Vec<([u8; 16], [u8; 16])>,
}

impl<'w> Sums<'w> {
    fn new(words: &'w dyn Words, range: TimeRange) -> Self {
        let plus = Builder::new(words, range);
        Self { words, range, plus, minus: Vec::new(), gaps: Gaps::default(), dangling: Vec::new() }
    }

    /// Takes away what lies in `range`.
    fn minus(&mut self, range: TimeRange) -> &mut Builder<'w> {
        let known = self.minus.iter().position(|(own, _)| *own == range);
        let place = known.unwrap_or_else(|| {
            self.minus.push((range, Builder::new(self.words, range)));
            self.minus.len() - 1
        });
        &mut self.minus[place].1
    }

    /// Counts (or, with -1, takes away) what is missing in `trace`.
    fn count_gaps(&mut self, id: [u8; 16], trace: &rollup::Trace<'_>, sign: i64) {
        let missing = trace.callers.iter().zip(trace.spans);
        let missing = missing.filter(|(caller, _)| **caller == Caller::Missing);
        let (mut all, mut in_range) = (0, 0);
        for (_, span) in missing {
            all += 1;
            in_range += i64::from(self.range.contains(span.start));
        }
        self.gaps.missing += sign * in_range;
        let (root, is_root) = trace.root(self.words);
        let root = &trace.spans[root as usize];
        if self.range.contains(root.start) && (all > 0 || !is_root) {
            self.gaps.missing_in_traces += sign * all;
            self.gaps.kept.add_trace(id, trace, sign);
            let key = (self.words.service(root.service), self.words.name(root.name));
            *self.gaps.incomplete.entry((key.0.into(), key.1.into())).or_default() += sign;
        }
    }

    fn finish(self) -> Rest {
        let mut minus = Sum::default();
        for (_, builder) in self.minus {
            minus.add(&builder.sum());
        }
        Rest { plus: self.plus.sum(), minus, gaps: self.gaps, dangling: self.dangling }
    }
}
