//! `spanlake pin`: traces that no drop removes.
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{Format, block_on, columns, say};
use crate::source::{Expiry, Source, SourceFlags};

/// Pin a trace, unpin it, or list what is pinned.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake pin 0af7651916cd43dd8448eb211c80319c --note \"the outage of Friday\"
  spanlake pin
  spanlake pin 0af7651916cd43dd8448eb211c80319c --remove")]
pub(crate) struct Pin {
    /// The trace; without it, all pins are listed
    trace: Option<String>,
    /// Why
    #[arg(long, requires = "trace", conflicts_with = "remove")]
    note: Option<String>,
    /// Unpin it
    #[arg(long, requires = "trace")]
    remove: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    source: SourceFlags,
}

impl Pin {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        block_on(async {
            let source = Source::open(&self.source, Expiry::Hold).await?;
            let done = self.ask(&source).await;
            source.close().await?;
            let answer = done?;
            match self.format {
                Format::Json => say(&format!("{answer}\n")),
                Format::Text => say(&self.in_words(&answer)),
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(&self, source: &Source) -> anyhow::Result<Value> {
        match &self.trace {
            None => source.json(Method::GET, "/api/v1/pins", None).await,
            Some(trace) if self.remove => {
                source.json(Method::DELETE, &format!("/api/v1/pins/{trace}"), None).await
            }
            Some(trace) => {
                let note = self.note.as_deref().unwrap_or_default();
                let body = json!({ "trace_id": trace, "note": note }).to_string();
                source.json(Method::POST, "/api/v1/pins", Some(body)).await
            }
        }
    }

    fn in_words(&self, answer: &Value) -> String {
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let Some(rows) = answer.as_array() else {
            let verb = if self.remove { "unpinned" } else { "pinned" };
            return format!("{verb} {}\n", text(answer, "trace_id"));
        };
        if rows.is_empty() {
            return "nothing is pinned\n".into();
        }
        let cells = |row| vec![text(row, "trace_id"), text(row, "at"), text(row, "note")];
        columns(&["trace", "pinned", "note"], &rows.iter().map(cells).collect::<Vec<_>>())
    }
}
