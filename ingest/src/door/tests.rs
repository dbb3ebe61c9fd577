mod kept;
mod refuse;

use std::io::Write;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use storage::ManualClock;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::Decoder;

const NOW: i64 = 1_700_000_000_000_000_000;

/// Doors over a store in a folder that goes with them.
struct Doors {
    ingest: Ingest,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

async fn doors(config: Config) -> Doors {
    doors_in(tempfile::tempdir().unwrap(), config, |_| {}).await
}

async fn doors_over(config: Config, adjust: impl FnOnce(&mut storage::Config)) -> Doors {
    doors_in(tempfile::tempdir().unwrap(), config, adjust).await
}

async fn doors_in(
    folder: TempDir,
    config: Config,
    adjust: impl FnOnce(&mut storage::Config),
) -> Doors {
    let clock = Arc::new(ManualClock::at(NOW));
    let decoder = Arc::new(Decoder::new(config.clone()));
    let mut settings = storage::Config::in_folder(folder.path());
    settings.disk_free_bytes_min = 0;
    adjust(&mut settings);
    let store = Store::open(settings, decoder, Arc::<ManualClock>::clone(&clock)).await.unwrap();
    let ingest = Ingest::new(store, config, Arc::<ManualClock>::clone(&clock));
    Doors { ingest, clock, _folder: folder }
}

impl Doors {
    fn rows(&self) -> u64 {
        self.ingest.store.snapshot().rows()
    }

    async fn end(self) {
        self.ingest.store.close().await.unwrap();
    }

    /// The sum of a counter over all doors, for one reason.
    fn refused(&self, name: &str, reason: &str) -> f64 {
        let label = ("reason", reason.to_owned());
        let metrics = self.ingest.metrics();
        let counted = metrics.iter().filter(|metric| metric.name == name);
        let counted = counted.filter(|metric| metric.labels.contains(&label));
        counted
            .inspect(|metric| assert!(metric.labels.contains(&("tenant", "default".to_owned()))))
            .map(|metric| metric.value)
            .sum()
    }

    /// The sum of a counter over all doors and reasons.
    fn metric(&self, name: &str) -> f64 {
        let metrics = self.ingest.metrics();
        metrics.iter().filter(|metric| metric.name == name).map(|metric| metric.value).sum()
    }
}

/// Spans with the given ids, all starting now; id 0 is an invalid one.
fn spans(ids: &[u8]) -> Vec<u8> {
    let span = |id: u8| Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: "n".into(),
        start_time_unix_nano: NOW.unsigned_abs(),
        ..Span::default()
    };
    let spans = ids.iter().map(|&id| span(id)).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn json(id: &str) -> Vec<u8> {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id}","spanId":"0202020202020202","startTimeUnixNano":"{NOW}"}}]}}]}}]}}"#
    )
    .into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    trailers: HeaderMap,
    body: Vec<u8>,
}

async fn send(router: Router, request: Request<Body>) -> Answer {
    let response: Response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let body = body.to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, trailers, body }
}

