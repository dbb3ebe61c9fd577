use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use storage::schema::AttributeColumns;

use super::{Attributes, Peer, Sizes, Texts, Wanted};

/// One span whose attributes are the JSON `rest` and, with a column, `http.request.body.size`.
fn span(rest: &str, size: Option<i64>) -> Attributes {
    let known = AttributeColumns::from_start();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("attributes", Arc::new(StringViewArray::from(vec![rest])) as _, true),
        ("http_request_body_size", Arc::new(Int64Array::from(vec![size])) as _, true),
    ])
    .unwrap();
    Attributes::of(&batch, Wanted { sizes: true, peers: true }, &known).unwrap()
}

fn peer(rest: &str) -> Option<(String, bool)> {
    let mut texts = Texts::default();
    let Peer { name, database } = span(rest, None).peer(0, &mut texts)?;
    Some((texts.text(name).to_owned(), database))
}

#[test]
fn sizes_come_from_their_column_before_older_names_in_the_rest() {
    let rest = r#"{"a":{"size":1},"http.request_content_length":7,"http.response.body.size":"9"}"#;
    let both = Sizes { request: Some(5), response: Some(9), message: None };
    assert_eq!(span(rest, Some(5)).sizes(0), both);
    assert_eq!(span(rest, None).sizes(0), Sizes { request: Some(7), ..both });
}

#[test]
fn sizes_that_are_no_sizes_are_not_taken() {
    for value in ["-1", "true", "null", "[1]", "\"many\"", "1.5"] {
        let rest = format!(r#"{{"messaging.message.body.size":{value}}}"#);
        assert_eq!(span(&rest, None).sizes(0), Sizes::default(), "{rest}");
    }
    let rest = r#"{"messaging.message.body.size":12.0}"#;
    assert_eq!(span(rest, None).sizes(0).message, Some(12));
}

#[test]
fn damaged_json_never_panics() {
    for rest in ["", "{", "[]", "size", r#"{"rpc.request.size":3"#, r#"{"rpc.request.size""#] {
        let _ = span(rest, None).sizes(0);
        let _ = peer(rest);
    }
}

#[test]
fn a_peer_is_a_database_a_queue_or_an_address() {
    let check = |rest: &str, name: &str, database: bool| {
        assert_eq!(peer(rest), Some((name.to_owned(), database)), "{rest}");
    };
    check(r#"{"db.system":"mysql","db.name":"shop","server.address":"db1"}"#, "mysql/shop", true);
    check(r#"{"db.system.name":"redis"}"#, "redis", true);
    check(r#"{"messaging.system":"kafka","messaging.destination":"x"}"#, "kafka/x", false);
    check(r#"{"net.peer.name":"a","peer.service":"b"}"#, "b", false);
    check(r#"{"http.url":"https://user:pw@api.example:8443/v1?x"}"#, "api.example:8443", false);
    assert_eq!(peer(r#"{"http.url":"/local"}"#), None);
    assert_eq!(peer("{}"), None);
}
