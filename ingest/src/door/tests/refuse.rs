//! Every refusal: its code at each door, when to come back, what is counted, and that it is early.
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body::Frame;

use super::*;

const REQUESTS: &str = "spanlake_ingest_refused_requests_total";
const SPANS: &str = "spanlake_ingest_refused_spans_total";
const BYTES: &str = "spanlake_ingest_refused_bytes_total";

/// `google.rpc.Status`, by an encoder that is not ours.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The delay in a status, which must have this code.
#[track_caller]
fn delay(status: &[u8], code: i32) -> Duration {
    let status = Status::decode(status).unwrap();
    assert_eq!((status.code, status.details.len()), (code, 1));
    assert!(!status.message.is_empty());
    assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    let info = RetryInfo::decode(status.details[0].value.as_slice()).unwrap();
    let Delay { seconds, nanos } = info.retry_delay.unwrap();
    Duration::new(seconds.unsigned_abs(), nanos.unsigned_abs())
}

fn retry_after(answer: &Answer) -> u64 {
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Sends one request to every door; all must refuse with this code and a delay in these seconds.
async fn check_all(doors: &Doors, (status, code): (u16, i32), seconds: RangeInclusive<u64>) {
    let answer = http(doors, &[PROTOBUF], spans(&[1])).await;
    assert_eq!(answer.status, status);
    assert!(seconds.contains(&retry_after(&answer)), "{:?}", answer.headers);
    assert!(delay(&answer.body, code).as_secs() <= *seconds.end());
    let answer = http(doors, &[JSON], json("07070707070707070707070707070707")).await;
    assert_eq!(answer.status, status);
    let words: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(words["code"], code);
    assert!(words["details"][0]["retryDelay"].as_str().unwrap().ends_with('s'));
    let answer = grpc(doors, &[], framed(0, &spans(&[1]))).await;
    let given = answer.headers["grpc-status"].to_str().unwrap();
    assert_eq!((answer.status, given), (200, code.to_string().as_str()));
    let details = STANDARD_NO_PAD.decode(&answer.headers["grpc-status-details-bin"]).unwrap();
    assert!(delay(&details, code).as_secs() <= *seconds.end());
    let info = STANDARD_NO_PAD.decode(&answer.headers["google.rpc.retryinfo-bin"]).unwrap();
    assert!(details.ends_with(&info), "the same delay where Python's exporter looks for it");
    let zipkin = post("/api/v2/spans", &[JSON], b"[]".to_vec());
    let answer = send(doors.ingest.zipkin(), zipkin).await;
    assert_eq!(answer.status, status);
    assert!(seconds.contains(&retry_after(&answer)));
}

fn limited(spans: Option<u64>, bytes: Option<u64>) -> Config {
    Config {
        spans_per_second_max: spans,
        bytes_per_second_max: bytes,
        rate_burst: Duration::from_secs(1),
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_rate_is_refused_as_its_own_until_its_debt_is_paid() {
    let doors = doors(limited(Some(2), None)).await;
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[1, 2, 3, 4, 5, 6])).await.status, 200);
    check_all(&doors, (429, 8), 2..=2).await;
    assert_eq!(doors.refused(REQUESTS, "spans_rate"), 4.0);
    assert_eq!(doors.refused(SPANS, "spans_rate"), 0.0, "refused before they were counted");
    doors.clock.set(NOW + 2_000_000_000 - 1);
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[7])).await.status, 429);
    doors.clock.set(NOW + 2_000_000_000);
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[7])).await.status, 200);
    assert_eq!(doors.rows(), 7);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_counted_inflated_and_imports_are_free() {
    let body = spans(&(1..=200).collect::<Vec<u8>>());
    let doors = doors(limited(None, Some(body.len() as u64 / 2))).await;
    let zip = [PROTOBUF, ("content-encoding", "gzip")];
    assert_eq!(http(&doors, &zip, gzip(&body)).await.status, 200);
    check_all(&doors, (429, 8), 1..=1).await;
    assert_eq!(doors.refused(REQUESTS, "bytes_rate"), 4.0);
    let import = doors.ingest.accept(Format::OtlpProtobuf, spans(&[9]).into(), None).await;
    assert_eq!(import.unwrap().accepted_spans, 1);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_request_took_is_given_back() {
    let doors = doors(limited(None, Some(100))).await;
    for _ in 0..3 {
        let answer = http(&doors, &[PROTOBUF], vec![0xff; 10_000]).await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(doors.refused(REQUESTS, "malformed"), 3.0);
    assert_eq!(doors.refused(BYTES, "malformed"), 30_000.0);
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[1])).await.status, 200);
    doors.end().await;

    // Refused by the log, after its spans were counted and charged.
    let doors = doors_over(limited(Some(1), None), |storage| storage.wal_bytes_max = 10).await;
    for _ in 0..3 {
        let answer = http(&doors, &[PROTOBUF], spans(&[1, 2, 3])).await;
        assert_eq!(answer.status, 503);
    }
    assert_eq!(doors.refused(REQUESTS, "log_full"), 3.0);
    assert_eq!(doors.refused(SPANS, "log_full"), 9.0);
    assert_eq!(doors.metric("spanlake_ingest_spans_total"), 0.0);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_says_when_to_come_back() {
    let wait_max = Duration::from_millis(1);
    let doors = doors(Config { in_flight_bytes_max: 1, wait_max, ..Config::default() }).await;
    check_all(&doors, (503, 14), 1..=5).await;
    assert_eq!(doors.refused(REQUESTS, "in_flight"), 4.0);
    let refused = doors.ingest.accept(Format::OtlpProtobuf, spans(&[1]).into(), None).await;
    assert!(matches!(refused, Err(Error::Busy { .. })));
    assert_eq!(doors.ingest.flight.free_bytes(), 1, "everything held was given back");
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_its_share_of_the_bytes_in_flight() {
    let wait_max = Duration::from_millis(1);
    let limits = Config { tenant_in_flight_bytes_max: 10, wait_max, ..Config::default() };
    let doors = doors(limits).await;
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[1])).await.status, 200, "alone it has all");
    let mut other = doors.ingest.flight.hold().unwrap();
    other.grow(10).unwrap();
    let answer = http(&doors, &[PROTOBUF], spans(&[2])).await;
    assert_eq!((answer.status, delay(&answer.body, 14).as_secs() > 0), (503, true));
    assert_eq!(doors.refused(REQUESTS, "tenant_in_flight"), 1.0);
    drop(other);
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[2])).await.status, 200);
    doors.end().await;
}

