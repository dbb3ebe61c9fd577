use super::*;

/// A hash of a number (splitmix64).
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Spans of `traces` traces, one to eight of each, as trace and weight.
fn spans(traces: u64, weight: f64) -> Vec<(u64, f64)> {
    let spans = |trace: u64| (0..=mixed(trace ^ 0xa5a5) % 8).map(move |_| (mixed(trace), weight));
    (0..traces).flat_map(spans).collect()
}

fn counts(selection: usize) -> Counts {
    Counts { selection: i64::try_from(selection).unwrap(), baseline: 0 }
}

fn estimates(spans: &[(u64, f64)]) -> Estimates {
    let mut own = OfSpans::default();
    spans.iter().for_each(|(trace, weight)| own.add(true, *trace, *weight));
    own.estimates(counts(spans.len()))
}

/// The standard error by the formula, all traces at hand.
fn truth(traces: u64, weight: f64) -> f64 {
    let square = |trace: u64| ((mixed(trace ^ 0xa5a5) % 8 + 1) as f64).powi(2);
    (weight * (weight - 1.0) * (0..traces).map(square).sum::<f64>()).sqrt()
}

#[test]
fn the_error_of_few_spans_is_exact_and_that_of_spans_that_stand_for_themselves_is_none() {
    let few = spans(12, 10.0);
    assert!(few.len() <= FEW, "{}", few.len());
    let found = estimates(&few);
    assert!((found.totals[0] - few.len() as f64 * 10.0).abs() < 1e-6);
    assert!((found.errors[0] - truth(12, 10.0)).abs() < 1e-6, "{found:?}");
    assert_eq!(found.errors[1], 0.0);
    let all = spans(1_000, 1.0);
    assert_eq!(estimates(&all), Estimates::exactly(counts(all.len())));
}

#[test]
fn the_error_of_many_spans_is_about_that_of_their_traces() {
    for (traces, weight) in [(300, 2.0), (5_000, 10.0), (20_000, 100.0)] {
        let (found, truth) = (estimates(&spans(traces, weight)), truth(traces, weight));
        // One in eleven is the error of this error; that spans were independent would say half of it.
        let times = found.errors[0] / truth;
        assert!((0.7..1.4).contains(&times), "{traces}: {found:?}, not {truth}");
    }
}

#[test]
fn neither_the_order_of_adding_nor_of_merging_shows() {
    let all = spans(200, 3.0);
    let whole = estimates(&all);
    let mut turned = all.clone();
    turned.reverse();
    assert_eq!(estimates(&turned), whole);
    for border in [10, 300, all.len() - 10] {
        let [mut first, mut second] = [OfSpans::default(), OfSpans::default()];
        all[..border].iter().for_each(|(trace, weight)| first.add(true, *trace, *weight));
        all[border..].iter().for_each(|(trace, weight)| second.add(true, *trace, *weight));
        first.merge(&second);
        assert_eq!(first.estimates(counts(all.len())), whole, "{border}");
        assert!(first.bytes() <= size_of::<[Group; GROUPS]>());
    }
}
