//! What the limits take, what the stored span says about it, and how it is counted.
use super::*;

const SMALL: usize = 8;

fn config() -> Config {
    Config { value_bytes_max: SMALL, ..Config::default() }
}

/// The batch of one request, and the spans that lost something, by what.
fn cut(config: Config, resource: Vec<KeyValue>, spans: Vec<Span>) -> (SpanBatch, String) {
    let body = request_of(resource, spans).encode_to_vec();
    let decoder = Decoder::new(config);
    let batch =
        decoder.decode(&[entry(Format::OtlpProtobuf, body)], &AttributeColumns::from_start());
    (batch, counted(&decoder))
}

fn counted(decoder: &Decoder) -> String {
    let metrics = decoder.metrics();
    let counted = metrics.iter().filter(|metric| metric.value > 0.0);
    let words = counted.map(|metric| {
        assert_eq!(metric.labels[0], ("tenant", "default".to_owned()));
        format!("{} {}", metric.labels[1].1, metric.value)
    });
    words.collect::<Vec<_>>().join(", ")
}

fn list(values: Vec<AnyKind>) -> AnyKind {
    AnyKind::ArrayValue(ArrayValue { values: values.into_iter().map(wrapped).collect() })
}

#[track_caller]
fn check_attributes(attributes: Vec<KeyValue>, json: &str, count: &str) {
    let (batch, counts) = cut(config(), vec![], vec![Span { attributes, ..span() }]);
    assert_eq!(cell(&batch, "attributes", 0).as_deref(), Some(json));
    assert_eq!(counts, count);
}

