//! `spanlake import`: files of spans into a table or a server.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{Format, Usage, block_on, say};
use crate::config::{Config, Flags, environment};
use crate::import::{self, Plan, Summary};
use crate::words;

/// Store files of spans: OTLP protobuf streams, OTLP JSON and JSON lines, Zipkin v2 JSON, Jaeger JSON, Chrome trace
/// events; gzip and zstd.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake import traces.otlp.pb.gz more.jsonl.zst
  spanlake import ./dumps --data ./old
  zcat spans.json.gz | spanlake import -
  curl 'http://jaeger:16686/api/traces?service=shop&limit=1000' | spanlake import -
  spanlake import chrome-trace.json.gz --shift-to-now --data ./profile
  spanlake import traces.jsonl --shift-to-now --server http://127.0.0.1:4318
  spanlake import --follow /var/log/otel --server http://127.0.0.1:4318
  spanlake import --follow /var/log/otel/traces.json --data ./table --journal ./positions

--follow ships files as they grow (OTLP JSON lines as the Collector's file exporter writes them, Zipkin and
Jaeger JSON lines, OTLP protobuf with 4-byte lengths), through rotation and restarts, until Ctrl-C.

What was imported is remembered by content: an interrupted import goes on where it was, and a file that
is imported again adds nothing.")]
pub(crate) struct Import {
    /// Files, folders (with all their files), or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    /// Send to the OTLP/HTTP (or, for Zipkin files, Zipkin) door of a server instead
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    server: Option<String>,
    /// Token for the server [env: SPANLAKE_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Move all times so that the newest span of each file ends now
    #[arg(long)]
    shift_to_now: bool,
    /// Import also what was imported before
    #[arg(long)]
    again: bool,
    /// Go on: send what is added to the files, and new files in the folders, until Ctrl-C
    #[arg(long, conflicts_with_all = ["shift_to_now", "again"])]
    follow: bool,
    /// Where --follow keeps how far it is [default: follow.journal in the table's folder; with --server
    /// ./spanlake-follow.journal]
    #[arg(long, value_name = "FILE", requires = "follow")]
    journal: Option<PathBuf>,
    /// How to print the summary
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    flags: Flags,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = environment();
        let config = Config::load(&self.flags, &environment).context(Usage)?;
        crate::telemetry::start("warn", false)?;
        if self.follow {
            let token = self.token.clone().or_else(|| environment.get("SPANLAKE_TOKEN").cloned());
            return self.follow(&config, token);
        }
        let plan = Plan {
            files: import::files(&self.inputs)?,
            shift_to_now: self.shift_to_now,
            again: self.again,
        };
        let token = self.token.or_else(|| environment.get("SPANLAKE_TOKEN").cloned());
        let summary = block_on(async {
            match &self.server {
                Some(server) => import::send(plan, server, token).await,
                None => import::store(plan, &config).await,
            }
        })?;
        say(&match self.format {
            Format::Text => in_words(&summary),
            Format::Json => format!("{}\n", in_json(&summary)),
        });
        Ok(if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Import {
    fn follow(self, config: &Config, token: Option<String>) -> anyhow::Result<ExitCode> {
        if self.inputs.iter().any(|input| input.as_os_str() == "-") {
            return Err(super::usage("--follow takes files and folders, not standard input"));
        }
        let (inputs, journal) = (self.inputs, self.journal);
        let begin = std::time::Instant::now();
        let (totals, lag) = block_on(async {
            let mut signals = crate::shutdown::Signals::listen()?;
            let stop = async {
                signals.next().await;
            };
            match &self.server {
                Some(server) => {
                    import::follow_to_server(inputs, journal, (server, token), stop).await
                }
                None => import::follow_into_table(inputs, journal, config, stop).await,
            }
        })?;
        let seconds = begin.elapsed().as_secs_f64();
        say(&match self.format {
            Format::Text => format!(
                "{} spans from {} in {seconds:.1} s; {} refused, {} records left out, {} behind\n",
                words::count(totals.spans),
                words::files(totals.files.len()),
                words::count(totals.refused),
                words::count(totals.skipped),
                words::bytes(lag)
            ),
            Format::Json => {
                let summary = serde_json::json!({
                    "spans": totals.spans,
                    "refused": totals.refused,
                    "files": totals.files.len(),
                    "left_out_records": totals.skipped,
                    "behind_bytes": lag,
                    "seconds": seconds,
                });
                format!("{summary}\n")
            }
        });
        Ok(ExitCode::SUCCESS)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(summary: &Summary) -> f64 {
    summary.spans as f64 / summary.seconds.max(0.001)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
fn in_words(summary: &Summary) -> String {
    let mut text = format!(
        "{} spans from {} {} ({}) in {:.1} s: {} spans/s\n",
        words::count(summary.spans),
        summary.files,
        if summary.files == 1 { "file" } else { "files" },
        words::bytes(summary.bytes),
        summary.seconds,
        words::count(rate(summary) as u64),
    );
    if summary.known_pieces > 0 {
        text.push_str(&format!(
            "{} imported before and left out (--again imports it once more)\n",
            words::bytes(summary.known_bytes)
        ));
    }
    if summary.refused > 0 {
        text.push_str(&format!("{} spans refused:\n", words::count(summary.refused)));
        for reason in &summary.reasons {
            text.push_str(&format!("  {reason}\n"));
        }
    }
    for (what, count) in &summary.left_out {
        text.push_str(&format!("left out, no part of a span: {} {what}\n", words::count(*count)));
    }
    if let Some(expiring) = &summary.expiring {
        text.push_str(&format!("{expiring}\n"));
    }
    for failed in &summary.failed {
        text.push_str(&format!("failed: {failed}\n"));
    }
    text
}

fn in_json(summary: &Summary) -> serde_json::Value {
    serde_json::json!({
        "spans": summary.spans,
        "refused": summary.refused,
        "reasons": summary.reasons,
        "files": summary.files,
        "bytes": summary.bytes,
        "known_bytes": summary.known_bytes,
        "seconds": summary.seconds,
        "spans_per_second": rate(summary),
        "expiring": summary.expiring,
        "failed": summary.failed,
        "left_out": summary.left_out,
    })
}
