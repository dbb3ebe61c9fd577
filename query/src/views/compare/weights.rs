//! How many traces or spans the counted ones stand for, where they were sampled.
use super::Counts;
use crate::views::rows::{self, Estimate, Weight};

/// An estimate on either side.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Estimates {
    /// How many there were before sampling, of the selection and of the baseline.
    pub(crate) totals: [f64; 2],
    /// The standard errors.
    pub(crate) errors: [f64; 2],
}

impl Estimates {
    /// Each stands for itself alone.
    pub(crate) fn exactly(counts: Counts) -> Self {
        let totals = [counts.selection, counts.baseline].map(|count| count as f64);
        Self { totals, errors: [0.0; 2] }
    }
}

/// Weights of traces, each of which was sampled by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OfTraces([Weight; 2]);

impl OfTraces {
    /// Adds the trace at `index`.
    pub(crate) fn add(&mut self, index: usize, selected: bool, weight: f64) {
        self.0[usize::from(!selected)].add(index as u128, weight);
    }

    /// What they add up to.
    pub(crate) fn estimates(&self) -> Estimates {
        let sides = self.0.map(Estimate::from);
        Estimates { totals: sides.map(|side| side.total), errors: sides.map(|side| side.error) }
    }
}

/// Weights of spans. Those of a trace are sampled together, so the error is that of a sum over traces.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfSpans {
    totals: [i128; 2],
    /// Of those that stand for more than themselves.
    sampled: [ByTrace; 2],
}

impl OfSpans {
    /// Adds a span of a trace, which is given by a hash of its id.
    pub(crate) fn add(&mut self, selected: bool, trace: u64, weight: f64) {
        let side = usize::from(!selected);
        self.totals[side] = self.totals[side].saturating_add(rows::units(weight));
        if weight > 1.0 {
            self.sampled[side].add(trace, weight);
        }
    }

    /// Adds those of another value.
    pub(crate) fn merge(&mut self, other: &Self) {
        for side in 0..2 {
            self.totals[side] = self.totals[side].saturating_add(other.totals[side]);
            self.sampled[side].merge(&other.sampled[side]);
        }
    }

    /// What they add up to, of `counts` spans.
    pub(crate) fn estimates(&self, counts: Counts) -> Estimates {
        let exactly = Estimates::exactly(counts);
        let totals = self.totals.map(rows::from_units);
        if totals == exactly.totals {
            return exactly;
        }
        let errors = [0, 1].map(|side: usize| self.sampled[side].variance().sqrt());
        Estimates { totals, errors }
    }

    /// Memory held beside itself, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.sampled.iter().map(ByTrace::bytes).sum()
    }
}

/// Spans that are held one by one, to be put together by trace at the end.
const FEW: usize = 64;
/// Groups of traces, by a hash of their ids, where there are more.
const GROUPS: usize = 64;

/// Spans by their traces, as far as their variance needs it. A trace whose `n` spans have weights that add up to `S` contributes
/// `S * (S - n)`, which needs all traces at once. Of many, only random groups are held: how far the groups' sums lie from each
/// other says the same about their traces, with a relative error of the standard error of one in eleven.
#[derive(Debug, Clone)]
enum ByTrace {
    Few(Vec<(u64, f64)>),
    Many(Box<[Group; GROUPS]>),
}

/// Spans of some traces: their weights, in parts of 2^-20, and how many they are.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    sum: i64,
    spans: i64,
}

/// Parts of a group's weight in one.
const PARTS: f64 = (1u64 << 20) as f64;

impl Default for ByTrace {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl ByTrace {
    fn add(&mut self, trace: u64, weight: f64) {
        match self {
            Self::Few(few) => {
                few.push((trace, weight));
                if few.len() > FEW {
                    *self = Self::Many(grouped(few));
                }
            }
            Self::Many(groups) => add_to(groups, trace, weight),
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(few)) => few.iter().for_each(|(trace, weight)| self.add(*trace, *weight)),
            (Self::Few(few), Self::Many(_)) => {
                *self = Self::Many(grouped(few));
                self.merge(other);
            }
            (Self::Many(groups), Self::Many(more)) => {
                for (group, more) in groups.iter_mut().zip(more.iter()) {
                    group.sum = group.sum.saturating_add(more.sum);
                    group.spans += more.spans;
                }
            }
        }
    }

    fn variance(&self) -> f64 {
        match self {
            Self::Few(few) => {
                let mut few = few.clone();
                few.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)));
                let traces = few.chunk_by(|a, b| a.0 == b.0);
                traces.map(|trace| variance_of(trace.iter().map(|(_, weight)| *weight))).sum()
            }
            Self::Many(groups) => variance_of_groups(groups),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Few(few) => few.capacity() * size_of::<(u64, f64)>(),
            Self::Many(_) => size_of::<[Group; GROUPS]>(),
        }
    }
}

fn grouped(few: &[(u64, f64)]) -> Box<[Group; GROUPS]> {
    let mut groups = Box::new([Group::default(); GROUPS]);
    few.iter().for_each(|(trace, weight)| add_to(&mut groups, *trace, *weight));
    groups
}

fn add_to(groups: &mut [Group; GROUPS], trace: u64, weight: f64) {
    let own = usize::try_from(trace % GROUPS as u64).unwrap_or(0);
    // Units are parts of 2^-40.
    let parts = i64::try_from(rows::units(weight) >> 20).unwrap_or(i64::MAX);
    groups[own].sum = groups[own].sum.saturating_add(parts);
    groups[own].spans += 1;
}

/// What one trace contributes.
fn variance_of(weights: impl Iterator<Item = f64>) -> f64 {
    let (sum, spans) = weights.fold((0.0, 0.0), |(sum, spans), weight| (sum + weight, spans + 1.0));
    sum * (sum - spans)
}

/// What the traces of all groups contribute, about: the groups' covariance of `S` and `S - n`. It is what a sum over traces has
/// when they fall into groups by chance.
fn variance_of_groups(groups: &[Group; GROUPS]) -> f64 {
    let sum = |group: &Group| group.sum as f64 / PARTS;
    let more = |group: &Group| sum(group) - group.spans as f64;
    let all = GROUPS as f64;
    let means =
        (groups.iter().map(sum).sum::<f64>() / all, groups.iter().map(more).sum::<f64>() / all);
    let products = groups.iter().map(|group| (sum(group) - means.0) * (more(group) - means.1));
    (products.sum::<f64>() * all / (all - 1.0)).max(0.0)
}

#[cfg(test)]
mod tests;
