//! Cost as a table grows: rounds of the corpus over several days of event time, questions all the while, compaction beside
//! it, and the drop of a day.
#![expect(clippy::print_stdout, reason = "a table for people")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::report::{Figures, Timing, ask, ask_once, print};
use crate::send::{Plan, Sent, send};
use crate::server::Server;

/// What one mark measured beside [`Figures`].
#[derive(Debug, Default, Serialize)]
pub struct Growth {
    /// The usual figures.
    pub figures: Figures,
    /// By question: how often it was asked while spans came in, and its slowest and median answer in milliseconds.
    pub meanwhile: Vec<Meanwhile>,
    /// Compaction steps of the server by itself, up to the mark.
    pub steps_meanwhile: u64,
    /// Compaction of what was left to do at the mark.
    pub compaction: Compaction,
    /// Compaction of all that is not full, whether or not it is due; only at the last mark.
    pub all: Option<Compacted>,
    /// Spans rewritten by compaction so far.
    pub compacted_spans: u64,
    /// By date: spans, files, bytes.
    pub days: BTreeMap<String, [u64; 3]>,
    /// Seconds that the drop of the oldest day took, and its spans; only at the last mark.
    pub drop: Drop,
}

/// What one call of compaction did.
#[derive(Debug, Default, Serialize)]
pub struct Compaction {
    /// How long it took.
    pub seconds: f64,
    /// Of the server, all the while.
    pub cpu_seconds: f64,
    /// Commits.
    pub steps: u64,
    /// Spans rewritten.
    pub spans: u64,
    /// Of the server, all the while.
    pub peak_memory_bytes: u64,
}

/// The table before and after everything was compacted.
#[derive(Debug, Serialize)]
pub struct Compacted {
    /// What it took.
    pub compaction: Compaction,
    /// Files and bytes a span before it, then after it.
    pub files: [(u64, f64); 2],
    /// The questions before it; those after it are the mark's.
    pub questions: Vec<Timing>,
}

/// A question that was asked again and again while spans came in.
#[derive(Debug, Serialize)]
pub struct Meanwhile {
    /// What was asked.
    pub question: &'static str,
    /// How often.
    pub times: usize,
    /// Answers that were none.
    pub failures: usize,
    /// Median and slowest, milliseconds.
    pub milli: [f64; 2],
}

