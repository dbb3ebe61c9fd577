//! Where pieces go: a table in this process, or a server's doors.
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::header;
use ingest::file::Piece;
use ingest::{Format, Ingest};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use storage::{Kind, Store, SystemClock, TimeRange};

/// What became of a piece.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub spans: u64,
    pub refused: u64,
    pub message: String,
}

/// Takes pieces.
pub(super) enum Target {
    Table(Ingest),
    Server { agent: ureq::Agent, base: String, token: Option<String> },
}

/// A server that says nothing for longer is not reached.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// Why a piece was not stored.
#[derive(Debug)]
pub(super) enum Failure {
    /// The target has too much to do; it will take the piece later.
    Busy(anyhow::Error),
    /// The target will never take this piece.
    Refused(anyhow::Error),
    /// The target cannot be reached, or does not take anything.
    Unavailable(anyhow::Error),
}

/// How often a busy target is asked again, once a second.
const TRIES: u32 = 120;

impl Target {
    pub(super) fn table(store: Store, limits: ingest::Config) -> Self {
        Self::Table(Ingest::new(store, limits, Arc::new(SystemClock)))
    }

    pub(super) fn server(base: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(ANSWER_WITHIN));
        let agent = config.build().new_agent();
        Self::Server { agent, base: base.trim_end_matches('/').to_owned(), token }
    }

    /// Stores a piece; waits and tries again where the target is busy.
    ///
    /// # Errors
    /// The target refused the piece as a whole, cannot be reached, or stayed busy for minutes.
    pub(super) async fn store(&self, piece: Piece) -> anyhow::Result<Stored> {
        let mut tried = 0;
        loop {
            match self.attempt(piece.clone()).await {
                Ok(stored) => return Ok(stored),
                Err(Failure::Busy(_)) if tried < TRIES => {
                    tried += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(
                    Failure::Busy(error) | Failure::Refused(error) | Failure::Unavailable(error),
                ) => return Err(error),
            }
        }
    }

    /// Stores a piece, or says what can be done.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) async fn attempt(&self, piece: Piece) -> Result<Stored, Failure> {
        match self {
            Self::Table(ingest) => store(ingest, piece).await,
            Self::Server { agent, base, token } => {
                let (agent, base, token) = (agent.clone(), base.clone(), token.clone());
                let send = move || send(&agent, &base, token.as_deref(), &piece);
                let sent = tokio::task::spawn_blocking(send).await.context("send a piece");
                sent.map_err(Failure::Unavailable)?
            }
        }
    }
}

async fn store(ingest: &Ingest, piece: Piece) -> Result<Stored, Failure> {
    match ingest.accept(piece.format, piece.body, Some(TimeRange::ALL)).await {
        Ok(outcome) => Ok(Stored {
            spans: outcome.accepted_spans,
            refused: outcome.rejected_spans,
            message: outcome.message,
        }),
        Err(error) => {
            let kind = error.kind();
            let error = anyhow::Error::from(error).context("store spans");
            Err(match kind {
                Kind::Busy => Failure::Busy(error),
                Kind::Invalid | Kind::TooLarge => Failure::Refused(error),
                _ => Failure::Unavailable(error),
            })
        }
    }
}

fn send(
    agent: &ureq::Agent,
    base: &str,
    token: Option<&str>,
    piece: &Piece,
) -> Result<Stored, Failure> {
    let (path, content_type) = match piece.format {
        Format::OtlpProtobuf => ("/v1/traces", "application/x-protobuf"),
        Format::OtlpJson => ("/v1/traces", "application/json"),
        Format::ZipkinJson => ("/api/v2/spans", "application/json"),
        Format::ZipkinProtobuf => ("/api/v2/spans", "application/x-protobuf"),
    };
    let mut request =
        agent.post(format!("{base}{path}")).header(header::CONTENT_TYPE, content_type);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let answer = request.send(&piece.body[..]).with_context(|| format!("send to {base}"));
    let mut answer = answer.map_err(Failure::Unavailable)?;
    let status = answer.status();
    let body = answer.body_mut().read_to_vec().context("the answer broke off");
    let body = body.map_err(Failure::Unavailable)?;
    if status.is_success() {
        return Ok(of_answer(piece, &body));
    }
    let zipkin = piece.format == Format::ZipkinJson && status == http::StatusCode::NOT_FOUND;
    let hint = if zipkin { "; Zipkin files go to the Zipkin door, port 9411" } else { "" };
    let words = String::from_utf8_lossy(&body);
    let error = anyhow::anyhow!("{base} answered {status}: {}{hint}", words.trim());
    Err(match status.as_u16() {
        429 | 502 | 503 | 504 => Failure::Busy(error),
        400 | 413 => Failure::Refused(error),
        _ => Failure::Unavailable(error),
    })
}

/// OTLP's answer says how many spans were refused, not how many there were: those are counted here.
fn of_answer(piece: &Piece, answer: &[u8]) -> Stored {
    let (refused, message) = match piece.format {
        Format::OtlpProtobuf => {
            let partial = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
            let partial = partial.partial_success.unwrap_or_default();
            (u64::try_from(partial.rejected_spans).unwrap_or(0), partial.error_message)
        }
        Format::OtlpJson | Format::ZipkinJson | Format::ZipkinProtobuf => {
            let json: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
            let partial = &json["partialSuccess"];
            let refused = &partial["rejectedSpans"];
            let refused = refused.as_u64().or_else(|| refused.as_str()?.parse().ok());
            let message = partial["errorMessage"].as_str().unwrap_or_default();
            (refused.unwrap_or(0), message.to_owned())
        }
    };
    Stored { spans: count(piece).saturating_sub(refused), refused, message }
}

/// `zipkin.proto3.ListOfSpans`, its spans unread.
#[derive(Clone, PartialEq, prost::Message)]
struct ListOfSpans {
    #[prost(bytes = "vec", repeated, tag = "1")]
    spans: Vec<Vec<u8>>,
}

fn count(piece: &Piece) -> u64 {
    let spans = match piece.format {
        Format::OtlpProtobuf => {
            let request = ExportTraceServiceRequest::decode(&piece.body[..]).unwrap_or_default();
            let scopes = request.resource_spans.iter().flat_map(|spans| &spans.scope_spans);
            scopes.map(|scope| scope.spans.len()).sum()
        }
        Format::OtlpJson => {
            let json: serde_json::Value = serde_json::from_slice(&piece.body).unwrap_or_default();
            let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
            let scopes =
                list(&json["resourceSpans"]).into_iter().flat_map(|r| list(&r["scopeSpans"]));
            scopes.map(|scope| scope["spans"].as_array().map_or(0, Vec::len)).sum()
        }
        Format::ZipkinJson => {
            serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(&piece.body)
                .map_or(0, |spans| spans.len())
        }
        Format::ZipkinProtobuf => {
            ListOfSpans::decode(&piece.body[..]).map_or(0, |list| list.spans.len())
        }
    };
    spans as u64
}
