use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(trace_state: &str, threshold: Option<&str>, randomness: Option<u64>) {
    let read = TraceState::read(trace_state.as_bytes());
    assert_eq!(read.threshold.map(Threshold::digits).as_deref(), threshold, "{trace_state}");
    assert_eq!(read.randomness, randomness, "{trace_state}");
}

#[test]
fn the_entry_is_found_among_others() {
    check("", None, None);
    check("vendor=x", None, None);
    check("ot=th:0", Some("0"), None);
    check("ot=th:fd70a4", Some("fd70a4"), None);
    check("vendor=x , ot=rv:6e6d1a75832a2f;th:c", Some("c"), Some(0x6e_6d1a_7583_2a2f));
    check("ot=rv:6e6d", None, None);
    check("ott=th:8,tenant@ot=th:8", None, None);
    check("ot=p:8;r:62", None, None);
}

#[test]
fn only_a_threshold_that_is_none_is_invalid() {
    let invalid = |state: &str| TraceState::read(state.as_bytes()).invalid;
    assert!(invalid("ot=th:xyz") && invalid("ot=th:") && invalid("ot=th:fffffffffffffff"));
    assert!(!invalid("") && !invalid("ot=p:8") && !invalid("ot=th:8") && !invalid("th:xyz"));
}

#[test]
fn a_threshold_is_written_beside_what_was_there() {
    let quarter = Threshold::of_probability(0.25);
    for (before, after) in [
        ("", "ot=th:c"),
        ("ot=th:8", "ot=th:c"),
        ("vendor=x", "ot=th:c,vendor=x"),
        ("a=1, ot=th:8;rv:6e6d1a75832a2f ,b=2", "ot=rv:6e6d1a75832a2f;th:c,a=1,b=2"),
        ("ot=,ot=th:8", "ot=th:c"),
    ] {
        let written = with_threshold(before.as_bytes(), quarter);
        assert_eq!(String::from_utf8(written).unwrap(), after, "{before}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(before in "[a-z0-9=:;, @]{0,60}", probability in 1e-9..1.0f64) {
        let threshold = Threshold::of_probability(probability);
        let written = with_threshold(before.as_bytes(), threshold);
        let (was, is) = (TraceState::read(before.as_bytes()), TraceState::read(&written));
        prop_assert_eq!(is.threshold, Some(threshold));
        prop_assert_eq!(is.randomness, was.randomness);
        prop_assert_eq!(with_threshold(&written, threshold), written);
    }
}
