//! When the traces of one shape got slow: the stretch of time in which they lasted longest, if that is more than chance.
//!
//! Durations are taken as ranks, so that one very slow trace makes no stretch, and that shapes which differ from the start are
//! not slow for it: each is compared with itself at another time. Candidates are the runs whose ranks exceed the middle by most;
//! which of them is least by chance, and whether it may be chance, is said by the rank-sum test, times the number of runs.
use storage::TimeRange;

use crate::views::compare::significance::p_value;

/// A stretch, and what is left, have so many traces at least.
const TRACES_MIN: usize = 8;
/// A rank counts for a run as far as it is above the middle by more than so many standard deviations: by few where one trace in
/// ten got slow, by many where all did.
const ABOVE_THE_MIDDLE: [f64; 4] = [0.1, 0.25, 0.5, 1.0];
/// Traces last so many times as long there, on (geometric) average.
const TIMES_LONGER_MIN: f64 = 1.1;
const P_VALUE_MAX: f64 = 0.001;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slower {
    /// From the start of its first trace to right behind the start of its last.
    pub(crate) stretch: TimeRange,
    /// Median duration outside of it.
    pub(crate) usual_nano: i64,
    /// What its traces took beyond that, together.
    pub(crate) lost_nano: i64,
}

/// The stretch in which traces, given by start and duration, got slow; `None` where there is none.
pub(crate) fn slower(mut traces: Vec<(i64, i64)>) -> Option<Slower> {
    if traces.len() < 2 * TRACES_MIN {
        return None;
    }
    traces.sort_unstable();
    let ranks = ranks(&traces);
    let (first, end) = stretch(&ranks)?;
    let count = (end - first) as f64;
    let mut outside: Vec<i64> =
        traces[..first].iter().chain(&traces[end..]).map(|(_, duration)| *duration).collect();
    let within = &traces[first..end];
    let logarithm = |duration: i64| (duration.max(1) as f64).ln();
    let usual = outside.iter().copied().map(logarithm).sum::<f64>() / outside.len() as f64;
    let now = within.iter().map(|(_, duration)| logarithm(*duration)).sum::<f64>() / count;
    if now - usual < TIMES_LONGER_MIN.ln() {
        return None;
    }
    let middle = (outside.len() - 1) / 2;
    let (_, usual_nano, _) = outside.select_nth_unstable(middle);
    let usual_nano = *usual_nano;
    let lost = within.iter().map(|(_, duration)| duration.saturating_sub(usual_nano).max(0));
    let lost_nano = lost.fold(0_i64, i64::saturating_add);
    let stretch = TimeRange { from: within.first()?.0, until: within.last()?.0.saturating_add(1) };
    Some(Slower { stretch, usual_nano, lost_nano })
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
    let chi_squared = |(first, end): (usize, usize)| {
        let own = (end - first) as f64;
        let mean = ranks[first..end].iter().sum::<f64>() / own;
        mean.powi(2) * own * (all - 1.0) / (variance * (all - own))
    };
    let runs = ABOVE_THE_MIDDLE.map(|deviations| highest(ranks, deviations * variance.sqrt()));
    let enough = |(first, end): &(usize, usize)| {
        let own = end - first;
        own >= TRACES_MIN && ranks.len() - own >= TRACES_MIN
    };
    let found = runs.into_iter().filter(enough).map(|run| (chi_squared(run), run));
    let (chi_squared, run) = found.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let looks = all * all / 2.0 * ABOVE_THE_MIDDLE.len() as f64;
    (p_value(chi_squared) * looks <= P_VALUE_MAX).then_some(run)
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
