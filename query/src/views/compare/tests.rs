use super::Counts;
use super::significance::{Table, by_stratum, p_value, strata, within_strata};

fn table(with: (i64, i64), all: (i64, i64)) -> Table {
    let counts = |(selection, baseline)| Counts { selection, baseline };
    Table { with: counts(with), all: counts(all) }
}

#[test]
fn the_g_test_is_the_sum_of_its_formula_with_the_correction() {
    // 30 of 100 against 10 of 100: 20 are expected on each side.
    let g = table((30, 10), (100, 100)).g();
    let plain: f64 = 2.0
        * (30.0 * (30.0 / 20.0f64).ln()
            + 10.0 * (10.0 / 20.0f64).ln()
            + 70.0 * (70.0 / 80.0f64).ln()
            + 90.0 * (90.0 / 80.0f64).ln());
    let q = 1.0 + (200.0 / 40.0 + 200.0 / 160.0 - 1.0) * (2.0 + 2.0 - 1.0) / 1_200.0;
    assert!((g - plain / q).abs() < 1e-9, "{g}");
}

#[test]
fn nothing_differs_where_shares_are_equal_or_a_side_is_empty() {
    for (with, all) in
        [((5, 50), (10, 100)), ((0, 0), (10, 10)), ((10, 10), (10, 10)), ((3, 0), (9, 0))]
    {
        assert!(table(with, all).g() < 1e-9, "{with:?} of {all:?}");
    }
    assert_eq!(table((3, 0), (9, 9)).lift(), None);
    assert_eq!(table((6, 3), (9, 9)).lift(), Some(2.0));
}

#[test]
fn p_values_are_those_of_chi_squared_with_one_degree_of_freedom() {
    for (g, p) in [(0.0, 1.0), (3.841_459, 0.05), (6.634_897, 0.01), (10.827_566, 0.001)] {
        assert!((p_value(g) - p).abs() < 2e-7 + p * 1e-5, "{g}: {}", p_value(g));
    }
    assert!(p_value(1e6) >= 0.0);
}

#[test]
fn what_only_goes_with_the_size_of_traces_is_no_difference_within_it() {
    let of = |selection, baseline| Counts { selection, baseline };
    // Of large traces nine in ten have it and half are selected; of small ones one in ten, and one in eleven.
    let (with, all) = ([of(90, 90), of(10, 100)], [of(100, 100), of(100, 1_000)]);
    let whole = table((100, 190), (200, 1_100));
    assert!(whole.g() > 50.0, "{}", whole.g());
    assert!(within_strata(&with, &all) < 1e-6);
    // The same counts on one size: Mantel and Haenszel's formula by hand.
    let (expected, variance) = (
        290.0 * 200.0 / 1_300.0,
        290.0 * 1_010.0 * 200.0 * 1_100.0 / (1_300.0f64.powi(2) * 1_299.0),
    );
    let chi = (100.0f64 - expected - 0.5).powi(2) / variance;
    assert!((within_strata(&[of(100, 190)], &[of(200, 1_100)]) - chi).abs() < 1e-9);
    assert!(within_strata(&[of(1, 0)], &[of(1, 0)]) < 1e-9);
}

#[test]
fn neighbouring_sizes_are_joined_until_both_sides_can_be_compared() {
    let of = |selection, baseline| Counts { selection, baseline };
    let classes = [of(0, 0), of(4, 50), of(6, 3), of(20, 20), of(1, 0), of(2, 90)];
    let joined = strata(&classes);
    assert_eq!(joined, [0, 0, 0, 1, 1, 1]);
    assert_eq!(by_stratum(&classes, &joined), [of(10, 53), of(23, 110)]);
    // Where sizes tell the sides apart by themselves, nothing is left to compare within them.
    assert_eq!(strata(&[of(500, 0), of(0, 500)]), [0, 0]);
    assert_eq!(strata(&[]), Vec::<usize>::new());
}
