//! Sends spans to the server's own doors, over real connections.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::encode;
use super::model::{Door, SERVICES};
use super::span::Span;
use crate::running::Addresses;

/// Spans in one request.
const BATCH_MAX: usize = 2_000;

/// Connections to the doors, made when first needed and again when lost.
pub(super) struct Sender {
    at: Addresses,
    grpc: Option<http2::SendRequest<Full<Bytes>>>,
    http: BTreeMap<Door, http1::SendRequest<Full<Bytes>>>,
}

impl Sender {
    pub(super) fn new(at: Addresses) -> Self {
        Self { at, grpc: None, http: BTreeMap::new() }
    }

    /// Sends each span by its service's door. Returns how many were sent.
    ///
    /// # Errors
    /// A door refused, again and again; the spans from there on are not sent.
    pub(super) async fn send(&mut self, spans: Vec<Span>) -> anyhow::Result<usize> {
        let mut by_door: BTreeMap<Door, Vec<Span>> = BTreeMap::new();
        let total = spans.len();
        for span in spans {
            if let Some(door) = self.open_door(SERVICES[span.service].door) {
                by_door.entry(door).or_default().push(span);
            }
        }
        for (door, spans) in by_door {
            let bodies = tokio::task::spawn_blocking(move || {
                let encode = match door {
                    Door::Grpc | Door::Http => encode::protobuf,
                    Door::Json => encode::json,
                    Door::Zipkin => encode::zipkin,
                };
                let bodies = spans.chunks(BATCH_MAX).map(|batch| Bytes::from(encode(batch)));
                bodies.collect::<Vec<_>>()
            });
            for body in bodies.await.context("encode spans")? {
                self.deliver(door, &body).await?;
            }
        }
        Ok(total)
    }

    /// `wanted`, or another that takes the same spans where it is closed.
    fn open_door(&self, wanted: Door) -> Option<Door> {
        [wanted, Door::Http, Door::Grpc, Door::Zipkin]
            .into_iter()
            .find(|door| self.address(*door).is_some())
    }

    fn address(&self, door: Door) -> Option<SocketAddr> {
        match door {
            Door::Grpc => self.at.grpc,
            Door::Http | Door::Json => self.at.http,
            Door::Zipkin => self.at.zipkin,
        }
    }

    /// Tries for a while: the server says 429 or 503 when it has too much to do.
    async fn deliver(&mut self, door: Door, body: &Bytes) -> anyhow::Result<()> {
        const TRIES: u32 = 6;
        let mut tried = 0;
        loop {
            let done = match door {
                Door::Grpc => self.post_grpc(body.clone()).await,
                _ => self.post(door, body.clone()).await,
            };
            tried += 1;
            match done {
                Ok(()) => return Ok(()),
                Err(error) if tried >= TRIES => return Err(error.context("send to our own door")),
                Err(error) => {
                    tracing::debug!(?door, error = format!("{error:#}"), "sent again");
                    self.grpc = None;
                    self.http.remove(&door);
                    tokio::time::sleep(Duration::from_millis(100 << tried)).await;
                }
            }
        }
    }

    async fn post(&mut self, door: Door, body: Bytes) -> anyhow::Result<()> {
        let at = self.address(door).context("closed")?;
        let sender = match self.http.entry(door) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let stream = TokioIo::new(TcpStream::connect(at).await?);
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                entry.insert(sender)
            }
        };
        let (path, content_type) = match door {
            Door::Zipkin => ("/api/v2/spans", "application/json"),
            Door::Json => ("/v1/traces", "application/json"),
            _ => ("/v1/traces", "application/x-protobuf"),
        };
        let request = Request::post(path)
            .header(header::HOST, at.to_string())
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body))?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        finish(response).await
    }

    async fn post_grpc(&mut self, message: Bytes) -> anyhow::Result<()> {
        let at = self.address(Door::Grpc).context("closed")?;
        if self.grpc.is_none() {
            let stream = TokioIo::new(TcpStream::connect(at).await?);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            self.grpc = Some(sender);
        }
        let mut body = BytesMut::with_capacity(message.len() + 5);
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len())?);
        body.put(message);
        let path = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let request = Request::post(format!("http://{at}/{path}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(body.freeze()))?;
        let sender = self.grpc.as_mut().context("connected above")?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        finish(response).await
    }
}

/// Reads the answer to its end: HTTP status, and in gRPC the status in header or trailer.
async fn finish(response: Response<Incoming>) -> anyhow::Result<()> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let status = head
        .headers
        .get("grpc-status")
        .or_else(|| body.trailers().and_then(|trailers| trailers.get("grpc-status")))
        .cloned();
    if let Some(status) = status.filter(|status| status != "0") {
        bail!("gRPC status {}", status.to_str().unwrap_or("unreadable"));
    }
    if head.status != StatusCode::OK && head.status != StatusCode::ACCEPTED {
        let text = body.to_bytes();
        bail!("{}: {}", head.status, String::from_utf8_lossy(&text));
    }
    Ok(())
}
