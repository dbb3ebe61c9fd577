//! Spans as requests: OTLP protobuf, OTLP JSON, Zipkin v2 JSON.
use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use serde_json::{Value as Json, json};

use super::model::SERVICES;
use super::span::{Attributes, Event, Kind, Link, Span, Value};

/// Spans of one process: service, pod, version.
type Process = (usize, u8, &'static str);

fn by_process(spans: &[Span]) -> BTreeMap<Process, Vec<&Span>> {
    let mut groups: BTreeMap<Process, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        groups.entry((span.service, span.pod, span.version)).or_default().push(span);
    }
    groups
}

/// What a process says about itself.
fn resource((service, pod, version): Process) -> Attributes {
    let service = &SERVICES[service];
    let name = format!("{}-{:x}-{pod}", service.name, 0x7c9f + service.name.len());
    let node = (usize::from(pod) * 7 + service.name.len()) % 5 + 1;
    let regions = ["eu-central-1", "eu-west-1"];
    vec![
        ("service.name", service.name.into()),
        ("service.namespace", "shop".into()),
        ("service.version", version.into()),
        ("service.instance.id", name.clone().into()),
        ("deployment.environment.name", "demo".into()),
        ("host.name", format!("node-{node}").into()),
        ("cloud.region", regions[usize::from(pod) % 2].into()),
        ("k8s.namespace.name", "shop".into()),
        ("k8s.pod.name", name.into()),
        ("telemetry.sdk.language", service.language.into()),
        ("telemetry.sdk.name", "opentelemetry".into()),
        ("process.pid", Value::Int(1)),
    ]
}

