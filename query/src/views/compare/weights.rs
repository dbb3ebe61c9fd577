//! How many traces or spans the counted ones stand for, where they were sampled.
use super::Counts;
use crate::views::rows::{self, Estimate, Weight};

/// An estimate on either side; without its standard error where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Estimates {
    /// How many there were before sampling, of the selection and of the baseline.
    pub(crate) totals: [f64; 2],
    /// The standard errors.
    pub(crate) errors: Option<[f64; 2]>,
}

impl Estimates {
    /// Each stands for itself alone.
    pub(crate) fn exactly(counts: Counts) -> Self {
        let totals = [counts.selection, counts.baseline].map(|count| count as f64);
        Self { totals, errors: Some([0.0; 2]) }
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
        Estimates {
            totals: sides.map(|side| side.total),
            errors: Some(sides.map(|side| side.error)),
        }
    }
}

/// Weights of spans. The spans of a trace are sampled together, which is not seen here: so nothing is said of the error.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OfSpans([i128; 2]);

impl OfSpans {
    /// Adds one.
    pub(crate) fn add(&mut self, selected: bool, weight: f64) {
        let side = &mut self.0[usize::from(!selected)];
        *side = side.saturating_add(rows::units(weight));
    }

    /// Adds those of another value.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, more)| *own = own.saturating_add(more));
    }

    /// What they add up to, of `counts` spans.
    pub(crate) fn estimates(&self, counts: Counts) -> Estimates {
        let exactly = Estimates::exactly(counts);
        let totals = self.0.map(rows::from_units);
        if totals == exactly.totals { exactly } else { Estimates { totals, errors: None } }
    }
}
