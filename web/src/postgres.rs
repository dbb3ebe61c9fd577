//! PostgreSQL's wire protocol, version 3: the door for `psql`, drivers and BI tools. It only reads.
//!
//! ```text
//! socket -> input (messages, bounded) -> startup (who) -> session (simple, extended) -> query::Engine
//!        <- output (messages)         <- cells (Arrow -> text or binary)             <- Answer
//! ```
//! The protocol: <https://www.postgresql.org/docs/16/protocol.html>. Spoken by hand, because a message must be bounded
//! before it is kept, and because the socket is watched while a query runs: a client that leaves takes its query with
//! it (docs/decisions/0013-sql-doors-by-hand.md). Statements run in the engine with the limits of every other door.
mod cancel;
mod cells;
mod command;
mod input;
mod output;
mod parameter;
mod refusal;
mod scram;
mod session;
mod startup;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use query::Engine;
use storage::metrics::{Counter, Metric, Shape};
use tokio::io::{AsyncRead, AsyncWrite};

use self::cancel::Sessions;
use self::session::Session;
use crate::Auth;

/// Limits of the door; those of queries are the engine's.
#[derive(Debug, Clone)]
pub struct Config {
    /// From the connection to the end of the login. Default 10 s.
    pub startup_time_max: Duration,
    /// Silence between two messages. Default 1 h.
    pub idle_max: Duration,
    /// A client that takes no byte for this long is cut off. Default 60 s.
    pub stalled_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            startup_time_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(3_600),
            stalled_max: Duration::from_secs(60),
        }
    }
}

/// The door; cheap to clone.
#[derive(Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    auth: Auth,
    config: Config,
    version: &'static str,
    sessions: Sessions,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    statements: Counter,
    refused: Counter,
    cancelled: Counter,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Postgres {
    /// The door to `engine`; `auth` says who may enter, `version` is the server's.
    pub fn new(engine: Engine, auth: Auth, config: Config, version: &'static str) -> Self {
        let (sessions, counts) = (Sessions::default(), Counts::default());
        let engine = engine.for_postgres();
        let shared = Shared { engine, auth, config, version, sessions, counts };
        Self { shared: Arc::new(shared) }
    }

    /// Serves one connection from `peer` until it ends. When `ending` is ready, a session that runs nothing leaves.
    pub async fn serve<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        ending: impl Future<Output = ()> + Send,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (reader, writer) = tokio::io::split(stream);
        let input = input::Input::new(reader);
        let output = output::Output::new(writer, self.shared.config.stalled_max);
        let begin = startup::begin(&self.shared, input, output, peer.ip());
        let begun = tokio::time::timeout(self.shared.config.startup_time_max, begin).await;
        let ended = match begun {
            Ok(Ok(Some(client))) => Session::new(&self.shared, client).run(ending).await,
            Ok(Ok(None)) => Ok(()),
            Ok(Err(gone)) => Err(gone),
            Err(_) => return tracing::debug!(%peer, "PostgreSQL client did not log in in time"),
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "PostgreSQL connection ended");
        }
    }

    /// Figures for `/metrics`.
    pub fn metrics(&self) -> Vec<Metric> {
        let Counts { statements, refused, cancelled } = &self.shared.counts;
        #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
        let sessions = Metric {
            name: "spanlake_postgres_sessions",
            help: "Sessions of PostgreSQL clients.",
            shape: Shape::Gauge,
            labels: Vec::new(),
            value: self.shared.sessions.count() as f64,
        };
        vec![
            sessions,
            statements.metric("spanlake_postgres_statements_total", "Statements run."),
            refused.metric("spanlake_postgres_errors_total", "Errors sent to clients."),
            cancelled
                .metric("spanlake_postgres_cancelled_total", "Statements cancelled by clients."),
        ]
    }
}
