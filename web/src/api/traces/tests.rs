use super::pages::Total;
use super::*;

fn statement(pairs: &[(&str, &str)]) -> String {
    let search = search(pairs);
    search.statement([search.from, search.to], search.limit + 1)
}

fn search(pairs: &[(&str, &str)]) -> Search {
    let columns = AttributeColumns::from_start();
    Search::parse(&Parameters::of(pairs), &columns, 0).unwrap()
}

#[test]
fn no_condition_asks_for_the_newest() {
    assert_eq!(
        statement(&[]),
        "SELECT * FROM traces() ORDER BY start_time DESC, trace_id LIMIT 101"
    );
}

#[test]
fn conditions_on_spans_hold_for_one_span() {
    let text = statement(&[
        ("from", "0"),
        ("service", "o'cart"),
        ("status", "error"),
        ("attribute", "http.route=/a=b"),
        ("attribute", "http.response.status_code=500"),
        ("kind", "SERVER"),
        ("resource", "k8s.pod.name=a'b"),
        ("min_duration", "5ms"),
        ("order", "slowest"),
        ("limit", "5"),
    ]);
    assert_eq!(
        text,
        "SELECT * FROM traces('1970-01-01T00:00:00.000000000Z') WHERE duration_nano >= 5000000 AND trace_id IN \
         (SELECT trace_id FROM spans WHERE service = 'o''cart' AND kind = 'SERVER' AND attributes['http.route'] = '/a=b' AND \
         attributes['http.response.status_code'] = 500 AND resource['k8s.pod.name'] = 'a''b' AND status = 'ERROR' AND start_time >= TIMESTAMP \
         '1970-01-01T00:00:00.000000000Z') ORDER BY duration_nano DESC, trace_id LIMIT 6"
    );
}

#[test]
fn a_failed_root_is_asked_for_apart_from_a_failed_span() {
    let failed = [("root_status", "error")];
    assert_eq!(
        statement(&failed),
        "SELECT * FROM traces() WHERE root_error ORDER BY start_time DESC, trace_id LIMIT 101"
    );
    // The sums of roots cannot count them: the condition is not on the root's name alone.
    assert!(!search(&failed).only_roots);
    assert!(statement(&[("status", "error")]).contains("WHERE errors > 0"));
    let parameters = Parameters::of(&[("root_status", "ok")]);
    let refused = Search::parse(&parameters, &AttributeColumns::from_start(), 0).unwrap_err();
    assert!(refused.to_string().contains("root_status is error or absent"), "{refused}");
}

#[test]
fn a_value_of_another_type_than_its_column_is_compared_as_text() {
    let text = statement(&[("attribute", "http.response.status_code=teapot' OR ''='")]);
    assert!(text.contains(
        "CAST(attributes['http.response.status_code'] AS VARCHAR) = 'teapot'' OR ''''='''"
    ));
}

#[test]
fn a_cursor_comes_back_as_it_went_and_fixes_the_range() {
    let cursor = Cursor {
        order: Order::Newest,
        from: Some(1_000_000_000),
        to: None,
        value: 2_000_000_000,
        trace_id: "0123456789abcdef0123456789abcdef".to_owned(),
        seen: 7,
    };
    let text = statement(&[("from", "7"), ("cursor", &cursor.print().unwrap())]);
    assert_eq!(
        text,
        "SELECT * FROM traces('1970-01-01T00:00:01.000000000Z') WHERE (start_time < TIMESTAMP \
         '1970-01-01T00:00:02.000000000Z' OR (start_time = TIMESTAMP '1970-01-01T00:00:02.000000000Z' AND \
         trace_id > '0123456789abcdef0123456789abcdef')) ORDER BY start_time DESC, trace_id LIMIT 101"
    );
}

#[test]
fn foreign_cursors_are_refused() {
    let forged = Cursor {
        order: Order::Newest,
        from: None,
        to: None,
        value: 0,
        trace_id: "' OR true --".to_owned(),
        seen: 0,
    };
    let other = Cursor { trace_id: "0".repeat(32), order: Order::Slowest, ..forged.clone() };
    for text in [forged.print().unwrap(), other.print().unwrap(), "x".to_owned()] {
        let parameters = Parameters::of(&[("cursor", &text)]);
        let result = Search::parse(&parameters, &AttributeColumns::default(), 0);
        assert!(matches!(result, Err(Error::Invalid(_))), "{text}");
    }
}

const HOUR: i64 = 3_600_000_000_000;

#[test]
fn windows_cover_the_range_without_a_gap_the_newest_first() {
    let cursor = Cursor {
        order: Order::Newest,
        from: Some(HOUR),
        to: Some(90 * HOUR),
        value: 50 * HOUR,
        trace_id: "0".repeat(32),
        seen: 3,
    };
    let (from, to) = (format!("{}", HOUR / 1_000_000_000), format!("{}", 90 * 3_600));
    let later = search(&[("cursor", &cursor.print().unwrap())]);
    for (search, newest) in [
        (search(&[]), 100 * HOUR),
        (search(&[("from", &from)]), 100 * HOUR),
        (search(&[("from", &from), ("to", &to)]), 90 * HOUR),
        (later, 50 * HOUR + 1),
    ] {
        let windows = pages::windows(&search, Some((0, 100 * HOUR)));
        assert_eq!(windows.len(), 6, "{windows:?}");
        for (newer, older) in windows.iter().zip(windows.iter().skip(1)) {
            assert_eq!(newer[0], older[1], "{windows:?}");
        }
        assert_eq!(windows[0][0], Some(newest - 60_000_000_000));
        assert_eq!(windows[5][0], search.from);
        let first = if search.after.is_some() { Some(50 * HOUR + 1) } else { search.to };
        assert_eq!(windows[0][1], first, "a trace may start together with the last one");
    }
}

#[test]
fn windows_end_where_spans_do() {
    let all = search(&[]);
    assert_eq!(pages::windows(&all, None), [[None, None]]);
    assert_eq!(pages::windows(&all, Some((HOUR, HOUR + 5))), [[None, None]]);
    assert_eq!(pages::windows(&all, Some((0, HOUR / 2))).len(), 3);
    assert_eq!(pages::windows(&search(&[("order", "slowest")]), Some((0, HOUR))), [[None, None]]);
}

#[test]
fn totals_come_from_rollups_or_are_asked_for() {
    let counted = |pairs: &[(&str, &str)]| search(pairs).count_statement();
    assert_eq!(
        counted(&[("root_name", "GET /cart")]).unwrap(),
        "SELECT coalesce(sum(traces), 0) FROM latency() WHERE root_name = 'GET /cart'"
    );
    assert_eq!(counted(&[("service", "cart")]), None);
    assert_eq!(counted(&[("min_duration", "1s")]), None);
    let all = counted(&[("min_duration", "1s"), ("total", "exact")]).unwrap();
    assert_eq!(all, "SELECT count(*) FROM traces() WHERE duration_nano >= 1000000000");
    assert_eq!(Total::OrMore(101).to_string(), "101+");
    assert_eq!(Total::Exactly(7).to_string(), "7");
}
