//! Durations of many spans and their quantiles: exact, or by the buckets of rollups.
mod aggregate;
pub(crate) mod rows;

pub(crate) use aggregate::histogram;
use storage::rollup::{Histogram, bounds};

use crate::quantile;

/// The bucket of a duration: `low < duration <= high` in whole nanoseconds; `(0, 0)` holds the zeros.
pub(crate) fn bucket(duration: i64) -> (i64, i64) {
    bounds(storage::rollup::bucket(duration))
}

/// Durations of many spans.
#[derive(Debug, Clone)]
pub(crate) enum Durations {
    /// Every one of them, for nearest ranks.
    Exact(Vec<i64>),
    /// How many lie in each bucket, and the longest.
    Buckets(Histogram, i64),
}

impl Durations {
    /// None yet.
    pub(crate) fn new(exact: bool) -> Self {
        if exact { Self::Exact(Vec::new()) } else { Self::Buckets(Histogram::default(), 0) }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, duration: i64) {
        match self {
            Self::Exact(durations) => durations.push(duration),
            Self::Buckets(histogram, longest) => {
                histogram.add(duration);
                *longest = (*longest).max(duration);
            }
        }
    }

    /// Adds all of another, which is of the same form.
    pub(crate) fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Exact(all), Self::Exact(more)) => all.extend(more),
            (Self::Buckets(all, longest), Self::Buckets(more, other)) => {
                all.merge(&more);
                *longest = other.max(*longest);
            }
            (all @ Self::Buckets(..), Self::Exact(more)) => {
                more.into_iter().for_each(|one| all.add(one));
            }
            (all @ Self::Exact(_), mut more @ Self::Buckets(..)) => {
                std::mem::swap(all, &mut more);
                all.merge(more);
            }
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> i64 {
        match self {
            Self::Exact(durations) => i64::try_from(durations.len()).unwrap_or(i64::MAX),
            Self::Buckets(histogram, _) => histogram.count(),
        }
    }

    /// Nearest ranks where all durations are known, else the middles of their buckets, which are off by at most 0.54 %;
    /// `None` of nothing. Where the rank is the last one, it is the longest itself.
    pub(crate) fn quantiles<const N: usize>(&mut self, ps: [f64; N]) -> [Option<i64>; N] {
        match self {
            Self::Exact(durations) => {
                let mut found = quantile::nearest_ranks(durations, &ps).into_iter();
                ps.map(|_| found.next().flatten())
            }
            Self::Buckets(histogram, longest) => about(histogram, *longest, ps),
        }
    }

    /// As [`Self::quantiles`], without knowing the longest: middles of buckets throughout.
    pub(crate) fn middles<const N: usize>(&mut self, ps: [f64; N]) -> [Option<i64>; N] {
        match self {
            Self::Buckets(histogram, _) => middles(histogram, ps),
            Self::Exact(_) => self.quantiles(ps),
        }
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Exact(durations) => durations.capacity() * size_of::<i64>(),
            Self::Buckets(histogram, _) => histogram.bytes(),
        }
    }
}

/// Quantiles as far as buckets tell: the middles of the buckets of the nearest ranks. `None` of nothing.
pub(crate) fn middles<const N: usize>(histogram: &Histogram, ps: [f64; N]) -> [Option<i64>; N] {
    let buckets = histogram.buckets();
    let count = buckets.iter().map(|(_, count)| count).sum();
    ps.map(|p| {
        let rank = quantile::rank_of(count, p)?;
        let mut passed = 0;
        let reached = buckets.iter().find(|(_, count)| {
            passed += count;
            passed > rank
        });
        reached.map(|(bucket, _)| {
            let (low, high) = bounds(*bucket);
            // Of the whole numbers in (low, high].
            low + (high - low + 1) / 2
        })
    })
}

/// The same, no longer than the longest; where the rank is the last one, that.
pub(crate) fn about<const N: usize>(
    histogram: &Histogram,
    longest: i64,
    ps: [f64; N],
) -> [Option<i64>; N] {
    let (count, middles) = (histogram.count(), middles(histogram, ps));
    std::array::from_fn(|at| {
        let is_last = quantile::rank_of(count, ps[at]).is_some_and(|rank| rank + 1 == count);
        middles[at].map(|middle| if is_last { longest } else { middle.min(longest) })
    })
}

#[cfg(test)]
mod tests;
