use super::*;

fn nested(objects: &[&str]) -> Vec<String> {
    let mut keys = Keys::new();
    for json in objects {
        add_nested(AttributeScope::Span, json, &mut keys);
    }
    keys.remove(&AttributeScope::Span).unwrap_or_default().into_iter().collect()
}

#[test]
fn keys_of_lists_and_maps_are_found_wherever_they_come_first() {
    let objects = [
        r#"{"plain":"a","number":1}"#,
        r#"{"list":["a"],"text":"[{"}"#,
        r#"{"list":["b"]}"#,
        r#"{"plain":"a","list":["c"],"map":{"inner":[1]}}"#,
        r#"{"map":{"list":[1],"x":{}},"last":[]}"#,
    ];
    assert_eq!(nested(&objects), ["last", "list", "map"]);
}

#[test]
fn a_key_with_escapes_is_not_taken_for_a_known_one() {
    let objects = [
        r#"{"k":[1]}"#,
        r#"{"a\",\"k":[1]}"#,
        r#"{"k\\":[1]}"#,
        r#"{"a\"k":[2]}"#,
        r#"{"\u006b":{}}"#,
    ];
    assert_eq!(nested(&objects), ["a\",\"k", "a\"k", "k", "k\\"]);
    assert_eq!(nested(&[r#"{"k":[1]}"#, r#"{"text":",\"k\":[","other":[1]}"#]), ["k", "other"]);
}

#[test]
fn what_lies_far_behind_is_found_too() {
    let long = "x".repeat(1000);
    let json = format!(r#"{{"known":[1],"text":"{long}","far":[1]}}"#);
    assert_eq!(nested(&[r#"{"known":[]}"#, &json]), ["far", "known"]);
}