fn post(path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

async fn http(doors: &Doors, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    send(doors.ingest.otlp_http(), post("/v1/traces", headers, body)).await
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_takes_every_type_and_encoding() {
    let doors = doors(Config::default()).await;
    let zstd = zstd::encode_all(spans(&[3]).as_slice(), 1).unwrap();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&spans(&[4])).unwrap();
    let members = [gzip(&spans(&[5])), gzip(&spans(&[6]))].concat();
    for (encoding, body) in [
        ("identity", spans(&[1])),
        ("gzip", gzip(&spans(&[2]))),
        ("zstd", zstd),
        ("deflate", deflate.finish().unwrap()),
        ("gzip", members),
    ] {
        let answer = http(&doors, &[PROTOBUF, ("content-encoding", encoding)], body).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{encoding}");
        assert_eq!(answer.headers["content-type"], "application/x-protobuf");
    }
    let answer = http(&doors, &[JSON], json("07070707070707070707070707070707")).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
    let answer = http(&doors, &[PROTOBUF], Vec::new()).await;
    assert_eq!(answer.status, 200, "an empty request is a success");
    assert_eq!(doors.rows(), 7);
    assert_eq!(doors.metric("spanlake_ingest_spans_total"), 7.0);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_spans_of_a_request_are_kept_and_the_others_named() {
    let doors = doors(Config::default()).await;
    let answer = http(&doors, &[PROTOBUF], spans(&[1, 0, 2, 0])).await;
    assert_eq!(answer.status, 200);
    let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap();
    let partial = response.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert_eq!(
        partial.error_message,
        "2 spans refused: trace id must not be all zero (first: span #2)"
    );
    let answer = http(&doors, &[JSON], json("0707")).await;
    expect_test::expect![[r#"{"partialSuccess":{"errorMessage":"1 span refused: trace id must be 16 bytes (first: span #1)","rejectedSpans":"1"}}"#]]
    .assert_eq(std::str::from_utf8(&answer.body).unwrap());
    assert_eq!(doors.rows(), 2);
    assert_eq!(doors.metric("spanlake_ingest_refused_spans_total"), 3.0);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_request_is_a_success_and_stored_once() {
    let doors = doors(Config::default()).await;
    let body = Bytes::from(spans(&[1, 2]));
    let first = doors.ingest.accept(Format::OtlpProtobuf, body.clone(), None).await.unwrap();
    let second = doors.ingest.accept(Format::OtlpProtobuf, body, None).await.unwrap();
    assert_eq!((first.accepted_spans, first.duplicate), (2, false));
    assert_eq!((second.accepted_spans, second.duplicate), (0, true));
    assert_eq!(doors.rows(), 2);
    assert_eq!(doors.metric("spanlake_ingest_duplicate_requests_total"), 1.0);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_refuses_with_the_status_of_the_specification() {
    let config = Config { otlp_body_bytes_max: 100_000, ..Config::default() };
    let doors = doors(config).await;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(&vec![0; 90_000]).unwrap();
    let bomb = writer.finish().unwrap();
    let mut garbage = gzip(&spans(&[1]));
    garbage.extend_from_slice(b"garbage");
    let zip = ("content-encoding", "gzip");
    let text = ("content-type", "text/plain");
    for (headers, body, status, word) in [
        (vec![PROTOBUF], vec![0xff; 9], 400, "protobuf"),
        (vec![JSON], b"{\"resourceSpans\":7}".to_vec(), 400, "JSON"),
        (vec![PROTOBUF, zip], b"no gzip".to_vec(), 400, "decompressed"),
        (vec![PROTOBUF, zip], garbage, 400, "decompressed"),
        (vec![PROTOBUF], vec![0; 100_001], 413, "100000"),
        (vec![PROTOBUF, zip], bomb, 413, "exceeds"),
        (vec![text], spans(&[1]), 415, "text/plain"),
        (vec![PROTOBUF, ("content-encoding", "br")], spans(&[1]), 415, "br"),
    ] {
        let answer = http(&doors, &headers, body).await;
        assert_eq!(answer.status, status, "{headers:?}");
        let words = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(words.contains(word), "{words}");
        let expected = if headers[0] == PROTOBUF { PROTOBUF.1 } else { "application/json" };
        assert_eq!(answer.headers["content-type"], expected);
        assert!(!answer.headers.contains_key("retry-after"), "{words}");
    }
    let get = Request::builder().uri("/v1/traces").body(Body::empty()).unwrap();
    assert_eq!(send(doors.ingest.otlp_http(), get).await.status, 405);
    assert_eq!(doors.rows(), 0);
    assert_eq!(doors.metric("spanlake_ingest_refused_requests_total"), 8.0);
    doors.end().await;
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag], &length.to_be_bytes()[..], message].concat()
}

async fn grpc(doors: &Doors, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let headers = [&[("content-type", "application/grpc")], headers].concat();
    send(doors.ingest.otlp_grpc(), post(path, &headers, body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_stores_and_answers() {
    let doors = doors(Config::default()).await;
    let answer = grpc(&doors, &[], framed(0, &spans(&[1, 0]))).await;
    assert_eq!(answer.trailers["grpc-status"], "0");
    let response = ExportTraceServiceResponse::decode(&answer.body[5..]).unwrap();
    assert_eq!(response.partial_success.unwrap().rejected_spans, 1);
    let zip = [("grpc-encoding", "gzip")];
    let answer = grpc(&doors, &zip, framed(1, &gzip(&spans(&[2])))).await;
    assert_eq!((answer.status, answer.trailers["grpc-status"].as_bytes()), (200, &b"0"[..]));
    assert_eq!(answer.body, framed(0, &[]));
    let answer = grpc(&doors, &zip, framed(0, &spans(&[3]))).await;
    assert_eq!(answer.trailers["grpc-status"], "0", "an uncompressed message is allowed");
    assert_eq!(doors.rows(), 3);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_refuses_with_codes() {
    let doors = doors(Config { otlp_body_bytes_max: 1_000, ..Config::default() }).await;
    let cut = framed(0, &spans(&[1]))[..20].to_vec();
    for (headers, body, code) in [
        (vec![], framed(0, &[0xff; 9]), "3"),
        (vec![], cut, "3"),
        (vec![], Vec::new(), "3"),
        (vec![], framed(0, &[0; 1_001]), "8"),
        (vec![("grpc-encoding", "snappy")], framed(1, &spans(&[1])), "12"),
    ] {
        let answer = grpc(&doors, &headers, body).await;
        assert_eq!((answer.status, answer.headers["grpc-status"].to_str().unwrap()), (200, code));
        assert!(!answer.headers["grpc-message"].is_empty());
        assert!(!answer.headers.contains_key("grpc-status-details-bin"), "never to be retried");
    }
    let other = post("/a.B/C", &[("content-type", "application/grpc")], Vec::new());
    let answer = send(doors.ingest.otlp_grpc(), other).await;
    assert_eq!(answer.headers["grpc-status"], "12");
    assert_eq!(doors.rows(), 0);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zipkin_takes_spans() {
    let doors = doors(Config::default()).await;
    let micros = NOW / 1_000;
    let body = format!(
        r#"[{{"traceId":"a1","id":"b2","name":"get","kind":"CLIENT","timestamp":{micros},"duration":5,"localEndpoint":{{"serviceName":"shop"}},"tags":{{"error":"boom"}}}}]"#
    );
    let zipkin = |body: &str| post("/api/v2/spans", &[JSON], body.as_bytes().to_vec());
    let answer = send(doors.ingest.zipkin(), zipkin(&body)).await;
    assert_eq!((answer.status, answer.body.as_slice()), (202, &b""[..]));
    assert_eq!(doors.rows(), 1);
    let answer = send(doors.ingest.zipkin(), zipkin("[{]")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with(b"JSON: "));
    let thrift = post("/api/v2/spans", &[("content-type", "application/x-thrift")], vec![1]);
    assert_eq!(send(doors.ingest.zipkin(), thrift).await.status, 415);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sampling_leaves_out_is_accepted_counted_and_never_logged() {
    let mut config = Config::default();
    config.sampling.rate = 0.5;
    let doors = doors(config).await;
    // Ids are repeated bytes: 0x90 and 0xff are above half of the randomness, 1 and 2 below; 0 is refused.
    let answer = http(&doors, &[PROTOBUF], spans(&[1, 0x90, 0, 0xff])).await;
    assert_eq!(answer.status, 200);
    let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap();
    assert_eq!(response.partial_success.unwrap().rejected_spans, 1);
    assert_eq!(doors.rows(), 2);
    let logged = || {
        let metrics = doors.ingest.store.metrics();
        metrics.iter().find(|metric| metric.name == "spanlake_wal_bytes_total").unwrap().value
    };
    let before = logged();
    let answer = http(&doors, &[PROTOBUF], spans(&[1, 2])).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(logged(), before, "nothing was logged");
    let again = http(&doors, &[PROTOBUF], spans(&[1, 0x90, 0, 0xff])).await;
    assert_eq!(again.status, 200);
    assert_eq!(doors.rows(), 2, "a retry is recognised");
    // An import is not sampled.
    doors.ingest.accept(Format::OtlpProtobuf, spans(&[1, 2, 3]).into(), None).await.unwrap();
    assert_eq!(doors.rows(), 5);
    assert_eq!(doors.metric("spanlake_ingest_spans_total"), 5.0);
    assert_eq!(doors.metric("spanlake_ingest_sampled_out_spans_total"), 3.0);
    assert_eq!(doors.metric("spanlake_ingest_refused_spans_total"), 2.0);
    doors.end().await;
}
