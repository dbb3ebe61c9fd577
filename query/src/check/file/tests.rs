use super::*;

fn read(json: &str) -> Result<Vec<Check>, String> {
    CheckFile::parse(json)?.checks()
}

#[test]
fn a_check_without_numbers_asks_for_one_span() {
    let check = read(r#"{"check": [{"name": "n", "when": "w", "below": "b"}]}"#).unwrap().remove(0);
    let expect =
        Expect::Count { place: Place::Below, condition: "b".into(), at_least: 1, at_most: None };
    assert_eq!(check, Check { name: "n".into(), when: "w".into(), expect });
    let none = read(r#"{"check": [{"name": "n", "when": "w", "trace": "b", "at_most": 0}]}"#);
    let expect =
        Expect::Count { place: Place::Trace, condition: "b".into(), at_least: 0, at_most: Some(0) };
    assert_eq!(none.unwrap()[0].expect, expect);
}

#[test]
fn what_says_nothing_or_too_much_is_refused() {
    for rest in [
        "",
        r#", "below": "a", "above": "b""#,
        r#", "below": "a", "order": ["b", "c"]"#,
        r#", "order": ["b"]"#,
        r#", "order": ["b", "c"], "at_most": 1"#,
        r#", "below": "b", "at_best": 1"#,
    ] {
        let json = format!(r#"{{"check": [{{"name": "n", "when": "w"{rest}}}]}}"#);
        assert!(read(&json).is_err(), "{json}");
    }
}