/// Takes all of the tenant's bytes until a request waits for them.
async fn full_until_one_waits(doors: &Doors) {
    let mut other = doors.ingest.flight.hold().unwrap();
    other.grow(10).unwrap();
    let waits = async {
        while doors.ingest.flight.waiting() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.expect("a request waits");
    assert_eq!(doors.metric("spanlake_ingest_waiting_requests"), 1.0);
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_waits_unread_for_room_and_is_then_taken() {
    let wait_max = Duration::from_secs(60);
    let limits = Config { tenant_in_flight_bytes_max: 10, wait_max, ..Config::default() };
    let doors = doors(limits).await;
    let ((), answer) =
        tokio::join!(full_until_one_waits(&doors), http(&doors, &[PROTOBUF], spans(&[2])));
    assert_eq!((answer.status, doors.rows()), (200, 1));
    let ((), answer) =
        tokio::join!(full_until_one_waits(&doors), grpc(&doors, &[], framed(0, &spans(&[3]))));
    assert_eq!((answer.trailers["grpc-status"].as_bytes(), doors.rows()), (&b"0"[..], 2));
    assert_eq!(doors.metric("spanlake_ingest_waiting_requests"), 0.0);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_refuses_before_the_body_is_read() {
    let doors = doors_over(Config::default(), |storage| storage.hot_bytes_max = 0).await;
    let answer = send(doors.ingest.otlp_http(), large(Untouchable)).await;
    assert_eq!((answer.status, answer.headers["connection"].as_bytes()), (503, &b"close"[..]));
    assert!((1..=5).contains(&retry_after(&answer)));
    assert_eq!(doors.refused(REQUESTS, "memory_full"), 1.0);
    assert_eq!(doors.refused(BYTES, "memory_full"), 3_000_000.0, "as announced");
    doors.end().await;

    let never = |storage: &mut storage::Config| storage.disk_free_bytes_min = u64::MAX;
    let doors = doors_over(Config::default(), never).await;
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[1])).await.status, 503);
    let answer = send(doors.ingest.otlp_http(), large(Untouchable)).await;
    assert_eq!(answer.status, 503, "the disk said no a moment ago");
    assert_eq!(doors.refused(REQUESTS, "disk_full"), 2.0);
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_as_large_as_it_may_be_takes_no_more() {
    let doors = doors(Config { table_bytes_max: Some(1), ..Config::default() }).await;
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[1])).await.status, 200);
    doors.ingest.store.flush().await.unwrap();
    check_all(&doors, (503, 14), 1..=5).await;
    assert_eq!(doors.refused(REQUESTS, "table_full"), 4.0);
    doors.end().await;
}

