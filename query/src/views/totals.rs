//! What rollups add up to -> the rows of a view.
use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::rollup::{Calls, EdgeKey, Histogram, Operation, RootKey, SpanKind, Sum, bounds};

use super::edge::Moved;
use super::forest::Texts;
use super::missing::Kept;
use super::network::{self, Traffic};
use super::rows::bytes;
use super::traces::Incomplete;
use super::{Notes, dependencies, latency, operations};
use crate::histogram::{about, middles};
use crate::view::View;

/// What is missing in traces. Of whole ones that is nothing, so rollups do not count it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gaps {
    /// By service and name of the root, traces without root or with a parent missing.
    pub(crate) incomplete: HashMap<(Box<str>, Box<str>), i64>,
    /// Spans without parent in the traces that start in the range.
    pub(crate) missing_in_traces: i64,
    /// Spans without parent that start in the range.
    pub(crate) missing: i64,
    /// Those in the traces that start in the range, to be explained.
    pub(crate) kept: Kept,
}

impl Gaps {
    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: Self) {
        for (root, traces) in other.incomplete {
            *self.incomplete.entry(root).or_default() += traces;
        }
        self.missing_in_traces += other.missing_in_traces;
        self.missing += other.missing;
        self.kept.merge(other.kept);
    }

    fn of_root(&self, service: &str, name: &str) -> i64 {
        if self.incomplete.is_empty() {
            return 0;
        }
        self.incomplete.get(&(service.into(), name.into())).copied().unwrap_or_default()
    }

    fn note(&self, notes: &mut Notes) {
        let traces = self.incomplete.values().sum();
        Incomplete { traces, missing: self.missing_in_traces }.note(notes);
    }
}

/// The answer of `view`; `None` where sums do not tell it.
pub(crate) fn answer(
    view: View,
    sum: &Sum,
    gaps: &Gaps,
    notes: &mut Notes,
) -> Option<Result<Vec<RecordBatch>>> {
    let mut texts = Texts::default();
    sum.names.texts().iter().for_each(|text| {
        texts.id(text);
    });
    Some(match view {
        View::Traces => return None,
        View::Operations => operations(sum, texts),
        View::Network => network(sum, &texts, notes),
        View::NetworkOperations => network_operations(sum, texts, notes),
        View::Dependencies => dependencies(sum, &texts, gaps, notes),
        View::Latency => latency(sum, &texts, gaps, notes),
        View::LatencyHistogram => histogram(sum, &texts, gaps, notes),
        View::NetworkCaused => caused(sum, &texts, gaps, notes),
    })
}

/// Quantiles. Where something was taken away from the figures, the longest duration may have been, too: then the bound
/// of the highest bucket in use is nearer.
fn quantiles(durations: &Histogram, longest: i64) -> [i64; 5] {
    let bound = durations.longest().map_or(0, |(_, high)| high);
    about(durations, longest.min(bound), [0.5, 0.9, 0.95, 0.99, 1.0]).map(Option::unwrap_or_default)
}

fn operations(sum: &Sum, mut texts: Texts) -> Result<Vec<RecordBatch>> {
    let kinds = SpanKind::ALL.map(|kind| texts.id(kind.word()));
    let rows = sum.figures.operations.iter().filter(|(_, row)| row.spans > 0);
    let rows = rows.map(|(key, row)| operations::Group {
        key: (key.service, key.name, kinds[key.kind as usize]),
        spans: row.spans,
        errors: row.errors,
        quantiles: quantiles(&row.durations, row.longest_nano),
        weight: row.weight.into(),
        failed: row.failed.into(),
    });
    operations::sorted(&texts, rows.collect())
}

fn network(sum: &Sum, texts: &Texts, notes: &mut Notes) -> Result<Vec<RecordBatch>> {
    let mut services: HashMap<u32, Traffic> = HashMap::new();
    for (key, row) in sum.figures.operations.iter().filter(|(_, row)| row.spans > 0) {
        add_traffic(services.entry(key.service).or_default(), key.kind, row);
    }
    network::sorted(texts, services.into_iter().collect(), notes)
}

