//! `spanlake doctor`: is everything where it should be, and readable?
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use storage::DataFile;

use super::{Format, Usage, block_on, say};
use crate::config::{Config, Flags, environment};
use crate::running::{must_exist, open_store};
use crate::words;

/// Check the lock, the write-ahead log, the table and its files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake doctor
  spanlake doctor --scrub --data s3://bucket/traces --format json")]
pub(crate) struct Doctor {
    /// Read every file to its last row, compare it, its sidecar and its rollup with their checksums, and read the log of
    /// commits whole
    #[arg(long)]
    scrub: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    flags: Flags,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    facts: Vec<(&'static str, String)>,
    problems: Vec<String>,
}

impl Doctor {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut config = Config::load(&self.flags, &environment()).context(Usage)?;
        config.storage.ttl = None;
        crate::telemetry::start("warn", false)?;
        let findings = block_on(examine(&config, self.scrub))?;
        say(&match self.format {
            Format::Text => in_words(&findings),
            Format::Json => in_json(&findings),
        });
        Ok(if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn examine(config: &Config, scrub: bool) -> anyhow::Result<Findings> {
    must_exist(config)?;
    let mut findings = Findings::default();
    let store = open_store(config).await?;
    findings.facts.push(("lock", "free, taken for this check".into()));
    match store.ready() {
        Ok(()) => findings.facts.push(("log", "read to its end".into())),
        Err(problem) => findings.problems.push(problem),
    }
    let snapshot = store.snapshot();
    let hot: usize = snapshot.hot.iter().map(|batch| batch.rows()).sum();
    findings.facts.push(("replayed", format!("{} spans", words::count(hot as u64))));
    findings.facts.push(("table version", snapshot.version.to_string()));
    let (mut rows, mut bytes) = (0, 0);
    for file in snapshot.files.iter() {
        rows += file.rows;
        bytes += file.bytes;
        if let Err(problem) = check(&snapshot.object_store, file, scrub).await {
            findings.problems.push(format!("{}: {problem:#}", file.path));
        }
    }
    if scrub {
        let log = store.check_log().await?;
        let words = format!("{} commits and {} checkpoints read", log.commits, log.checkpoints);
        findings.facts.push(("table log", words));
        findings.problems.extend(log.problems);
    }
    let files = snapshot.files.len();
    let how = if scrub {
        "every checksum compared, every row read"
    } else {
        "sizes compared; --scrub reads every row"
    };
    let words =
        format!("{files} with {} spans, {} ({how})", words::count(rows), words::bytes(bytes));
    findings.facts.push(("files", words));
    drop(snapshot);
    store.close().await?;
    Ok(findings)
}

async fn check(store: &Arc<dyn ObjectStore>, file: &DataFile, scrub: bool) -> anyhow::Result<()> {
    let path = Path::parse(&file.path)?;
    let found = store.head(&path).await.context("not there")?;
    anyhow::ensure!(
        found.size == file.bytes,
        "{} bytes long where the table says {}",
        found.size,
        file.bytes
    );
    if !scrub {
        return Ok(());
    }
    let bytes = file.read_checked(store).await.map_err(|error| match error {
        // Whoever prints it names the file.
        storage::Error::Corrupt { detail, .. } => anyhow::anyhow!(detail),
        other => anyhow::Error::from(other).context("cannot be read"),
    })?;
    // Answers need neither: without them more is read, which is slow.
    let beside = |what: &'static str| {
        move |error| match error {
            storage::Error::Corrupt { path, detail } => anyhow::anyhow!("{what} {path}: {detail}"),
            other => anyhow::Error::from(other).context(format!("its {what} cannot be read")),
        }
    };
    file.check_sidecar(store).await.map_err(beside("sidecar"))?;
    file.check_rollup(store).await.map_err(beside("rollup"))?;
    let expected = file.rows;
    let read = tokio::task::spawn_blocking(move || count_rows(bytes)).await??;
    anyhow::ensure!(read == expected, "{read} spans where the table says {expected}");
    Ok(())
}

/// Reads every page of every column.
fn count_rows(bytes: Bytes) -> anyhow::Result<u64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).context("no footer")?.build()?;
    let mut rows = 0;
    for batch in reader {
        rows += batch.context("damaged")?.num_rows() as u64;
    }
    Ok(rows)
}

fn in_words(findings: &Findings) -> String {
    let mut text = String::new();
    for (name, fact) in &findings.facts {
        text.push_str(&format!("{name:<14} {fact}\n"));
    }
    for problem in &findings.problems {
        text.push_str(&format!("{:<14} {problem}\n", "PROBLEM"));
    }
    text.push_str(if findings.problems.is_empty() { "healthy\n" } else { "not healthy\n" });
    text
}

fn in_json(findings: &Findings) -> String {
    let facts: serde_json::Map<String, serde_json::Value> =
        findings.facts.iter().map(|(name, fact)| ((*name).to_owned(), json!(fact))).collect();
    let healthy = findings.problems.is_empty();
    format!("{}\n", json!({"healthy": healthy, "facts": facts, "problems": findings.problems}))
}
