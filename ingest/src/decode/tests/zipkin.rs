//! Zipkin's protobuf against the same spans in JSON, encoded by prost.
use std::collections::BTreeMap;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct ListOfSpans {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Sent>,
}

#[derive(Clone, PartialEq, Message)]
struct Sent {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    parent_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
    #[prost(int32, tag = "4")]
    kind: i32,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "6")]
    timestamp: u64,
    #[prost(uint64, tag = "7")]
    duration: u64,
    #[prost(message, optional, tag = "8")]
    local_endpoint: Option<Endpoint>,
    #[prost(message, optional, tag = "9")]
    remote_endpoint: Option<Endpoint>,
    #[prost(message, repeated, tag = "10")]
    annotations: Vec<Annotation>,
    #[prost(btree_map = "string, string", tag = "11")]
    tags: BTreeMap<String, String>,
    #[prost(bool, tag = "12")]
    debug: bool,
    #[prost(bool, tag = "13")]
    shared: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    ipv4: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    ipv6: Vec<u8>,
    #[prost(int32, tag = "4")]
    port: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Annotation {
    #[prost(fixed64, tag = "1")]
    timestamp: u64,
    #[prost(string, tag = "2")]
    value: String,
}

const KINDS: [&str; 5] = ["", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"];

fn endpoint_json(endpoint: &Endpoint) -> serde_json::Value {
    let text = |bytes: &[u8]| match bytes.len() {
        4 => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap()).to_string(),
        16 => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap()).to_string(),
        _ => String::new(),
    };
    serde_json::json!({
        "serviceName": endpoint.service_name, "port": endpoint.port,
        "ipv4": text(&endpoint.ipv4), "ipv6": text(&endpoint.ipv6),
    })
}

fn as_json(span: &Sent) -> serde_json::Value {
    use serde_json::json;
    let annotation = |sent: &Annotation| json!({"timestamp": sent.timestamp, "value": sent.value});
    json!({
        "traceId": hex::encode(&span.trace_id),
        "parentId": hex::encode(&span.parent_id),
        "id": hex::encode(&span.id),
        "kind": KINDS[usize::try_from(span.kind).unwrap()],
        "name": span.name,
        "timestamp": span.timestamp,
        "duration": span.duration,
        "localEndpoint": span.local_endpoint.as_ref().map(endpoint_json),
        "remoteEndpoint": span.remote_endpoint.as_ref().map(endpoint_json),
        "annotations": span.annotations.iter().map(annotation).collect::<Vec<_>>(),
        "tags": span.tags,
        "debug": span.debug,
        "shared": span.shared,
    })
}

fn batch(format: Format, body: Vec<u8>) -> SpanBatch {
    Decoder::new(Config::default()).decode(&[entry(format, body)], &AttributeColumns::from_start())
}

/// The batch of these spans, which JSON must come to as well.
#[track_caller]
fn check(spans: Vec<Sent>) -> SpanBatch {
    let json: Vec<_> = spans.iter().map(as_json).collect();
    let of_json = batch(Format::ZipkinJson, serde_json::to_vec(&json).unwrap());
    let ours = batch(Format::ZipkinProtobuf, ListOfSpans { spans }.encode_to_vec());
    assert_eq!(ours.records(), of_json.records());
    ours
}

fn call() -> Sent {
    Sent {
        trace_id: vec![7; 16],
        id: vec![1; 8],
        kind: 1,
        name: "get /cart".into(),
        timestamp: 1_700_000_000_000_000,
        duration: 250,
        local_endpoint: Some(Endpoint { service_name: "shop".into(), ..Endpoint::default() }),
        ..Sent::default()
    }
}

#[test]
fn a_span_in_protobuf_is_the_span_in_json() {
    let remote =
        Endpoint { service_name: "cart".into(), ipv4: vec![10, 0, 0, 9], ipv6: vec![], port: 80 };
    let tags = [("http.route", "/cart"), ("error", "timeout")];
    let annotation =
        |value: &str| Annotation { timestamp: 1_700_000_000_000_001, value: value.into() };
    let full = Sent {
        parent_id: vec![2; 8],
        remote_endpoint: Some(remote),
        tags: tags.map(|(key, value)| (key.into(), value.into())).into(),
        annotations: vec![annotation("ws"), annotation("wr")],
        shared: true,
        ..call()
    };
    let batch = check(vec![full, call()]);
    assert_eq!(cell(&batch, "service", 0).as_deref(), Some("shop"));
    assert_eq!(cell(&batch, "kind", 0).as_deref(), Some("CLIENT"));
    assert_eq!(cell(&batch, "status_message", 0).as_deref(), Some("timeout"));
    assert_eq!(cell(&batch, "http_route", 0).as_deref(), Some("/cart"));
}

