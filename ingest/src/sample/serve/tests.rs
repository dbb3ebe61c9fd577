use std::sync::Arc;

use http::Method;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use storage::schema::AttributeColumns;
use storage::time::TimeRange;
use storage::{Decode, Entry, ManualClock};
use tower::ServiceExt;

use super::*;
use crate::sample::{Config, Goal, Rule, Watched};
use crate::{Decoder, Format};

const NOW: i64 = 1_700_000_000_000_000_000;
const MINUTE: i64 = 60_000_000_000;

fn rule(service: Option<&str>, name: Option<&str>, goal: Goal) -> Rule {
    Rule { service: service.map(Into::into), name: name.map(Into::into), goal }
}

fn sampler(config: Config) -> (Sampler, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(NOW));
    (Sampler::new(config, Arc::<ManualClock>::clone(&clock)), clock)
}

async fn send(sampler: &Sampler, request: Request) -> (StatusCode, HeaderMap, Bytes) {
    let (parts, body) = sampler.router().oneshot(request).await.unwrap().into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

async fn ask(sampler: &Sampler, path: &str) -> (u16, String) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let (status, _, body) = send(sampler, request).await;
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

/// The shape of the collector's answer, as its own comments and tests show it.
#[tokio::test]
async fn without_rules_every_service_is_told_to_keep_all() {
    let (sampler, _) = sampler(Config::default());
    let all = r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1.0}}"#;
    for path in ["/sampling?service=shop", "/api/sampling?service=never%20heard&x=y"] {
        assert_eq!(ask(&sampler, path).await, (200, all.to_owned()));
    }
    let (_, oldest) = ask(&sampler, "/?service=shop").await;
    assert_eq!(oldest, r#"{"strategyType":0,"probabilisticSampling":{"samplingRate":1.0}}"#);
    for path in ["/sampling", "/sampling?service=a&service=b", "/sampling?name=a"] {
        assert_eq!(ask(&sampler, path).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn rules_are_told_to_the_services_that_they_fit() {
    let (sampler, _) = sampler(Config {
        source_rate: 0.5,
        rules: vec![
            rule(None, Some("GET /health"), Goal::Rate(0.0)),
            rule(Some("shop"), Some("GET /cart"), Goal::Rate(0.25)),
            rule(Some("shop"), Some("GET /cart"), Goal::Rate(0.75)),
            rule(Some("shop"), None, Goal::Rate(0.125)),
        ],
        ..Config::default()
    });
    let (_, shop) = ask(&sampler, "/sampling?service=shop").await;
    expect_test::expect![[r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.125},"operationSampling":{"defaultSamplingProbability":0.125,"defaultLowerBoundTracesPerSecond":0.0,"perOperationStrategies":[{"operation":"GET /cart","probabilisticSampling":{"samplingRate":0.25}},{"operation":"GET /health","probabilisticSampling":{"samplingRate":0.0}}]}}"#]].assert_eq(&shop);
    let (_, other) = ask(&sampler, "/sampling?service=mail").await;
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    assert_eq!(other["operationSampling"]["defaultSamplingProbability"], 0.5);
    assert_eq!(other["operationSampling"]["perOperationStrategies"].as_array().unwrap().len(), 1);
}

/// `count` roots of `shop`, each with a child, at `start`.
fn entry(count: u8, start: i64, trace_state: &str) -> Entry {
    let span = |id: u8, parent: &[u8]| Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        parent_span_id: parent.to_vec(),
        trace_state: trace_state.into(),
        name: if parent.is_empty() { "GET /cart".into() } else { "below".into() },
        start_time_unix_nano: start.unsigned_abs(),
        ..Span::default()
    };
    let spans = (1..=count).flat_map(|id| [span(id, &[]), span(id, &[9; 8])]).collect();
    let name = Some(AnyValue { value: Some(AnyKind::StringValue("shop".into())) });
    let attributes =
        vec![KeyValue { key: "service.name".into(), value: name, ..KeyValue::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    Entry {
        format: Format::OtlpProtobuf.code(),
        received_unix_nano: start,
        accept: TimeRange::ALL,
        body: ExportTraceServiceRequest { resource_spans }.encode_to_vec().into(),
        deduplicate: false,
    }
}

fn adaptive() -> Config {
    Config { target_traces_per_second: 0.5, ..Config::default() }
}

/// What `shop` is told about `GET /cart`.
async fn told(sampler: &Sampler) -> Option<f64> {
    let (_, answer) = ask(sampler, "/sampling?service=shop").await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let operations = answer["operationSampling"]["perOperationStrategies"].as_array().unwrap();
    assert!(operations.len() <= 1, "children are no roots: {answer}");
    let operation = operations.first()?;
    assert_eq!(operation["operation"], "GET /cart");
    operation["probabilisticSampling"]["samplingRate"].as_f64()
}

#[tokio::test]
async fn the_share_follows_from_the_weights_of_the_roots_that_are_stored() {
    let (sampler, clock) = sampler(adaptive());
    let watched =
        Watched { decoder: Decoder::new(crate::Config::default()), sampler: sampler.clone() };
    sampler.tick();
    assert_eq!(told(&sampler).await, None, "nothing seen yet");
    let columns = AttributeColumns::from_start();
    // 60 roots that stand for two each, in a minute; and some of long ago, as replay and imports bring them.
    watched.decode(&[entry(60, NOW, "ot=th:8"), entry(99, NOW - 60 * MINUTE, "")], &columns);
    clock.set(NOW + MINUTE);
    sampler.tick();
    assert_eq!(told(&sampler).await, Some(0.25));

    let saved = sampler.save();
    let (again, _) = super::tests::sampler(adaptive());
    assert!(again.restore(&saved));
    assert_eq!(told(&again).await, Some(0.25), "over a restart");
    assert_eq!(again.save(), saved);
    let (fixed, _) = super::tests::sampler(Config::default());
    assert!(!fixed.is_adaptive() && fixed.restore(&saved));
    assert!(ask(&fixed, "/sampling?service=shop").await.1.contains(r#""samplingRate":1.0}}"#));
    for garbage in [&b""[..], b"{}", b"\xff", br#"{"version":2,"operations":[]}"#] {
        assert!(!again.restore(garbage));
    }
}

/// Jaeger's messages as `sampling.proto` declares them.
mod idl {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Parameters {
        #[prost(string, tag = "1")]
        pub(super) service_name: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Probabilistic {
        #[prost(double, tag = "1")]
        pub(super) sampling_rate: f64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Operation {
        #[prost(string, tag = "1")]
        pub(super) operation: String,
        #[prost(message, optional, tag = "2")]
        pub(super) probabilistic_sampling: Option<Probabilistic>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Operations {
        #[prost(double, tag = "1")]
        pub(super) default_sampling_probability: f64,
        #[prost(double, tag = "2")]
        pub(super) default_lower_bound: f64,
        #[prost(message, repeated, tag = "3")]
        pub(super) strategies: Vec<Operation>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Response {
        #[prost(int32, tag = "1")]
        pub(super) strategy_type: i32,
        #[prost(message, optional, tag = "2")]
        pub(super) probabilistic_sampling: Option<Probabilistic>,
        #[prost(message, optional, tag = "4")]
        pub(super) operation_sampling: Option<Operations>,
    }
}

async fn call(sampler: &Sampler, body: Vec<u8>) -> (HeaderMap, Bytes) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/jaeger.api_v2.SamplingManager/GetSamplingStrategy")
        .header("content-type", "application/grpc")
        .body(Body::from(body))
        .unwrap();
    let (_, headers, body) = send(sampler, request).await;
    (headers, body)
}

#[tokio::test]
async fn grpc_tells_the_same_as_http() {
    let (sampler, _) = sampler(Config {
        rules: vec![
            rule(Some("shop"), Some("GET /cart"), Goal::Rate(0.25)),
            rule(Some("shop"), None, Goal::Rate(0.5)),
        ],
        ..Config::default()
    });
    let asked = idl::Parameters { service_name: "shop".into() }.encode_to_vec();
    let framed = [&[0, 0, 0, 0, u8::try_from(asked.len()).unwrap()], asked.as_slice()].concat();
    let (_, answer) = call(&sampler, framed.clone()).await;
    assert_eq!(
        answer[..5],
        [&[0], &u32::try_from(answer.len() - 5).unwrap().to_be_bytes()[..]].concat()
    );
    let rate = |sampling_rate| Some(idl::Probabilistic { sampling_rate });
    let expected = idl::Response {
        strategy_type: 0,
        probabilistic_sampling: rate(0.5),
        operation_sampling: Some(idl::Operations {
            default_sampling_probability: 0.5,
            default_lower_bound: 0.0,
            strategies: vec![idl::Operation {
                operation: "GET /cart".into(),
                probabilistic_sampling: rate(0.25),
            }],
        }),
    };
    assert_eq!(idl::Response::decode(&answer[5..]).unwrap(), expected);
    let compressed = [&[1], &framed[1..]].concat();
    for (wrong, code) in [(vec![], "3"), (framed[..6].to_vec(), "3"), (compressed, "12")] {
        assert_eq!(call(&sampler, wrong).await.0["grpc-status"], code);
    }
}
