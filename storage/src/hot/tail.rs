//! Live tail: what became visible, in that order, from a place that a reader remembers.
//!
//! Every span has a number, counted from 0 at each open. The hot batches are the tail's memory; while somebody
//! listens, batches that a flush took away are kept a little longer. Of what is gone each request is noted, so that its spans
//! can be found in the files. Without a listener this costs nothing but these notes.
use std::collections::VecDeque;
use std::sync::Arc;

use super::{Departure, Hot};
use crate::batch::SpanBatch;
use crate::id::WalSeq;

/// Flushed batches that are kept for listeners. Some tenths of a second at 600,000 spans/s, and minutes of a quiet table.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// A batch as it became visible.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Position of the last log entry of its group.
    pub through: WalSeq,
    /// Number of its first span, counted from 0 at the open of the store.
    pub first: u64,
    /// The spans.
    pub batch: Arc<SpanBatch>,
}

impl Arrival {
    /// Number of the first span behind it.
    pub fn end(&self) -> u64 {
        self.first + self.batch.rows() as u64
    }
}

/// What [`Tail::after`] found.
#[derive(Debug)]
pub struct Arrivals {
    /// Oldest first, without a gap between them. The first one may begin before the place asked for.
    pub batches: Vec<Arrival>,
    /// Spans behind the place asked for that are no longer in memory; they are in files.
    pub missed: u64,
    /// The number that the next span to come will have.
    pub next: u64,
}

/// A listener. While there is one, flushed batches are kept a little longer.
#[derive(Debug)]
pub struct Tail {
    hot: Arc<Hot>,
}

impl Tail {
    pub(crate) fn new(hot: Arc<Hot>) -> Self {
        hot.lock().kept.listeners += 1;
        Self { hot }
    }

    /// Everything from span number `from` on that is in memory. Never blocks.
    pub fn after(&self, from: u64) -> Arrivals {
        let state = self.hot.lock();
        let next = state.next;
        let kept = &state.kept.batches;
        let kept = kept.range(kept.partition_point(|arrival| arrival.end() <= from)..);
        let hot = &state.batches;
        let hot = &hot[hot.partition_point(|arrival| arrival.end() <= from)..];
        let batches: Vec<Arrival> = kept.chain(hot).cloned().collect();
        let first = batches.first().map_or(next, |arrival| arrival.first);
        Arrivals { batches, missed: first.saturating_sub(from), next }
    }

    /// Which requests the spans `from..until` came with that are no longer in memory: oldest first, `max` at most.
    /// Those of which too many others came since are forgotten.
    pub fn departed(&self, from: u64, until: u64, max: usize) -> Vec<Departure> {
        self.hot.lock().departed.within(from, until, max)
    }

    /// The number that the next span to come will have.
    pub fn next(&self) -> u64 {
        self.hot.lock().next
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let mut state = self.hot.lock();
        state.kept.listeners -= 1;
        let freed = if state.kept.listeners == 0 { state.kept.clear() } else { VecDeque::new() };
        drop(state);
        self.hot.depart(freed);
    }
}

/// Batches that are in files, for listeners that are behind.
#[derive(Debug, Default)]
pub(super) struct Kept {
    listeners: usize,
    batches: VecDeque<Arrival>,
    bytes: usize,
}

impl Kept {
    /// Takes what a flush took away; returns what may be freed.
    pub(super) fn take(&mut self, flushed: Vec<Arrival>) -> Vec<Arrival> {
        if self.listeners == 0 {
            return flushed;
        }
        self.bytes += flushed.iter().map(|arrival| arrival.batch.bytes()).sum::<usize>();
        self.batches.extend(flushed);
        let mut freed = Vec::new();
        while self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.batch.bytes());
            freed.push(oldest);
        }
        freed
    }

    fn clear(&mut self) -> VecDeque<Arrival> {
        self.bytes = 0;
        std::mem::take(&mut self.batches)
    }
}
