use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int32Type};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;
use storage::schema::AttributeColumns;
use storage::{Decode, Entry};

use super::*;
use crate::Decoder;

/// A span whose trace's randomness is `share` of the whole.
#[expect(clippy::cast_possible_truncation, reason = "the share is below 1")]
fn span(share: f64) -> Span {
    let mut trace_id = vec![7; 16];
    trace_id[9..].copy_from_slice(&((share * (1u64 << 56) as f64) as u64).to_be_bytes()[1..]);
    Span { trace_id, span_id: vec![2; 8], name: format!("at {share}"), ..Span::default() }
}

fn pair(key: &str, value: AnyKind) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

/// A request of one resource for each list of spans.
fn request(resources: Vec<Vec<Span>>) -> ExportTraceServiceRequest {
    let resource_spans = (1..).zip(resources).map(|(number, spans)| {
        let name = AnyKind::StringValue(format!("service {number}"));
        let attributes = vec![pair("service.name", name)];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

/// `body` sampled at `rate` and decoded: service, name, trace state and weight of each span that stays.
fn stored(
    format: Format,
    body: Vec<u8>,
    rate: f64,
) -> (Census, Vec<(String, String, String, f64)>) {
    let config = crate::Config::default();
    let threshold = Threshold::of_probability(rate);
    let (census, rest) = super::body((format, &body), &config, TimeRange::ALL, threshold).unwrap();
    let body = rest.unwrap_or_else(|| body.into());
    let entry = Entry {
        format: format.code(),
        received_unix_nano: 0,
        accept: TimeRange::ALL,
        body,
        deduplicate: false,
    };
    let batch = Decoder::new(config).decode(&[entry], &AttributeColumns::from_start());
    let text = |column: &str, row: usize| {
        let texts = batch.records().column_by_name(column).unwrap().as_dictionary::<Int32Type>();
        let key = texts.key(row).filter(|_| texts.is_valid(row));
        key.map_or_else(String::new, |key| texts.values().as_string::<i32>().value(key).to_owned())
    };
    let weights = batch.records().column_by_name("weight").unwrap();
    let weights = weights.as_primitive::<Float64Type>();
    let rows = (0..batch.rows()).map(|row| {
        (text("service", row), text("name", row), text("trace_state", row), weights.value(row))
    });
    (census, rows.collect())
}

fn kept(rows: &[(String, String, String, f64)]) -> Vec<(&str, &str, &str, f64)> {
    rows.iter().map(|(a, b, c, weight)| (a.as_str(), b.as_str(), c.as_str(), *weight)).collect()
}

#[test]
fn whole_traces_stay_or_go_and_say_at_which_threshold() {
    let body = request(vec![vec![span(0.2), span(0.9)], vec![span(0.1)], vec![span(0.75)]]);
    let (census, rows) = stored(Format::OtlpProtobuf, body.encode_to_vec(), 0.25);
    assert_eq!((census.accepted, census.sampled_out, census.stored()), (4, 2, 2));
    let expected =
        [("service 1", "at 0.9", "ot=th:c", 4.0), ("service 3", "at 0.75", "ot=th:c", 4.0)];
    assert_eq!(kept(&rows), expected);
}

#[test]
fn a_request_of_which_nothing_stays_is_empty() {
    let body = request(vec![vec![span(0.2)], vec![span(0.1)]]).encode_to_vec();
    let config = crate::Config::default();
    let threshold = Threshold::of_probability(0.5);
    let (census, left) =
        super::body((Format::OtlpProtobuf, &body), &config, TimeRange::ALL, threshold).unwrap();
    assert_eq!((census.stored(), left.unwrap().len()), (0, 0));
}

#[test]
fn refused_spans_are_no_sampled_ones() {
    let without_id = Span { span_id: vec![], ..span(0.1) };
    let body = request(vec![vec![without_id, span(0.9), span(0.1)]]).encode_to_vec();
    let (census, rows) = stored(Format::OtlpProtobuf, body, 0.5);
    assert_eq!((census.accepted, census.rejected(), census.sampled_out), (2, 1, 1));
    assert_eq!(kept(&rows), [("service 1", "at 0.9", "ot=th:8", 2.0)]);
}

#[track_caller]
fn check(sent: Span, rate: f64, expected: Option<(&str, f64)>) {
    let (_, rows) = stored(Format::OtlpProtobuf, request(vec![vec![sent]]).encode_to_vec(), rate);
    let found: Vec<_> =
        rows.iter().map(|(_, _, state, weight)| (state.as_str(), *weight)).collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn what_was_sampled_before_gets_the_stricter_threshold() {
    let sent = |state: &str, share| Span { trace_state: state.into(), ..span(share) };
    check(sent("ot=th:8", 0.8), 0.25, Some(("ot=th:c", 4.0)));
    check(sent("ot=th:8", 0.6), 0.25, None);
    check(
        sent("ot=th:e;rv:ffffffffffffff,a=b", 0.0),
        0.25,
        Some(("ot=th:e;rv:ffffffffffffff,a=b", 8.0)),
    );
    check(sent("ot=rv:d0000000000000", 0.0), 0.25, Some(("ot=rv:d0000000000000;th:c", 4.0)));
    check(sent("ot=rv:10000000000000", 0.99), 0.25, None);
    check(sent("ot=th:zz", 0.8), 0.25, Some(("ot=th:c", 4.0)));
}

#[test]
fn probabilities_multiply_where_the_earlier_decision_was_made_by_something_else() {
    let jaeger = vec![
        pair("sampler.type", AnyKind::StringValue("probabilistic".into())),
        pair("sampler.param", AnyKind::DoubleValue(0.5)),
    ];
    check(Span { attributes: jaeger, ..span(0.8) }, 0.25, Some(("ot=th:e", 8.0)));
    let own = vec![pair("spanlake.weight", AnyKind::IntValue(4))];
    check(Span { attributes: own.clone(), ..span(0.8) }, 0.25, Some(("ot=th:f", 16.0)));
    check(Span { attributes: own.clone(), ..span(0.2) }, 0.25, None);
    // Half of the weight 4 is by the threshold, which is ours, too.
    let both = Span { attributes: own, trace_state: "ot=th:8".into(), ..span(0.8) };
    check(both, 0.25, Some(("ot=th:e", 8.0)));
}

#[test]
fn json_keeps_everything_else_as_it_was_written() {
    let span = |id: &str, more: &str| {
        format!(
            r#"{{"traceId":"{id}","spanId":"0202020202020202",{more}"name":"n \u00e9","x":[1.50, 1e2]}}"#
        )
    };
    let (low, high) = ("07070707070707070700000000000000", "070707070707070707e0000000000000");
    let state = r#""traceState":"ot=th:8,a=\"b","#;
    let body = format!(
        r#" {{"a":null,"resourceSpans":[
            {{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
             "scopeSpans":[{{"spans":[{low},{high}]}},{{"spans":[{low}]}}]}},
            {{"scope_spans":[{{"spans":[{low}]}}]}},{{"scopeSpans":null}}]}}"#,
        low = span(low, ""),
        high = span(high, state),
    );
    let (census, rows) = stored(Format::OtlpJson, body.clone().into_bytes(), 0.25);
    assert_eq!((census.accepted, census.sampled_out), (4, 3));
    assert_eq!(kept(&rows), [("shop", "n é", "ot=th:c,a=\"b", 4.0)]);
    let config = crate::Config::default();
    let quarter = Threshold::of_probability(0.25);
    let (_, left) =
        super::body((Format::OtlpJson, body.as_bytes()), &config, TimeRange::ALL, quarter).unwrap();
    expect_test::expect![[r#"{"a":null,"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"070707070707070707e0000000000000","spanId":"0202020202020202","name":"n \u00e9","x":[1.50, 1e2],"traceState":"ot=th:c,a=\"b"}]}]}]}"#]]
    .assert_eq(std::str::from_utf8(&left.unwrap()).unwrap());
}

#[test]
fn zipkin_spans_get_a_trace_state() {
    let body = r#"[{"traceId":"e0000000000000","id":"1","name":"kept","timestamp":1,"localEndpoint":{"serviceName":"shop"}},
        {"traceId":"20000000000000","id":"2","name":"gone","timestamp":1}]"#;
    let (census, rows) = stored(Format::ZipkinJson, body.into(), 0.5);
    assert_eq!((census.accepted, census.sampled_out), (2, 1));
    assert_eq!(kept(&rows), [("shop", "kept", "ot=th:8", 2.0)]);
    let one = r#" {"traceId":"e0000000000000","id":"1","name":"kept","timestamp":1}"#;
    let (_, rows) = stored(Format::ZipkinJson, one.into(), 0.5);
    assert_eq!(kept(&rows), [("unknown", "kept", "ot=th:8", 2.0)]);
}

#[test]
fn zipkin_spans_in_protobuf_get_a_trace_state() {
    let field = |number: u8, bytes: &[u8]| {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let span = |id: u8, name: &[u8]| {
        let trace_id = [0, id, 0, 0, 0, 0, 0, 0];
        let timestamp = [6 << 3 | 1, 1, 0, 0, 0, 0, 0, 0, 0];
        let local = field(8, &field(1, b"shop"));
        let parts = [field(1, &trace_id), field(3, &[1; 8]), field(5, name), local];
        field(1, &[parts.concat(), timestamp.to_vec()].concat())
    };
    let body = [span(0xe0, b"kept"), span(0x20, b"gone")].concat();
    let (census, rows) = stored(Format::ZipkinProtobuf, body, 0.5);
    assert_eq!((census.accepted, census.sampled_out), (2, 1));
    assert_eq!(kept(&rows), [("shop", "kept", "ot=th:8", 2.0)]);
}

proptest! {
    /// Consistency through the whole path; and what stays is what decodes without sampling, except for its weight.
    #[test]
    fn a_lower_rate_keeps_a_part_of_what_a_higher_one_keeps(
        shares in prop::collection::vec(0.0..1.0f64, 0..20),
        low in 0.01..0.99f64,
        more in 0.0..1.0f64,
    ) {
        let half = shares.len() / 2;
        let spans = |shares: &[f64]| shares.iter().map(|share| span(*share)).collect();
        let body = request(vec![spans(&shares[..half]), spans(&shares[half..])]).encode_to_vec();
        let names = |rate: f64| -> Vec<(String, String)> {
            let rows = stored(Format::OtlpProtobuf, body.clone(), rate).1;
            rows.into_iter().map(|(service, name, ..)| (service, name)).collect()
        };
        let (few, many, all) = (names(low), names(low + (0.999 - low) * more), names(1.0));
        prop_assert_eq!(all.len(), shares.len());
        prop_assert!(few.iter().all(|span| many.contains(span)));
        prop_assert!(many.iter().all(|span| all.contains(span)));
    }

    /// Whatever the bytes, sampling refuses exactly what the door refuses without it.
    #[test]
    fn sampling_reads_what_the_door_reads(bytes: Vec<u8>, cut in 0usize..400) {
        let config = crate::Config::default();
        let mut body = request(vec![vec![span(0.2), span(0.9)]]).encode_to_vec();
        body.truncate(cut);
        body.extend(bytes);
        let half = Threshold::of_probability(0.5);
        let census = Census::take(Format::OtlpProtobuf, &body, &config, TimeRange::ALL);
        let sampled = super::body((Format::OtlpProtobuf, &body), &config, TimeRange::ALL, half);
        match (census, sampled) {
            (Ok(census), Ok((sampled, left))) => {
                prop_assert_eq!(census.accepted, sampled.accepted);
                let left = left.as_deref().unwrap_or(&body);
                let again = Census::take(Format::OtlpProtobuf, left, &config, TimeRange::ALL).unwrap();
                prop_assert_eq!(again.accepted, sampled.stored());
                prop_assert_eq!(again.rejected(), 0);
            }
            (census, sampled) => prop_assert_eq!(census.is_ok(), sampled.is_ok()),
        }
    }
}
