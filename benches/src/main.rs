//! `spanlake-bench`: sends a corpus to a fresh server and prints what it cost.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table for people")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use benches::corpus::Corpus;
use benches::report::{Timing, ask};
use benches::send::{Sent, send};
use benches::server::{Disk, Server};
use clap::Parser;
use serde_json::json;

/// Starts a fresh server, sends a corpus over OTLP/HTTP, waits for the commit, asks questions, prints a table.
///
/// Example: cargo build --release --workspace && target/release/spanlake-bench --spans 2000000
#[derive(Parser, Debug)]
struct Arguments {
    /// Spans to generate (seeded, about 500 bytes of OTLP each).
    #[arg(long, default_value_t = 1_000_000)]
    spans: u64,
    /// Seed of the generated corpus.
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// Send this file instead: requests, each after its length as a little-endian u32.
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Repetitions of each question; 0 asks none.
    #[arg(long, default_value_t = 7)]
    repetitions: usize,
    /// The server; by default `spanlake` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where the table is made; removed before and kept after. By default a folder in the system's temporary folder.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Writes all figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Further arguments for `spanlake serve`.
    #[arg(last = true)]
    serve: Vec<String>,
}

struct Figures {
    spans: u64,
    body_bytes: u64,
    sent: Sent,
    cpu_at_end_of_send: f64,
    cpu_at_commit: f64,
    memory_after_ingest: u64,
    memory_after_questions: u64,
    disk: Disk,
    timings: Vec<Timing>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let figures = measure(&arguments)?;
    print(&figures);
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&as_json(&figures))?)?;
        eprintln!("figures in {}", path.display());
    }
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<Figures> {
    let corpus = match &arguments.corpus {
        Some(path) => Corpus::read(path)?,
        None => Corpus::generate(arguments.seed, arguments.spans, now_unix_nano()?),
    };
    let body_bytes = corpus.bytes();
    eprintln!("{} requests, {:.1} MiB", corpus.requests.len(), body_bytes as f64 / 1_048_576.0);
    let data =
        arguments.data.clone().unwrap_or_else(|| std::env::temp_dir().join("spanlake-bench"));
    if data.exists() {
        std::fs::remove_dir_all(&data).context("remove the last run's table")?;
    }
    let server = Server::start(&binary(arguments)?, &data, &arguments.serve)?;
    let cpu_before = server.cpu_seconds()?;
    let sent = send(server.otlp_port, &corpus.requests, arguments.connections)?;
    let cpu_at_end_of_send = server.cpu_seconds()? - cpu_before;
    drop(corpus);
    server.flush()?;
    let cpu_at_commit = server.cpu_seconds()? - cpu_before;
    let memory_after_ingest = server.peak_memory_bytes()?;
    let spans = count(&server)?;
    let timings =
        if arguments.repetitions > 0 { ask(&server, arguments.repetitions)? } else { Vec::new() };
    let memory_after_questions = server.peak_memory_bytes()?;
    let disk = server.disk()?;
    Ok(Figures {
        spans,
        body_bytes,
        sent,
        cpu_at_end_of_send,
        cpu_at_commit,
        memory_after_ingest,
        memory_after_questions,
        disk,
        timings,
    })
}

fn binary(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(path) = &arguments.server {
        return Ok(path.clone());
    }
    let beside = std::env::current_exe()?;
    Ok(beside.parent().unwrap_or(Path::new(".")).join("spanlake"))
}

#[expect(clippy::disallowed_methods, reason = "the server's window is around now")]
fn now_unix_nano() -> Result<u64> {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u64::try_from(elapsed.as_nanos())?)
}

fn count(server: &Server) -> Result<u64> {
    let mut answer =
        ureq::post(server.url("/api/v1/sql")).send("SELECT count(*) AS n FROM spans")?;
    let rows: serde_json::Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    rows[0]["n"].as_u64().context("a count")
}

fn print(figures: &Figures) {
    let spans = figures.spans as f64;
    let millions = spans / 1e6;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let at = |percent: usize| {
        let answers = &figures.sent.answers_milli;
        let index = (answers.len() * percent / 100).min(answers.len().saturating_sub(1));
        answers.get(index).copied().unwrap_or_default()
    };
    println!("spans stored                {:>12}", figures.spans);
    println!("OTLP bytes a span           {:>12.0}", figures.body_bytes as f64 / spans);
    println!("spans/s while sending       {:>12.0}", spans / figures.sent.elapsed.as_secs_f64());
    println!("answer p50 / p99, ms        {:>7.1} / {:.1}", at(50), at(99));
    println!("refused and sent again      {:>12}", figures.sent.again);
    println!("CPU s/M spans, end of send  {:>12.2}", figures.cpu_at_end_of_send / millions);
    println!("CPU s/M spans, to commit    {:>12.2}", figures.cpu_at_commit / millions);
    println!("peak memory, ingest         {:>8.0} MiB", mib(figures.memory_after_ingest));
    println!("peak memory, with questions {:>8.0} MiB", mib(figures.memory_after_questions));
    println!("Parquet bytes a span        {:>12.1}", figures.disk.parquet_bytes as f64 / spans);
    println!(
        "all bytes a span            {:>12.1}",
        (figures.disk.parquet_bytes + figures.disk.other_bytes) as f64 / spans
    );
    println!("files                       {:>12}", figures.disk.files);
    for timing in &figures.timings {
        match &timing.milli {
            Ok([low, median, high]) => println!(
                "{:<40} {:>7} rows {median:>8.1} ms  ({low:.1} to {high:.1})",
                timing.question, timing.rows
            ),
            Err(error) => println!("{:<40} {error}", timing.question),
        }
    }
}

fn as_json(figures: &Figures) -> serde_json::Value {
    json!({
        "spans": figures.spans,
        "body_bytes": figures.body_bytes,
        "send_seconds": figures.sent.elapsed.as_secs_f64(),
        "sent_again": figures.sent.again,
        "cpu_seconds_end_of_send": figures.cpu_at_end_of_send,
        "cpu_seconds_to_commit": figures.cpu_at_commit,
        "peak_memory_bytes_ingest": figures.memory_after_ingest,
        "peak_memory_bytes": figures.memory_after_questions,
        "parquet_bytes": figures.disk.parquet_bytes,
        "other_bytes": figures.disk.other_bytes,
        "files": figures.disk.files,
        "questions": figures.timings,
    })
}
