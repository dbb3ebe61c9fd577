use super::*;

const NOW: i64 = 1_795_255_200_000_000_000;

#[track_caller]
fn check(text: &str, expected: i64) {
    assert_eq!(Parameters::of(&[("from", text)]).time("from", NOW).unwrap(), Some(expected));
}

#[test]
fn times_are_read_as_people_write_them() {
    check("now", NOW);
    check("-15m", NOW - 900_000_000_000);
    check("-1.5h", NOW - 5_400_000_000_000);
    check("-1h30m", NOW - 5_400_000_000_000);
    check("now-90s", NOW - 90_000_000_000);
    check(" 5m", NOW + 300_000_000_000);
    check("1795255200000", NOW);
    check("2026-11-21T10:00:00Z", NOW);
    check("2026-11-21T11:00:00 01:00", NOW);
    check("2026-11-21T10:00:00.000000001Z", NOW + 1);
    check("2026-11-21T10:00:00", NOW);
    check("2026-11-21", NOW - 10 * 3_600_000_000_000);
    check("1795255200", NOW);
    check("1795255200.5", NOW + 500_000_000);
}

#[test]
fn other_times_are_refused_with_the_forms() {
    for text in
        ["yesterday", "-1x", "-", "9999999999999999999", "1e300", "NaN", "5 parsecs", "2300-01-01"]
    {
        let error = Parameters::of(&[("from", text)]).time("from", NOW).unwrap_err();
        assert!(error.to_string().contains("Unix seconds"), "{text}: {error}");
    }
}

#[test]
fn durations_have_units_or_are_nanoseconds() {
    let read = |text| Parameters::of(&[("d", text)]).duration("d").ok().flatten();
    assert_eq!(read("5ms"), Some(5_000_000));
    assert_eq!(read("250us"), Some(250_000));
    assert_eq!(read("1.5s"), Some(1_500_000_000));
    assert_eq!(read("3µs"), Some(3_000));
    assert_eq!(read("1m30s"), Some(90_000_000_000));
    assert_eq!(read("7"), Some(7));
    assert_eq!(read("-7"), None);
    assert_eq!(read("5 parsecs"), None);
    assert_eq!(parse_duration("2w"), Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(parse_duration("0d"), None);
}

#[test]
fn counts_stay_within_their_bounds() {
    let count = |text| Parameters::of(&[("limit", text)]).count("limit", 7, 10);
    assert_eq!(count("").unwrap(), 7);
    assert_eq!(count("10").unwrap(), 10);
    assert!(count("0").is_err());
    assert!(count("11").is_err());
    assert!(count("ten").is_err());
}

#[test]
fn a_parameter_given_twice_is_refused() {
    let parameters = Parameters::of(&[("service", "a"), ("service", "b")]);
    assert!(parameters.one("service").is_err());
    assert_eq!(parameters.all("service").collect::<Vec<_>>(), ["a", "b"]);
}