/// An `ExportTraceServiceRequest`.
pub(super) fn protobuf(spans: &[Span]) -> Vec<u8> {
    let resource_spans = by_process(spans).into_iter().map(|(process, spans)| {
        let scope = InstrumentationScope {
            name: "shop".into(),
            version: "1.0.0".into(),
            ..Default::default()
        };
        otlp::ResourceSpans {
            resource: Some(Resource {
                attributes: key_values(&resource(process)),
                ..Default::default()
            }),
            scope_spans: vec![otlp::ScopeSpans {
                scope: Some(scope),
                spans: spans.into_iter().map(message).collect(),
                schema_url: String::new(),
            }],
            schema_url: "https://opentelemetry.io/schemas/1.37.0".into(),
        }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

fn message(span: &Span) -> otlp::Span {
    otlp::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        name: span.name.clone().into_owned(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start.unsigned_abs(),
        end_time_unix_nano: span.end.unsigned_abs(),
        attributes: key_values(&span.attributes),
        events: span.events.iter().map(event_message).collect(),
        links: span.links.iter().map(link_message).collect(),
        status: span.error.as_ref().map(|words| otlp::Status {
            message: words.clone().into_owned(),
            code: otlp::status::StatusCode::Error as i32,
        }),
        flags: 1,
        ..Default::default()
    }
}

fn event_message(event: &Event) -> otlp::span::Event {
    otlp::span::Event {
        time_unix_nano: event.at.unsigned_abs(),
        name: event.name.into(),
        attributes: key_values(&event.attributes),
        dropped_attributes_count: 0,
    }
}

fn link_message(link: &Link) -> otlp::span::Link {
    otlp::span::Link {
        trace_id: link.trace.to_vec(),
        span_id: link.span.to_vec(),
        ..Default::default()
    }
}

fn key_values(attributes: &Attributes) -> Vec<KeyValue> {
    let pairs = attributes.iter().map(|(key, value)| KeyValue {
        key: (*key).into(),
        value: Some(any_value(value)),
        ..Default::default()
    });
    pairs.collect()
}

fn any_value(value: &Value) -> AnyValue {
    let text = |text: &super::span::Text| any_value::Value::StringValue(text.clone().into_owned());
    let value = match value {
        Value::Text(words) => text(words),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Double(number) => any_value::Value::DoubleValue(*number),
        Value::Bool(yes) => any_value::Value::BoolValue(*yes),
        Value::Texts(list) => any_value::Value::ArrayValue(ArrayValue {
            values: list.iter().map(|words| AnyValue { value: Some(text(words)) }).collect(),
        }),
    };
    AnyValue { value: Some(value) }
}

/// The same request as OTLP JSON.
pub(super) fn json(spans: &[Span]) -> Vec<u8> {
    let groups = by_process(spans).into_iter().map(|(process, spans)| {
        json!({
            "resource": {"attributes": json_attributes(&resource(process))},
            "scopeSpans": [{
                "scope": {"name": "shop", "version": "1.0.0"},
                "spans": spans.into_iter().map(json_span).collect::<Vec<_>>(),
            }],
        })
    });
    json!({"resourceSpans": groups.collect::<Vec<_>>()}).to_string().into_bytes()
}

fn json_span(span: &Span) -> Json {
    let events = span.events.iter().map(|event| {
        json!({
            "timeUnixNano": event.at.to_string(),
            "name": event.name,
            "attributes": json_attributes(&event.attributes),
        })
    });
    let links = span
        .links
        .iter()
        .map(|link| json!({"traceId": hex::encode(link.trace), "spanId": hex::encode(link.span)}));
    let status = match &span.error {
        Some(words) => json!({"code": 2, "message": words}),
        None => json!({}),
    };
    json!({
        "traceId": hex::encode(span.trace),
        "spanId": hex::encode(span.id),
        "parentSpanId": span.parent.map(hex::encode).unwrap_or_default(),
        "name": span.name,
        "kind": span.kind as i32,
        "startTimeUnixNano": span.start.to_string(),
        "endTimeUnixNano": span.end.to_string(),
        "attributes": json_attributes(&span.attributes),
        "events": events.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "status": status,
        "flags": 1,
    })
}

fn json_attributes(attributes: &Attributes) -> Json {
    let pairs = attributes.iter().map(|(key, value)| {
        let value = match value {
            Value::Text(text) => json!({"stringValue": text}),
            Value::Int(number) => json!({"intValue": number.to_string()}),
            Value::Double(number) => json!({"doubleValue": number}),
            Value::Bool(yes) => json!({"boolValue": yes}),
            Value::Texts(list) => {
                let values: Vec<Json> =
                    list.iter().map(|text| json!({"stringValue": text})).collect();
                json!({"arrayValue": {"values": values}})
            }
        };
        json!({"key": key, "value": value})
    });
    Json::Array(pairs.collect())
}

/// A Zipkin v2 array. Zipkin knows microseconds, text tags, no links and no resource.
pub(super) fn zipkin(spans: &[Span]) -> Vec<u8> {
    Json::Array(spans.iter().map(zipkin_span).collect()).to_string().into_bytes()
}

fn zipkin_span(span: &Span) -> Json {
    let mut tags: BTreeMap<&str, String> =
        span.attributes.iter().map(|(key, value)| (*key, plain(value))).collect();
    if let Some(words) = &span.error {
        tags.insert("error", words.clone().into_owned());
    }
    let annotations: Vec<Json> = span
        .events
        .iter()
        .map(|event| json!({"timestamp": event.at / 1_000, "value": event.name}))
        .collect();
    let mut zipkin = json!({
        "traceId": hex::encode(span.trace),
        "id": hex::encode(span.id),
        "name": span.name,
        "timestamp": span.start / 1_000,
        "duration": ((span.end - span.start) / 1_000).max(1),
        "localEndpoint": {"serviceName": SERVICES[span.service].name},
        "tags": tags,
        "annotations": annotations,
    });
    if let Some(parent) = span.parent {
        zipkin["parentId"] = json!(hex::encode(parent));
    }
    let kind = match span.kind {
        Kind::Internal => return zipkin,
        Kind::Server => "SERVER",
        Kind::Client => "CLIENT",
        Kind::Producer => "PRODUCER",
        Kind::Consumer => "CONSUMER",
    };
    zipkin["kind"] = json!(kind);
    zipkin
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone().into_owned(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Texts(list) => list.join(","),
    }
}
