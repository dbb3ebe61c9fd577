use super::Counts;
use super::significance::{Table, p_value};

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
