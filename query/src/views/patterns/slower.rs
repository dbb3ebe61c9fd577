//! When the traces of one shape got slow: the stretch of time in which they lasted longest, if that is more than chance, and
//! how much that matters.
//!
//! Durations are taken as ranks, so that one very slow trace makes no stretch, and that shapes which differ from the start are
//! not slow for it: each is compared with itself at another time. Candidates are the runs whose ranks exceed the middle by most,
//! and those with most of the slowest traces: all may get slower by a little, or one in ten by much. The least likely by
//! chance of them is taken, by the rank-sum test or the G-test of who is among the slowest, times the number of runs.
//!
//! A shape that drifts by a tenth all day loses more time than an outage of some minutes. So shapes are put in order by what is
//! unusual of the time lost (see [`unusual`]), and by how much it is compared with what is usual (see [`deviance`]).
use storage::TimeRange;
use storage::time::NANOS_PER_SECOND;

use crate::quantile::nearest_rank;
use crate::views::compare::Counts;
use crate::views::compare::significance::{Table, p_value};

/// A stretch, and what is left, have so many traces at least.
const TRACES_MIN: usize = 8;
/// A rank counts for a run as far as it is above the middle by more than so many standard deviations: by few where one trace in
/// ten got slow, by many where all did.
const ABOVE_THE_MIDDLE: [f64; 4] = [0.1, 0.25, 0.5, 1.0];
/// The slowest traces: all above this quantile.
const SLOWEST: [f64; 4] = [0.75, 0.9, 0.95, 0.98];
/// As [`ABOVE_THE_MIDDLE`], of those that are 1 for the slowest and 0 for others.
const ABOVE_THE_SHARE: [f64; 2] = [0.1, 0.5];
/// Traces last so many times as long there, on (geometric) average.
const TIMES_LONGER_MIN: f64 = 1.1;
const P_VALUE_MAX: f64 = 0.001;
/// What is longer than this quantile of others is longer than usual.
const USUAL: f64 = 0.95;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slower {
    /// From the start of its first trace to right behind the start of its last.
    pub(crate) stretch: TimeRange,
    /// Traces that start there.
    pub(crate) traces: usize,
    /// Median duration outside of it.
    pub(crate) usual_nano: i64,
    /// What its traces took beyond that, together, more than as many others do.
    pub(crate) lost_nano: i64,
    /// What of it is more than the shape varies anyway.
    pub(crate) unusual_nano: i64,
    /// How much that is, compared with what its traces usually take.
    pub(crate) slowdown: f64,
}

/// The stretch in which traces, given by start and duration, got slow; `None` where there is none.
pub(crate) fn slower(mut traces: Vec<(i64, i64)>) -> Option<Slower> {
    if traces.len() < 2 * TRACES_MIN {
        return None;
    }
    traces.sort_unstable();
    let (first, end) = stretch(&ranks(&traces))?;
    let (starts, durations): (Vec<i64>, Vec<i64>) = traces.into_iter().unzip();
    let within = &durations[first..end];
    let outside = [&durations[..first], &durations[end..]];
    let mut others = outside.concat();
    if logarithm(within) - logarithm(&others) < TIMES_LONGER_MIN.ln() {
        return None;
    }
    others.sort_unstable();
    let usual_nano = others[(others.len() - 1) / 2];
    let lost = beyond(within, &others, usual_nano);
    let unusual = unusual(within, outside, &others).min(lost);
    let usual = mean(&others) as f64 * within.len() as f64;
    Some(Slower {
        stretch: TimeRange { from: starts[first], until: starts[end - 1].saturating_add(1) },
        traces: within.len(),
        usual_nano,
        lost_nano: whole(lost),
        unusual_nano: whole(unusual),
        slowdown: deviance(usual, unusual as f64) / NANOS_PER_SECOND as f64,
    })
}

/// The mean of the durations' logarithms.
fn logarithm(durations: &[i64]) -> f64 {
    let sum: f64 = durations.iter().map(|duration| (*duration.max(&1) as f64).ln()).sum();
    sum / durations.len() as f64
}

fn mean(durations: &[i64]) -> i128 {
    total(durations) / i128::try_from(durations.len().max(1)).unwrap_or(1)
}

fn total(durations: &[i64]) -> i128 {
    durations.iter().map(|duration| i128::from(*duration)).sum()
}

fn whole(nanos: i128) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// The time by which durations exceed `bound`, less what as many `others` exceed it by: that much is no news.
fn beyond(within: &[i64], others: &[i64], bound: i64) -> i128 {
    let above = |durations: &[i64]| -> i128 {
        let above = durations.iter().map(|duration| duration.saturating_sub(bound).max(0));
        above.map(i128::from).sum()
    };
    let [own, all] = [within, others].map(|some| i128::try_from(some.len()).unwrap_or(i128::MAX));
    (above(within) - above(others) * own / all.max(1)).max(0)
}