/// A body that must not be asked for anything.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read")
    }
}

/// A body in frames of 1 KiB, each counted when it is read.
struct Frames {
    left: usize,
    read: Arc<AtomicUsize>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.read.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1024])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}

fn unread<B>(body: B, bytes: Option<&str>) -> Request<Body>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut request = Request::builder().method(Method::POST).uri("/v1/traces");
    request = request.header(PROTOBUF.0, PROTOBUF.1);
    if let Some(bytes) = bytes {
        request = request.header("content-length", bytes);
    }
    request.body(Body::new(body)).unwrap()
}

fn large(body: Untouchable) -> Request<Body> {
    unread(body, Some("3000000"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_body_is_read_to_its_end_where_that_is_cheap() {
    let doors = doors(limited(Some(1), None)).await;
    assert_eq!(http(&doors, &[PROTOBUF], spans(&[1, 2, 3])).await.status, 200);
    let answer = send(doors.ingest.otlp_http(), large(Untouchable)).await;
    assert_eq!((answer.status, answer.headers["connection"].as_bytes()), (429, &b"close"[..]));
    for (frames, read, open) in [(10, 10, true), (5_000, 1_025, false)] {
        let counter = Arc::new(AtomicUsize::new(0));
        let body = Frames { left: frames, read: Arc::clone(&counter) };
        let answer = send(doors.ingest.otlp_http(), unread(body, None)).await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.headers.contains_key("connection"), !open);
        assert_eq!(counter.load(Ordering::Relaxed), read);
    }
    let mut waits = unread(Untouchable, Some("10"));
    waits.headers_mut().insert("expect", "100-continue".parse().unwrap());
    let answer = send(doors.ingest.otlp_http(), waits).await;
    assert_eq!(answer.status, 429, "a sender that asks first is spared the sending");
    doors.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_message_is_too_large_by_what_it_announces() {
    let doors = doors(Config { otlp_body_bytes_max: 1_000, ..Config::default() }).await;
    let mut cut = framed(0, &[0; 1_001]);
    cut.truncate(7);
    let answer = grpc(&doors, &[], cut).await;
    assert_eq!(answer.headers["grpc-status"], "8");
    assert!(!answer.headers.contains_key("grpc-status-details-bin"), "never to be retried");
    let longer = [framed(0, &spans(&[1])), vec![0]].concat();
    assert_eq!(grpc(&doors, &[], longer).await.headers["grpc-status"], "3");
    doors.end().await;
}
