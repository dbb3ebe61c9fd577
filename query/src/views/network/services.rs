//! `network_caused_services`: bytes that calls moved in the subtrees below a service's spans: what it made others move, and
//! moved itself.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::TimeRange;

use super::CAUSED_EXTENT;
use crate::views::edge::{self, Moved};
use crate::views::forest::{Forest, Texts, Trace};
use crate::views::load::Source;
use crate::views::rows::{Columns, Weight, share};
use crate::views::sweep::{Harvest, Sweep};
use crate::views::tree::Tree;
use crate::views::{Notes, in_range, share_note};

/// Traces with spans of one service.
#[derive(Debug, Default)]
pub(crate) struct Caused {
    traces: i64,
    moved: Moved,
    weight: Weight,
}

/// All services.
struct Services {
    range: TimeRange,
    services: HashMap<u32, Caused>,
    /// Each call once.
    total: Moved,
}

/// The answer, the service that caused most first.
pub(crate) async fn answer(
    source: Source,
    range: TimeRange,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let none = || Services { range, services: HashMap::new(), total: Moved::default() };
    let mut sweep = Sweep::new(source, range, CAUSED_EXTENT);
    let mut all = none();
    while let Some(slice) = sweep.next(none).await? {
        all.merge(slice);
        sweep.keep(all.bytes())?;
    }
    notes.push(("coverage", share_note(share(all.total.sized, all.total.calls))));
    let texts = &sweep.forest.texts;
    let mut rows: Vec<(u32, Caused)> = all.services.into_iter().collect();
    rows.sort_unstable_by(|(a, x), (b, y)| {
        let bytes = y.moved.bytes().cmp(&x.moved.bytes());
        bytes.then_with(|| texts.text(*a).cmp(texts.text(*b)))
    });
    Ok(vec![batch(texts, &rows)?])
}

impl Services {
    fn merge(&mut self, other: Self) {
        self.total.merge(&other.total);
        for (service, more) in other.services {
            let caused = self.services.entry(service).or_default();
            caused.traces += more.traces;
            caused.moved.merge(&more.moved);
            caused.weight.merge(&more.weight);
        }
    }

    fn add_trace(&mut self, forest: &Forest, trace: &Trace<'_>) {
        let root = trace.span(trace.root().0);
        let key = forest.trace_key(trace.index());
        for (service, moved) in below(forest, trace, &mut self.total) {
            let caused = self.services.entry(service).or_default();
            caused.traces += 1;
            caused.moved.merge(&moved);
            caused.weight.add(key, root.weight);
        }
    }
}

impl Harvest for Services {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in in_range(forest, self.range) {
            self.add_trace(forest, &trace);
        }
    }

    fn bytes(&self) -> usize {
        self.services.capacity() * (size_of::<(u32, Caused)>() + 1)
    }
}

/// What the calls below (or of) the spans of each service of `trace` moved; each call is added to `total` once.
fn below(forest: &Forest, trace: &Trace<'_>, total: &mut Moved) -> HashMap<u32, Moved> {
    let mut own = vec![Moved::default(); trace.len() as usize];
    edge::within(forest, trace, |caller, edge| {
        if edge.callee.is_some() {
            own[caller as usize].add(&edge);
            total.add(&edge);
        }
    });
    let tree = Tree::of(trace);
    let mut way = Way::default();
    let mut services: HashMap<u32, Moved> = HashMap::new();
    for span in tree.order() {
        way.go(*span, tree.above(*span), |span| trace.span(span).service);
        services.entry(trace.span(*span).service).or_default();
        let moved = own[*span as usize];
        if moved.calls > 0 {
            way.services.iter().for_each(|(service, _)| {
                services.entry(*service).or_default().merge(&moved);
            });
        }
    }
    services
}

/// The spans from the top down to one, and their services.
#[derive(Default)]
struct Way {
    spans: Vec<u32>,
    /// With the number of spans.
    services: Vec<(u32, u32)>,
}

impl Way {
    /// Goes to the next span in the order of the tree.
    fn go(&mut self, span: u32, above: Option<u32>, service: impl Fn(u32) -> u32) {
        while let Some(last) = self.spans.last().copied().filter(|last| Some(*last) != above) {
            self.spans.pop();
            let left = service(last);
            if let Some(at) = self.services.iter().position(|(own, _)| *own == left) {
                self.services[at].1 -= 1;
                if self.services[at].1 == 0 {
                    self.services.swap_remove(at);
                }
            }
        }
        self.spans.push(span);
        let own = service(span);
        match self.services.iter_mut().find(|(known, _)| *known == own) {
            Some((_, spans)) => *spans += 1,
            None => self.services.push((own, 1)),
        }
    }
}

/// The columns.
pub(crate) fn batch(texts: &Texts, rows: &[(u32, Caused)]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("service", |(service, _)| texts.text(*service))
        .big("traces", |(_, caused)| caused.traces)
        .big("bytes", |(_, caused)| caused.moved.bytes())
        .big("request_bytes", |(_, caused)| caused.moved.request)
        .big("response_bytes", |(_, caused)| caused.moved.response)
        .big("calls", |(_, caused)| caused.moved.calls)
        .float_or_null("coverage", |(_, caused)| share(caused.moved.sized, caused.moved.calls))
        .float("weighted_traces", |(_, caused)| caused.weight.total())
        .float("weighted_traces_error", |(_, caused)| caused.weight.standard_error())
        .finish()
}
