//! `spanlake retention`: what leaves the table.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::{Format, block_on, columns, say, usage};
use crate::config::retention::parse_file;
use crate::config::value::{Value as _, parse_ttl};
use crate::source::{Expiry, Source, SourceFlags};
use crate::words;

/// Show, set or plan what leaves the table.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake retention
  spanlake retention plan --ttl 30d
  spanlake retention set 30d --server http://127.0.0.1:8080 --token trc_...
  spanlake retention set never
  spanlake retention set --rules rules.toml --max-bytes 200GiB --keep-latest 10
  spanlake retention receipts --format json

A file of rules; the first that any span of a trace fits gives the trace its class:
  [[rule]]
  class = \"errors\"
  ttl = \"90d\"
  error = true")]
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
    /// The policy in force
    Show,
    /// Sets the policy of this table; it outranks the configuration, and what is not given stays
    Set {
        /// A duration such as 7d, or never
        #[arg(required_unless_present_any = ["rules", "max_bytes", "keep_latest", "rollups"])]
        ttl: Option<String>,
        #[command(flatten)]
        further: Further,
    },
    /// What a policy would remove now; nothing is removed
    Plan {
        /// The ttl to try [default: the one in force]
        #[arg(long)]
        ttl: Option<String>,
        #[command(flatten)]
        further: Further,
    },
    /// Applies the policy now
    Apply,
    /// What went, and when
    Receipts,
}

#[derive(Debug, Args)]
struct Further {
    /// A file with `[[rule]]` tables; all rules before are replaced
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Size beyond which the oldest partitions go, e.g. 200GiB, or off
    #[arg(long, value_name = "SIZE")]
    max_bytes: Option<String>,
    /// Latest traces of each root operation that stay
    #[arg(long, value_name = "NUMBER")]
    keep_latest: Option<u64>,
    /// How long what spans add up to stays after their date, e.g. 400d, or never (not longer than they)
    #[arg(long, value_name = "DURATION")]
    rollups: Option<String>,
}

