//! Questions and the table of figures.
#![expect(clippy::print_stdout, reason = "a table for people")]

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::lookup::show_milli;
use crate::questions::{FIXED, goal, questions};
use crate::send::Sent;
use crate::server::{Disk, Server};

/// What one mark measured. Counts and CPU are those since the mark before; memory is the largest so far; disk, stored
/// spans and questions are of everything.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// Spans sent and acknowledged.
    pub spans_sent: u64,
    /// Their OTLP bytes.
    pub otlp_bytes: u64,
    /// From the first byte to the last answer.
    pub send_seconds: f64,
    /// Half of the answers came within this many milliseconds.
    pub answer_p50_milli: f64,
    /// 99 in 100 did.
    pub answer_p99_milli: f64,
    /// Requests refused with 429 or 503 and sent again.
    pub sent_again: usize,
    /// CPU of the server, user and system, when the last answer had come.
    pub cpu_seconds_end_of_send: f64,
    /// And when everything was in files and committed.
    pub cpu_seconds_to_commit: f64,
    /// Largest resident memory until then.
    pub peak_memory_bytes_ingest: u64,
    /// Largest resident memory after the questions.
    pub peak_memory_bytes: u64,
    /// Spans in the table.
    pub spans_stored: u64,
    /// What lies on disk.
    pub disk: Disk,
    /// Latencies of the questions.
    pub questions: Vec<Timing>,
    /// Milliseconds of traces by id from all over the table, sorted.
    pub ids_milli: Vec<f64>,
}

impl Figures {
    /// The part that the sender knows.
    pub fn of_sending(sent: &Sent) -> Self {
        let at = |percent: usize| {
            let answers = &sent.answers_milli;
            let index = (answers.len() * percent / 100).min(answers.len().saturating_sub(1));
            answers.get(index).copied().unwrap_or_default()
        };
        Self {
            spans_sent: sent.spans,
            send_seconds: sent.elapsed.as_secs_f64(),
            answer_p50_milli: at(50),
            answer_p99_milli: at(99),
            sent_again: sent.again,
            ..Self::default()
        }
    }
}

/// Prints the table of one mark.
pub fn print(figures: &Figures) {
    let sent = figures.spans_sent as f64;
    let stored = figures.spans_stored as f64;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let disk = figures.disk;
    println!("spans sent / stored         {:>12} / {}", figures.spans_sent, figures.spans_stored);
    println!("OTLP bytes a span           {:>12.0}", figures.otlp_bytes as f64 / sent);
    println!("spans/s while sending       {:>12.0}", sent / figures.send_seconds);
    println!(
        "answer p50 / p99, ms        {:>7.1} / {:.1}",
        figures.answer_p50_milli, figures.answer_p99_milli
    );
    println!("refused and sent again      {:>12}", figures.sent_again);
    println!("CPU s/M spans, end of send  {:>12.2}", figures.cpu_seconds_end_of_send / sent * 1e6);
    println!("CPU s/M spans, to commit    {:>12.2}", figures.cpu_seconds_to_commit / sent * 1e6);
    println!("peak memory, ingest         {:>8.0} MiB", mib(figures.peak_memory_bytes_ingest));
    println!("peak memory, with questions {:>8.0} MiB", mib(figures.peak_memory_bytes));
    println!("Parquet bytes a span        {:>12.1}", disk.parquet_bytes as f64 / stored);
    println!(
        "all bytes a span            {:>12.1}",
        (disk.parquet_bytes + disk.other_bytes) as f64 / stored
    );
    println!("files                       {:>12}", disk.files);
    if !figures.questions.is_empty() {
        println!(
            "whole HTTP requests, median (fastest to slowest); goals are those of two million spans"
        );
    }
    for timing in &figures.questions {
        match &timing.milli {
            Ok([low, median, high]) => println!(
                "{:<40} {:>7} rows {median:>8.1} ms  ({low:.1} to {high:.1}){}",
                timing.question,
                timing.rows,
                goal(timing.question).map(|goal| format!(", goal {goal}")).unwrap_or_default()
            ),
            Err(error) => println!("{:<40} {error}", timing.question),
        }
    }
    if !figures.ids_milli.is_empty() {
        show_milli("traces by id, ms", &figures.ids_milli);
    }
    println!();
}

