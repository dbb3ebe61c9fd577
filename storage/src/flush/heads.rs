//! The columns that decide about order, parents and roots, in the order of arrival.
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int64Type;

use super::order::{self, Order};
use super::resolve::{self, Resolved, Spans};
use super::texts::Words;
use crate::batch::{self, Part, SpanBatch, Values as Stored};
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
            trace: ids(batches, column::TRACE_ID),
            span: ids(batches, column::SPAN_ID),
            parent: parents(batches),
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
    let mut traces: Vec<[u8; 16]> = ids(batches, column::TRACE_ID);
    traces.dedup();
    traces
}

/// Ids of `N` bytes; zeros where a row has none.
fn ids<const N: usize>(batches: &[Arc<SpanBatch>], name: &str) -> Vec<[u8; N]> {
    let mut ids = Vec::with_capacity(rows(batches));
    for part in batch::parts(batches, name) {
        let first = ids.len();
        if let Some((given, nulls)) = ids_of(part) {
            ids.extend_from_slice(given);
            if let Some(nulls) = nulls {
                let missing = (0..part.rows).filter(|row| nulls.is_null(*row));
                missing.for_each(|row| ids[first + row] = [0; N]);
            }
        }
        ids.resize(first + part.rows, [0; N]);
    }
    ids
}

/// The parent's id of every row that has one.
fn parents(batches: &[Arc<SpanBatch>]) -> Vec<Option<[u8; 8]>> {
    let mut parents = Vec::with_capacity(rows(batches));
    for part in batch::parts(batches, column::PARENT_SPAN_ID) {
        let until = parents.len() + part.rows;
        match ids_of::<8>(part) {
            Some((given, Some(nulls))) => {
                let valid = given.iter().zip(nulls);
                parents.extend(valid.map(|(id, is_valid)| is_valid.then_some(*id)));
            }
            Some((given, None)) => parents.extend(given.iter().copied().map(Some)),
            None => {}
        }
        parents.resize(until, None);
    }
    parents
}

/// One batch's ids, and which rows have one where some have none.
fn ids_of<const N: usize>(part: Part<'_>) -> Option<(&[[u8; N]], Option<&NullBuffer>)> {
    let Some(Stored::Array(array)) = part.values else { return None };
    let array = array.as_fixed_size_binary();
    let (ids, _) = array.value_data().as_chunks();
    Some((ids, array.nulls().filter(|nulls| nulls.null_count() > 0)))
}

fn rows(batches: &[Arc<SpanBatch>]) -> usize {
    batches.iter().map(|batch| batch.rows()).sum()
}

/// A column of times, which all rows have.
pub(crate) fn times(batches: &[Arc<SpanBatch>], name: &str) -> Vec<i64> {
    let mut times = Vec::with_capacity(rows(batches));
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
