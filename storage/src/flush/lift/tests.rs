use super::*;
use crate::batch::RestCount;
use crate::flush::tests::{DAY, TestSpan, batch, span};

#[test]
fn members_keep_their_text() {
    let json = r#"{"a":1,"b\"{":"x,}\"","c":{"d":[1,{"e":"]"}]},"f":[],"g":true , "h" : null}"#;
    let expected = [
        (r#""a""#, "1"),
        (r#""b\"{""#, r#""x,}\"""#),
        (r#""c""#, r#"{"d":[1,{"e":"]"}]}"#),
        (r#""f""#, "[]"),
        (r#""g""#, "true"),
        (r#""h""#, "null"),
    ];
    assert_eq!(members(json), expected);
}

#[test]
fn broken_json_ends_the_members_without_a_panic() {
    for json in ["", "{", "[1]", r#"{"a"#, r#"{"a":"#, r#"{"a":"b"#, "{]", r#"{"a":1}}}"#, "nul"] {
        assert!(members(json).len() <= 1, "{json}");
    }
}

fn rest(scope: AttributeScope, key: &str, kind: AttributeType) -> RestCount {
    RestCount { scope, key: key.into(), kind, spans: 1 }
}

#[test]
fn values_of_the_right_type_move_from_the_json_into_the_column() {
    let with = |json| TestSpan { attributes: Some(json), ..span(1, 1, None, DAY) };
    let resource = r#"{"service.name":"shop","zone":"b"}"#;
    let spans = [
        with(r#"{"app.id":7,"other":"x"}"#),
        with(r#"{"app.id":"seven"}"#),
        with(r#"{"app.id":8}"#),
        TestSpan { resource, ..span(1, 2, None, DAY) },
    ];
    let (int, string) = (AttributeType::Int, AttributeType::String);
    let (on_span, on_resource) = (AttributeScope::Span, AttributeScope::Resource);
    let rests = vec![
        rest(on_span, "app.id", int),
        rest(on_span, "app.id", string),
        rest(on_span, "other", string),
        rest(on_resource, "zone", string),
    ];
    let mut columns = AttributeColumns::default();
    columns.add(on_span, "app.id", int);
    columns.add(on_resource, "zone", string);
    let lifted = lift(&[batch(&spans, rests)], &columns).unwrap();
    let records = lifted[0].records();
    let json = records.column_by_name(column::ATTRIBUTES).unwrap().as_string::<i32>();
    let left: Vec<Option<&str>> = json.iter().collect();
    assert_eq!(left, [Some(r#"{"other":"x"}"#), Some(r#"{"app.id":"seven"}"#), None, None]);
    let ids = records.column_by_name("app_id").unwrap();
    let ids = ids.as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!(ids.iter().collect::<Vec<_>>(), [Some(7), None, Some(8), None]);
    let zones = records.column_by_name("resource_zone").unwrap();
    let zones = arrow::compute::cast(zones, &arrow::datatypes::DataType::Utf8).unwrap();
    assert_eq!(zones.as_string::<i32>().iter().last(), Some(Some("b")));
    assert_eq!(zones.null_count(), 3);
    let kept: Vec<_> = lifted[0].rest().iter().map(|rest| (rest.key.as_str(), rest.kind)).collect();
    assert_eq!(kept, [("app.id", string), ("other", string)]);
}

#[test]
fn a_batch_without_the_attribute_is_left_alone() {
    let original = batch(&[span(1, 1, None, DAY)], Vec::new());
    let lifted = lift(std::slice::from_ref(&original), &AttributeColumns::from_start()).unwrap();
    assert!(Arc::ptr_eq(&lifted[0], &original));
}
