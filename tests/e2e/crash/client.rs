//! Senders, one for each door and encoding.
use std::io::Write;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::{Request, SPANS_PER_REQUEST, State, zipkin};
use crate::support::Ports;

/// Number of kinds of client.
pub(super) const DOORS: u64 = 7;

/// One sender; its number says what it speaks.
pub(super) enum Client {
    Http { agent: ureq::Agent, url: String, door: u64 },
    Grpc(Grpc),
}

impl Client {
    pub(super) fn new(door: u64, ports: Ports) -> Self {
        if door == 5 {
            return Self::Grpc(Grpc::new(ports.grpc));
        }
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = match door {
            0 | 6 => format!("http://127.0.0.1:{}/api/v2/spans", ports.zipkin),
            _ => format!("http://127.0.0.1:{}/v1/traces", ports.http),
        };
        Self::Http { agent, url, door }
    }

    /// Sends the same bytes for the same request, always: a retry is recognised by them.
    pub(super) fn send(&mut self, request: &Request, base: u64) -> State {
        let (agent, url, door) = match self {
            Self::Grpc(grpc) => return grpc.send(&protobuf(request, base)),
            Self::Http { agent, url, door } => (agent, url, door),
        };
        let (kind, encoding, body) = match door {
            0 => ("application/json", "identity", zipkin_json(request, base).into_bytes()),
            1 => ("application/json", "identity", json(request, base).into_bytes()),
            2 => ("application/x-protobuf", "identity", protobuf(request, base)),
            3 => ("application/x-protobuf", "gzip", gzip(&protobuf(request, base))),
            6 => ("application/x-protobuf", "identity", zipkin::protobuf(request, base)),
            _ => {
                let body = zstd::encode_all(protobuf(request, base).as_slice(), 1);
                ("application/x-protobuf", "zstd", body.expect("memory"))
            }
        };
        let post = agent.post(url.as_str()).header("content-type", kind);
        match post.header("content-encoding", encoding).send(&body) {
            Ok(answer) if answer.status().is_success() => State::Acknowledged,
            Ok(_) => State::Refused,
            Err(_) => State::Unknown,
        }
    }
}

/// A gRPC client of one method, on one connection.
pub(super) struct Grpc {
    runtime: Runtime,
    port: u16,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Grpc {
    fn new(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { runtime: runtime.expect("a runtime"), port, connection: None }
    }

    fn send(&mut self, message: &[u8]) -> State {
        let length = u32::try_from(message.len()).expect("a short message");
        let body = [&[0], &length.to_be_bytes()[..], message].concat();
        let status = self.runtime.block_on(async {
            if self.connection.is_none() {
                let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
                let (sender, connection) =
                    handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
                tokio::spawn(connection);
                self.connection = Some(sender);
            }
            let path = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
            let request = hyper::Request::post(format!("http://127.0.0.1:{}/{path}", self.port))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(Full::new(Bytes::from(body)))
                .expect("a request");
            let response = self.connection.as_mut()?.send_request(request).await.ok()?;
            let refused = response.headers().get("grpc-status").cloned();
            let body = response.into_body().collect().await.ok()?;
            refused.or_else(|| body.trailers()?.get("grpc-status").cloned())
        });
        match status {
            Some(status) if status == "0" => State::Acknowledged,
            Some(_) => State::Refused,
            None => {
                self.connection = None;
                State::Unknown
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).expect("memory");
    writer.finish().expect("memory")
}

/// Number of the trace: another for each request.
pub(super) fn trace(request: &Request) -> u64 {
    1 + request.client * 1_000_000_000 + request.number
}

fn protobuf(request: &Request, base: u64) -> Vec<u8> {
    let attribute = |key: &str, value: u64| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_string())) }),
        ..KeyValue::default()
    };
    let span = |index: u64| {
        let start = base + request.number * 1_000 + index;
        Span {
            trace_id: u128::from(trace(request)).to_be_bytes().to_vec(),
            span_id: (1 + index).to_be_bytes().to_vec(),
            name: "otlp".into(),
            kind: 1,
            start_time_unix_nano: start,
            end_time_unix_nano: start + 5_000,
            attributes: vec![
                attribute("client", request.client),
                attribute("number", request.number),
                attribute("index", index),
            ],
            ..Span::default()
        }
    };
    let spans = (0..SPANS_PER_REQUEST).map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn json(request: &Request, base: u64) -> String {
    let attribute =
        |key: &str, value: u64| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
    let span = |index: u64| {
        let start = base + request.number * 1_000 + index;
        format!(
            r#"{{"traceId":"{:032x}","spanId":"{:016x}","name":"otlp","kind":1,
            "startTimeUnixNano":"{start}","endTimeUnixNano":"{}","attributes":[{},{},{}]}}"#,
            trace(request),
            1 + index,
            start + 5_000,
            attribute("client", request.client),
            attribute("number", request.number),
            attribute("index", index),
        )
    };
    let spans: Vec<String> = (0..SPANS_PER_REQUEST).map(span).collect();
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","))
}

fn zipkin_json(request: &Request, base: u64) -> String {
    let Request { client, number } = request;
    let span = |index: u64| {
        format!(
            r#"{{"traceId":"{:032x}","id":"{:016x}","name":"zipkin","timestamp":{},"duration":5,
            "localEndpoint":{{"serviceName":"crash"}},
            "tags":{{"client":"{client}","number":"{number}","index":"{index}"}}}}"#,
            trace(request),
            1 + index,
            (base + number * 1_000 + index) / 1_000
        )
    };
    let spans: Vec<String> = (0..SPANS_PER_REQUEST).map(span).collect();
    format!("[{}]", spans.join(","))
}
