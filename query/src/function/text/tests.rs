use super::*;

#[test]
fn durations_read_as_people_write_them() {
    for (nanos, expected) in [
        (0, "0ns"),
        (999, "999ns"),
        (1_500, "1.5µs"),
        (2_000_000, "2ms"),
        (12_345_678, "12.3ms"),
        (345_678_901, "345ms"),
        (1_010_000_000, "1.01s"),
        (90_000_000_000, "1.5min"),
        (-1_500, "-1.5µs"),
        (i64::MIN, "-153722867min"),
    ] {
        assert_eq!(duration_text(nanos), expected);
    }
}
