//! How unlikely it is that a difference is chance: the G-test (log-likelihood ratio) of a two by two table, with Williams'
//! correction for small counts, against the chi-squared distribution with one degree of freedom.
use super::Counts;

/// Who has a value, of how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Those with the value.
    pub(crate) with: Counts,
    /// All.
    pub(crate) all: Counts,
}

impl Table {
    /// Shares of the selection and of the baseline; `None` of nothing.
    pub(crate) fn shares(&self) -> (Option<f64>, Option<f64>) {
        let share = |part: i64, all: i64| (all > 0).then(|| part as f64 / all as f64);
        (
            share(self.with.selection, self.all.selection),
            share(self.with.baseline, self.all.baseline),
        )
    }

    /// How many times as large the selection's share is; `None` where the baseline has none.
    pub(crate) fn lift(&self) -> Option<f64> {
        let (selection, baseline) = self.shares();
        Some(selection? / baseline.filter(|share| *share > 0.0)?)
    }

    /// The corrected G; 0 where nothing differs or one side is empty.
    pub(crate) fn g(&self) -> f64 {
        let (a, b) = (self.with.selection as f64, self.with.baseline as f64);
        let (selection, baseline) = (self.all.selection as f64, self.all.baseline as f64);
        let (all, with) = (selection + baseline, a + b);
        let without = all - with;
        if selection <= 0.0 || baseline <= 0.0 || with <= 0.0 || without <= 0.0 {
            return 0.0;
        }
        let part = |observed: f64, row: f64, column: f64| match observed > 0.0 {
            true => observed * (observed * all / (row * column)).ln(),
            false => 0.0,
        };
        let g = 2.0
            * (part(a, with, selection)
                + part(b, with, baseline)
                + part(selection - a, without, selection)
                + part(baseline - b, without, baseline));
        let rows = all / with + all / without - 1.0;
        let columns = all / selection + all / baseline - 1.0;
        (g / (1.0 + rows * columns / (6.0 * all))).max(0.0)
    }
}

/// Traces that a stratum has at least, on each side.
const STRATUM_MIN: i64 = 10;

/// Joins neighbouring classes to strata with enough on both sides to be compared: the stratum of each class.
pub(crate) fn strata(classes: &[Counts]) -> Vec<usize> {
    let mut stratum = 0;
    let mut own = Counts::default();
    let mut joined = Vec::with_capacity(classes.len());
    for class in classes {
        if own.selection >= STRATUM_MIN && own.baseline >= STRATUM_MIN {
            (stratum, own) = (stratum + 1, Counts::default());
        }
        own.selection += class.selection;
        own.baseline += class.baseline;
        joined.push(stratum);
    }
    let is_small = own.selection < STRATUM_MIN || own.baseline < STRATUM_MIN;
    if is_small && stratum > 0 {
        // What is left over goes to the last that is large enough.
        joined.iter_mut().filter(|own| **own == stratum).for_each(|own| *own = stratum - 1);
    }
    joined
}

/// Sums of classes by stratum.
pub(crate) fn by_stratum(classes: &[Counts], strata: &[usize]) -> Vec<Counts> {
    let mut sums = vec![Counts::default(); strata.last().map_or(0, |last| last + 1)];
    for (class, stratum) in classes.iter().zip(strata) {
        sums[*stratum].selection += class.selection;
        sums[*stratum].baseline += class.baseline;
    }
    sums
}

/// Mantel and Haenszel's test, with their correction for whole numbers: how much more often the selection has something than
/// the baseline of the same stratum, over all strata together. `with` and `all` are by stratum; chi-squared with one degree of
/// freedom where only chance makes a difference.
pub(crate) fn within_strata(with: &[Counts], all: &[Counts]) -> f64 {
    let (mut excess, mut variance) = (0.0, 0.0);
    for (with, all) in with.iter().zip(all) {
        let (total, having, selection) =
            (all.all() as f64, with.all() as f64, all.selection as f64);
        if total < 2.0 {
            continue;
        }
        excess += with.selection as f64 - having * selection / total;
        variance += having * (total - having) * selection * (total - selection)
            / (total * total * (total - 1.0));
    }
    if variance <= 0.0 {
        return 0.0;
    }
    let distance = (excess.abs() - 0.5).max(0.0);
    distance * distance / variance
}

/// The probability of a G at least this large by chance.
pub(crate) fn p_value(g: f64) -> f64 {
    complementary_error((g.max(0.0) / 2.0).sqrt())
}

/// erfc of a number not below 0, relative error below 1.2e-7 (Press et al., Numerical Recipes, 6.2).
fn complementary_error(z: f64) -> f64 {
    const TERMS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * z);
    let polynomial = TERMS.iter().rev().fold(0.0, |sum, term| sum * t + term);
    t * (polynomial - z * z).exp()
}
