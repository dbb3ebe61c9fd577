//! Which requests the spans came with that left memory: a listener that comes back finds them in the files by the time
//! at which they were received, since files are not sorted by arrival.
use std::collections::VecDeque;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::tail::Arrival;
use crate::batch::{Spots, Values, parts};
use crate::id::WalSeq;
use crate::schema::column;
use crate::time::TimeRange;

/// Requests that are remembered, the latest: 3 MiB, minutes of many small requests and hours of a quiet table.
pub(super) const REQUESTS_MAX: usize = 1 << 16;

/// The spans of one request that left memory, or of several with the same time, one right behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Number of the first of them.
    pub first: u64,
    /// How many.
    pub spans: u64,
    /// Position of the last log entry of their group.
    pub through: WalSeq,
    /// When they were received.
    pub received_unix_nano: i64,
    /// Where all of them start.
    pub start: TimeRange,
}

impl Departure {
    /// Number of the first span behind them.
    pub fn end(&self) -> u64 {
        self.first + self.spans
    }

    fn is_continued_by(&self, next: &Self) -> bool {
        self.received_unix_nano == next.received_unix_nano && self.end() == next.first
    }
}

/// The requests of a batch.
pub(super) fn requests(arrival: &Arrival) -> Vec<Departure> {
    let mut found: Vec<Departure> = Vec::new();
    let (mut next, start) = (arrival.first, arrival.batch.start());
    let mut add = |spans: u64, received_unix_nano: i64| {
        let through = arrival.through;
        let departure = Departure { first: next, spans, through, received_unix_nano, start };
        next = departure.end();
        match found.last_mut() {
            Some(last) if last.is_continued_by(&departure) => last.spans += spans,
            _ => found.push(departure),
        }
    };
    for part in parts(std::slice::from_ref(&arrival.batch), column::RECEIVED) {
        match part.values {
            Some(Values::Int64(Spots::Runs(runs))) => {
                runs.iter().for_each(|&(from, until, at)| add(u64::from(until - from), at));
            }
            Some(Values::Int64(spots)) => spots.for_each(|_, at| add(1, at)),
            Some(Values::Array(array)) => {
                let times = array.as_primitive::<Int64Type>().values();
                times.iter().for_each(|at| add(1, *at));
            }
            _ => {}
        }
    }
    found
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// By number; the latest [`REQUESTS_MAX`].
    requests: VecDeque<Departure>,
}

impl Departures {
    pub(super) fn add(&mut self, requests: Vec<Departure>) {
        let mut is_sorted = true;
        for request in requests {
            match self.requests.back_mut() {
                Some(last) if last.is_continued_by(&request) => {
                    last.spans += request.spans;
                    last.through = request.through;
                    last.start.from = last.start.from.min(request.start.from);
                    last.start.until = last.start.until.max(request.start.until);
                }
                last => {
                    is_sorted &= last.is_none_or(|last| last.first < request.first);
                    self.requests.push_back(request);
                }
            }
        }
        // What was kept for listeners may go after what came later.
        if !is_sorted {
            self.requests.make_contiguous().sort_unstable_by_key(|request| request.first);
        }
        let excess = self.requests.len().saturating_sub(REQUESTS_MAX);
        self.requests.drain(..excess);
    }

    /// Those with spans among `from..until`, oldest first, `max` at most.
    pub(super) fn within(&self, from: u64, until: u64, max: usize) -> Vec<Departure> {
        let begin = self.requests.partition_point(|request| request.end() <= from);
        let behind = self.requests.range(begin..).take(max);
        behind.take_while(|request| request.first < until).copied().collect()
    }
}

#[cfg(test)]
mod tests;
