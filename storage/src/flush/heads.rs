//! The columns that decide about order, parents and roots, in the order of arrival.
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

use super::order::{self, Order};
use super::resolve::{self, Resolved, Spans};
use super::texts::Words;
use crate::batch::{self, SpanBatch, Values as Stored};
use crate::file::chunk::value::Values;
use crate::schema::column;
use crate::snapshot::TraceFilter;

/// By row.
pub(crate) struct Heads {
    pub(crate) trace: Vec<[u8; 16]>,
    pub(crate) span: Vec<[u8; 8]>,
    pub(crate) parent: Vec<Option<[u8; 8]>>,
    pub(crate) start: Vec<i64>,
    pub(crate) service: Words,
    pub(crate) name: Words,
    /// What earlier flushes found out, where the spans come from files: by column the keys of `service` or `name`.
    known: Vec<(&'static str, Vec<u32>)>,
}

impl Heads {
    /// Copies them out of the batches.
    pub(crate) fn of(batches: &[Arc<SpanBatch>]) -> Self {
        let mut service = Words::of(&batch::parts(batches, column::SERVICE));
        let mut name = Words::of(&batch::parts(batches, column::NAME));
        let mut known = Vec::new();
        for (words, columns) in [
            (&mut service, [column::CALLER_SERVICE, column::ROOT_SERVICE]),
            (&mut name, [column::CALLER_NAME, column::ROOT_NAME]),
        ] {
            for column in columns {
                if !batch::is_all_null(batches, column) {
                    known.push((column, words.absorb(Words::of(&batch::parts(batches, column)))));
                }
            }
        }
        Self {
            trace: ids(batches, column::TRACE_ID).map(Option::unwrap_or_default).collect(),
            span: ids(batches, column::SPAN_ID).map(Option::unwrap_or_default).collect(),
            parent: ids(batches, column::PARENT_SPAN_ID).collect(),
            start: times(batches, column::START),
            service,
            name,
            known,
        }
    }

    /// What was known of a column before, by row.
    pub(crate) fn known(&self, column: &str) -> Option<&[u32]> {
        let known = self.known.iter().find(|(of, _)| *of == column);
        known.map(|(_, keys)| keys.as_slice())
    }

    pub(crate) fn resolve(&self) -> Resolved {
        let Self { trace, span, parent, start, .. } = self;
        resolve::resolve(&Spans { trace, span, parent, start })
    }

    pub(crate) fn sort(&self) -> Order {
        let ranks = |words: &Words| order::ranks(&words.keys, |key| (&words).get(key));
        order::sort(&self.start, &ranks(&self.service), &ranks(&self.name))
    }

    /// The filter of the traces of `rows`, of a file of `spans` spans.
    pub(crate) fn filter(&self, rows: &[u32], spans: usize) -> TraceFilter {
        let hash = |row: &u32| xxhash_rust::xxh3::xxh3_64(&self.trace[*row as usize]);
        TraceFilter::of_hashes(&rows.iter().map(hash).collect::<Vec<_>>(), spans)
    }
}

/// The trace of every row, those of neighbours once.
pub(crate) fn trace_ids(batches: &[Arc<SpanBatch>]) -> Vec<[u8; 16]> {
    let mut traces: Vec<[u8; 16]> = ids(batches, column::TRACE_ID).flatten().collect();
    traces.dedup();
    traces
}

/// Ids of `N` bytes; none where a row has none.
fn ids<const N: usize>(
    batches: &[Arc<SpanBatch>],
    name: &str,
) -> impl Iterator<Item = Option<[u8; N]>> {
    let parts = batch::parts(batches, name);
    parts.into_iter().flat_map(|part| {
        let array = match part.values {
            Some(Stored::Array(array)) => Some(array.as_fixed_size_binary()),
            _ => None,
        };
        (0..part.rows).map(move |row| {
            let array = array.filter(|array| array.is_valid(row))?;
            array.value(row).try_into().ok()
        })
    })
}

/// A column of times, which all rows have.
pub(crate) fn times(batches: &[Arc<SpanBatch>], name: &str) -> Vec<i64> {
    let mut times = Vec::with_capacity(batches.iter().map(|batch| batch.rows()).sum());
    for part in batch::parts(batches, name) {
        match part.values {
            Some(Stored::Array(array)) => {
                times.extend_from_slice(array.as_primitive::<Int64Type>().values());
            }
            _ => times.resize(times.len() + part.rows, 0),
        }
    }
    times
}
