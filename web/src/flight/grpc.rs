//! gRPC over HTTP/2: frames, statuses, trailers. <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost::Message;
use storage::Kind;

use crate::Error;

/// All messages of one request: a statement with its values.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Compression flag and length.
const PREFIX_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Why a call failed; numbers as gRPC has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    code: u8,
    message: String,
}

impl Status {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    pub(super) fn unimplemented(message: impl Into<String>) -> Self {
        Self { code: 12, message: message.into() }
    }

    /// A response that is nothing but this status.
    pub(super) fn response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
        self.write(response.headers_mut());
        response
    }

    fn write(&self, headers: &mut HeaderMap) {
        headers.insert("grpc-status", HeaderValue::from(u16::from(self.code)));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.message)) {
            headers.insert("grpc-message", message);
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.log("flight");
        let code = match &error {
            Error::Query(error) => of_kind(error.kind),
            Error::Storage(error) => of_kind(error.kind()),
            Error::Unauthenticated(_) => 16,
            Error::Forbidden(_) => 7,
            Error::TooManyAttempts { .. } | Error::Crowded(_) | Error::TooLarge { .. } => 8,
            Error::NotFound(_) => 5,
            Error::Ending | Error::Tokens { .. } => 14,
            Error::Internal(_) => 13,
            Error::Invalid(_) | Error::Method(_) | Error::Misdirected(_) => 3,
        };
        Self { code, message: error.message() }
    }
}

impl From<query::Error> for Status {
    fn from(error: query::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<arrow::error::ArrowError> for Status {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::Internal(format!("encoding failed: {error}")).into()
    }
}

fn of_kind(kind: Kind) -> u8 {
    match kind {
        Kind::Invalid => 3,
        Kind::TimedOut => 4,
        Kind::NotFound => 5,
        Kind::TooLarge | Kind::Busy => 8,
        Kind::Internal => 13,
        Kind::Unavailable => 14,
        Kind::Corrupt => 15,
    }
}

/// Refuses what is no gRPC.
#[expect(clippy::result_large_err, reason = "the answer itself, made once")]
pub(super) fn check(headers: &HeaderMap) -> Result<(), Response> {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc") && !kind.starts_with(b"application/grpc-web") {
        return Ok(());
    }
    let mut response = Response::new(Body::from("this door speaks gRPC: Arrow Flight SQL\n"));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(response)
}

/// The one message of a request.
pub(super) async fn message<M: Message + Default>(body: Body) -> Result<M, Status> {
    let mut all = messages(body).await?;
    match (all.pop(), all.len()) {
        (Some(message), 0) => Ok(message),
        (_, others) => Err(Status::invalid(format!("{others} messages too many, or none at all"))),
    }
}

/// All messages of a request.
pub(super) async fn messages<M: Message + Default>(body: Body) -> Result<Vec<M>, Status> {
    let mut body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        Status::invalid(format!("the request broke off, or exceeds {BODY_BYTES_MAX} bytes"))
    })?;
    let mut found = Vec::new();
    while body.has_remaining() {
        if body.len() < PREFIX_BYTES {
            return Err(Status::invalid("a message without its length"));
        }
        let is_compressed = body.get_u8() != 0;
        let length = body.get_u32() as usize;
        if is_compressed {
            return Err(Status::unimplemented("compressed messages are not taken"));
        }
        if length > body.len() {
            return Err(Status::invalid("a message that ends early"));
        }
        let message = M::decode(body.split_to(length));
        found.push(message.map_err(|error| Status::invalid(format!("no such message: {error}")))?);
    }
    Ok(found)
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    // The buffer grows as needed, so that this cannot fail.
    let _ = message.encode(&mut frame);
    frame.freeze()
}

/// A response of one message.
pub(super) fn one(message: &impl Message) -> Response {
    many(std::slice::from_ref(message))
}

/// A response of messages that are all there.
pub(super) fn many(messages: &[impl Message]) -> Response {
    let frames: Vec<_> = messages.iter().map(|message| Ok(framed(message))).collect();
    respond(stream::iter(frames).boxed())
}

/// A response of messages as they come; an error ends it with its status.
pub(super) fn streamed<M: Message + 'static>(
    messages: BoxStream<'static, Result<M, Status>>,
) -> Response {
    respond(messages.map(|message| message.map(|message| framed(&message))).boxed())
}

fn respond(frames: BoxStream<'static, Result<Bytes, Status>>) -> Response {
    /// Frames to come, until the trailers are sent.
    enum Step {
        Frames(BoxStream<'static, Result<Bytes, Status>>),
        Done,
    }
    let body = stream::unfold(Step::Frames(frames), |step| async {
        let Step::Frames(mut frames) = step else { return None };
        let mut trailers = HeaderMap::new();
        match frames.next().await {
            Some(Ok(frame)) => {
                return Some((Ok::<_, Infallible>(Frame::data(frame)), Step::Frames(frames)));
            }
            Some(Err(status)) => status.write(&mut trailers),
            None => drop(trailers.insert("grpc-status", HeaderValue::from_static("0"))),
        }
        Some((Ok(Frame::trailers(trailers)), Step::Done))
    });
    let mut response = Response::new(Body::new(StreamBody::new(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

/// gRPC's form of a message in a header: bytes outside printable ASCII as `%XX`.
fn percent_encoded(words: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(words.len());
    for byte in words.bytes().take(1 << 10) {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    encoded
}