/// What is lost by more than the shape varies anyway, which shows in two ways, and the larger one counts. Single traces: what
/// they take beyond the longest that is usual. Or all together: what they take beyond the longest that a run of others takes
/// on average, be it that one trace in ten always takes long, and now every second one.
fn unusual(within: &[i64], outside: [&[i64]; 2], sorted: &[i64]) -> i128 {
    let longest = nearest_rank(sorted, USUAL).unwrap_or(i64::MAX);
    let run = sorted.len().isqrt().max(TRACES_MIN);
    let runs = outside.into_iter().flat_map(|part| part.chunks_exact(run));
    let mut means: Vec<i64> = runs.map(|run| whole(mean(run))).collect();
    means.sort_unstable();
    let slowest = nearest_rank(&means, USUAL).unwrap_or_else(|| whole(mean(sorted)));
    let own = i128::try_from(within.len()).unwrap_or(i128::MAX);
    let together = total(within) - own.saturating_mul(i128::from(slowest));
    beyond(within, sorted, longest).max(together)
}

/// The likelihood ratio of `more` than `expected` (half of Poisson's deviance): what is lost counts by itself, and by how many
/// times it is what is usual. Where both are twice as much, so is this.
fn deviance(expected: f64, more: f64) -> f64 {
    if more <= 0.0 || expected <= 0.0 {
        return more.max(0.0);
    }
    (expected + more) * (more / expected).ln_1p() - more
}

/// By trace the rank of its duration, from -1/2 (shortest) to 1/2; equal ones have their mean.
fn ranks(traces: &[(i64, i64)]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..traces.len()).collect();
    order.sort_unstable_by_key(|place| traces[*place].1);
    let mut ranks = vec![0.0; traces.len()];
    let mut before = 0;
    for equal in order.chunk_by(|a, b| traces[*a].1 == traces[*b].1) {
        let middle = before as f64 + equal.len() as f64 / 2.0;
        equal.iter().for_each(|place| ranks[*place] = middle / traces.len() as f64 - 0.5);
        before += equal.len();
    }
    ranks
}

/// The run, as first and end, of higher ranks than chance makes; `None` where there is none.
fn stretch(ranks: &[f64]) -> Option<(usize, usize)> {
    let all = ranks.len() as f64;
    // Less than a twelfth where many are equal.
    let variance = ranks.iter().map(|rank| rank * rank).sum::<f64>() / all;
    let slowest = SLOWEST.map(|quantile| slowest(ranks, quantile));
    let mut runs =
        ABOVE_THE_MIDDLE.map(|deviations| highest(ranks, deviations * variance.sqrt())).to_vec();
    for slowest in &slowest {
        let share = slowest.iter().sum::<f64>() / all;
        let deviation = (share * (1.0 - share)).sqrt();
        runs.extend(ABOVE_THE_SHARE.map(|above| highest(slowest, share + above * deviation)));
    }
    let enough = |(first, end): &(usize, usize)| {
        let own = end - first;
        own >= TRACES_MIN && ranks.len() - own >= TRACES_MIN
    };
    let chi_squared = |run: (usize, usize)| {
        let by_slowest = slowest.iter().map(|slowest| by_slowest(slowest, run));
        by_slowest.fold(by_ranks(ranks, variance, run), f64::max)
    };
    let found = runs.into_iter().filter(enough).map(|run| (chi_squared(run), run));
    let (chi_squared, run) = found.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let looks = all * all / 2.0 * (1 + SLOWEST.len()) as f64;
    (p_value(chi_squared) * looks <= P_VALUE_MAX).then_some(run)
}

/// 1 for those whose rank is above the quantile, 0 for others.
fn slowest(ranks: &[f64], quantile: f64) -> Vec<f64> {
    ranks.iter().map(|rank| f64::from(u8::from(*rank > quantile - 0.5))).collect()
}

/// The rank-sum test of a run; 0 where it is faster than others.
fn by_ranks(ranks: &[f64], variance: f64, (first, end): (usize, usize)) -> f64 {
    let (own, all) = ((end - first) as f64, ranks.len() as f64);
    let mean = (ranks[first..end].iter().sum::<f64>() / own).max(0.0);
    mean.powi(2) * own * (all - 1.0) / (variance * (all - own))
}

/// The G-test of how many of the slowest are in a run; 0 where fewer are than elsewhere.
fn by_slowest(slowest: &[f64], (first, end): (usize, usize)) -> f64 {
    let slow = |part: &[f64]| super::count(part.iter().filter(|slow| **slow > 0.0).count());
    let own = slow(&slowest[first..end]);
    let with = Counts { selection: own, baseline: slow(slowest) - own };
    let own = super::count(end - first);
    let all = Counts { selection: own, baseline: super::count(slowest.len()) - own };
    let table = Table { with, all };
    if table.lift().is_some_and(|lift| lift <= 1.0) { 0.0 } else { table.g() }
}

/// The run, as first and end, whose ranks exceed `bound` by most together.
fn highest(ranks: &[f64], bound: f64) -> (usize, usize) {
    let (mut best, mut found) = (0.0, (0, 0));
    let (mut sum, mut first) = (0.0, 0);
    for (at, rank) in ranks.iter().enumerate() {
        if sum <= 0.0 {
            (sum, first) = (0.0, at);
        }
        sum += rank - bound;
        if sum > best {
            (best, found) = (sum, (first, at + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests;
