//! `spanlake partitions`: the table's dates.
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::retention::{ReceiptText, receipt};
use super::{Format, block_on, columns, confirm, say};
use crate::source::{Expiry, Source, SourceFlags};
use crate::words;

/// List or drop dates of the table.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake partitions
  spanlake partitions list --format json --server http://127.0.0.1:8080
  spanlake partitions drop 2026-11-01 2026-11-02 --yes
  spanlake partitions drop 2026-11-01 --class kept")]
pub(crate) struct Partitions {
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
    /// One row a date
    List,
    /// Remove whole dates, for good
    Drop {
        /// Dates, e.g. 2026-11-21
        #[arg(required = true, value_name = "DATE")]
        dates: Vec<String>,
        /// Only this retention class of them
        #[arg(long)]
        class: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Partitions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        block_on(async {
            let source = Source::open(&self.source, Expiry::AsConfigured).await?;
            let done = match &self.action {
                None | Some(Action::List) => list(&source, self.format).await,
                Some(Action::Drop { dates, class, yes }) => {
                    let class = class.as_deref();
                    remove(&source, (dates, class), *yes, self.format).await
                }
            };
            source.close().await?;
            done
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn rows(source: &Source) -> anyhow::Result<Vec<Value>> {
    match source.json(Method::GET, "/api/v1/partitions", None).await? {
        Value::Array(rows) => Ok(rows),
        other => bail!("not a list of partitions: {other}"),
    }
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or(0)
}

async fn list(source: &Source, format: Format) -> anyhow::Result<()> {
    let rows = rows(source).await?;
    if format == Format::Json {
        say(&format!("{}\n", Value::Array(rows)));
        return Ok(());
    }
    let text = |row: &Value| {
        vec![
            row["date"].as_str().unwrap_or_default().to_owned(),
            words::count(number(row, "rows")),
            words::count(number(row, "hot_rows")),
            words::count(number(row, "files")),
            words::bytes(number(row, "bytes")),
            row["expires"].as_str().unwrap_or("never").to_owned(),
            row["classes"].as_str().unwrap_or_default().to_owned(),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(text).collect();
    say(&columns(
        &["date", "spans", "not yet in files", "files", "size", "expires", "classes"],
        &cells,
    ));
    Ok(())
}

async fn remove(
    source: &Source,
    (dates, class): (&[String], Option<&str>),
    yes: bool,
    format: Format,
) -> anyhow::Result<()> {
    let mut spans = 0;
    let known = rows(source).await?;
    for date in dates {
        let row = known.iter().find(|row| row["date"] == date.as_str());
        let Some(row) = row else { bail!("there is no partition {date}; see spanlake partitions") };
        spans += number(row, "rows") + number(row, "hot_rows");
    }
    let of_class = class.map_or_else(String::new, |class| format!("the class {class} of "));
    let (names, spans) = (dates.join(", "), words::count(spans));
    confirm(&format!("{of_class}{names} with {spans} spans would go for good."), yes)?;
    let mut body = json!({ "dates": dates });
    if let Some(class) = class {
        body["class"] = class.into();
    }
    let body = body.to_string();
    let answer = source.json(Method::POST, "/api/v1/partitions/drop", Some(body)).await?;
    match format {
        Format::Json => say(&format!("{answer}\n")),
        Format::Text => say(&receipt(&answer, ReceiptText::Dropped)),
    }
    Ok(())
}
