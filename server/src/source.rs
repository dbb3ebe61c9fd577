//! Where a command asks: a server, or a table of its own.
//!
//! Both are asked through the HTTP API; for a table the same router runs in this process, so that the answers
//! are the same to the byte.
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use clap::Args;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use query::Engine;
use storage::{Clock, Store, SystemClock};
use tower::ServiceExt;
use web::{Auth, Tail, TailConfig, Web};

use crate::config::{Config, Flags, environment};
use crate::running::{must_exist, open_store};

/// Flags of commands that ask.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceFlags {
    /// Ask this server, e.g. http://127.0.0.1:8080 [env: SPANLAKE_SERVER]
    #[arg(long, global = true, value_name = "URL", conflicts_with_all = ["data", "config"])]
    server: Option<String>,
    /// Token for the server [env: SPANLAKE_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

/// What becomes of old partitions while a command has the table open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// They stay: whoever asks a question does not want to lose the answer.
    Hold,
    /// The rule in force is shown, and applies.
    AsConfigured,
}

/// An open source.
pub(crate) enum Source {
    /// A server.
    Server(Remote),
    /// A table in this process.
    Table(Local),
}

impl Source {
    /// Connects to nothing yet where it is a server; opens the table otherwise.
    ///
    /// # Errors
    /// The settings are wrong, there is no table, or a server holds it.
    pub(crate) async fn open(flags: &SourceFlags, expiry: Expiry) -> anyhow::Result<Self> {
        let environment = environment();
        let named = flags.server.clone();
        let server = named.or_else(|| {
            let local = flags.flags.data.is_some() || flags.flags.config.is_some();
            environment.get("SPANLAKE_SERVER").filter(|_| !local).cloned()
        });
        if let Some(server) = server {
            let token = flags.token.clone().or_else(|| environment.get("SPANLAKE_TOKEN").cloned());
            return Ok(Self::Server(Remote::new(&server, token)));
        }
        let mut config = Config::load(&flags.flags, &environment).context(super::command::Usage)?;
        crate::telemetry::start("warn", false)?;
        if expiry == Expiry::Hold {
            config.storage.hold = true;
        }
        Ok(Self::Table(Local::open(config).await?))
    }

    /// Asks for `path` (with its query string) and writes the answer to `out` as it comes.
    ///
    /// # Errors
    /// The source refused, in its words; or writing failed.
    pub(crate) async fn copy(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        match self {
            Self::Server(server) => {
                tokio::task::block_in_place(|| server.copy(method, path, body, out))
            }
            Self::Table(table) => table.copy(method, path, body, out).await,
        }
    }

    /// As [`Source::copy`], for an answer that is one JSON document.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<serde_json::Value> {
        let mut text = Vec::new();
        self.copy(method, path, body, &mut text).await?;
        serde_json::from_slice(&text).context("the answer is not JSON")
    }

    /// Gives up the table.
    ///
    /// # Errors
    /// The last flush failed.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Table(table) => table.store.close().await.context("close the table"),
        }
    }
}

/// The words of a refusal: `{"error":{"message"}}`.
pub(crate) fn refusal(status: http::StatusCode, body: &[u8]) -> anyhow::Error {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = parsed.as_ref().and_then(|json| json["error"]["message"].as_str());
    match message {
        Some(message) => anyhow::anyhow!("{message}"),
        None => anyhow::anyhow!("{status}: {}", String::from_utf8_lossy(body).trim()),
    }
}

/// A server, by its HTTP API.
pub(crate) struct Remote {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

impl Remote {
    fn new(base: &str, token: Option<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .build()
            .new_agent();
        Self { agent, base: base.trim_end_matches('/').to_owned(), token }
    }

    fn copy(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, content_type(&body));
                self.agent.run(request.body(body)?)
            }
            None => self.agent.run(request.body(())?),
        };
        let mut answer = answer.with_context(|| format!("ask {}", self.base))?;
        let status = answer.status();
        let mut reader = answer.body_mut().as_reader();
        if !status.is_success() {
            let mut text = Vec::new();
            reader.by_ref().take(64 << 10).read_to_end(&mut text)?;
            return Err(refusal(status, &text));
        }
        std::io::copy(&mut reader, out).context("the answer broke off")?;
        Ok(())
    }
}

fn content_type(body: &str) -> &'static str {
    if body.starts_with('{') { "application/json" } else { "text/plain" }
}

/// A table, with the router of the HTTP API over it.
pub(crate) struct Local {
    store: Store,
    router: Router,
    token: String,
    _tokens: TemporaryFile,
}

/// A file that goes when its owner does.
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Local {
    async fn open(mut config: Config) -> anyhow::Result<Self> {
        must_exist(&config)?;
        // Limits protect a server from its users; whoever reads the folder is its owner.
        config.query.rows_max = usize::MAX;
        config.query.time_max = Duration::from_secs(24 * 3_600);
        let store = open_store(&config).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = Engine::new(store.clone(), config.query.clone())?;
        let tokens = TemporaryFile(temporary_path());
        // Whoever may read the folder may do everything: a token that nobody else ever sees.
        let auth = Auth::open(tokens.0.clone(), false, Arc::clone(&clock))?;
        let token = auth.first_token()?.context("a new file has no token")?.expose().to_owned();
        let router = web::router(Web {
            engine,
            store: store.clone(),
            tail: Tail::new(store.clone(), TailConfig::default(), &*clock),
            auth,
            clock,
            version: env!("CARGO_PKG_VERSION"),
            hosts: Vec::new(),
            figures: Arc::new(Vec::new),
        });
        Ok(Self { store, router, token, _tokens: tokens })
    }

    async fn copy(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        let kind = body.as_deref().map_or("text/plain", content_type);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, kind)
            .body(body.map_or_else(Body::empty, Body::from))?;
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        let mut body = answer.into_body();
        if !status.is_success() {
            return Err(refusal(status, &body.collect().await?.to_bytes()));
        }
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    }
}

fn temporary_path() -> PathBuf {
    let number: u64 = rand::random();
    std::env::temp_dir().join(format!("spanlake-{number:016x}.json"))
}
