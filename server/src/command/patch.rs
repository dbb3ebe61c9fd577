//! `spanlake patch`: what people add to spans afterwards.
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::{Format, block_on, columns, say, usage};
use crate::source::{Expiry, Source, SourceFlags};

/// Add a patch, or list them all.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake patch '{\"kind\": \"rename\", \"service\": \"cart\", \"name\": \"cart.Get\", \"to\": \"Get\"}'
  spanlake patch '{\"kind\": \"alias\", \"trace_id\": \"0af7651916cd43dd8448eb211c80319c\", \"alias\": \"order 17\"}'
  spanlake patch '{\"kind\": \"retract\", \"patch\": 4}'
  spanlake patch")]
pub(crate) struct Patch {
    /// The patch as JSON: kind is note, alias, correction, rename or retract; without it, all are listed
    patch: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    source: SourceFlags,
}

impl Patch {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(text) = &self.patch {
            let read: Result<Value, _> = serde_json::from_str(text);
            read.map_err(|error| usage(format!("the patch is no JSON: {error}")))?;
        }
        block_on(async {
            let source = Source::open(&self.source, Expiry::Hold).await?;
            let method = if self.patch.is_some() { Method::POST } else { Method::GET };
            let done = source.json(method, "/api/v1/patches", self.patch.clone()).await;
            source.close().await?;
            let answer = done?;
            match self.format {
                Format::Json => say(&format!("{answer}\n")),
                Format::Text => say(&in_words(&answer)),
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(answer: &Value) -> String {
    let Some(rows) = answer.as_array() else {
        return format!("patch {} added\n", answer["number"]);
    };
    if rows.is_empty() {
        return "nothing is patched\n".into();
    }
    columns(&["number", "at", "kind", "says"], &rows.iter().map(cells).collect::<Vec<_>>())
}

fn cells(row: &Value) -> Vec<String> {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let fields = row.as_object().into_iter().flatten();
    let others = fields.filter(|(name, _)| !["number", "at", "kind"].contains(&name.as_str()));
    let says: Vec<String> = others.map(|(name, value)| format!("{name} = {value}")).collect();
    vec![row["number"].to_string(), text("at"), text("kind"), says.join(", ")]
}