#[test]
fn a_cut_value_is_named_in_the_span() {
    check_attributes(vec![pair("a", text("12345678"))], r#"{"a":"12345678"}"#, "");
    check_attributes(
        vec![pair("a\"b", text("1234567é")), pair("c", AnyKind::BytesValue(vec![0; 9]))],
        r#"{"a\"b":"1234567…","c":{"$bytes":"AAAAAAAAAAA="},"spanlake.truncated":["a\"b","c"]}"#,
        "value 1",
    );
    // A value with a column of its own is named as well.
    check_attributes(
        vec![pair("http.route", text("123456789"))],
        r#"{"spanlake.truncated":["http.route"]}"#,
        "value 1",
    );
}

#[test]
fn a_list_or_map_is_bounded_as_a_whole() {
    check_attributes(
        vec![pair("a", list((0..100).map(AnyKind::IntValue).collect()))],
        r#"{"a":[0,1,2,3,"…"],"spanlake.truncated":["a"]}"#,
        "value 1",
    );
    let entries = (0..9).map(|key| pair(&key.to_string(), AnyKind::IntValue(0))).collect();
    check_attributes(
        vec![pair("a", list(vec![AnyKind::KvlistValue(KeyValueList { values: entries })]))],
        r#"{"a":[{"0":0,"1":0,"…":null}],"spanlake.truncated":["a"]}"#,
        "value 1",
    );
    let within = list(vec![text("123456789")]);
    let json = r#"{"a":["12345678…"],"spanlake.truncated":["a"]}"#;
    check_attributes(vec![pair("a", within)], json, "value 1");
}

#[test]
fn a_mark_that_the_sender_set_stays() {
    check_attributes(
        vec![pair("spanlake.truncated", list(vec![text("x")])), pair("a", text("123456789"))],
        r#"{"spanlake.truncated":["x"],"a":"12345678…"}"#,
        "value 1",
    );
}

#[test]
fn a_span_with_much_in_it_keeps_the_first_of_it() {
    let attributes = (0..9).map(|key| pair(&format!("k{key}"), text("12345678"))).collect();
    let event = Event {
        name: "eeeeeeee".into(),
        attributes: vec![pair("k", text("12"))],
        ..Event::default()
    };
    let large = Span { attributes, events: vec![event.clone(), event], ..span() };
    let limits = Config { span_bytes_max: 44, ..Config::default() };
    let (batch, counts) = cut(limits, vec![], vec![large, span()]);
    let kept = r#"{"k0":"12345678","k1":"12345678","k2":"12345678","k3":"12345678"}"#;
    assert_eq!(cell(&batch, "attributes", 0).as_deref(), Some(kept));
    let dropped = batch.records().column_by_name("dropped_attributes_count").unwrap();
    let dropped = dropped.as_primitive::<Int32Type>();
    assert_eq!((dropped.value(0), dropped.is_null(1)), (5, true));
    let events = batch.records().column_by_name("events").unwrap().as_list::<i32>().value(0);
    let events = events.as_struct();
    let names = events.column(1).as_string::<i32>();
    assert_eq!((names.value(0), names.value(1)), ("eeee…", "…"));
    let json = events.column(2).as_string::<i32>();
    assert_eq!(json.value(0), r#"{"spanlake.truncated":["event.name"]}"#);
    assert_eq!(events.column(3).as_primitive::<Int32Type>().value(0), 1);
    assert_eq!(counts, "name 1, bytes 1");
}

#[test]
fn names_and_what_spans_share_are_marked_where_they_lie() {
    let scope = InstrumentationScope {
        name: "long scope name".into(),
        attributes: vec![pair("ss", text("123456789"))],
        ..InstrumentationScope::default()
    };
    let resource = vec![pair("rr", text("123456789")), pair("too.long", text("x"))];
    let large = Span {
        name: "long span name".into(),
        status: Some(Status { message: "0123456789".into(), code: 2 }),
        ..span()
    };
    let mut request = request_of(resource, vec![large, span()]);
    request.resource_spans[0].scope_spans[0].scope = Some(scope);
    let decoder = Decoder::new(Config { key_bytes_max: 4, name_bytes_max: 9, ..config() });
    let batch = decoder.decode(
        &[entry(Format::OtlpProtobuf, request.encode_to_vec())],
        &AttributeColumns::from_start(),
    );
    let shown = |column: &str| cell(&batch, column, 0).unwrap();
    assert_eq!(shown("name"), "long span…");
    assert_eq!(shown("status_message"), "01234567…");
    assert_eq!(
        shown("attributes"),
        r#"{"spanlake.truncated":["span.name","span.status_message"]}"#
    );
    assert_eq!(
        shown("resource"),
        r#"{"rr":"12345678…","spanlake.truncated":["rr"],"spanlake.dropped_attributes_count":1}"#
    );
    assert_eq!(shown("scope_name"), "long scop…");
    let scope = r#"{"ss":"12345678…","spanlake.truncated":["scope.name","ss"]}"#;
    assert_eq!(shown("scope_attributes"), scope);
    assert_eq!(counted(&decoder), "value 2, name 2, key 2", "spans, each once a reason");
}

#[test]
fn the_same_is_cut_in_every_format() {
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
        "traceId":"01010101010101010101010101010101","spanId":"0202020202020202",
        "attributes":[{"key":"a","value":{"arrayValue":{"values":[
            {"intValue":0},{"intValue":1},{"intValue":2},{"intValue":3},{"intValue":4}]}}}],
        "events":[{},{},{}],
        "links":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202"},
                 {"traceId":"01010101010101010101010101010101","spanId":"0202020202020202"}]
        }]}]}]}"#;
    let zipkin = r#"[{"traceId":"1","id":"2","timestamp":1,"tags":{"a":"123456789"},
        "annotations":[{"timestamp":1,"value":"x"},{"timestamp":1,"value":"y"}]}]"#;
    for (format, body, attributes, counts) in [
        (
            Format::OtlpJson,
            json,
            r#"{"a":[0,1,2,3,"…"],"spanlake.truncated":["a"]}"#,
            "value 1, events 1, links 1",
        ),
        (
            Format::ZipkinJson,
            zipkin,
            r#"{"a":"12345678…","spanlake.truncated":["a"]}"#,
            "value 1, events 1",
        ),
    ] {
        let decoder = Decoder::new(Config { events_max: 1, ..config() });
        let batch = decoder.decode(&[entry(format, body.into())], &AttributeColumns::from_start());
        assert_eq!(cell(&batch, "attributes", 0).as_deref(), Some(attributes), "{format:?}");
        assert_eq!(counted(&decoder), counts, "{format:?}");
    }
}

#[test]
fn the_mark_itself_is_bounded() {
    let attributes = (0..500).map(|key| pair(&format!("k{key}"), text("123456789"))).collect();
    let (batch, _) = cut(config(), vec![], vec![Span { attributes, ..span() }]);
    let json: serde_json::Value =
        serde_json::from_str(&cell(&batch, "attributes", 0).unwrap()).unwrap();
    let names = json["spanlake.truncated"].as_array().unwrap();
    assert_eq!((names.len(), &names[99], &names[100]), (101, &"k99".into(), &"…".into()));
}
