//! What a span costs at the door and in the decoder: `cargo bench -p ingest`. Input is generated: 12 attributes a span, 23 a
//! resource, 12 spans a resource, as fleets of services send them.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
use std::io::Write;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ingest::{Config, Decoder, Format};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;
use storage::schema::AttributeColumns;
use storage::{Decode, Entry, TimeRange};

const RESOURCES: u64 = 28;
const SPANS_PER_RESOURCE: u64 = 12;
const SPANS: u64 = RESOURCES * SPANS_PER_RESOURCE;
/// Requests of one group commit.
const REQUESTS: u64 = 5;

/// A well mixed number: the same for the same `seed`.
fn mixed(seed: u64) -> u64 {
    let mixed = (seed ^ seed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: u64) -> KeyValue {
    pair(key, Value::IntValue(value.cast_signed()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn resource(number: u64) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("service.name", format!("service-{:02}", number % 30)),
        text("service.version", "3.14.1"),
        text("service.instance.id", format!("5f1c9d0e-{number:04}")),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.language", "java"),
        text("host.name", format!("node-{:02}", number % 12)),
        text("k8s.namespace.name", "shop"),
        text("k8s.pod.name", format!("service-{number:02}-7d9f-{number:04}")),
        text("cloud.region", "eu-north-1"),
    ];
    attributes.extend((0..14).map(|n| text(&format!("k8s.label.extra-{n}"), format!("value-{n}"))));
    attributes
}

fn attributes(seed: u64) -> Vec<KeyValue> {
    let route = format!("/api/v1/resource-{}/{{id}}", mixed(seed) % 6);
    vec![
        text("http.request.method", "GET"),
        int("http.response.status_code", 200),
        text("url.path", route.replace("{id}", &(mixed(seed) % 10_000).to_string())),
        text("http.route", route),
        text("server.address", format!("service-{:02}.shop.internal", seed % 30)),
        int("server.port", 8080),
        text("network.peer.address", format!("10.0.{}.{}", seed % 30, mixed(seed) % 40)),
        int("network.peer.port", 32_768 + mixed(seed) % 20_000),
        int("http.response.body.size", mixed(seed) % 40_000),
        text("user.id", format!("user-{}", mixed(seed) % 5_000)),
        text("app.tenant", format!("tenant-{}", mixed(seed) % 40)),
        text("thread.name", format!("worker-{}", mixed(seed) % 16)),
    ]
}

fn span(seed: u64) -> Span {
    let start = 1_795_219_200_000_000_000 + mixed(seed) % 1_000_000_000;
    Span {
        trace_id: u128::from(mixed(seed / 26) | 1).to_be_bytes().to_vec(),
        span_id: (mixed(seed) | 1).to_be_bytes().to_vec(),
        parent_span_id: (mixed(seed - 1) | 1).to_be_bytes().to_vec(),
        name: format!("GET /api/v1/resource-{}/{{id}}", mixed(seed) % 6),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + mixed(seed) % 100_000_000,
        attributes: attributes(seed),
        flags: 1,
        ..Default::default()
    }
}

fn request(number: u64) -> ExportTraceServiceRequest {
    let resource_spans = (0..RESOURCES).map(|index| {
        let first = 1 + (number * RESOURCES + index) * SPANS_PER_RESOURCE;
        let spans = (first..first + SPANS_PER_RESOURCE).map(span).collect();
        let attributes = resource(mixed(first) % 90);
        ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
            ..Default::default()
        }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json_pairs(pairs: &[KeyValue]) -> serde_json::Value {
    let value = |pair: &KeyValue| match pair.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => json!({ "stringValue": text }),
        Some(Value::IntValue(number)) => json!({ "intValue": number.to_string() }),
        other => unreachable!("{other:?} is not generated"),
    };
    pairs.iter().map(|pair| json!({"key": pair.key, "value": value(pair)})).collect()
}

fn otlp_json(request: &ExportTraceServiceRequest) -> Vec<u8> {
    let span = |span: &Span| {
        json!({
            "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id),
            "parentSpanId": hex(&span.parent_span_id), "name": span.name, "kind": span.kind,
            "startTimeUnixNano": span.start_time_unix_nano.to_string(),
            "endTimeUnixNano": span.end_time_unix_nano.to_string(),
            "attributes": json_pairs(&span.attributes),
        })
    };
    let resources = request.resource_spans.iter().map(|spans| {
        let resource = spans.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let spans: Vec<_> = spans.scope_spans[0].spans.iter().map(span).collect();
        json!({"resource": {"attributes": json_pairs(resource)}, "scopeSpans": [{"spans": spans}]})
    });
    json!({ "resourceSpans": resources.collect::<Vec<_>>() }).to_string().into_bytes()
}

fn zipkin(request: &ExportTraceServiceRequest) -> Vec<u8> {
    let spans = request.resource_spans.iter().flat_map(|spans| &spans.scope_spans[0].spans);
    let spans = spans.map(|span| {
        let tags = span.attributes.iter().map(|pair| (pair.key.clone(), json!("some value")));
        json!({
            "traceId": hex(&span.trace_id), "id": hex(&span.span_id), "name": span.name,
            "kind": "SERVER", "timestamp": span.start_time_unix_nano / 1_000, "duration": 1_000,
            "localEndpoint": {"serviceName": "shop"},
            "tags": tags.collect::<serde_json::Map<_, _>>(),
        })
    });
    serde_json::Value::from_iter(spans).to_string().into_bytes()
}

fn entries(format: Format, bodies: &[Vec<u8>]) -> Vec<Entry> {
    let entry = |body: &Vec<u8>| Entry {
        format: format.code(),
        received_unix_nano: 0,
        accept: TimeRange::ALL,
        body: body.clone().into(),
        deduplicate: true,
    };
    bodies.iter().map(entry).collect()
}

fn formats() -> [(&'static str, Format, Vec<Vec<u8>>); 3] {
    let requests: Vec<ExportTraceServiceRequest> = (0..REQUESTS).map(request).collect();
    let all = |encode: &dyn Fn(&ExportTraceServiceRequest) -> Vec<u8>| {
        requests.iter().map(encode).collect::<Vec<_>>()
    };
    [
        ("otlp protobuf", Format::OtlpProtobuf, all(&|request| request.encode_to_vec())),
        ("otlp json", Format::OtlpJson, all(&otlp_json)),
        ("zipkin json", Format::ZipkinJson, all(&zipkin)),
    ]
}

fn check(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check");
    group.throughput(Throughput::Elements(SPANS));
    let decoder = Decoder::new(Config::default());
    for (name, format, bodies) in formats() {
        assert_eq!(decoder.count(format, &bodies[0], TimeRange::ALL), Some(SPANS), "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| decoder.count(format, &bodies[0], TimeRange::ALL));
        });
    }
    group.finish();
}

/// A session in the middle of its life: it has seen such a group before.
fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(SPANS * REQUESTS));
    let columns = Arc::new(AttributeColumns::from_start());
    for (name, format, bodies) in formats() {
        let entries = entries(format, &bodies);
        let mut session = Decoder::new(Config::default()).session();
        let rows = session.decode(&entries, &columns).rows() as u64;
        assert_eq!(rows, SPANS * REQUESTS, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter_with_large_drop(|| session.decode(&entries, &columns));
        });
    }
    group.finish();
}

/// What the door does with a gzip body.
fn inflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inflate");
    group.throughput(Throughput::Elements(SPANS));
    let body = request(0).encode_to_vec();
    for level in [1, 6] {
        let level_of = flate2::Compression::new(level);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level_of);
        encoder.write_all(&body).expect("memory takes it");
        let zipped = encoder.finish().expect("memory takes it");
        group.bench_function(format!("gzip level {level}"), |bencher| {
            bencher.iter_batched(
                || vec![0; body.len()],
                |mut plain| libdeflater::Decompressor::new().gzip_decompress(&zipped, &mut plain),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, check, decode, inflate);
criterion_main!(benches);
