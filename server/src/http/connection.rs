//! One connection from accept to close.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt;

use super::Stop;
use super::activity::{Activity, Watched};
use super::body::{Busy, Impatient};
use crate::config::HttpLimits;

/// Serves `stream` until the peer closes, a time limit passes, or `stop` says so.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Arc<HttpLimits>,
    stop: watch::Receiver<Stop>,
) {
    let _ = stream.set_nodelay(true);
    let http2 = match tokio::time::timeout(limits.header_time_max, speaks_http2(&stream)).await {
        Ok(Ok(http2)) => http2,
        // Said nothing, or went away before it said anything.
        Ok(Err(_)) | Err(_) => return,
    };
    let activity = Activity::new(http2);
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
    let service = {
        let (activity, limits) = (Arc::clone(&activity), Arc::clone(&limits));
        service_fn(move |request| {
            answer(request, router.clone(), peer, Arc::clone(&activity), Arc::clone(&limits))
        })
    };
    if http2 {
        let builder = http2_builder(&limits);
        let connection = std::pin::pin!(builder.serve_connection(io, service));
        attend(connection, |c| c.graceful_shutdown(), &activity, &limits, stop).await;
    } else {
        let builder = http1_builder(&limits);
        let connection = std::pin::pin!(builder.serve_connection(io, service));
        attend(connection, |c| c.graceful_shutdown(), &activity, &limits, stop).await;
    }
}

/// What a connection reads ahead: hyper would take 400 KiB, and many connections that wait for their turn would hold as much
/// each, uncounted. Bodies are read in steps of this; larger ones gain nothing.
const READ_AHEAD_BYTES: usize = 64 << 10;

fn http1_builder(limits: &HttpLimits) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Header and idle times are `Activity`'s: hyper's one timer would close idle connections as early as slow ones.
        .header_read_timeout(None)
        .max_buf_size(READ_AHEAD_BYTES.max(limits.header_bytes_max))
        .max_header_size(limits.header_bytes_max);
    builder
}

fn http2_builder(limits: &HttpLimits) -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::try_from(limits.streams_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_frame_size(16 << 10)
        // A batch of spans is a megabyte or so: the default windows of 64 KiB would cost a round trip each.
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Polls the connection; asks it to finish when it has waited too long or the server stops, and leaves it after a while.
async fn attend<C, E>(
    mut connection: Pin<&mut C>,
    finish: impl Fn(Pin<&mut C>),
    activity: &Activity,
    limits: &HttpLimits,
    mut stop: watch::Receiver<Stop>,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Debug,
{
    let leave = tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                tracing::debug!(?error, "connection ended");
            }
            return;
        }
        leave = activity.expired(limits) => leave,
        _ = stop.wait_for(|stop| *stop >= Stop::Drain) => limits.drain_time_max,
    };
    finish(connection.as_mut());
    tokio::select! {
        _ = &mut connection => {}
        () = tokio::time::sleep(leave) => {}
        _ = stop.wait_for(|stop| *stop >= Stop::Now) => {}
    }
}

/// Looks at the first bytes without taking them: HTTP/2 clients begin with `PRI * HTTP/2.0`.
async fn speaks_http2(stream: &TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI";
    let mut start = [0; PREFACE.len()];
    loop {
        let read = stream.peek(&mut start).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if start[..read] != PREFACE[..read] {
            return Ok(false);
        }
        if read == PREFACE.len() {
            return Ok(true);
        }
        // Peek does not wait for more than it has already seen.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    router: Router,
    peer: SocketAddr,
    activity: Arc<Activity>,
    limits: Arc<HttpLimits>,
) -> Result<Response<Busy<Body>>, Infallible> {
    let in_flight = activity.begin();
    let grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let mut request = request.map(|body| Body::new(Impatient::new(body, limits.body_idle_max)));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response =
        match tokio::time::timeout(limits.request_time_max, router.oneshot(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => out_of_time(grpc),
        };
    if let Some(leave) = response.extensions().get::<web::Leave>() {
        activity.streams(leave.clone());
    }
    Ok(response.map(|body| Busy::new(body, in_flight)))
}

/// What OTLP clients retry: 503, and in gRPC UNAVAILABLE (14).
fn out_of_time(grpc: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    if grpc {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        headers.insert("grpc-message", HeaderValue::from_static("the request took too long"));
        return response;
    }
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
