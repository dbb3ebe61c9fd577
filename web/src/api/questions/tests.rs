use super::*;

#[track_caller]
fn check(of: Of, pairs: &[(&str, &str)], selection: &str, baseline: Option<&str>) {
    let sides = sides(of, &Parameters::of(pairs), 0).unwrap();
    assert_eq!((sides.0.as_str(), sides.1.as_deref()), (selection, baseline));
}

#[test]
fn without_conditions_failures_are_compared_with_the_rest() {
    check(Of::Traces, &[], "root_error", None);
    check(Of::Spans, &[], "status = 'ERROR'", None);
}

#[test]
fn a_region_of_time_and_duration_is_compared_with_the_rest_of_the_operation() {
    let region = [
        ("root_service", "web"),
        ("root_name", "it's"),
        ("min_duration", "500ms"),
        ("max_duration", "2s"),
        ("selection_from", "2026-11-22T10:00:00Z"),
        ("selection_to", "2026-11-22T10:05:00Z"),
    ];
    let operation = "\"root_service\" = 'web' AND \"root_name\" = 'it''s'";
    let selection = "start_time >= TIMESTAMP '2026-11-22T10:00:00.000000000Z' AND \
         start_time < TIMESTAMP '2026-11-22T10:05:00.000000000Z' AND duration_nano >= 500000000 AND \
         duration_nano <= 2000000000";
    check(Of::Traces, &region, &format!("{selection} AND {operation}"), Some(operation));
}

#[test]
fn conditions_are_kept_apart() {
    check(
        Of::Spans,
        &[("selection", "a OR b -- c"), ("baseline", "d"), ("kind", "CLIENT")],
        "(a OR b -- c\n) AND \"kind\" = 'CLIENT'",
        Some("(d\n) AND \"kind\" = 'CLIENT'"),
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for pairs in
        [[("of", "cats")], [("kind", "CLIENT")], [("status", "odd")], [("min_duration", "x")]]
    {
        let parameters = Parameters::of(&pairs);
        let refused = Of::read(&parameters).and_then(|of| sides(of, &parameters, 0));
        assert!(refused.is_err(), "{pairs:?}");
    }
}
