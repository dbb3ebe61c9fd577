use super::{moment, range, unix};

const NOW: i64 = 1_763_800_000_000_000_000;
const HOUR: i64 = 3_600_000_000_000;

#[track_caller]
fn check(text: &str, expected: i64) {
    assert_eq!(moment(text, NOW), Ok(expected), "{text}");
}

#[test]
fn relative_texts_start_from_now() {
    check("now", NOW);
    check("NOW", NOW);
    check("-1h", NOW - HOUR);
    check(" -30m ", NOW - HOUR / 2);
    check("now-90s", NOW - 90_000_000_000);
    check("now - 1h30m", NOW - HOUR - HOUR / 2);
    check("-1.5h", NOW - HOUR - HOUR / 2);
    check("+5m", NOW + 300_000_000_000);
    check("-2d", NOW - 48 * HOUR);
    check("-1w", NOW - 168 * HOUR);
    check("-250ms", NOW - 250_000_000);
}

#[test]
fn calendar_texts_are_utc_unless_they_name_a_zone() {
    check("1970-01-02", 24 * HOUR);
    check("1970-01-01T01:00:00Z", HOUR);
    check("1970-01-01T01:00:00+01:00", 0);
    check("1970-01-01 01:00:00", HOUR);
    check("1970-01-01T00:00:00.000000001Z", 1);
}

#[test]
fn numbers_are_unix_times_of_the_unit_that_fits() {
    check("1661140339", 1_661_140_339_000_000_000);
    check("1661140339209", 1_661_140_339_209_000_000);
    check("1661140339209875", 1_661_140_339_209_875_000);
    check("1661140339209875609", 1_661_140_339_209_875_609);
    check("1661140339.5", 1_661_140_339_500_000_000);
    assert_eq!(unix(-1), -1_000_000_000);
    assert_eq!(unix(i64::MIN), i64::MIN);
}

#[test]
fn texts_that_are_no_time_say_what_would_be() {
    for text in
        ["", "yesterday", "--1h", "-1y", "1h", "-h", "-.h", "2026-13-01", "now now", "-1h30"]
    {
        let message = moment(text, NOW).unwrap_err();
        assert!(message.contains("is not a time: write -1h"), "{message}");
    }
}

#[test]
fn enormous_spans_stop_at_the_ends_of_time() {
    check("-99999999999999999999w", NOW.saturating_sub(i64::MAX));
    check("+99999999999999999999w", i64::MAX);
}

#[test]
fn an_absent_side_is_open_and_a_reversed_range_is_refused() {
    assert_eq!(range(None, None), Ok(storage::TimeRange::ALL));
    assert!(range(Some(2), Some(1)).is_err());
    assert!(range(Some(1), Some(1)).is_ok());
}
