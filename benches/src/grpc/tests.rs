//! Against the HTTP/2 of hyper, which the server uses.
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;
use crate::corpus::Corpus;
use crate::send::{Protocol, send};

type Seen = Arc<Mutex<Vec<Vec<u8>>>>;

/// Answers every third call 14 (unavailable), and keeps the bodies of the others.
async fn answer(
    request: Request<Incoming>,
    calls: Arc<AtomicUsize>,
    seen: Seen,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, Infallible> {
    assert_eq!(request.method(), "POST");
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(request.uri().path(), path);
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let mut response = Response::new(Full::new(Bytes::new()).boxed());
    response.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
    if calls.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
        response.headers_mut().insert("grpc-status", "14".parse().expect("a value"));
        return Ok(response);
    }
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    seen.lock().expect("no panic").push(body.to_vec());
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
    *response.body_mut() = body.boxed();
    Ok(response)
}

fn serve(seen: &Seen) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    listener.set_nonblocking(true).expect("a socket");
    let (calls, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(seen));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (calls, seen) = (Arc::clone(&calls), Arc::clone(&seen));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&calls), Arc::clone(&seen))
                });
                let connection = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
    });
    port
}

#[test]
fn every_request_arrives_once_whatever_was_refused() {
    let corpus = Corpus::generate(7, 3_000, 2_000_000_000_000_000_000);
    let largest = corpus.requests.iter().map(|request| request.body.len()).max();
    assert!(largest > Some(65_535), "larger than a window");
    for calls in [1, 4] {
        let seen = Seen::default();
        let plan = Plan {
            requests: &corpus.requests,
            rounds: 0..2,
            shift_nano: (0, 0),
            connections: 2,
            protocol: Protocol::Grpc { calls },
            rate: None,
        };
        let sent = send(serve(&seen), &plan).expect("sent");
        assert_eq!(sent.spans, corpus.spans() * 2);
        assert!(sent.again > 0);
        let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
        let framed = |message: &[u8]| {
            let length = u32::try_from(message.len()).expect("short").to_be_bytes();
            [&[0], &length[..], message].concat()
        };
        let rounds = [0, 1].map(|number| crate::rounds::Round { number, shift_nano: 0 });
        let bodies = |round| corpus.requests.iter().map(move |request| request.of_round(round));
        let mut expected: Vec<Vec<u8>> =
            rounds.iter().flat_map(|round| bodies(*round)).map(|body| framed(&body)).collect();
        seen.sort();
        expected.sort();
        assert!(seen == expected, "{} of {} bodies", seen.len(), expected.len());
    }
}
