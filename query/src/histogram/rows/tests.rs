use super::*;

#[test]
fn a_duration_lies_within_the_bounds_of_its_row() {
    for rows in [1, 2, 4, 8, 16, 32, 64] {
        let merged = merged_of(rows).unwrap();
        for duration in [0, 1, 2, 3, 7, 8, 9, 1_000, 999_999_999, 1 << 40, i64::MAX - 1, i64::MAX] {
            let (low, high) = bounds_of(row_of(duration, merged), merged);
            let within = if duration == 0 { (low, high) == (0, 0) } else { low < duration };
            assert!(within && duration <= high, "{duration} in {low}..={high} of {rows}");
        }
    }
}

#[test]
fn rows_are_buckets_of_the_histogram_and_end_at_powers_of_two() {
    for duration in [1, 5, 100, 123_456, 300_000_000] {
        assert_eq!(bounds_of(row_of(duration, 1), 1), bounds(bucket(duration)));
    }
    assert_eq!(bounds_of(row_of(1_000, 64), 64), (512, 1_024));
    assert_eq!(bounds_of(row_of(1_024, 32), 32), (724, 1_024));
    assert_eq!(bounds_of(row_of(1_025, 32), 32), (1_024, 1_448));
}

#[test]
fn rows_are_a_power_of_two() {
    assert_eq!([0, -1, 3, 65, 128, i64::MAX].map(merged_of), [None; 6]);
    assert_eq!([1, 4, 64].map(merged_of), [Some(64), Some(16), Some(1)]);
}
