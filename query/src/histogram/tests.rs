use super::bucket;

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
