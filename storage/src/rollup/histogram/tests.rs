use super::*;

#[test]
fn every_duration_lies_in_its_bucket_and_in_no_earlier_one() {
    let mut durations: Vec<i64> = (1..70_000).collect();
    for power in 1..63 {
        let two = 1i64 << power;
        durations.extend([two - 1, two, two + 1, two + two / 3]);
    }
    durations.push(i64::MAX);
    for duration in durations {
        let (low, high) = bounds(bucket(duration));
        assert!(low < duration && duration <= high, "{low} < {duration} <= {high}");
    }
}

#[test]
fn zeros_have_a_bucket_of_their_own() {
    assert_eq!([bucket(0), bucket(-5), bucket(1), bucket(2)], [0, 0, 1, 65]);
    assert_eq!((bounds(0), bounds(1), bounds(65)), ((0, 0), (0, 1), (1, 2)));
    assert_eq!(usize::from(bucket(i64::MAX)), LAST);
}

#[test]
fn quantiles_are_within_one_percent_of_the_nearest_rank() {
    let mut durations: Vec<i64> = (1..9_000i64).map(|n| n * n * 7919 % 90_000_017).collect();
    let mut histogram = Histogram::default();
    durations.iter().for_each(|duration| histogram.add(*duration));
    durations.sort_unstable();
    for (p, rank) in [(0.5, 4500), (0.9, 8100), (0.99, 8910), (1.0, 8999)] {
        let (truth, found) = (durations[rank - 1], histogram.quantile(p).unwrap());
        let off = (found - truth).abs() as f64 / truth as f64;
        assert!(off <= 0.0055, "p{p}: {found} for {truth}");
    }
    assert_eq!(Histogram::default().quantile(0.5), None);
}

#[test]
fn what_was_added_can_be_taken_away() {
    let of = |durations: &[i64]| {
        let mut histogram = Histogram::default();
        durations.iter().for_each(|duration| histogram.add(*duration));
        histogram
    };
    let mut all = of(&[5, 1_000, 70, 70]);
    all.merge(&of(&[0, i64::MAX]));
    assert_eq!(all, of(&[i64::MAX, 70, 0, 5, 70, 1_000]));
    all.subtract(&of(&[i64::MAX, 70, 0]));
    assert_eq!(all, of(&[70, 5, 1_000]));
    assert_eq!((all.count(), all.longest()), (3, Some(bounds(bucket(1_000)))));
}
