use super::{Durations, bucket};
use crate::quantile::nearest_rank;

#[test]
fn every_duration_lies_in_its_bucket() {
    let mut durations: Vec<i64> = (1..5_000).collect();
    for power in 1..63 {
        let two = 1i64 << power;
        durations.extend([two - 1, two, two + 1]);
    }
    durations.push(i64::MAX);
    for duration in durations {
        let (low, high) = bucket(duration);
        assert!(low < duration && duration <= high, "{low} < {duration} <= {high}");
    }
}

#[test]
fn buckets_do_not_overlap() {
    let mut last = (0, 0);
    for duration in 1..200_000 {
        let now = bucket(duration);
        assert!(now == last || now.0 >= last.1, "{last:?} then {now:?}");
        last = now;
    }
}

#[test]
fn the_middle_of_a_bucket_is_within_one_percent() {
    for duration in [1_000, 123_456, 9_876_543_210, 60_000_000_000_000] {
        let (low, high) = bucket(duration);
        let middle = (low as f64 + high as f64) / 2.0;
        assert!((middle - duration as f64).abs() / (duration as f64) < 0.01);
    }
}

#[test]
fn zeros_have_a_bucket_of_their_own() {
    assert_eq!(bucket(0), (0, 0));
    assert_eq!(bucket(-5), (0, 0));
    assert_eq!(bucket(1), (0, 1));
    assert_eq!(bucket(2), (1, 2));
}

/// Durations as services have them: most near 2 ms, some a thousand times slower.
fn skewed(values: usize) -> Vec<i64> {
    let mut dice = 7u64;
    let mut next = move || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(dice >> 40).unwrap()
    };
    (0..values)
        .map(|_| {
            let base = 2_000_000 + next() / 64;
            if next() % 50 == 0 { base * (1 + next() % 1_000) } else { base }
        })
        .collect()
}

#[test]
fn quantiles_of_buckets_are_within_one_percent_of_the_nearest_rank() {
    for values in [1, 2, 10, 999, 50_000] {
        let mut sorted = skewed(values);
        let mut buckets = Durations::new(false);
        sorted.iter().for_each(|one| buckets.add(*one));
        sorted.sort_unstable();
        for p in [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999] {
            let exact = nearest_rank(&sorted, p).unwrap() as f64;
            let [about] = buckets.quantiles([p]).map(|about| about.unwrap() as f64);
            assert!((about - exact).abs() <= exact * 0.01, "{p} of {values}: {about}, not {exact}");
        }
        assert_eq!(buckets.quantiles([1.0]), [sorted.last().copied()], "the largest is exact");
    }
    assert_eq!(Durations::new(false).quantiles([0.5]), [None]);
}

#[test]
fn parts_added_up_are_the_whole() {
    const PS: [f64; 7] = [0.0, 0.001, 0.25, 0.5, 0.75, 0.99, 1.0];
    let mut values = skewed(3_000);
    values.extend([0, 1, 3, i64::MAX]);
    for exact in [false, true] {
        let durations = |part: &[i64]| {
            let mut own = Durations::new(exact);
            part.iter().for_each(|one| own.add(*one));
            own
        };
        let mut sum = durations(&values[2_000..]);
        for part in [&values[..7], &[], &values[7..2_000]] {
            sum.merge(durations(part));
        }
        assert_eq!(sum.count(), 3_004);
        assert_eq!(sum.quantiles(PS), durations(&values).quantiles(PS));
    }
}

#[test]
fn small_durations_are_exact() {
    let mut durations = Durations::new(false);
    (1..=60).for_each(|one| durations.add(one));
    assert_eq!(durations.quantiles([0.1, 0.5, 0.9]), [Some(6), Some(30), Some(54)]);
}
