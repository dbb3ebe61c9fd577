//! `spanlake retention`: what leaves the table by age.
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{Format, block_on, columns, say, usage};
use crate::config::value::parse_ttl;
use crate::source::{Expiry, Source, SourceFlags};
use crate::words;

/// Show, set or plan what leaves the table by age.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake retention
  spanlake retention plan --ttl 30d
  spanlake retention set 30d --server http://127.0.0.1:8080 --token trc_...
  spanlake retention set never
  spanlake retention receipts --format json")]
pub(crate) struct Retention {
    #[command(subcommand)]
    action: Option<Action>,
    /// How to print
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    #[command(flatten)]
    source: SourceFlags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The rule in force
    Show,
    /// Sets the rule of this table; it outranks the configuration
    Set {
        /// A duration such as 7d, or never
        ttl: String,
    },
    /// What a rule would remove now; nothing is removed
    Plan {
        /// The rule to try [default: the one in force]
        #[arg(long)]
        ttl: Option<String>,
    },
    /// What went, and when
    Receipts,
}

impl Retention {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let action = self.action.unwrap_or(Action::Show);
        if let Action::Set { ttl } | Action::Plan { ttl: Some(ttl) } = &action {
            parse_ttl(ttl).map_err(usage)?;
        }
        block_on(async {
            let source = Source::open(&self.source, Expiry::AsConfigured).await?;
            let done = answer(&source, &action).await;
            source.close().await?;
            let answer = done?;
            match self.format {
                Format::Json => say(&format!("{answer}\n")),
                Format::Text => say(&in_words(&action, &answer)),
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn answer(source: &Source, action: &Action) -> anyhow::Result<Value> {
    match action {
        Action::Show => source.json(Method::GET, "/api/v1/retention", None).await,
        Action::Set { ttl } => {
            let ttl = if ttl == "never" || ttl == "none" { Value::Null } else { json!(ttl) };
            let body = json!({ "ttl": ttl }).to_string();
            source.json(Method::PUT, "/api/v1/retention", Some(body)).await
        }
        Action::Plan { ttl } => {
            let query = ttl.as_ref().map_or_else(String::new, |ttl| format!("?ttl={ttl}"));
            source.json(Method::GET, &format!("/api/v1/retention/plan{query}"), None).await
        }
        Action::Receipts => source.json(Method::GET, "/api/v1/retention/receipts", None).await,
    }
}

fn in_words(action: &Action, answer: &Value) -> String {
    match action {
        Action::Show | Action::Set { .. } => {
            let by =
                if answer["by_command"] == true { "set by command" } else { "by configuration" };
            match answer["ttl"].as_str() {
                Some(ttl) => format!("partitions older than {ttl} leave the table ({by})\n"),
                None => format!("nothing leaves the table by age ({by})\n"),
            }
        }
        Action::Plan { .. } => receipt(answer, ReceiptText::Planned),
        Action::Receipts => receipts(answer),
    }
}

/// In which tense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceiptText {
    Planned,
    Dropped,
}

fn dates(loss: &Value) -> String {
    let dates = loss["dates"].as_array().map(Vec::as_slice).unwrap_or_default();
    dates.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// One loss in words.
pub(super) fn receipt(loss: &Value, text: ReceiptText) -> String {
    let number = |name: &str| loss[name].as_u64().unwrap_or(0);
    let verb = if text == ReceiptText::Planned { "would go" } else { "went" };
    if dates(loss).is_empty() {
        return format!("nothing {verb}\n");
    }
    format!(
        "{verb}: {}: {} spans of {} traces, {} files, {}\n",
        dates(loss),
        words::count(number("rows")),
        words::count(number("traces")),
        words::count(number("files")),
        words::bytes(number("bytes")),
    )
}

fn receipts(answer: &Value) -> String {
    let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let cells = rows.iter().map(|row| {
        let number = |name: &str| words::count(row[name].as_u64().unwrap_or(0));
        vec![
            row["at"].as_str().unwrap_or_default().to_owned(),
            row["reason"].as_str().unwrap_or_default().to_owned(),
            dates(row),
            number("rows"),
            number("traces"),
            words::bytes(row["bytes"].as_u64().unwrap_or(0)),
        ]
    });
    columns(&["at", "reason", "dates", "spans", "traces", "size"], &cells.collect::<Vec<_>>())
}
