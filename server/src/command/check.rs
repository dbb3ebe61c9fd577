//! `spanlake check`: what has to be true of every trace, from a file.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use http::Method;
use serde_json::Value;

use super::{Format, block_on, columns, say, usage};
use crate::source::{Expiry, Source, SourceFlags};

/// Test what has to be true of every trace; exit code 1 where it is not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake check checks.toml --from -1h
  spanlake check checks.toml --server http://127.0.0.1:8080 --format json

A file of checks:
  [[check]]
  name = \"a hit needs no database\"
  when = \"attributes['cache.hit'] = true\"
  below = \"attributes['db.system.name'] IS NOT NULL\"
  at_most = 0")]
pub(crate) struct Check {
    /// The file (TOML)
    file: PathBuf,
    /// Start of the range, such as -1h [default: everything]
    #[arg(long, allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the range [default: everything]
    #[arg(long, allow_hyphen_values = true)]
    to: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    source: SourceFlags,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let text = std::fs::read_to_string(&self.file)
            .with_context(|| format!("read {}", self.file.display()))?;
        let checks: toml::Value = toml::from_str(&text)
            .map_err(|error| usage(format!("{}: {error}", self.file.display())))?;
        let body = serde_json::to_string(&checks)?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, side) in [("from", &self.from), ("to", &self.to)] {
            if let Some(side) = side {
                query.append_pair(name, side);
            }
        }
        let path = format!("/api/v1/checks?{}", query.finish());
        let rows = block_on(async {
            let source = Source::open(&self.source, Expiry::Hold).await?;
            let rows = source.json(Method::POST, &path, Some(body)).await;
            source.close().await?;
            rows
        })?;
        let rows = rows.as_array().cloned().unwrap_or_default();
        match self.format {
            Format::Text => say(&in_words(&rows)),
            Format::Json => say(&format!("{}\n", serde_json::to_string_pretty(&rows)?)),
        }
        let passed = rows.iter().all(|row| row["passed"] == true);
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A table, and the failing spans below it.
fn in_words(rows: &[Value]) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let passed = if row["passed"] == true { "passed" } else { "FAILED" };
            vec![passed.to_owned(), text(&row["tested"]), text(&row["failed"]), text(&row["name"])]
        })
        .collect();
    let mut words = columns(&["result", "tested", "failed", "check"], &cells);
    for row in rows.iter().filter(|row| row["passed"] != true) {
        let (name, expected) = (text(&row["name"]), text(&row["expected"]));
        words.push_str(&format!("\n{name}: expected {expected}\n"));
        for example in text(&row["examples"]).split(", ") {
            words.push_str(&format!("  {example}\n"));
        }
    }
    words
}

#[cfg(test)]
mod tests;
