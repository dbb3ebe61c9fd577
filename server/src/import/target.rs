//! Where pieces go: a table in this process, or a server's doors.
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
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

/// How often a busy target is asked again, about once in one to five seconds.
const TRIES: u32 = 60;

impl Target {
    pub(super) fn table(store: Store, limits: ingest::Config) -> Self {
        Self::Table(Ingest::new(store, limits, Arc::new(SystemClock)))
    }

    pub(super) fn server(base: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)));
        let agent = config.build().new_agent();
        Self::Server { agent, base: base.trim_end_matches('/').to_owned(), token }
    }

    /// Stores a piece; waits and tries again where the target is busy.
    ///
    /// # Errors
    /// The target refused the piece as a whole, or stayed busy for minutes.
    pub(super) async fn store(&self, piece: Piece) -> anyhow::Result<Stored> {
        match self {
            Self::Table(ingest) => store(ingest, piece).await,
            Self::Server { agent, base, token } => {
                let (agent, base, token) = (agent.clone(), base.clone(), token.clone());
                let send = move || send(&agent, &base, token.as_deref(), &piece);
                tokio::task::spawn_blocking(send).await.context("send a piece")?
            }
        }
    }
}

async fn store(ingest: &Ingest, piece: Piece) -> anyhow::Result<Stored> {
    let mut tried = 0;
    loop {
        match ingest.accept(piece.format, piece.body.clone(), Some(TimeRange::ALL)).await {
            Ok(outcome) => {
                return Ok(Stored {
                    spans: outcome.accepted_spans,
                    refused: outcome.rejected_spans,
                    message: outcome.message,
                });
            }
            Err(error) if error.kind() == Kind::Busy && tried < TRIES => {
                tried += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error).context("store spans"),
        }
    }
}

fn send(
    agent: &ureq::Agent,
    base: &str,
    token: Option<&str>,
    piece: &Piece,
) -> anyhow::Result<Stored> {
    let (path, content_type) = match piece.format {
        Format::OtlpProtobuf => ("/v1/traces", "application/x-protobuf"),
        Format::OtlpJson => ("/v1/traces", "application/json"),
        Format::ZipkinJson => ("/api/v2/spans", "application/json"),
    };
    let mut tried = 0;
    loop {
        let mut request =
            agent.post(format!("{base}{path}")).header(header::CONTENT_TYPE, content_type);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut answer =
            request.send(&piece.body[..]).with_context(|| format!("send to {base}"))?;
        let status = answer.status();
        let body = answer.body_mut().read_to_vec()?;
        if status.is_success() {
            return Ok(of_answer(piece, &body));
        }
        let busy = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        if !busy || tried >= TRIES {
            let zipkin =
                piece.format == Format::ZipkinJson && status == http::StatusCode::NOT_FOUND;
            let hint = if zipkin { "; Zipkin files go to the Zipkin door, port 9411" } else { "" };
            bail!("{base} answered {status}: {}{hint}", String::from_utf8_lossy(&body).trim());
        }
        tried += 1;
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// OTLP's answer says how many spans were refused, not how many there were: those are counted here.
fn of_answer(piece: &Piece, answer: &[u8]) -> Stored {
    let (refused, message) = match piece.format {
        Format::OtlpProtobuf => {
            let partial = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
            let partial = partial.partial_success.unwrap_or_default();
            (u64::try_from(partial.rejected_spans).unwrap_or(0), partial.error_message)
        }
        Format::OtlpJson | Format::ZipkinJson => {
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
    };
    spans as u64
}
