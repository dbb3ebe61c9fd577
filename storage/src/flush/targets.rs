//! Where the links of CONSUMER spans lead, among the spans of one flush.
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};

use super::resolve::Resolved;
use crate::batch::{self, SpanBatch, Values};
use crate::rollup::SpanKind;
use crate::schema::column;

/// A link.
#[derive(Debug)]
pub(super) struct Target {
    /// Row of the span that has the link.
    pub(super) row: u32,
    /// Number of the linked trace, where some span of it is here.
    pub(super) trace: Option<usize>,
    /// The linked span's id.
    pub(super) span: [u8; 8],
}

/// All links, by number of the trace that has them.
#[derive(Debug, Default)]
pub(super) struct Targets(HashMap<usize, Vec<Target>>);

impl Targets {
    pub(super) fn of(batches: &[Arc<SpanBatch>], kinds: &[SpanKind], resolved: &Resolved) -> Self {
        let links = read(batches, kinds);
        let mut targets: HashMap<usize, Vec<Target>> = HashMap::new();
        if links.is_empty() {
            return Self(targets);
        }
        let mut numbers: HashMap<[u8; 16], Option<usize>> =
            links.iter().map(|(_, trace, _)| (*trace, None)).collect();
        for (number, id) in resolved.ids.iter().enumerate() {
            if let Some(known) = numbers.get_mut(id) {
                *known = Some(number);
            }
        }
        for (row, trace, span) in links {
            let trace = numbers.get(&trace).copied().flatten();
            let own = resolved.trace[row as usize] as usize;
            targets.entry(own).or_default().push(Target { row, trace, span });
        }
        Self(targets)
    }

    /// The links of a trace's CONSUMER spans, in the order of rows.
    pub(super) fn of_trace(&self, trace: usize) -> Option<&[Target]> {
        self.0.get(&trace).map(Vec::as_slice)
    }
}

/// Row, linked trace, linked span of every link of a CONSUMER.
fn read(batches: &[Arc<SpanBatch>], kinds: &[SpanKind]) -> Vec<(u32, [u8; 16], [u8; 8])> {
    let mut links = Vec::new();
    let mut first = 0;
    for part in batch::parts(batches, column::LINKS) {
        let kinds = &kinds[first..first + part.rows];
        if let Some(Values::Array(array)) = part.values
            && let Some(lists) = array.as_list_opt::<i32>().filter(|l| !l.values().is_empty())
            && let Some(values) = lists.values().as_struct_opt()
            && let Some(traces) = values.column_by_name("trace_id")
            && let Some(spans) = values.column_by_name("span_id")
        {
            let (traces, spans) = (traces.as_fixed_size_binary(), spans.as_fixed_size_binary());
            for (row, bounds) in lists.offsets().windows(2).enumerate() {
                if kinds[row] != SpanKind::Consumer || lists.is_null(row) {
                    continue;
                }
                for link in bounds[0].unsigned_abs()..bounds[1].unsigned_abs() {
                    let row = u32::try_from(first + row).unwrap_or(u32::MAX);
                    let trace = traces.value(link as usize).try_into().unwrap_or_default();
                    let span = spans.value(link as usize).try_into().unwrap_or_default();
                    links.push((row, trace, span));
                }
            }
        }
        first += part.rows;
    }
    links
}
