//! A corpus: OTLP requests, seeded, or read from a file of length-prefixed requests.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::rounds::Request;

const SERVICES: usize = 30;
const INSTANCES: usize = 3;
const SPANS_PER_TRACE: usize = 26;
const SPANS_PER_REQUEST: usize = 350;

/// Requests in the order in which they are sent.
#[derive(Debug)]
pub struct Corpus {
    /// Protobuf bodies.
    pub requests: Vec<Request>,
}

impl Corpus {
    /// Reads a file of requests, each after its length as four bytes, least significant first.
    ///
    /// # Errors
    /// The file cannot be read or ends inside a request.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let mut rest = bytes.as_slice();
        let mut requests = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            if tail.len() < length {
                bail!("{} ends inside a request", path.display());
            }
            let (body, tail) = tail.split_at(length);
            requests.push(Request::new(body.to_vec())?);
            rest = tail;
        }
        Ok(Self { requests })
    }

    /// About `spans` spans of a synthetic shop, the last of them ending about `end_unix_nano`, over two hours.
    pub fn generate(seed: u64, spans: u64, end_unix_nano: u64) -> Self {
        let mut generator = Generator::new(seed, end_unix_nano);
        let mut requests = Vec::new();
        let traces = spans.div_ceil(SPANS_PER_TRACE as u64);
        for number in 0..traces {
            generator.trace(number * 1_000_000 / traces);
            while generator.waiting >= SPANS_PER_REQUEST * 4 {
                requests.push(generator.request());
            }
        }
        while generator.waiting > 0 {
            requests.push(generator.request());
        }
        Self { requests }
    }

    /// Bytes of all bodies.
    pub fn bytes(&self) -> u64 {
        self.requests.iter().map(|request| request.body.len() as u64).sum()
    }

    /// Spans in all requests.
    pub fn spans(&self) -> u64 {
        self.requests.iter().map(|request| request.spans).sum()
    }

    /// First and last time, Unix nanoseconds; `None` where it is empty.
    pub fn times(&self) -> Option<(u64, u64)> {
        let times = || self.requests.iter().filter_map(Request::times);
        Some((times().map(|(first, _)| first).min()?, times().map(|(_, last)| last).max()?))
    }
}

/// Spans wait in their service instance until its exporter's turn, as with real collectors: the spans of one trace
/// end up in several requests.
struct Generator {
    random: ChaCha8Rng,
    end_unix_nano: u64,
    waiting: usize,
    instances: Vec<Vec<Span>>,
    turn: usize,
}

impl Generator {
    fn new(seed: u64, end_unix_nano: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            end_unix_nano,
            waiting: 0,
            instances: vec![Vec::new(); SERVICES * INSTANCES],
            turn: 0,
        }
    }

    /// Makes one trace at `progress` millionths of the time.
    fn trace(&mut self, progress: u64) {
        let trace_id: [u8; 16] = self.random.random();
        const WINDOW_NANO: u64 = 7_200_000_000_000;
        let start = self.end_unix_nano - WINDOW_NANO / 1_000_000 * (1_000_000 - progress);
        let entry = self.random.random_range(0..5);
        let budget = self.random.random_range(SPANS_PER_TRACE / 2..SPANS_PER_TRACE * 3 / 2);
        let mut open = vec![(entry, Vec::new(), start, 200_000_000u64)];
        let mut made = 0;
        while let Some((service, parent, start, duration)) = open.pop() {
            made += 1;
            let span_id: [u8; 8] = self.random.random();
            let leaf = made + open.len() >= budget || duration < 500_000;
            let made_span =
                span(&mut self.random, (trace_id, span_id, parent), (start, duration), service);
            self.push(service, made_span);
            let children = if leaf { 0 } else { self.random.random_range(1..4) };
            for child in 0..children {
                let callee = (service * 3 + child * 7 + 1) % SERVICES;
                let share = duration / (children as u64 + 1);
                open.push((callee, span_id.to_vec(), start + share * child as u64, share));
            }
        }
    }

    fn push(&mut self, service: usize, span: Span) {
        let instance = service * INSTANCES + self.random.random_range(0..INSTANCES);
        self.instances[instance].push(span);
        self.waiting += 1;
    }

    fn request(&mut self) -> Request {
        let mut resource_spans = Vec::new();
        let mut spans = 0;
        while spans < SPANS_PER_REQUEST && spans < self.waiting {
            self.turn = (self.turn + 1) % self.instances.len();
            let batch = std::mem::take(&mut self.instances[self.turn]);
            if batch.is_empty() {
                continue;
            }
            spans += batch.len();
            resource_spans.push(ResourceSpans {
                resource: Some(resource(self.turn)),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "io.opentelemetry.http".into(),
                        version: "2.9.0".into(),
                        ..Default::default()
                    }),
                    spans: batch,
                    ..Default::default()
                }],
                ..Default::default()
            });
        }
        self.waiting -= spans;
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        Request::new(body).expect("what prost wrote can be read")
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    key_value(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: i64) -> KeyValue {
    key_value(key, Value::IntValue(value))
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn resource(instance: usize) -> Resource {
    let service = instance / INSTANCES;
    let mut attributes = vec![
        text("service.name", format!("service-{service:02}")),
        text("service.version", "3.14.1"),
        text("service.instance.id", format!("5f1c9d0e-{instance:04}")),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.language", ["go", "java", "python"][service % 3]),
        text("host.name", format!("node-{:02}", instance % 12)),
        text("k8s.namespace.name", "shop"),
        text("k8s.pod.name", format!("service-{service:02}-7d9f-{instance:04}")),
        text("cloud.region", "eu-north-1"),
    ];
    for extra in 0..12 {
        attributes.push(text(&format!("k8s.label.extra-{extra}"), format!("value-{extra}")));
    }
    Resource { attributes, ..Default::default() }
}

fn span(
    random: &mut ChaCha8Rng,
    (trace_id, span_id, parent): ([u8; 16], [u8; 8], Vec<u8>),
    (start, duration): (u64, u64),
    service: usize,
) -> Span {
    let route = format!("/api/v1/resource-{}/{{id}}", random.random_range(0..6));
    let failed = random.random_bool(0.007);
    let jitter = random.random_range(0..duration.max(2) / 2);
    Span {
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_vec(),
        parent_span_id: parent,
        name: format!("GET {route}"),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + duration - jitter,
        attributes: vec![
            text("http.request.method", "GET"),
            int("http.response.status_code", if failed { 503 } else { 200 }),
            text("http.route", route.as_str()),
            text("url.path", route.replace("{id}", &random.random_range(0..10_000).to_string())),
            text("server.address", format!("service-{service:02}.shop.internal")),
            int("server.port", 8080),
            text(
                "network.peer.address",
                format!("10.0.{}.{}", service, random.random_range(0..40)),
            ),
            int("network.peer.port", random.random_range(32_768..61_000)),
            int("http.response.body.size", random.random_range(200..40_000)),
            text("user.id", format!("user-{}", random.random_range(0..5_000))),
            text("app.tenant", format!("tenant-{}", random.random_range(0..40))),
            text("thread.name", format!("worker-{}", random.random_range(0..16))),
        ],
        status: Some(Status { code: if failed { 2 } else { 0 }, message: String::new() }),
        ..Default::default()
    }
}
