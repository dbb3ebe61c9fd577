use arrow::array::StringArray;

use super::*;
use crate::batch::RestCount;
use crate::flush::tests::{DAY, TestSpan, batch as plain, span};

/// One CLIENT span for each JSON object, whose keys are counted as decoders count them.
fn extras(objects: &[&'static str]) -> Extras {
    let of = |json: &&'static str| TestSpan { attributes: Some(json), ..span(1, 1, None, DAY) };
    let spans: Vec<TestSpan> = objects.iter().map(of).collect();
    let json: StringArray = objects.iter().map(|json| Some(*json)).collect();
    let mut rest = Vec::new();
    for object in json.iter().flatten() {
        for (key, _) in members(object) {
            let (scope, kind) = (AttributeScope::Span, AttributeType::String);
            rest.push(RestCount { scope, key: serde_json::from_str(key).unwrap(), kind, spans: 1 });
        }
    }
    let batches = [plain(&spans, rest)];
    let kinds = vec![SpanKind::Client; objects.len()];
    let places: Vec<u32> = (0u32..).take(objects.len()).collect();
    Extras::of(&batches, &AttributeColumns::from_start(), (&kinds, &places))
}

fn peer(extras: &Extras, row: usize) -> Option<(&str, bool)> {
    extras.peer(row).map(|peer| (extras.names.text(peer.name), peer.database))
}

#[test]
fn older_names_and_json_tell_sizes_too() {
    let extras = extras(&[
        r#"{"http.request_content_length":"12","http.response.size":7}"#,
        r#"{"rpc.request.size":5,"http.request.size":9}"#,
        r#"{"http.request_content_length":"many","http.request.size":9}"#,
        r#"{"messaging.message.payload_size_bytes":2.0,"x":1}"#,
        r#"{"rpc.request.size":-3}"#,
    ]);
    let sizes: Vec<_> = (0..5).map(|row| extras.sizes(row)).collect();
    assert_eq!(sizes.iter().map(|s| s.request).collect::<Vec<_>>(), [12, 5, -1, -1, -1]);
    assert_eq!(sizes.iter().map(|s| s.response).collect::<Vec<_>>(), [7, -1, -1, -1, -1]);
    assert_eq!(sizes.iter().map(|s| s.message).collect::<Vec<_>>(), [-1, -1, -1, 2, -1]);
}

#[test]
fn the_best_name_of_a_peer_wins() {
    let extras = extras(&[
        r#"{"db.system":"redis","server.address":"10.0.0.1"}"#,
        r#"{"db.type":"sql","db.instance":"orders"}"#,
        r#"{"messaging.destination":"orders","peer.service":"x"}"#,
        r#"{"messaging.system":"kafka","messaging.destination":"orders"}"#,
        r#"{"net.peer.ip":"10.0.0.2","peer.hostname":"mail"}"#,
        r#"{"http.url":"https://user@shop.example:8443/buy?x=1"}"#,
        r#"{"db.system":"","peer.service":"cart"}"#,
        r#"{"peer.service":true}"#,
    ]);
    let peers: Vec<_> = (0..8).map(|row| peer(&extras, row)).collect();
    assert_eq!(
        peers,
        [
            Some(("redis", true)),
            Some(("sql/orders", true)),
            Some(("orders", false)),
            Some(("kafka/orders", false)),
            Some(("mail", false)),
            Some(("shop.example:8443", false)),
            Some(("cart", false)),
            None,
        ]
    );
}
