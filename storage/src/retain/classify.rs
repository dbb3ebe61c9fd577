//! The class of each trace of a flush.
//!
//! Rules are tried in order, and the first one that any span of the trace matches counts. A trace may come in several
//! flushes: what its earlier fragments matched is remembered for a while, so that the later ones get the class of the
//! first rule that any fragment so far has matched. Files already written stay as they are.
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Int64Type;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::matching::{HasColumns, Wanted, mark_texts};
use super::policy::Rule;
use crate::batch::SpanBatch;
use crate::flush::Resolved;
use crate::schema::{AttributeColumns, AttributeScope, column};

/// No rule.
const NONE: u16 = u16::MAX;
/// Traces with a rule that are remembered at least; twice as many at most. Some 10 MB.
const REMEMBERED: usize = 250_000;

/// Traces that matched a rule in recent flushes: by hash of the id, the rank of the rule.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    rules: Arc<[Rule]>,
    newer: HashMap<u64, u16, RandomState>,
    older: HashMap<u64, u16, RandomState>,
}

impl Recent {
    /// The better of `rank` and what is remembered of the trace; remembered from now on.
    fn settle(&mut self, trace: &[u8; 16], rank: u16) -> u16 {
        let hash = xxh3_64(trace);
        let known = self.newer.get(&hash).or_else(|| self.older.get(&hash)).copied();
        let rank = rank.min(known.unwrap_or(NONE));
        if rank != NONE {
            if self.newer.len() >= REMEMBERED {
                self.older = std::mem::take(&mut self.newer);
            }
            self.newer.insert(hash, rank);
        }
        rank
    }
}

/// Puts traces into classes by the rules of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classifier {
    rules: Arc<[Rule]>,
    recent: Arc<Mutex<Recent>>,
}

impl Classifier {
    /// With `recent`, what earlier flushes saw.
    pub(crate) fn new(rules: &Arc<[Rule]>, recent: &Arc<Mutex<Recent>>) -> Self {
        Self { rules: Arc::clone(rules), recent: Arc::clone(recent) }
    }

    /// By row a number for its class; empty where there are no rules, so that all are of one class.
    pub(crate) fn classes(
        &self,
        batches: &[Arc<SpanBatch>],
        columns: &AttributeColumns,
        resolved: &Resolved,
    ) -> Vec<u16> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let mut of_trace = vec![NONE; resolved.traces()];
        let ranks = batches.iter().flat_map(|batch| ranks(batch, columns, &self.rules));
        for (rank, trace) in ranks.zip(&resolved.trace) {
            let best = &mut of_trace[*trace as usize];
            *best = rank.min(*best);
        }
        let mut recent = self.recent();
        for (rank, trace) in of_trace.iter_mut().zip(&resolved.ids) {
            *rank = self.first_of_class(recent.settle(trace, *rank));
        }
        resolved.trace.iter().map(|trace| of_trace[*trace as usize]).collect()
    }

    /// Remembers traces that are stored in this class; nothing where no rule leads to it.
    pub(crate) fn recall(&self, class: &str, traces: &[[u8; 16]]) {
        let rank = self.rules.iter().position(|rule| rule.class == class);
        let Some(rank) = rank.and_then(|rank| u16::try_from(rank).ok()) else { return };
        let mut recent = self.recent();
        for trace in traces {
            recent.settle(trace, rank);
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.rules != self.rules {
            // Ranks of other rules mean nothing.
            *recent = Recent { rules: Arc::clone(&self.rules), ..Recent::default() };
        }
        recent
    }

    /// The name of a class by its number; `None` for the default class.
    pub(crate) fn name(&self, class: u16) -> Option<Arc<str>> {
        self.rules.get(usize::from(class)).map(|rule| rule.class.as_str().into())
    }

    /// Several rules may lead to one class: the first of them is its number.
    fn first_of_class(&self, rank: u16) -> u16 {
        let Some(rule) = self.rules.get(usize::from(rank)) else { return NONE };
        let first = self.rules.iter().position(|other| other.class == rule.class);
        first.and_then(|first| u16::try_from(first).ok()).unwrap_or(rank)
    }
}

