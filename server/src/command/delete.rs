//! `spanlake delete`: whole traces, for good.
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use http::Method;
use serde_json::{Value, json};

use super::{Format, block_on, confirm, say, usage};
use crate::source::{Expiry, Source, SourceFlags};
use crate::words;

/// Delete traces for good, by id or by an attribute.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).args(["trace", "where_attribute"])),
    after_help = "Examples:
  spanlake delete --where-attribute user.id=4711 --dry-run
  spanlake delete --where-attribute user.id=4711 --yes --server http://127.0.0.1:8080
  spanlake delete --trace 0af7651916cd43dd8448eb211c80319c --now"
)]
pub(crate) struct Delete {
    /// A trace by its id (repeatable)
    #[arg(long, value_name = "ID")]
    trace: Vec<String>,
    /// All traces in which a span, its resource, an event or a link has this attribute
    #[arg(long, value_name = "KEY=VALUE")]
    where_attribute: Option<String>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for running queries before the old files go
    #[arg(long)]
    now: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    source: SourceFlags,
}

impl Delete {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let body = self.body()?;
        block_on(async {
            let source = Source::open(&self.source, Expiry::Hold).await?;
            let done = self.delete(&source, body).await;
            source.close().await?;
            done
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn body(&self) -> anyhow::Result<Value> {
        let mut body = json!({ "now": self.now });
        match &self.where_attribute {
            Some(pair) => {
                let wrong = || usage(format!("--where-attribute {pair:?} is not KEY=VALUE"));
                let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
                body["attribute"] = json!({ "key": key, "value": value });
            }
            None => body["traces"] = json!(self.trace),
        }
        Ok(body)
    }

    async fn delete(&self, source: &Source, mut body: Value) -> anyhow::Result<()> {
        body["dry_run"] = true.into();
        let path = "/api/v1/delete";
        let planned = source.json(Method::POST, path, Some(body.to_string())).await?;
        let found = planned["traces"].as_u64().unwrap_or(0);
        if self.dry_run || found == 0 {
            self.print(&planned, "would go");
            return Ok(());
        }
        let question = format!("{} would go for good.", amount(&planned));
        confirm(&question, self.yes)?;
        body["dry_run"] = false.into();
        let deleted = source.json(Method::POST, path, Some(body.to_string())).await?;
        self.print(&deleted, "went");
        Ok(())
    }

    fn print(&self, answer: &Value, verb: &str) {
        if self.format == Format::Json {
            return say(&format!("{answer}\n"));
        }
        let rest = match (answer["dry_run"] == true, answer["vacuumed"] == true) {
            (true, _) => "",
            (false, true) => "; the old files are gone",
            (false, false) => "; the old files go when running queries have ended",
        };
        say(&format!("{} {verb}{rest}\n", amount(answer)));
    }
}

fn amount(answer: &Value) -> String {
    let number = |name: &str| words::count(answer[name].as_u64().unwrap_or(0));
    let (spans, traces, files) = (number("rows"), number("traces"), number("files"));
    format!("{spans} spans of {traces} traces in {files} files")
}