/// Sends until `mark` rounds and looks at the table. `dropped` are spans that were dropped before; with `last`, the oldest
/// day is dropped while the spans come in.
///
/// # Errors
/// The server refused something, or does not have what was acknowledged.
pub fn mark(
    server: &Server,
    (port, plan): (u16, &Plan<'_>),
    repetitions: usize,
    (sent_before, last): (u64, bool),
) -> Result<Growth> {
    let mut growth = Growth::default();
    let cpu = server.cpu_seconds()?;
    let (sent, meanwhile, dropped) = sending(server, (port, plan), last)?;
    (growth.meanwhile, growth.drop) = (meanwhile, dropped);
    let at_end_of_send = server.cpu_seconds()? - cpu;
    server.flush()?;
    growth.figures = Figures {
        spans_sent: sent.spans,
        otlp_bytes: plan.requests.iter().map(|request| request.body.len() as u64).sum::<u64>()
            * (plan.rounds.end - plan.rounds.start),
        cpu_seconds_end_of_send: at_end_of_send,
        cpu_seconds_to_commit: server.cpu_seconds()? - cpu,
        peak_memory_bytes_ingest: server.peak_memory_bytes()?,
        ..Figures::of_sending(&sent)
    };
    growth.steps_meanwhile = metric(server, "spanlake_compactions_total")?;
    growth.compaction = compact(server, "/api/v1/compact")?;
    if last {
        growth.all = Some(compact_all(server, repetitions)?);
    }
    growth.days = days(server)?;
    growth.compacted_spans = metric(server, "spanlake_compacted_spans_total")?;
    growth.figures.spans_stored = growth.days.values().map(|[rows, ..]| rows).sum();
    let gone = growth.drop.map_or(0, |(_, spans)| spans);
    let expected = sent_before + sent.spans - gone;
    ensure!(
        growth.figures.spans_stored == expected,
        "{expected} spans were acknowledged and not dropped, {} are stored",
        growth.figures.spans_stored
    );
    if repetitions > 0 {
        growth.figures.questions = ask(server, repetitions)?;
    }
    growth.figures.peak_memory_bytes = server.peak_memory_bytes()?;
    growth.figures.disk = server.disk()?;
    Ok(growth)
}

fn compact_all(server: &Server, repetitions: usize) -> Result<Compacted> {
    let before = per_span(&days(server)?);
    let questions = if repetitions > 0 { ask(server, repetitions)? } else { Vec::new() };
    let compaction = compact(server, "/api/v1/compact?now=true")?;
    Ok(Compacted { compaction, files: [before, per_span(&days(server)?)], questions })
}

/// Files, and bytes a span.
fn per_span(days: &BTreeMap<String, [u64; 3]>) -> (u64, f64) {
    let sum = |place: usize| days.values().map(|day| day[place]).sum::<u64>();
    (sum(1), sum(2) as f64 / sum(0).max(1) as f64)
}

fn compact(server: &Server, path: &str) -> Result<Compaction> {
    let before = metric(server, "spanlake_compacted_spans_total")?;
    server.forget_peak_memory()?;
    let (cpu, started) = (server.cpu_seconds()?, Instant::now());
    let steps = server.admin(path, "")?["steps"].as_u64().unwrap_or(0);
    Ok(Compaction {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds()? - cpu,
        steps,
        spans: metric(server, "spanlake_compacted_spans_total")? - before,
        peak_memory_bytes: server.peak_memory_bytes()?,
    })
}

/// Seconds and spans of the drop, where there was one.
pub type Drop = Option<(f64, u64)>;
type Sending = (Sent, Vec<Meanwhile>, Drop);

/// Sends, and asks one question after the other until all is sent.
fn sending(server: &Server, (port, plan): (u16, &Plan<'_>), last: bool) -> Result<Sending> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let sent = send(port, plan);
            done.store(true, Ordering::Relaxed);
            sent
        });
        let asked = ask_until(server, &done, last);
        let sent = sender.join().expect("no panic")?;
        let (meanwhile, dropped) = asked?;
        Ok((sent, meanwhile, dropped))
    })
}

fn ask_until(server: &Server, done: &AtomicBool, last: bool) -> Result<(Vec<Meanwhile>, Drop)> {
    let mut answers: BTreeMap<&'static str, (Vec<f64>, usize)> = BTreeMap::new();
    let mut dropped = None;
    let mut turn = 0;
    while !done.load(Ordering::Relaxed) {
        let (question, answer) = ask_once(server, turn);
        turn += 1;
        let known = answers.entry(question).or_default();
        match answer {
            Ok(milli) => known.0.push(milli),
            Err(_) => known.1 += 1,
        }
        // In the midst of it all: after every question was asked once.
        if last && dropped.is_none() && answers.len() < turn {
            dropped = drop_oldest(server)?;
        }
    }
    let meanwhile = answers.into_iter().map(|(question, (mut milli, failures))| {
        milli.sort_by(f64::total_cmp);
        let at = |place: usize| milli.get(place).copied().unwrap_or(f64::NAN);
        let bounds = [at(milli.len() / 2), at(milli.len().saturating_sub(1))];
        Meanwhile { question, times: milli.len(), failures, milli: bounds }
    });
    Ok((meanwhile.collect(), dropped))
}

/// Drops the oldest day, unless it is the only one: seconds, and spans that went.
fn drop_oldest(server: &Server) -> Result<Drop> {
    let days = days(server)?;
    let Some(date) = days.keys().next().filter(|_| days.len() > 1) else { return Ok(None) };
    let started = Instant::now();
    let body = serde_json::json!({ "dates": [date] }).to_string();
    let receipt = server.admin("/api/v1/partitions/drop", &body)?;
    let spans = receipt["spans"].as_u64().or(receipt["rows"].as_u64()).context("a receipt")?;
    Ok(Some((started.elapsed().as_secs_f64(), spans)))
}