/// By row the rank of the first rule that the span matches.
fn ranks(batch: &SpanBatch, columns: &AttributeColumns, rules: &[Rule]) -> Vec<u16> {
    let mut ranks = vec![NONE; batch.rows()];
    let batch = Cached { batch, arrays: RefCell::default() };
    // From the last to the first, so that the first one to match is written last.
    for (place, rule) in rules.iter().enumerate().rev() {
        let rank = u16::try_from(place).unwrap_or(NONE);
        for (best, matched) in ranks.iter_mut().zip(matching(&batch, columns, rule)) {
            if matched {
                *best = rank;
            }
        }
    }
    ranks
}

/// A batch whose columns are made once, however many rules look at them.
struct Cached<'a> {
    batch: &'a SpanBatch,
    arrays: RefCell<HashMap<String, Option<ArrayRef>, RandomState>>,
}

impl HasColumns for Cached<'_> {
    fn array(&self, name: &str) -> Option<ArrayRef> {
        let mut arrays = self.arrays.borrow_mut();
        if let Some(array) = arrays.get(name) {
            return array.clone();
        }
        let array = self.batch.column(name);
        arrays.insert(name.to_owned(), array.clone());
        array
    }

    fn rows(&self) -> usize {
        self.batch.rows()
    }
}

/// By row whether the span meets all conditions of `rule`.
fn matching(batch: &Cached<'_>, columns: &AttributeColumns, rule: &Rule) -> Vec<bool> {
    let mut matched = vec![true; batch.rows()];
    let mut require = |mark: &dyn Fn(&mut [bool])| {
        let mut rows = vec![false; batch.rows()];
        mark(&mut rows);
        matched.iter_mut().zip(rows).for_each(|(all, this)| *all &= this);
    };
    if let Some(service) = &rule.service {
        require(&|rows| mark_texts(batch, column::SERVICE, rows, &|text| text == service));
    }
    if let Some(name) = &rule.name {
        require(&|rows| mark_texts(batch, column::NAME, rows, &|text| fits(name, text)));
    }
    if let Some(error) = rule.error {
        let is_error = |status: &str| (status == "ERROR") == error;
        require(&|rows| mark_texts(batch, column::STATUS, rows, &is_error));
    }
    if rule.root {
        require(&|rows| mark_roots(batch, rows));
    }
    if let Some(nanos) = rule.slower_than_nano {
        require(&|rows| mark_slow(batch, nanos, rows));
    }
    for (key, value) in &rule.attributes {
        let wanted = Wanted { scope: AttributeScope::Span, key, value };
        require(&|rows| wanted.mark(batch, columns, rows));
    }
    for (key, value) in &rule.resource {
        let wanted = Wanted { scope: AttributeScope::Resource, key, value };
        require(&|rows| wanted.mark(batch, columns, rows));
    }
    matched
}

/// Equal, or a prefix where `pattern` ends in `*`.
fn fits(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(text == pattern, |prefix| text.starts_with(prefix))
}

fn mark_roots(batch: &Cached<'_>, rows: &mut [bool]) {
    let Some(parents) = batch.array(column::PARENT_SPAN_ID) else { return rows.fill(true) };
    rows.iter_mut().enumerate().for_each(|(row, root)| *root = parents.is_null(row));
}

fn mark_slow(batch: &Cached<'_>, nanos: i64, rows: &mut [bool]) {
    let Some(durations) = batch.array(column::DURATION) else { return };
    let durations = durations.as_primitive::<Int64Type>().values();
    rows.iter_mut().zip(durations).for_each(|(slow, duration)| *slow = *duration > nanos);
}

#[cfg(test)]
mod tests;