impl Retention {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let action = self.action.unwrap_or(Action::Show);
        let change = match &action {
            Action::Set { ttl, further } | Action::Plan { ttl, further } => {
                Some(change(ttl.as_deref(), further)?)
            }
            Action::Show | Action::Apply | Action::Receipts => None,
        };
        block_on(async {
            let source = Source::open(&self.source, Expiry::AsConfigured).await?;
            let done = answer(&source, &action, change).await;
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

/// The body of a request that changes the policy.
fn change(ttl: Option<&str>, further: &Further) -> anyhow::Result<Map<String, Value>> {
    let mut change = Map::new();
    if let Some(ttl) = ttl {
        let never = parse_ttl(ttl).map_err(usage)?.is_none();
        change.insert("ttl".into(), if never { Value::Null } else { json!(ttl) });
    }
    if let Some(file) = &further.rules {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("read the rules in {}", file.display()))?;
        let rules = parse_file(&text)
            .map_err(|wrong| usage(format!("{}: {wrong}", file.display())))?
            .into_iter()
            .map(|(text, _)| text)
            .collect::<Vec<_>>();
        change.insert("rules".into(), serde_json::to_value(rules)?);
    }
    if let Some(size) = &further.max_bytes {
        let mut bytes: Option<u64> = None;
        bytes.assign(size).map_err(|wrong| usage(format!("--max-bytes: {wrong}")))?;
        change.insert("max_bytes".into(), json!(bytes));
    }
    if let Some(number) = further.keep_latest {
        change.insert("keep_latest".into(), number.into());
    }
    if let Some(ttl) = &further.rollups {
        let never = ttl == "never";
        change.insert("rollups".into(), if never { Value::Null } else { json!(ttl) });
    }
    Ok(change)
}

async fn answer(
    source: &Source,
    action: &Action,
    change: Option<Map<String, Value>>,
) -> anyhow::Result<Value> {
    let body = change.filter(|change| !change.is_empty());
    let body = body.map(|change| Value::Object(change).to_string());
    match action {
        Action::Show => source.json(Method::GET, "/api/v1/retention", None).await,
        Action::Set { .. } => source.json(Method::PUT, "/api/v1/retention", body).await,
        Action::Plan { .. } => {
            let method = if body.is_some() { Method::POST } else { Method::GET };
            source.json(method, "/api/v1/retention/plan", body).await
        }
        Action::Apply => source.json(Method::POST, "/api/v1/retention/apply", None).await,
        Action::Receipts => source.json(Method::GET, "/api/v1/retention/receipts", None).await,
    }
}

fn in_words(action: &Action, answer: &Value) -> String {
    match action {
        Action::Show | Action::Set { .. } => policy(answer),
        Action::Plan { .. } => plan(answer),
        Action::Apply | Action::Receipts => receipts(answer),
    }
}

fn policy(answer: &Value) -> String {
    let by = |flag: &str| {
        if answer[flag] == true { "set by command" } else { "by configuration" }
    };
    let mut text = match answer["ttl"].as_str() {
        Some(ttl) => {
            format!("partitions older than {ttl} leave the table ({})\n", by("by_command"))
        }
        None => format!("nothing leaves the table by age ({})\n", by("by_command")),
    };
    if let Some(bytes) = answer["max_bytes"].as_u64() {
        let size = words::bytes(bytes);
        text.push_str(&format!("the oldest leave beyond {size} ({})\n", by("rules_by_command")));
    }
    if let Some(number) = answer["keep_latest"].as_u64().filter(|number| *number > 0) {
        text.push_str(&format!("the latest {number} traces of each root operation stay\n"));
    }
    if let Some(ttl) = answer["rollups"].as_str() {
        text.push_str(&format!("what spans add up to stays for {ttl} after their date\n"));
    }
    let rules = answer["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !rules.is_empty() {
        text.push_str(&format!(
            "rules ({}), the first that fits counts:\n",
            by("rules_by_command")
        ));
    }
    for rule in rules {
        let conditions = rule.as_object().into_iter().flatten();
        let conditions = conditions.filter(|(name, _)| !["class", "ttl"].contains(&name.as_str()));
        let conditions: Vec<String> =
            conditions.map(|(name, value)| format!("{name} = {value}")).collect();
        let (class, ttl) = (rule["class"].as_str(), rule["ttl"].as_str());
        let (class, ttl) = (class.unwrap_or_default(), ttl.unwrap_or_default());
        text.push_str(&format!("  {class} {ttl}: {}\n", conditions.join(", ")));
    }
    text
}

fn plan(answer: &Value) -> String {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let number = |row: &Value, name: &str| words::count(row[name].as_u64().unwrap_or(0));
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for (name, fate, why) in [("parts", "goes", "reason"), ("stays", "stays", "why")] {
        for row in list(name) {
            let size = words::bytes(row["bytes"].as_u64().unwrap_or(0));
            let (date, class) = (text(&row, "date"), text(&row, "class"));
            let cells = vec![date.clone(), class, fate.to_owned(), number(&row, "rows")];
            let further = [number(&row, "files"), size, text(&row, why)];
            lines.push((date, cells.into_iter().chain(further).collect()));
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let rows: Vec<Vec<String>> = lines.into_iter().map(|(_, cells)| cells).collect();
    let table = columns(&["date", "class", "", "spans", "files", "size", "why"], &rows);
    let sum = receipt(answer, ReceiptText::Planned);
    if rows.is_empty() { sum } else { format!("{table}{sum}") }
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
    let kept = match number("kept_traces") {
        0 => String::new(),
        traces => format!("; {} traces of these stay", words::count(traces)),
    };
    format!(
        "{verb}: {}: {} spans of {} traces, {} files, {}{kept}\n",
        dates(loss),
        words::count(number("rows")),
        words::count(number("traces")),
        words::count(number("files")),
        words::bytes(number("bytes")),
    )
}

fn receipts(answer: &Value) -> String {
    let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "nothing went\n".into();
    }
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
