//! What rollups do not tell: whole traces from their spans, less what rollups say of them.
use datafusion::common::Result;
use hashbrown::HashSet;
use storage::rollup::{self, Builder, Caller, Sum, Words};
use storage::{TimeRange, TraceId};

use super::Part;
use super::cache::Known;
use super::gather::{self, Fragment, HOT, Rows};
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
    /// The traces, in the files.
    pub(super) async fn of_files(
        source: &Source,
        (parts, traces): (&[Part], &HashSet<[u8; 16]>),
        range: TimeRange,
    ) -> Result<Self> {
        let job = Job { source, parts, range, counted: None };
        job.run(traces).await
    }

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
    let mut traces = gather::hot_traces(source).await?;
    let linked: Vec<[u8; 16]> =
        traces.iter().filter_map(|trace| known.dangling.get(trace)).flatten().copied().collect();
    traces.extend(linked);
    let job = Job { source, parts: &known.parts, range, counted: Some(&known.traces) };
    let rest = job.run(&traces).await?;
    let new_traces = traces.iter().filter(|trace| !known.traces.contains(*trace)).count();
    Ok(Some(Hot { rest, new_traces }))
}

struct Job<'a> {
    source: &'a Source,
    parts: &'a [Part],
    range: TimeRange,
    /// With hot batches: the traces that are counted whole already, as far as files have them.
    counted: Option<&'a HashSet<[u8; 16]>>,
}

impl Job<'_> {
    /// Slice by slice, as memory allows.
    async fn run(&self, traces: &HashSet<[u8; 16]>) -> Result<Rest> {
        let mut rest = Rest::default();
        let mut slices = vec![Slice::ALL];
        while let Some(slice) = slices.pop() {
            let own = traces.iter().filter(|trace| slice.contains(hash(trace)));
            let own: HashSet<[u8; 16]> = own.copied().collect();
            match Rows::of(self.source, &own, self.counted.is_some()).await {
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
            sums.count_gaps(&whole, 1);
            let (spans, callers) = self.uncovered(&all, &whole);
            sums.plus.add_spans(&rollup::Trace { spans: &spans, callers: &callers });
            self.take_away(rows, trace, &mut sums);
        }
        sums.finish()
    }

    /// What is counted of a trace already: by rollups its plain fragments, beside hot batches perhaps the whole of it.
    fn take_away(&self, rows: &Rows, trace: u32, sums: &mut Sums<'_>) {
        let id = rows.id(trace);
        if self.counted.is_some_and(|counted| counted.contains(&id)) {
            let in_files = rows.fragment(trace, |origin| origin != HOT);
            if !in_files.spans.is_empty() {
                let mut callers = Vec::new();
                let whole = rollup::Trace::resolve(&in_files.spans, &mut callers, sums.words);
                let links = rows.links(&in_files, |origin| origin != HOT).found;
                sums.minus(self.range).add_trace(&whole, &links);
                sums.count_gaps(&whole, -1);
            }
            return;
        }
        for origin in rows.origins(trace) {
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
            Some(_) if self.counted.is_some() => false,
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
    fn count_gaps(&mut self, trace: &rollup::Trace<'_>, sign: i64) {
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
