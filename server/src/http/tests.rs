use std::time::Instant;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn limits() -> HttpLimits {
    HttpLimits {
        header_time_max: Duration::from_millis(300),
        body_idle_max: Duration::from_millis(300),
        request_time_max: Duration::from_millis(900),
        keep_alive: Duration::from_millis(1_500),
        drain_time_max: Duration::from_millis(2_000),
        ..HttpLimits::default()
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "here"))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(30)).await))
        .route(
            "/soon",
            get(async || {
                tokio::time::sleep(Duration::from_millis(500)).await;
                "done"
            }),
        )
        .route("/length", post(async |body: String| body.len().to_string()))
}

async fn open(limits: HttpLimits) -> (Listeners, SocketAddr) {
    let listeners = Listeners::new(limits);
    let runtime = tokio::runtime::Handle::current();
    let at = listeners
        .open("127.0.0.1:0".parse().unwrap(), Speaks::Http(router()), &runtime)
        .await
        .unwrap();
    (listeners, at)
}

/// Sends `request` and reads until the server closes.
async fn exchange(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_is_answered_and_an_unfinished_header_is_not_waited_for() {
    let (listeners, at) = open(limits()).await;
    let answer = exchange(at, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
    for unfinished in ["", "P", "GET / HTTP/1.1\r\nhost:"] {
        let begin = Instant::now();
        exchange(at, unfinished).await;
        assert!(begin.elapsed() < Duration::from_secs(10), "{unfinished:?}");
    }
    listeners.close().await;
}

#[tokio::test]
async fn slow_handlers_and_stalled_bodies_end() {
    let (listeners, at) = open(limits()).await;
    let answer = exchange(at, "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    let stalled =
        "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\nabc";
    let answer = exchange(at, stalled).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    listeners.close().await;
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let (listeners, at) = open(limits()).await;
    let long = "a".repeat(20 << 10);
    let answer = exchange(at, &format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    listeners.close().await;
}

#[tokio::test]
async fn an_address_cannot_take_all_connections() {
    let (listeners, at) = open(HttpLimits { connections_per_address_max: 1, ..limits() }).await;
    let mut first = TcpStream::connect(at).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 8];
    first.read_exact(&mut some).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(at, request).await, "");
    drop(first);
    listeners.close().await;
}

#[tokio::test]
async fn closing_lets_a_request_in_flight_finish() {
    let (listeners, at) = open(limits()).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 8];
    stream.read_exact(&mut some).await.unwrap();
    stream.write_all(b"GET /soon HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The request is certainly read: its answer takes longer than this exchange on another connection.
    exchange(at, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    listeners.close().await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8(answer).unwrap().ends_with("done"));
    assert!(TcpStream::connect(at).await.is_err());
}