#[test]
fn addresses_ids_and_kinds_come_out_as_zipkin_means_them() {
    let v6 = [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[1]].concat();
    let local = Endpoint { ipv6: v6, ..Endpoint::default() };
    let short = Sent { trace_id: vec![9; 8], local_endpoint: Some(local), ..call() };
    let kinds = (0..5).map(|kind| Sent { kind, ..call() });
    let batch = check([short].into_iter().chain(kinds).collect());
    let ids = batch.records().column_by_name("trace_id").unwrap().as_fixed_size_binary();
    assert_eq!(ids.value(0), [[0; 8], [9; 8]].concat());
    let resource = r#"{"network.local.address":"2001:db8::1"}"#;
    assert_eq!(cell(&batch, "resource", 0).as_deref(), Some(resource));
    let shown: Vec<String> = (1..6).map(|row| cell(&batch, "kind", row).unwrap()).collect();
    assert_eq!(shown, ["UNSPECIFIED", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"]);

    let odd = Endpoint { ipv4: vec![1, 2, 3], port: -5, ..Endpoint::default() };
    let list = ListOfSpans { spans: vec![Sent { local_endpoint: Some(odd), ..call() }] };
    let batch = self::batch(Format::ZipkinProtobuf, list.encode_to_vec());
    assert_eq!(cell(&batch, "resource", 0).as_deref(), Some("{}"), "a wrong address is left out");
}

#[test]
fn spans_with_wrong_ids_are_refused_one_by_one_and_broken_bytes_as_a_whole() {
    let wrong = Sent { trace_id: vec![1; 5], ..call() };
    let zero = Sent { id: vec![0; 8], ..call() };
    let body = ListOfSpans { spans: vec![wrong, call(), zero] }.encode_to_vec();
    let take = |body: &[u8]| {
        Census::take(Format::ZipkinProtobuf, body, &Config::default(), TimeRange::ALL)
    };
    let census = take(&body).unwrap();
    assert_eq!((census.accepted, census.rejected()), (1, 2));
    assert_eq!(batch(Format::ZipkinProtobuf, body.clone()).rows(), 1);
    assert!(take(&body[..body.len() - 1]).is_err());
    assert!(take(&[0x08, 0x01]).is_err(), "spans must be messages");
    assert_eq!(take(&[0x10, 0x01]).unwrap().accepted, 0, "unknown fields are skipped");
}

prop_compose! {
    fn arbitrary_sent()(
        (trace, id, parent) in (1usize..3, any::<[u8; 8]>(), 0usize..2),
        kind in 0i32..5,
        name in ".{0,8}",
        (timestamp, duration) in (0u64..1 << 50, 0u64..1 << 40),
        services in prop::collection::vec("[a-b]{0,1}", 2),
        (port, v4) in (0i32..65_536, any::<bool>()),
        tags in prop::collection::btree_map("error|[a-c]", "true|false|.{0,3}", 0..4),
        notes in prop::collection::vec(".{0,4}", 0..3),
    ) -> Sent {
        let endpoint = |service: &String| Endpoint {
            service_name: service.clone(),
            ipv4: if v4 { vec![127, 0, 0, 1] } else { vec![] },
            ipv6: vec![0xfe; if v4 { 0 } else { 16 }],
            port,
        };
        let annotation = |value| Annotation { timestamp: 5, value };
        Sent {
            trace_id: vec![3; trace * 8],
            parent_id: vec![4; parent * 8],
            id: id.to_vec(),
            kind,
            name,
            timestamp,
            duration,
            local_endpoint: Some(endpoint(&services[0])),
            remote_endpoint: Some(endpoint(&services[1])),
            annotations: notes.into_iter().map(annotation).collect(),
            tags,
            ..Sent::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn protobuf_and_json_of_any_spans_come_to_the_same(
        spans in prop::collection::vec(arbitrary_sent(), 0..5),
    ) {
        check(spans);
    }
}
