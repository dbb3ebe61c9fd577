//! Trace by id over many small files: as many flushes as files, spread over thirty days, none of them compacted.
#![expect(clippy::print_stdout, reason = "figures for people")]

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::corpus::Corpus;
use crate::send::{Plan, Protocol, send};
use crate::server::Server;

const DAY_NANO: i64 = 86_400_000_000_000;
/// Over so many days.
const DAYS: i64 = 30;
/// Spans of each file, about.
pub const SPANS: u64 = 260;

/// Milliseconds of whole requests, sorted.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// Files of the table.
    pub files: u64,
    /// Of a trace that is there, without a time.
    pub found: Vec<f64>,
    /// Of an id that is nowhere.
    pub missed: Vec<f64>,
}

/// Makes `files` files and looks traces up. The server runs without compaction, and keeps spans for 31 days.
///
/// # Errors
/// The server refused something, or an answer is wrong.
pub fn run(
    server: &Server,
    corpus: &Corpus,
    files: u64,
    (now_unix_nano, repetitions): (u64, usize),
) -> Result<Figures> {
    let (_, last) = corpus.times().context("the corpus is empty")?;
    let step = DAYS * DAY_NANO / i64::try_from(files)?;
    let end = i64::try_from(now_unix_nano)? - i64::try_from(last)?;
    for round in 0..files {
        let plan = Plan {
            requests: &corpus.requests,
            rounds: round..round + 1,
            shift_nano: (step, end.saturating_sub(step * i64::try_from(files - 1)?)),
            connections: 1,
            protocol: Protocol::Http,
            rate: None,
        };
        send(server.otlp_port, &plan)?;
        server.flush()?;
    }
    let mut figures = Figures { files: server.disk()?.files, ..Figures::default() };
    ensure!(figures.files >= files, "{files} flushes made {} files", figures.files);
    let ids = ids(server)?;
    for id in ids.iter().cycle().take(ids.len() * (repetitions + 1)) {
        let started = Instant::now();
        let mut answer = ureq::get(server.url(&format!("/api/v1/traces/{id}"))).call()?;
        let trace: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        figures.found.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(trace["spans"].as_array().is_some_and(|spans| !spans.is_empty()), "{id} is empty");
    }
    // The first round is to be warm.
    figures.found.drain(..ids.len());
    for number in 0..figures.found.len().max(1) {
        let id = format!("{:032x}", (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c));
        let url = server.url(&format!("/api/v1/traces/{id}"));
        let started = Instant::now();
        let request = ureq::get(url).config().http_status_as_error(false).build();
        let status = request.call()?.status();
        figures.missed.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(status == 404, "{id} is answered with {status}");
    }
    figures.found.sort_by(f64::total_cmp);
    figures.missed.sort_by(f64::total_cmp);
    Ok(figures)
}

/// Milliseconds of whole requests for `count` traces from all over the table, sorted; ids are random, so the first ones by
/// id are any. Each is asked for once before it counts.
///
/// # Errors
/// The server refused something.
pub fn by_id(server: &Server, count: usize) -> Result<Vec<f64>> {
    let sql = format!("SELECT DISTINCT trace_id FROM spans ORDER BY trace_id LIMIT {count}");
    let agent = ureq::agent();
    let mut answer = agent.post(server.url("/api/v1/sql")).send(sql)?;
    let rows: Vec<Value> = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    let mut milli = Vec::with_capacity(rows.len());
    for round in 0..2 {
        for row in &rows {
            let id = row["trace_id"].as_str().context("an id")?;
            let started = Instant::now();
            let mut answer = agent.get(server.url(&format!("/api/v1/traces/{id}"))).call()?;
            answer.body_mut().with_config().limit(256 << 20).read_to_vec()?;
            if round == 1 {
                milli.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    milli.sort_by(f64::total_cmp);
    Ok(milli)
}

/// A hundred traces from all over the table.
fn ids(server: &Server) -> Result<Vec<String>> {
    let sql = "SELECT min(trace_id) AS trace_id FROM spans GROUP BY start_time_unix_nano / 25920000000000 LIMIT 100";
    let mut answer = ureq::post(server.url("/api/v1/sql")).send(sql)?;
    let rows: Vec<Value> = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    let ids = rows.iter().map(|row| Ok(row["trace_id"].as_str().context("an id")?.to_owned()));
    ids.collect()
}

/// Prints them.
pub fn show(figures: &Figures) {
    println!("files                       {:>12}", figures.files);
    show_milli("trace by id, ms", &figures.found);
    show_milli("id that is nowhere, ms", &figures.missed);
}

/// Prints how `milli`, which are sorted, lie.
pub fn show_milli(what: &str, milli: &[f64]) {
    let at = |part: usize| milli.get(milli.len() * part / 100).copied().unwrap_or(f64::NAN);
    let slowest = milli.last().copied().unwrap_or(f64::NAN);
    let (half, most, count) = (at(50), at(99), milli.len());
    println!("{what:<27} p50 {half:.1}, p99 {most:.1}, slowest {slowest:.1} of {count}");
}
