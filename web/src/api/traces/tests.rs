use super::*;

fn statement(pairs: &[(&str, &str)]) -> String {
    let columns = AttributeColumns::from_start();
    Search::parse(&Parameters::of(pairs), &columns, 0).unwrap().statement()
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
        ("min_duration", "5ms"),
        ("order", "slowest"),
        ("limit", "5"),
    ]);
    assert_eq!(
        text,
        "SELECT * FROM traces('1970-01-01T00:00:00.000000000Z') WHERE duration_nano >= 5000000 AND trace_id IN \
         (SELECT trace_id FROM spans WHERE service = 'o''cart' AND attributes['http.route'] = '/a=b' AND \
         attributes['http.response.status_code'] = 500 AND status = 'ERROR' AND start_time >= TIMESTAMP \
         '1970-01-01T00:00:00.000000000Z') ORDER BY duration_nano DESC, trace_id LIMIT 6"
    );
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
    };
    let other = Cursor { trace_id: "0".repeat(32), order: Order::Slowest, ..forged.clone() };
    for text in [forged.print().unwrap(), other.print().unwrap(), "x".to_owned()] {
        let parameters = Parameters::of(&[("cursor", &text)]);
        let result = Search::parse(&parameters, &AttributeColumns::default(), 0);
        assert!(matches!(result, Err(Error::Invalid(_))), "{text}");
    }
}
