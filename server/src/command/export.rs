//! `spanlake export`: a view as a file for other tools.
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use http::Method;

use super::block_on;
use super::query::ask;
use crate::source::{Expiry, Source, SourceFlags};

/// Write a view: who calls whom, traces, latency, network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake export dependencies --format mermaid
  spanlake export dependencies --format dot --from -1h | dot -Tsvg > services.svg
  spanlake export latency --format csv --from 2026-11-01 --to 2026-11-02
  spanlake export traces --format ndjson --limit 1000 --server http://127.0.0.1:8080")]
pub(crate) struct Export {
    /// What to write
    #[arg(value_enum)]
    view: View,
    /// json, ndjson, csv, table, arrow, parquet; dependencies also as dot, mermaid, graphml, jaeger
    #[arg(long, default_value = "json")]
    format: String,
    /// Start of the range, e.g. -1h, 2026-11-21, 2026-11-21T10:00:00Z [default: everything]
    #[arg(long, allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the range, likewise
    #[arg(long, allow_hyphen_values = true)]
    to: Option<String>,
    /// Rows at most
    #[arg(long)]
    limit: Option<u64>,
    #[command(flatten)]
    source: SourceFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum View {
    Dependencies,
    Traces,
    Latency,
    Operations,
    Network,
    NetworkOperations,
    NetworkCaused,
}

impl View {
    fn path(self) -> &'static str {
        match self {
            Self::Dependencies => "dependencies",
            Self::Traces => "traces",
            Self::Latency => "latency",
            Self::Operations => "operations",
            Self::Network => "network",
            Self::NetworkOperations => "network/operations",
            Self::NetworkCaused => "network/caused",
        }
    }
}

impl Export {
    fn path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("format", &self.format);
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        format!("/api/v1/{}?{}", self.view.path(), query.finish())
    }

    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let ends_open = matches!(self.format.as_str(), "json" | "jaeger");
        block_on(async {
            let source = Source::open(&self.source, Expiry::Hold).await?;
            let asked = ask(&source, Method::GET, &self.path(), None, ends_open).await;
            source.close().await?;
            asked
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
