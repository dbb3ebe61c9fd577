use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::{Value, json};

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn texts(values: [Option<&str>; 2]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn spans() -> Spans {
    let attributes = r#"{"s":"x\"y","i":7,"d":7.0,"b":true,"n":{"$double":"NaN"},"by":{"$bytes":"AQI="},
        "l":[1,"a"],"m":{"k":1.5},"e":null}"#;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("trace_id", texts([Some(ID), Some(ID)])),
        ("span_id", texts([Some("00000000000000b2"), Some("00000000000000a1")])),
        ("parent_span_id", texts([Some("00000000000000a1"), None])),
        ("service", texts([Some("cart"), Some("web")])),
        ("name", texts([Some("get \"it\""), Some("root")])),
        ("kind", texts([Some("CLIENT"), Some("SERVER")])),
        ("status", texts([Some("ERROR"), Some("UNSET")])),
        ("status_message", texts([Some("boom"), None])),
        ("start_time_unix_nano", Arc::new(Int64Array::from(vec![2_000, 1_000]))),
        ("duration_nano", Arc::new(Int64Array::from(vec![5_000, 3_000]))),
        ("attributes", texts([Some(attributes), None])),
        ("resource", texts([Some(r#"{"service.name":"cart","z":1,"a":2}"#), Some("{}")])),
        ("scope", texts([Some(r#"{"name":"lib","version":"1","attributes":{"q":1}}"#), None])),
        ("attributes_rest", texts([None, None])),
        ("s", texts([Some("x\"y"), None])),
    ];
    Spans::of(&RecordBatch::try_from_iter(columns).unwrap()).unwrap()
}

fn parsed(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn a_trace_has_its_facts_and_its_rows_in_tree_order() {
    let answer = parsed(&document(ID.parse().unwrap(), &spans(), 10).unwrap());
    assert_eq!(answer["trace_id"], ID);
    assert_eq!(answer["complete"], true);
    assert_eq!(answer["duration_nano"], 3_000);
    assert_eq!(answer["extent_nano"], 6_000);
    assert_eq!(answer["root_service"], "web");
    assert_eq!(answer["errors"], 1);
    assert_eq!(answer["depth"], 2);
    assert_eq!(answer["services"], json!(["cart", "web"]));
    assert_eq!(answer["spans"][0]["name"], "root");
    assert_eq!(answer["spans"][1]["depth"], 1);
    // What is in `attributes` is not sent again as a column.
    assert!(
        answer["spans"][1].get("s").is_none()
            && answer["spans"][1].get("attributes_rest").is_none()
    );
}

#[test]
fn a_cut_trace_says_so() {
    let answer = parsed(&document(ID.parse().unwrap(), &spans(), 1).unwrap());
    assert_eq!(answer["truncated"], true);
    assert_eq!(answer["spans_total"], 2);
    assert_eq!(answer["spans"].as_array().unwrap().len(), 1);
}

#[test]
fn otlp_keeps_every_type() {
    let answer = parsed(&otlp::document(&spans()).unwrap());
    let cart = answer["resourceSpans"]
        .as_array()
        .unwrap()
        .iter()
        .find(|group| group["resource"]["attributes"][0]["value"]["stringValue"] == "cart");
    let scope = &cart.unwrap()["scopeSpans"][0];
    assert_eq!(scope["scope"]["name"], "lib");
    let span = &scope["spans"][0];
    assert_eq!(span["startTimeUnixNano"], "2000");
    assert_eq!(span["endTimeUnixNano"], "7000");
    assert_eq!(span["kind"], 3);
    assert_eq!(span["status"], json!({"message": "boom", "code": 2}));
    let values: Vec<&Value> =
        span["attributes"].as_array().unwrap().iter().map(|pair| &pair["value"]).collect();
    assert_eq!(
        json!(values),
        json!([
            {"stringValue": "x\"y"},
            {"intValue": "7"},
            {"doubleValue": 7.0},
            {"boolValue": true},
            {"doubleValue": "NaN"},
            {"bytesValue": "AQI="},
            {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}},
            {"kvlistValue": {"values": [{"key": "k", "value": {"doubleValue": 1.5}}]}},
            {},
        ])
    );
}

#[test]
fn jaeger_has_processes_references_and_tags() {
    let answer = parsed(&jaeger::document(&spans()).unwrap());
    let trace = &answer["data"][0];
    let span = &trace["spans"][0];
    assert_eq!(span["startTime"], 2);
    assert_eq!(span["duration"], 5);
    assert_eq!(span["references"][0]["spanID"], "00000000000000a1");
    assert_eq!(trace["processes"]["p1"]["serviceName"], "cart");
    assert_eq!(trace["processes"]["p1"]["tags"][0]["key"], "z");
    let tags = span["tags"].as_array().unwrap();
    let find = |key: &str| tags.iter().find(|tag| tag["key"] == key).unwrap();
    assert_eq!(find("i"), &json!({"key": "i", "type": "int64", "value": 7}));
    assert_eq!(find("l")["value"], "[1,\"a\"]");
    assert_eq!(find("error")["value"], true);
    assert_eq!(find("span.kind")["value"], "client");
}

#[test]
fn columns_hold_each_word_once_and_times_from_the_start() {
    let answer = parsed(&columns_document(ID.parse().unwrap(), &spans(), 10, None));
    assert_eq!(answer["trace_id"], ID);
    assert_eq!(answer["spans_total"], 2);
    let columns = &answer["columns"];
    assert_eq!(columns["span_id"], json!(["00000000000000a1", "00000000000000b2"]));
    assert_eq!(columns["parent_span_id"], json!(["", "00000000000000a1"]));
    assert_eq!(columns["depth"], json!([0, 1]));
    assert_eq!(columns["start_nano"], json!([0, 1_000]));
    assert_eq!(columns["duration_nano"], json!([3_000, 5_000]));
    assert_eq!(columns["service"], json!({ "words": ["web", "cart"], "at": [0, 1] }));
    assert_eq!(columns["status"], json!({ "words": ["UNSET", "ERROR"], "at": [0, 1] }));
    assert_eq!(columns["events"], json!({ "row": [], "at_nano": [] }));
    assert_eq!(columns["links"], json!({ "row": [], "count": [] }));
    assert!(answer.get("spans").is_none());
    let cut = parsed(&columns_document(ID.parse().unwrap(), &spans(), 1, None));
    assert_eq!((&cut["truncated"], &cut["spans_total"]), (&json!(true), &json!(2)));
    assert_eq!(cut["columns"]["span_id"], json!(["00000000000000a1"]));
    let longer = parsed(&columns_document(ID.parse().unwrap(), &spans(), 10, Some(7)));
    assert_eq!((&longer["truncated"], &longer["spans_total"]), (&json!(true), &json!(7)));
}