/// One question's latency as a whole HTTP request: from its first byte to the last of the answer.
#[derive(Debug, Serialize)]
pub struct Timing {
    /// What was asked.
    pub question: &'static str,
    /// Rows of the answer.
    pub rows: usize,
    /// Fastest, median and slowest of the repetitions, in milliseconds; the refusal where there was no answer.
    pub milli: Result<[f64; 3], String>,
}

/// Asks every question `repetitions` times, after one time that does not count.
///
/// # Errors
/// An answer was not a success.
pub fn ask(server: &Server, repetitions: usize) -> Result<Vec<Timing>> {
    let mut timings = Vec::new();
    for (question, sql) in questions(server)? {
        timings.push(time(question, repetitions, || text_of(server, &sql))?);
    }
    let ids = rows(ureq::post(server.url("/api/v1/sql")).send(
        "SELECT DISTINCT trace_id FROM spans WHERE start_time_unix_nano % 97 = 0 LIMIT 50",
    )?)?;
    let mut next = ids.iter().cycle();
    timings.push(time("trace by id", repetitions * 5, || {
        let id = next.next().and_then(|row| row["trace_id"].as_str()).context("an id")?;
        let answer = ureq::get(server.url(&format!("/api/v1/traces/{id}"))).call()?;
        text(answer)
    })?);
    Ok(timings)
}

/// Asks one of the questions once, the next one with the next `turn`: its name and the milliseconds of the answer.
pub fn ask_once(server: &Server, turn: usize) -> (&'static str, Result<f64>) {
    let (question, sql) = FIXED[turn % FIXED.len()];
    let started = Instant::now();
    let answer = text_of(server, sql).map(|_| started.elapsed().as_secs_f64() * 1e3);
    (question, answer)
}

fn time(
    question: &'static str,
    repetitions: usize,
    mut ask: impl FnMut() -> Result<String>,
) -> Result<Timing> {
    let rows = match ask() {
        Ok(answer) => count(&serde_json::from_str(&answer)?),
        Err(error) => return Ok(Timing { question, rows: 0, milli: Err(format!("{error:#}")) }),
    };
    let mut milli = Vec::new();
    for _ in 0..repetitions {
        let started = Instant::now();
        ask()?;
        milli.push(started.elapsed().as_secs_f64() * 1e3);
    }
    milli.sort_by(f64::total_cmp);
    let milli = Ok([milli[0], milli[milli.len() / 2], milli[milli.len() - 1]]);
    Ok(Timing { question, rows, milli })
}

/// The rows that `sql` gives.
///
/// # Errors
/// The answer was not a success.
pub fn rows_of(server: &Server, sql: &str) -> Result<Vec<Value>> {
    rows(post(server, sql)?)
}

fn post(server: &Server, sql: &str) -> Result<ureq::http::Response<ureq::Body>> {
    let request =
        ureq::post(server.url("/api/v1/sql")).config().http_status_as_error(false).build();
    let mut answer = request.send(sql)?;
    if !answer.status().is_success() {
        bail!("{}: {}", answer.status(), answer.body_mut().read_to_string()?);
    }
    Ok(answer)
}

fn rows(answer: ureq::http::Response<ureq::Body>) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&text(answer)?)?)
}

/// The answer to `sql`, to its last byte.
fn text_of(server: &Server, sql: &str) -> Result<String> {
    text(post(server, sql)?)
}

fn text(mut answer: ureq::http::Response<ureq::Body>) -> Result<String> {
    Ok(answer.body_mut().with_config().limit(256 << 20).read_to_string()?)
}

/// Rows of a table, spans of a trace.
fn count(answer: &Value) -> usize {
    let list = answer.as_array().or_else(|| answer["spans"].as_array());
    list.map_or(0, Vec::len)
}
