use super::*;

#[track_caller]
fn check(json: &str, key: &str, expected: Option<&str>) {
    assert_eq!(Key::new(key).find(json), expected, "{json} [{key}]");
}

#[test]
fn finds_a_value_wherever_it_stands() {
    let json = r#"{"a":1,"b.c":"x, \"y\"","d":{"a":[2,{"z":"}"}]},"e":true,"f":1.5e9}"#;
    check(json, "a", Some("1"));
    check(json, "b.c", Some(r#""x, \"y\"""#));
    check(json, "d", Some(r#"{"a":[2,{"z":"}"}]}"#));
    check(json, "e", Some("true"));
    check(json, "f", Some("1.5e9"));
    check(json, "z", None);
    check(json, "", None);
}

#[test]
fn a_key_inside_a_value_is_not_the_key() {
    check(r#"{"x":"\"k\":1","k":2}"#, "k", Some("2"));
    check(r#"{"x":{"k":1}}"#, "k", None);
}

#[test]
fn escaped_keys_are_found() {
    check(r#"{"a\"b":1}"#, "a\"b", Some("1"));
    check("{\"\\u0061\":1}", "a", Some("1"));
}

#[test]
fn broken_json_is_no_value() {
    for json in [
        "",
        "{",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "[1]",
        "null",
        "{\"a\" 1}",
        "{\"a\":\"",
        "{\"a\":[\"",
        "\\",
    ] {
        check(json, "a", None);
    }
}

#[test]
fn values_convert_where_nothing_is_lost() {
    assert_eq!(int("5"), Some(5));
    assert_eq!(int("5.0"), Some(5));
    assert_eq!(int("5.5"), None);
    assert_eq!(int(r#""5""#), Some(5));
    assert_eq!(int(r#""x""#), None);
    assert_eq!(int("9223372036854775807"), Some(i64::MAX));
    assert_eq!(int("1e300"), None);
    assert_eq!(double(r#"{"$double":"-Infinity"}"#), Some(f64::NEG_INFINITY));
    assert_eq!(double(r#""inf""#), None);
    assert_eq!(bool("true"), Some(true));
    assert_eq!(bool("1"), None);
    assert_eq!(text("null"), None);
    assert_eq!(text(r#""a\nb""#).as_deref(), Some("a\nb"));
    assert_eq!(text("[1,2]").as_deref(), Some("[1,2]"));
    assert_eq!(text(r#"{"$double":"NaN"}"#).as_deref(), Some("NaN"));
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_found(
        members in proptest::collection::vec((".{0,6}", ".{0,12}"), 0..8), key in ".{0,6}"
    ) {
        let mut json = String::from("{");
        for (name, value) in &members {
            push_comma(&mut json);
            push_string(&mut json, name);
            json.push(':');
            push_string(&mut json, value);
        }
        json.push('}');
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
        for wanted in members.iter().map(|(name, _)| name).chain([&key]) {
            let expected = members.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            let found = Key::new(wanted).find(&json).and_then(text);
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn no_text_panics(json in ".{0,40}", key in ".{0,3}") {
        if let Some(value) = Key::new(&key).find(&json) {
            let _ = (text(value), int(value), double(value), bool(value));
        }
    }
}
