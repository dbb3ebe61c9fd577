use super::*;

fn of(selection: &[i64], baseline: &[i64]) -> Leaves {
    let mut leaves = Leaves::default();
    selection.iter().for_each(|nanos| leaves.add(true, *nanos));
    baseline.iter().for_each(|nanos| leaves.add(false, *nanos));
    leaves
}

const MANY: Counts = Counts { selection: 1_000, baseline: 1_000 };

#[test]
fn spans_that_take_ten_times_as_long_are_evidence_and_equal_ones_are_not() {
    let (slow, fast) = ([10_000_000, 12_000_000].repeat(20), [1_000_000, 1_200_000].repeat(20));
    let leaves = of(&slow, &fast);
    assert_eq!(leaves.means(), [Some(11_000_000), Some(1_100_000)]);
    // Welch: means ln 10 apart, the deviation of either is ln(1.2) / 2.
    let variance = (1.2f64.ln() / 2.0).powi(2) / 40.0;
    let expected = 10f64.ln().powi(2) / (2.0 * variance);
    assert!((leaves.chi_squared(MANY) / expected - 1.0).abs() < 0.01);
    assert!(of(&fast, &fast).chi_squared(MANY) < 1e-9);
    // Less than a tenth apart is nothing to look at, however many there are.
    let nearly: Vec<i64> = fast.iter().map(|nanos| nanos * 105 / 100).collect();
    assert!(of(&nearly, &fast).chi_squared(MANY) < 1e-9);
}

#[test]
fn many_spans_of_few_traces_are_as_few_as_the_traces() {
    let leaves = of(&[5_000, 9_000].repeat(500), &[1_000, 1_400].repeat(500));
    let few = Counts { selection: 10, baseline: 10 };
    assert!((leaves.chi_squared(MANY) / leaves.chi_squared(few) / 100.0 - 1.0).abs() < 1e-6);
    assert!(leaves.chi_squared(Counts { selection: 7, baseline: 900 }) < 1e-9);
}

#[test]
fn sums_do_not_depend_on_the_order_and_name_their_spans() {
    let (one, mut other) = (of(&[1, 2, 3, 900], &[7]), of(&[900, 3], &[]));
    other.merge(&of(&[2, 1], &[7]));
    assert_eq!((one, one.signature()), (other, other.signature()));
    assert_ne!(one.signature(), of(&[1, 2, 3, 901], &[7]).signature());
    assert_eq!(Leaves::default().means(), [None, None]);
}