fn network_operations(sum: &Sum, mut texts: Texts, notes: &mut Notes) -> Result<Vec<RecordBatch>> {
    let kinds = SpanKind::ALL.map(|kind| texts.id(kind.word()));
    let rows = sum
        .figures
        .operations
        .iter()
        .filter(|(key, row)| row.spans > 0 && (key.kind.calls() || key.kind.is_called()));
    let rows = rows.map(|(key, row)| {
        let mut traffic = Traffic::default();
        add_traffic(&mut traffic, key.kind, row);
        ((key.service, key.name, kinds[key.kind as usize]), traffic)
    });
    network::operations::sorted(&texts, rows.collect(), notes)
}

fn add_traffic(traffic: &mut Traffic, kind: SpanKind, row: &Operation) {
    let (request, response) = (bytes(row.request), bytes(row.response));
    traffic.spans += row.spans;
    if kind.is_called() {
        traffic.server_in += request;
        traffic.server_out += response;
    } else if kind.calls() {
        traffic.client_out += request;
        traffic.client_in += response;
    } else {
        return;
    }
    traffic.eligible += row.spans;
    traffic.sized += row.sized;
}

fn dependencies(
    sum: &Sum,
    texts: &Texts,
    gaps: &Gaps,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let row = |(key, calls): (&EdgeKey, &Calls)| dependencies::Row {
        key: (key.caller, key.callee, key.kind),
        moved: Moved::of(&calls.moved),
        errors: calls.errors,
        caller: middles(&calls.caller, dependencies::QUANTILES),
        callee: middles(&calls.callee, dependencies::QUANTILES),
        weight: calls.weight.into(),
        failed: calls.failed.into(),
        first: calls.first_nano,
        last: calls.last_nano,
    };
    let rows = sum.figures.edges.iter().filter(|(_, calls)| calls.moved.calls > 0).map(row);
    dependencies::finish(texts, rows.collect(), (gaps.missing, sum.figures.unnamed), notes)
}

/// The root operations that started some trace.
fn roots(sum: &Sum) -> impl Iterator<Item = (&RootKey, &storage::rollup::Traces)> {
    sum.figures.roots.iter().filter(|(_, traces)| traces.traces > 0)
}

fn latency(sum: &Sum, texts: &Texts, gaps: &Gaps, notes: &mut Notes) -> Result<Vec<RecordBatch>> {
    gaps.note(notes);
    let rows = roots(sum).map(|(key, traces)| latency::Group {
        key: (key.service, key.name),
        traces: traces.traces,
        errors: traces.errors,
        incomplete: gaps.of_root(texts.text(key.service), texts.text(key.name)),
        quantiles: quantiles(&traces.durations, traces.longest_nano),
        weight: traces.weight.into(),
        failed: traces.failed.into(),
    });
    latency::sorted(texts, rows.collect())
}

fn histogram(sum: &Sum, texts: &Texts, gaps: &Gaps, notes: &mut Notes) -> Result<Vec<RecordBatch>> {
    gaps.note(notes);
    let rows = roots(sum).flat_map(|(key, traces)| {
        let buckets = traces.durations.buckets().into_iter().filter(|(_, count)| *count > 0);
        buckets.map(|(bucket, count)| {
            let weight = traces.weight_in(bucket, count);
            ((key.service, key.name), bounds(bucket), (count, weight.into()))
        })
    });
    latency::histogram_sorted(texts, rows.collect())
}

fn caused(sum: &Sum, texts: &Texts, gaps: &Gaps, notes: &mut Notes) -> Result<Vec<RecordBatch>> {
    gaps.note(notes);
    let rows = roots(sum).map(|(key, traces)| network::CausedRow {
        key: (key.service, key.name),
        traces: traces.traces,
        moved: Moved::of(&traces.caused),
        weight: traces.weight.into(),
    });
    network::caused_sorted(texts, rows.collect(), notes)
}