fn days(server: &Server) -> Result<BTreeMap<String, [u64; 3]>> {
    let text = ureq::get(server.url("/api/v1/partitions")).call()?.body_mut().read_to_string()?;
    let rows: Vec<Value> = serde_json::from_str(&text)?;
    let days = rows.iter().map(|row| {
        let date = row["date"].as_str().context("a date")?.to_owned();
        let number = |name: &str| row[name].as_u64().unwrap_or(0);
        Ok((date, [number("rows") + number("hot_rows"), number("files"), number("bytes")]))
    });
    days.collect()
}

/// The sum of a metric over its labels.
fn metric(server: &Server, name: &str) -> Result<u64> {
    let text = ureq::get(server.url("/metrics")).call()?.body_mut().read_to_string()?;
    let values = text.lines().filter_map(|line| {
        let (found, value) = line.rsplit_once(' ')?;
        let found = found.split('{').next()?;
        if found == name { value.parse::<u64>().ok() } else { None }
    });
    Ok(values.sum())
}

fn show_compaction(name: &str, compaction: &Compaction) {
    let Compaction { seconds, cpu_seconds, steps, spans, peak_memory_bytes } = compaction;
    println!("{name:<27} {seconds:>12.1} s, {steps} steps, {spans} spans");
    if *spans > 0 {
        let each = cpu_seconds / (*spans as f64 / 1e6);
        let mib = *peak_memory_bytes as f64 / 1_048_576.0;
        println!("  CPU s per million spans   {each:>12.2}; the server's peak memory {mib:.0} MiB");
    }
}

/// Prints one mark, and by question how its answer grew since the first one.
pub fn show(growth: &Growth, first: Option<&Growth>) {
    let Growth { figures, compaction, days, .. } = growth;
    println!("== {:.1} million spans", figures.spans_stored as f64 / 1e6);
    print(figures);
    println!("compaction meanwhile        {:>12} steps", growth.steps_meanwhile);
    show_compaction("compaction at the mark", compaction);
    if let Some(Compacted { compaction, files: [before, after], questions }) = &growth.all {
        show_compaction("compaction of everything", compaction);
        println!(
            "  {} files of {:.1} bytes a span became {} of {:.1}; questions before:",
            before.0, before.1, after.0, after.1
        );
        for Timing { question, milli, .. } in questions {
            if let Ok([_, median, _]) = milli {
                println!("  {question:<38} {median:>7.1} ms");
            }
        }
    }
    let rewritten = growth.compacted_spans as f64 / figures.spans_stored as f64;
    println!("spans rewritten so far      {rewritten:>12.2} times each");
    for (date, [rows, files, bytes]) in days {
        let each = *bytes as f64 / (*rows).max(1) as f64;
        println!(
            "{date}                  {rows:>12} spans {files:>5} files {each:>6.1} bytes each"
        );
    }
    if let Some((seconds, spans)) = growth.drop {
        println!("drop of the oldest day      {seconds:>12.2} s, {spans} spans");
    }
    println!("while spans came in:");
    for Meanwhile { question, times, failures, milli: [median, slowest] } in &growth.meanwhile {
        println!(
            "{question:<40} {times:>7} times {median:>7.1} ms, slowest {slowest:.1}; {failures} failed"
        );
    }
    let Some(first) = first else { return };
    println!("against the first mark:");
    let of_first = &first.figures.questions;
    for (Timing { question, milli, .. }, before) in figures.questions.iter().zip(of_first) {
        if let (Ok([_, now, _]), Ok([_, before, _])) = (milli, &before.milli) {
            println!("{question:<40} {:>7.1} times", now / before.max(0.001));
        }
    }
    println!();
}
