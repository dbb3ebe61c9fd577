mod caps;
mod order;
mod zipkin;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;
use storage::batch::RestCount;
use storage::schema::{AttributeColumns, AttributeScope, AttributeType};
use storage::{Entry, SpanBatch};

use super::census::Census;
use super::*;

fn entry(format: Format, body: Vec<u8>) -> Entry {
    Entry {
        format: format.code(),
        received_unix_nano: 42,
        accept: TimeRange::ALL,
        body: body.into(),
        deduplicate: true,
    }
}

fn decode(body: Vec<u8>) -> SpanBatch {
    Decoder::new(Config::default())
        .decode(&[entry(Format::OtlpProtobuf, body)], &AttributeColumns::from_start())
}

fn census(body: &[u8]) -> Result<Census, Malformed> {
    Census::take(Format::OtlpProtobuf, body, &Config::default(), TimeRange::ALL)
}

fn wrapped(value: AnyKind) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: AnyKind) -> KeyValue {
    KeyValue { key: key.into(), value: Some(wrapped(value)), ..KeyValue::default() }
}

fn text(value: &str) -> AnyKind {
    AnyKind::StringValue(value.into())
}

fn span() -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "n".into(), ..Span::default() }
}

fn request_of(resource: Vec<KeyValue>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Some(Resource { attributes: resource, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn batch_of(resource: Vec<KeyValue>, spans: Vec<Span>) -> SpanBatch {
    decode(request_of(resource, spans).encode_to_vec())
}

/// The text of a dictionary or plain column; `None` for null.
fn cell(batch: &SpanBatch, column: &str, row: usize) -> Option<String> {
    let array = batch.records().column_by_name(column)?;
    if array.is_null(row) {
        return None;
    }
    let text = match array.as_dictionary_opt::<Int32Type>() {
        Some(texts) => texts.values().as_string::<i32>().value(texts.key(row)?).to_owned(),
        None => array.as_string::<i32>().value(row).to_owned(),
    };
    Some(text)
}

fn attributes(pairs: Vec<KeyValue>) -> Option<String> {
    let batch = batch_of(vec![], vec![Span { attributes: pairs, ..span() }]);
    cell(&batch, "attributes", 0)
}

#[test]
fn json_keeps_the_types_of_attributes() {
    let nested = AnyKind::KvlistValue(KeyValueList {
        values: vec![pair("a", AnyKind::IntValue(1)), pair("a", AnyKind::IntValue(2))],
    });
    let json = attributes(vec![
        pair("s", text("a\"b\\c\n\u{1}é")),
        pair("b", AnyKind::BoolValue(true)),
        pair("i", AnyKind::IntValue(-5)),
        pair("d", AnyKind::DoubleValue(1.0)),
        pair("e", AnyKind::DoubleValue(1e300)),
        pair("nan", AnyKind::DoubleValue(f64::NAN)),
        pair("inf", AnyKind::DoubleValue(f64::NEG_INFINITY)),
        pair("bytes", AnyKind::BytesValue(vec![255, 0])),
        pair(
            "list",
            AnyKind::ArrayValue(ArrayValue { values: vec![wrapped(nested), AnyValue::default()] }),
        ),
        KeyValue { key: "empty".into(), ..KeyValue::default() },
        pair("s", text("a second one loses")),
    ]);
    expect_test::expect![[r#"{"s":"a\"b\\c\n\u0001é","b":true,"i":-5,"d":1.0,"e":1e300,"nan":{"$double":"NaN"},"inf":{"$double":"-Infinity"},"bytes":{"$bytes":"/wA="},"list":[{"a":1},null],"empty":null}"#]]
    .assert_eq(&json.unwrap());
}

#[test]
fn listed_attributes_go_to_columns_and_others_are_counted() {
    let first = Span {
        attributes: vec![
            pair("http.route", text("/a")),
            pair("http.response.status_code", AnyKind::IntValue(200)),
            pair("own.key", AnyKind::DoubleValue(0.5)),
        ],
        ..span()
    };
    let second = Span {
        attributes: vec![pair("http.response.status_code", text("not a number"))],
        ..span()
    };
    let resource = vec![pair("service.name", text("shop")), pair("own.resource", text("x"))];
    let batch = batch_of(resource, vec![first, second, span()]);
    assert_eq!(cell(&batch, "http_route", 0).as_deref(), Some("/a"));
    assert_eq!(cell(&batch, "http_route", 1), None);
    let codes = batch.records().column_by_name("http_response_status_code").unwrap();
    assert_eq!(codes.as_primitive::<Int64Type>().value(0), 200);
    assert!(codes.is_null(1) && codes.is_null(2));
    assert_eq!(cell(&batch, "attributes", 0).as_deref(), Some(r#"{"own.key":0.5}"#));
    let other_type = r#"{"http.response.status_code":"not a number"}"#;
    assert_eq!(cell(&batch, "attributes", 1).as_deref(), Some(other_type));
    assert_eq!(cell(&batch, "attributes", 2), None);
    assert_eq!(cell(&batch, "service", 2).as_deref(), Some("shop"));
    let resource = r#"{"service.name":"shop","own.resource":"x"}"#;
    assert_eq!(cell(&batch, "resource", 1).as_deref(), Some(resource));
    let count = |scope, key: &str, kind, spans| RestCount { scope, key: key.into(), kind, spans };
    let (double, string) = (AttributeType::Double, AttributeType::String);
    assert_eq!(
        batch.rest(),
        [
            count(AttributeScope::Span, "own.key", double, 1),
            // A value of another type than its column: readers must look for it in the JSON.
            count(AttributeScope::Span, "http.response.status_code", string, 1),
            // `service.name` has a fixed column, not an attribute column.
            count(AttributeScope::Resource, "own.resource", string, 3)
        ]
    );
}

#[test]
fn spans_without_a_service_are_unknown() {
    let batch = batch_of(vec![pair("service.name", text(""))], vec![span()]);
    assert_eq!(cell(&batch, "service", 0).as_deref(), Some("unknown"));
    assert_eq!(cell(&batch_of(vec![], vec![span()]), "resource", 0).as_deref(), Some("{}"));
}

#[test]
fn an_end_before_the_start_is_a_duration_of_zero() {
    let odd = Span { start_time_unix_nano: 10, end_time_unix_nano: 4, ..span() };
    let batch = batch_of(vec![], vec![odd]);
    let durations = batch.records().column_by_name("duration_nano").unwrap();
    assert_eq!(durations.as_primitive::<Int64Type>().value(0), 0);
}

#[track_caller]
fn check_weight(trace_state: &str, attributes: Vec<KeyValue>, expected: f64) {
    let sampled = Span { trace_state: trace_state.into(), attributes, ..span() };
    let batch = batch_of(vec![], vec![sampled]);
    let weights = batch.records().column_by_name("weight").unwrap();
    assert_eq!(weights.as_primitive::<Float64Type>().value(0), expected, "{trace_state}");
}

#[test]
fn weights_follow_the_threshold_or_jaegers_sampler() {
    let jaeger = |kind: &str| {
        vec![pair("sampler.type", text(kind)), pair("sampler.param", AnyKind::DoubleValue(0.25))]
    };
    check_weight("", vec![], 1.0);
    check_weight("ot=th:0", vec![], 1.0);
    check_weight("ot=th:8", vec![], 2.0);
    check_weight("vendor=x, ot=rv:abcdef00000000;th:c", vec![], 4.0);
    check_weight("ot=th:fffffffffffffff", vec![], 1.0);
    check_weight("ot=th:xyz", vec![], 1.0);
    check_weight("", jaeger("probabilistic"), 4.0);
    check_weight("", jaeger("const"), 1.0);
    check_weight("ot=th:8", jaeger("probabilistic"), 2.0);
}

#[test]
fn an_attribute_can_raise_a_weight() {
    let weight = |value| vec![pair("spanlake.weight", value)];
    check_weight("", weight(AnyKind::DoubleValue(2.5)), 2.5);
    check_weight("", weight(AnyKind::IntValue(10)), 10.0);
    check_weight("", weight(text("4")), 4.0);
    check_weight("ot=th:8", weight(AnyKind::IntValue(10)), 10.0);
    check_weight("ot=th:e", weight(AnyKind::IntValue(2)), 8.0);
    let twice = [weight(AnyKind::IntValue(3)), weight(AnyKind::IntValue(5))].concat();
    check_weight("", twice, 3.0);
}

#[test]
fn weights_that_are_none_count_once_and_are_counted() {
    let decoder = Decoder::new(Config::default());
    let columns = AttributeColumns::from_start();
    let decode = |trace_state: &str, attributes| {
        let sampled = Span { trace_state: trace_state.into(), attributes, ..span() };
        let body = request_of(vec![], vec![sampled]).encode_to_vec();
        let batch = decoder.decode(&[entry(Format::OtlpProtobuf, body)], &columns);
        let weights = batch.records().column_by_name("weight").unwrap();
        assert_eq!(weights.as_primitive::<Float64Type>().value(0), 1.0);
        let metrics = decoder.metrics();
        let name = "spanlake_ingest_invalid_weights_total";
        metrics.iter().find(|metric| metric.name == name).unwrap().value
    };
    let sampler =
        |value| vec![pair("sampler.type", text("probabilistic")), pair("sampler.param", value)];
    let weight = |value| vec![pair("spanlake.weight", value)];
    assert_eq!(decode("ot=th:0", sampler(AnyKind::DoubleValue(1.0))), 0.0);
    assert_eq!(decode("ot=th:xyz", vec![]), 1.0);
    assert_eq!(decode("", sampler(AnyKind::DoubleValue(0.0))), 2.0);
    assert_eq!(decode("", sampler(text("often"))), 3.0);
    assert_eq!(decode("", vec![pair("sampler.type", text("probabilistic"))]), 4.0);
    assert_eq!(decode("", weight(AnyKind::DoubleValue(0.5))), 5.0);
    assert_eq!(decode("", weight(AnyKind::DoubleValue(f64::NAN))), 6.0);
    assert_eq!(decode("", weight(AnyKind::BoolValue(true))), 7.0);
    assert_eq!(decode("vendor=th:xyz", vec![pair("sampler.type", text("const"))]), 7.0);
}

#[test]
fn refusals_are_counted_by_reason_with_the_first_position() {
    let spans = vec![
        span(),
        Span { trace_id: vec![1; 15], ..span() },
        Span { span_id: vec![], ..span() },
        Span { trace_id: vec![0; 16], ..span() },
        Span { trace_id: vec![], ..span() },
        Span { parent_span_id: vec![1; 3], ..span() },
        Span { parent_span_id: vec![0; 8], ..span() },
        Span { start_time_unix_nano: u64::MAX, ..span() },
    ];
    let body = request_of(vec![], spans).encode_to_vec();
    let census = census(&body).unwrap();
    assert_eq!((census.accepted, census.rejected()), (2, 6));
    expect_test::expect!["2 spans refused: trace id must be 16 bytes (first: span #2); 1 span refused: span id must be 8 bytes (first: span #3); 1 span refused: trace id must not be all zero (first: span #4); 1 span refused: parent span id must be 8 bytes or empty (first: span #6); 1 span refused: start and end must be Unix nanoseconds below 2^63 (first: span #8)"]
    .assert_eq(&census.message());
    assert_eq!(decode(body).rows(), 2);
}

#[test]
fn the_time_window_refuses_the_old_and_the_future() {
    let at = |start| Span { start_time_unix_nano: start, ..span() };
    let body = request_of(vec![], vec![at(9), at(10), at(19), at(20)]).encode_to_vec();
    let accept = TimeRange { from: 10, until: 20 };
    let census = Census::take(Format::OtlpProtobuf, &body, &Config::default(), accept).unwrap();
    assert_eq!((census.accepted, census.rejected()), (2, 2));
    let mut entry = entry(Format::OtlpProtobuf, body);
    entry.accept = accept;
    let batch = Decoder::new(Config::default()).decode(&[entry], &AttributeColumns::from_start());
    assert_eq!(batch.rows(), 2);
}

#[test]
fn limits_cut_and_count() {
    let config = Config {
        attributes_max: 2,
        value_bytes_max: 4,
        key_bytes_max: 3,
        name_bytes_max: 5,
        events_max: 1,
        depth_max: 1,
        ..Config::default()
    };
    let list = |values| AnyKind::ArrayValue(ArrayValue { values });
    let deep = list(vec![wrapped(list(vec![])), wrapped(AnyKind::IntValue(1))]);
    let link = Link { trace_id: vec![3; 16], span_id: vec![4; 8], ..Link::default() };
    let large = Span {
        name: "ééé".into(),
        attributes: vec![
            pair("long", AnyKind::IntValue(1)),
            pair("a", text("ééé")),
            pair("b", deep),
            pair("c", AnyKind::IntValue(1)),
        ],
        events: vec![Event::default(), Event::default()],
        links: vec![Link { span_id: vec![1], ..link.clone() }, link.clone(), link],
        ..span()
    };
    let body = request_of(vec![], vec![large]).encode_to_vec();
    let batch = Decoder::new(config)
        .decode(&[entry(Format::OtlpProtobuf, body)], &AttributeColumns::from_start());
    assert_eq!(cell(&batch, "name", 0).as_deref(), Some("éé…"));
    assert_eq!(
        cell(&batch, "attributes", 0).as_deref(),
        Some(r#"{"a":"éé…","b":[null,"…"],"spanlake.truncated":["span.name","a","b"]}"#)
    );
    let count = |name: &str| {
        batch.records().column_by_name(name).unwrap().as_primitive::<Int32Type>().value(0)
    };
    assert_eq!(count("dropped_attributes_count"), 2);
    assert_eq!(count("dropped_events_count"), 1);
    assert_eq!(count("dropped_links_count"), 2);
}

#[test]
fn invalid_utf8_is_replaced() {
    let valid = Span {
        name: "nnnn".into(),
        attributes: vec![pair("kkk.key", text("vvvv"))],
        events: vec![Event { name: "eeee".into(), ..Event::default() }],
        ..span()
    };
    let mut body = request_of(vec![], vec![valid]).encode_to_vec();
    for word in [b"nnnn", b"vvvv", b"eeee"] {
        let at = body.windows(4).position(|window| window == word).unwrap();
        body[at + 1] = 0xff;
    }
    let batch = decode(body);
    assert_eq!(cell(&batch, "name", 0).as_deref(), Some("n\u{fffd}nn"));
    assert_eq!(cell(&batch, "attributes", 0).as_deref(), Some("{\"kkk.key\":\"v\u{fffd}vv\"}"));
}

#[test]
fn an_unreadable_entry_yields_no_rows_and_spares_the_others() {
    let good = request_of(vec![], vec![span()]).encode_to_vec();
    let mut cut = good.clone();
    cut.extend_from_slice(&good[..good.len() - 1]);
    let entries = [
        entry(Format::OtlpProtobuf, good.clone()),
        entry(Format::OtlpProtobuf, cut),
        Entry { format: 200, ..entry(Format::OtlpProtobuf, good.clone()) },
        entry(Format::OtlpProtobuf, good),
    ];
    let batch = Decoder::new(Config::default()).decode(&entries, &AttributeColumns::from_start());
    assert_eq!(batch.rows(), 2);
}

fn arbitrary_value() -> impl Strategy<Value = AnyKind> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(AnyKind::StringValue),
        any::<bool>().prop_map(AnyKind::BoolValue),
        any::<i64>().prop_map(AnyKind::IntValue),
        any::<f64>().prop_map(AnyKind::DoubleValue),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(AnyKind::BytesValue),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let value = inner.prop_map(wrapped);
        prop_oneof![
            prop::collection::vec(value.clone(), 0..4)
                .prop_map(|values| AnyKind::ArrayValue(ArrayValue { values })),
            prop::collection::vec(("[a-c]{0,2}", value), 0..4).prop_map(|pairs| {
                let values = pairs
                    .into_iter()
                    .map(|(key, value)| KeyValue { key, value: Some(value), ..KeyValue::default() })
                    .collect();
                AnyKind::KvlistValue(KeyValueList { values })
            }),
        ]
    })
}

fn arbitrary_pairs() -> impl Strategy<Value = Vec<KeyValue>> {
    let key =
        prop_oneof!["[a-d]{0,2}", Just("http.route".to_owned()), Just("server.port".to_owned())];
    prop::collection::vec((key, arbitrary_value()), 0..6)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| pair(&key, value)).collect())
}

prop_compose! {
    fn arbitrary_span()(
        trace_length in prop_oneof![9 => Just(16usize), 1 => 0usize..20],
        span_length in prop_oneof![9 => Just(8usize), 1 => 0usize..10],
        parent_length in prop_oneof![8 => Just(8usize), 3 => Just(0), 1 => 0usize..10],
        fill in 0u8..4,
        name in ".{0,10}",
        kind in -1i32..8,
        start in prop_oneof![9 => 0u64..1 << 62, 1 => any::<u64>()],
        length in 0u64..1 << 40,
        attributes in arbitrary_pairs(),
        event in arbitrary_pairs(),
        events in 0usize..3,
        links in 0usize..3,
        code in 0i32..4,
        (flags, dropped, trace_state) in (any::<u32>(), 0u32..3, "[a-z=:;]{0,8}"),
    ) -> Span {
        Span {
            trace_id: vec![fill; trace_length],
            span_id: vec![fill; span_length],
            parent_span_id: vec![fill / 2; parent_length],
            trace_state,
            flags,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: start.wrapping_add(length),
            attributes,
            dropped_attributes_count: dropped,
            events: vec![
                Event { time_unix_nano: 5, name: "e".into(), attributes: event.clone(), dropped_attributes_count: dropped };
                events
            ],
            links: vec![
                Link { trace_id: vec![1; 16], span_id: vec![1; 8], attributes: event, ..Link::default() };
                links
            ],
            status: Some(Status { message: String::new(), code }),
            ..Span::default()
        }
    }
}

prop_compose! {
    fn arbitrary_request()(
        resources in prop::collection::vec(
            (arbitrary_pairs(), prop::collection::vec(arbitrary_span(), 0..4)), 0..3),
    ) -> ExportTraceServiceRequest {
        let resource_spans = resources
            .into_iter()
            .flat_map(|(resource, spans)| request_of(resource, spans).resource_spans)
            .collect();
        ExportTraceServiceRequest { resource_spans }
    }
}

/// Whether the span is kept, said again in other words than `admit`'s.
fn is_kept(span: &Span) -> bool {
    let id = |bytes: &[u8], length| bytes.len() == length && bytes.iter().any(|&byte| byte != 0);
    let last = i64::MAX.unsigned_abs();
    id(&span.trace_id, 16)
        && id(&span.span_id, 8)
        && matches!(span.parent_span_id.len(), 0 | 8)
        && span.start_time_unix_nano < last
        && span.end_time_unix_nano <= last
}

/// The value as our JSON has it, by way of `serde_json`.
fn expected_json(value: &Option<AnyValue>) -> serde_json::Value {
    use serde_json::{Value, json};
    match value.as_ref().and_then(|any| any.value.as_ref()) {
        None => Value::Null,
        Some(AnyKind::StringValue(text)) => json!(text),
        Some(AnyKind::BoolValue(truth)) => json!(truth),
        Some(AnyKind::IntValue(number)) => json!(number),
        Some(AnyKind::DoubleValue(number)) if number.is_finite() => json!(number),
        Some(AnyKind::DoubleValue(number)) if number.is_nan() => json!({"$double": "NaN"}),
        Some(AnyKind::DoubleValue(number)) => {
            json!({"$double": if *number > 0.0 { "Infinity" } else { "-Infinity" }})
        }
        Some(AnyKind::BytesValue(bytes)) => {
            use base64::Engine;
            json!({"$bytes": base64::engine::general_purpose::STANDARD.encode(bytes)})
        }
        Some(AnyKind::ArrayValue(array)) => {
            array.values.iter().map(|value| expected_json(&Some(value.clone()))).collect()
        }
        Some(AnyKind::KvlistValue(map)) => expected_object(&map.values),
        Some(other) => panic!("{other:?}"),
    }
}

fn expected_object(pairs: &[KeyValue]) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    for pair in pairs {
        if !object.contains_key(&pair.key) {
            object.insert(pair.key.clone(), expected_json(&pair.value));
        }
    }
    object.into()
}

/// All attributes of a row: the JSON, and the two columns that [`arbitrary_pairs`] can fill.
fn all_attributes(batch: &SpanBatch, row: usize) -> serde_json::Value {
    let rest = cell(batch, "attributes", row).unwrap_or("{}".into());
    let mut all: serde_json::Value = serde_json::from_str(&rest).unwrap();
    if let Some(route) = cell(batch, "http_route", row) {
        all["http.route"] = route.into();
    }
    if let Some(ports) = batch.records().column_by_name("server_port")
        && ports.is_valid(row)
    {
        all["server.port"] = ports.as_primitive::<Int64Type>().value(row).into();
    }
    all
}

/// Doubles compared by their bits' text: the parser of the test rounds as `serde_json` does.
fn assert_same_json(ours: &serde_json::Value, theirs: &serde_json::Value) {
    let theirs: serde_json::Value = serde_json::from_str(&theirs.to_string()).unwrap();
    assert_eq!(ours, &theirs);
}

fn check_against_prost(request: &ExportTraceServiceRequest, batch: &SpanBatch) {
    let mut row = 0;
    for spans in &request.resource_spans {
        let resource = spans.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for span in spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
            if !is_kept(span) {
                continue;
            }
            assert_eq!(cell(batch, "name", row).as_deref(), Some(span.name.as_str()));
            let ids = batch.records().column_by_name("trace_id").unwrap();
            assert_eq!(ids.as_fixed_size_binary().value(row), span.trace_id);
            let starts = batch.records().column_by_name("start_time_unix_nano").unwrap();
            let start = starts.as_primitive::<Int64Type>().value(row);
            assert_eq!(start.unsigned_abs(), span.start_time_unix_nano);
            assert_same_json(&all_attributes(batch, row), &expected_object(&span.attributes));
            let json: serde_json::Value =
                serde_json::from_str(&cell(batch, "resource", row).unwrap()).unwrap();
            assert_same_json(&json, &expected_object(resource));
            let events = batch.records().column_by_name("events").unwrap().as_list::<i32>();
            assert_eq!(events.is_valid(row), !span.events.is_empty());
            if events.is_valid(row) {
                let events = events.value(row);
                let events = events.as_struct();
                assert_eq!(events.len(), span.events.len());
                let json = events.column(2).as_string::<i32>();
                let json = if json.is_null(0) { "{}" } else { json.value(0) };
                let json: serde_json::Value = serde_json::from_str(json).unwrap();
                assert_same_json(&json, &expected_object(&span.events[0].attributes));
            }
            row += 1;
        }
    }
    assert_eq!(batch.rows(), row);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 3 / 8, failure_persistence: None, ..Default::default() })]

    #[test]
    fn our_walk_agrees_with_prost(request in arbitrary_request()) {
        let body = request.encode_to_vec();
        let batch = decode(body.clone());
        check_against_prost(&request, &batch);
        prop_assert_eq!(census(&body).unwrap().accepted, batch.rows() as u64);
    }

    #[test]
    fn damaged_bytes_never_panic_and_never_divide_the_door_from_the_store(
        request in arbitrary_request(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut body = request.encode_to_vec();
        prop_assume!(!body.is_empty());
        for (index, byte) in damage {
            let at = index.index(body.len());
            body[at] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        let batch = decode(body.clone());
        match census(&body) {
            Ok(census) => prop_assert_eq!(census.accepted, batch.rows() as u64),
            Err(_) => prop_assert_eq!(batch.rows(), 0),
        }
        // What prost reads (and it refuses bad UTF-8, which we mend), we read.
        if let Ok(theirs) = ExportTraceServiceRequest::decode(body.as_slice()) {
            let spans = theirs.resource_spans.iter().flat_map(|spans| &spans.scope_spans);
            let kept = spans.flat_map(|scope| &scope.spans).filter(|span| is_kept(span)).count();
            prop_assert_eq!(batch.rows(), kept);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_by_every_decoder(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in (1..=4).filter_map(Format::from_code) {
            let census = Census::take(format, &body, &Config::default(), TimeRange::ALL);
            let rows = Decoder::new(Config::default())
                .decode(&[entry(format, body.clone())], &AttributeColumns::from_start())
                .rows();
            prop_assert_eq!(census.map_or(0, |census| census.accepted), rows as u64);
        }
    }
}
