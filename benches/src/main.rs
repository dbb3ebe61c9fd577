//! `spanlake-bench`: sends a corpus to a fresh server and prints what it cost.
#![expect(clippy::print_stderr, reason = "progress for people")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use benches::corpus::Corpus;
use benches::growth::{self, Growth};
use benches::lookup;
use benches::overload::{self, Load, Outcome};
use benches::report::{Figures, ask, print};
use benches::send::{Plan, Protocol, send};
use benches::server::Server;
use benches::tail::{self, Readers};
use clap::Parser;

/// Starts a fresh server, sends a corpus over OTLP, waits for the commit, asks questions, prints a table.
///
/// Examples:
///   cargo build --release --workspace && target/release/spanlake-bench --spans 2000000
///   target/release/spanlake-bench --spans 1000000 --marks 1,10,100    cost as the table grows to 100 rounds
///   target/release/spanlake-bench --growth --json growth.json         1, 10 and 100 million spans over four days
///   target/release/spanlake-bench --lookup 1000                       traces by id in a thousand files of thirty days
///   target/release/spanlake-bench --ids 200                           p50 and p99 of traces by id, after the questions
///   target/release/spanlake-bench --spans 1000000 --rate 300000       answer times below capacity
///   target/release/spanlake-bench --grpc --connections 4 --calls 4    over gRPC, as four collectors send
///   target/release/spanlake-bench --overload 20 --server-cpus 0.5     five times more than half a core takes
///   target/release/spanlake-bench --tail-readers 1000                 without, then with readers of the live tail
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
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
    /// Rounds of the corpus after which a table is printed. Each round has other ids and later times; the last one ends
    /// now. A time before the default limit of seven days makes the server refuse spans: give it a longer --ttl.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    marks: Vec<u64>,
    /// Grows one table to 1, 10 and 100 rounds (or --marks) over several days of event time, with questions and compaction
    /// all the while and the drop of the oldest day before the last mark. A round is a million spans (or --spans).
    #[arg(long)]
    growth: bool,
    /// Days over which --growth spreads the spans.
    #[arg(long, default_value_t = 4, requires = "growth")]
    days: u32,
    /// Makes so many small files over thirty days, none of which is compacted, and looks traces up by id.
    #[arg(long, value_name = "FILES")]
    lookup: Option<u64>,
    /// Asks for so many traces by id at each mark, from all over the table, and prints how long that takes.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    ids: usize,
    /// Spans a second to send; as fast as they are taken without it.
    #[arg(long)]
    rate: Option<f64>,
    /// Measures capacity for so many seconds, then senders have many times as much for so many seconds: prints how much of
    /// the capacity is used for what gets in, and what became of the rest. Give the sender its own CPU, with --server-cpus.
    #[arg(long, value_name = "SECONDS")]
    overload: Option<u64>,
    /// How many times the capacity the senders of --overload have.
    #[arg(long, default_value_t = 5.0, requires = "overload")]
    overload_times: f64,
    /// Connections of the overload, each with one request on its way.
    #[arg(long, default_value_t = 200, requires = "overload")]
    overload_connections: u64,
    /// Holds the server to so many cores, 0.5 for example (a control group of Linux; needs root).
    #[arg(long, value_name = "CORES")]
    server_cpus: Option<f64>,
    /// Connections. Each has one request on its way, as an exporter has.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Sends over gRPC instead of HTTP/1.1.
    #[arg(long)]
    grpc: bool,
    /// With --grpc: calls on their way on each connection, as a collector's sending queue has.
    #[arg(long, default_value_t = 1, requires = "grpc")]
    calls: usize,
    /// Repetitions of each question; 0 asks none.
    #[arg(long, default_value_t = 7)]
    repetitions: usize,
    /// Readers of the live tail, some of which take nothing: everything is measured without them, then with them.
    #[arg(long, default_value_t = 0)]
    tail_readers: usize,
    /// The server; by default `spanlake` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where the table is made; removed before and kept after. By default a folder in the system's temporary folder.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Writes all figures as JSON: one object for each mark.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Further arguments for `spanlake serve`.
    #[arg(last = true)]
    serve: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(seconds) = arguments.overload {
        return overloaded(&arguments, seconds);
    }
    if arguments.growth {
        return grow(&arguments);
    }
    if let Some(files) = arguments.lookup {
        return look_up(&arguments, files);
    }
    let mut figures = measure(&arguments, 0)?;
    if arguments.tail_readers > 0 {
        eprintln!("\nthe same with {} readers of the live tail", arguments.tail_readers);
        figures.extend(measure(&arguments, arguments.tail_readers)?);
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
        eprintln!("figures in {}", path.display());
    }
    Ok(())
}

/// Traces by id in many small files.
fn look_up(arguments: &Arguments, files: u64) -> Result<()> {
    let now = now_unix_nano()?;
    let corpus = Corpus::generate(arguments.seed, lookup::SPANS, now);
    let serve = ["--set", "storage.compact=false", "--ttl", "31d"].map(str::to_owned);
    let serve = [&serve[..], &arguments.serve].concat();
    let server = Server::start(&binary(arguments)?, &fresh(arguments)?, &serve)?;
    let figures = lookup::run(&server, &corpus, files, (now, arguments.repetitions))?;
    lookup::show(&figures);
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}

/// Where the table is made, empty.
fn fresh(arguments: &Arguments) -> Result<PathBuf> {
    let data =
        arguments.data.clone().unwrap_or_else(|| std::env::temp_dir().join("spanlake-bench"));
    if data.exists() {
        std::fs::remove_dir_all(&data).context("remove the last run's table")?;
    }
    Ok(data)
}

/// One table, mark by mark.
fn grow(arguments: &Arguments) -> Result<()> {
    let by_default = arguments.marks == [1];
    let marks = if by_default { &[1, 10, 100][..] } else { &arguments.marks };
    let (corpus, server) = begin(arguments)?;
    let shift_nano = spread(&corpus, arguments.days, marks)?;
    let mut all: Vec<Growth> = Vec::new();
    let mut rounds = 0;
    for mark in marks {
        let plan = Plan {
            requests: &corpus.requests,
            rounds: rounds..*mark,
            shift_nano,
            connections: arguments.connections,
            protocol: Protocol::Http,
            rate: arguments.rate,
        };
        let stored = all.last().map_or(0, |growth| growth.figures.spans_stored);
        let is_last = mark == marks.last().unwrap_or(mark);
        let port = server.otlp_port;
        let sent = (stored, is_last);
        let growth = growth::mark(&server, (port, &plan), arguments.repetitions, sent)?;
        growth::show(&growth, all.first());
        all.push(growth);
        if let Some(path) = &arguments.json {
            std::fs::write(path, serde_json::to_vec_pretty(&all)?)?;
        }
        rounds = *mark;
    }
    Ok(())
}

/// The step from round to round so that all of them take `days`, and the shift of the first one so that the last ends now.
fn spread(corpus: &Corpus, days: u32, marks: &[u64]) -> Result<(i64, i64)> {
    const DAY_NANO: i64 = 86_400_000_000_000;
    let (first, last) = corpus.times().context("the corpus is empty")?;
    let rounds = i64::try_from(marks.last().copied().unwrap_or(1))?;
    let length = i64::try_from(last - first)?;
    let step = (i64::from(days) * DAY_NANO).saturating_sub(length).max(0) / (rounds - 1).max(1);
    let end = i64::try_from(now_unix_nano()?)? - i64::try_from(last)?;
    Ok((step, end.saturating_sub(step.saturating_mul(rounds - 1))))
}

/// Capacity with a few senders that wait for each answer, then many times that from many that do not hold back.
fn overloaded(arguments: &Arguments, seconds: u64) -> Result<()> {
    let (corpus, server) = begin(arguments)?;
    let mut load = Load {
        requests: &corpus.requests,
        first_round: 1,
        connections: arguments.connections as u64,
        spans_per_second: None,
        time: Duration::from_secs(seconds),
    };
    let phase = |load: &Load<'_>| -> Result<Phase> {
        let cpu = server.cpu_seconds()?;
        let outcome = overload::run(server.otlp_port, load)?;
        Ok(Phase {
            cpu_seconds: server.cpu_seconds()? - cpu,
            peak_memory_bytes: server.peak_memory_bytes()?,
            outcome,
        })
    };
    let calm = phase(&load)?;
    load.first_round = calm.outcome.rounds;
    load.connections = arguments.overload_connections;
    load.spans_per_second = Some(calm.outcome.goodput() * arguments.overload_times);
    let pressed = phase(&load)?;
    server.flush()?;
    let (stored, refusals) = (count(&server)?, refusals(&server)?);
    print_phase("as much as it takes", &calm, &calm);
    print_phase("overload", &pressed, &calm);
    for (reason, requests) in &refusals {
        eprintln!("refused, by the server's count {requests:>10} {reason}");
    }
    let outcome = &pressed.outcome;
    let acknowledged = calm.outcome.acknowledged_spans + outcome.acknowledged_spans;
    ensure!(stored >= acknowledged, "{acknowledged} spans were acknowledged, {stored} are stored");
    eprintln!("all {acknowledged} acknowledged spans are stored ({stored})");
    let named: u64 = refusals.iter().map(|(_, requests)| requests).sum();
    let refused = |phase: &Phase| phase.outcome.too_many + phase.outcome.unavailable;
    let refused = refused(&calm) + refused(&pressed);
    ensure!(named >= refused, "{refused} requests were refused, the server named {named}");
    if let Some(path) = &arguments.json {
        let figures = serde_json::json!({"calm": calm, "overload": pressed, "refused": refusals});
        std::fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct Phase {
    outcome: Outcome,
    cpu_seconds: f64,
    peak_memory_bytes: u64,
}

fn print_phase(name: &str, phase: &Phase, calm: &Phase) {
    let Phase { outcome, cpu_seconds, peak_memory_bytes } = phase;
    let answers = &outcome.answers_milli;
    let at = |part: usize| answers.get(answers.len() * part / 100).copied().unwrap_or_default();
    let capacity = calm.outcome.goodput();
    let times = |rate: f64| rate / capacity;
    let sent = outcome.sent_spans as f64 / outcome.seconds;
    eprintln!("{name}, {:.1} s", outcome.seconds);
    eprintln!(
        "  senders had, spans/s      {:>12.0} {:>8.2}",
        outcome.demand(),
        times(outcome.demand())
    );
    eprintln!("  sent, spans/s             {sent:>12.0} {:>8.2}", times(sent));
    eprintln!(
        "  acknowledged, spans/s     {:>12.0} {:>8.2}",
        outcome.goodput(),
        times(outcome.goodput())
    );
    eprintln!(
        "  answered 200, 429, 503    {:>12} {} {}",
        outcome.acknowledged, outcome.too_many, outcome.unavailable
    );
    eprintln!("  without answer            {:>12}", outcome.broken);
    eprintln!("  success p50, p99, ms      {:>12.1} {:.1}", at(50), at(99));
    eprintln!("  server CPU, cores         {:>12.2}", cpu_seconds / outcome.seconds);
    eprintln!("  peak memory so far        {:>8.0} MiB", *peak_memory_bytes as f64 / 1_048_576.0);
}

/// Requests refused so far, by reason.
fn refusals(server: &Server) -> Result<Vec<(String, u64)>> {
    let text = ureq::get(server.url("/metrics")).call()?.body_mut().read_to_string()?;
    let mut refusals = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("spanlake_ingest_refused_requests_total{") else {
            continue;
        };
        let (labels, value) = rest.rsplit_once(' ').context("a metric")?;
        let reason = labels.split("reason=\"").nth(1).and_then(|rest| rest.split('"').next());
        let requests = value.parse::<u64>()?;
        if requests > 0 {
            refusals.push((reason.context("a reason")?.to_owned(), requests));
        }
    }
    Ok(refusals)
}

/// The corpus, and a fresh server.
fn begin(arguments: &Arguments) -> Result<(Corpus, Server)> {
    let corpus = match &arguments.corpus {
        Some(path) => Corpus::read(path)?,
        None => Corpus::generate(arguments.seed, arguments.spans, now_unix_nano()?),
    };
    let mib = corpus.bytes() as f64 / 1_048_576.0;
    eprintln!("{} spans in {} requests, {mib:.1} MiB", corpus.spans(), corpus.requests.len());
    let data = fresh(arguments)?;
    let sockets = arguments.tail_readers + usize::try_from(arguments.overload_connections)?;
    // As a server that flushes each minute of a quiet day: small files, so that compaction has something to do.
    let flush = if arguments.growth { &["--set", "storage.flush_bytes=16MiB"][..] } else { &[] };
    let flush: Vec<String> = flush.iter().map(ToString::to_string).collect();
    let serve = [tail::settings(sockets), flush, arguments.serve.clone()].concat();
    let mut server = Server::start(&binary(arguments)?, &data, &serve)?;
    if let Some(cpus) = arguments.server_cpus {
        server.limit_cpu(cpus)?;
    }
    Ok((corpus, server))
}

fn measure(arguments: &Arguments, tail_readers: usize) -> Result<Vec<Figures>> {
    ensure!(
        arguments.marks.is_sorted() && !arguments.marks.contains(&0),
        "--marks must rise from 1"
    );
    let (corpus, server) = begin(arguments)?;
    let shift_nano = shift(&corpus, arguments)?;
    let readers = Readers::open(&server, tail_readers)?;
    let (protocol, port) = match arguments.grpc {
        true => (Protocol::Grpc { calls: arguments.calls.max(1) }, server.grpc_port),
        false => (Protocol::Http, server.otlp_port),
    };
    let mut all = Vec::new();
    let mut rounds = 0;
    for mark in &arguments.marks {
        let plan = Plan {
            requests: &corpus.requests,
            rounds: rounds..*mark,
            shift_nano,
            connections: arguments.connections,
            protocol,
            rate: arguments.rate,
        };
        let cpu_before = server.cpu_seconds()?;
        let sent = send(port, &plan)?;
        let cpu_at_end_of_send = server.cpu_seconds()? - cpu_before;
        server.flush()?;
        let mut figures = Figures {
            spans_sent: sent.spans,
            otlp_bytes: corpus.bytes() * (mark - rounds),
            cpu_seconds_end_of_send: cpu_at_end_of_send,
            cpu_seconds_to_commit: server.cpu_seconds()? - cpu_before,
            peak_memory_bytes_ingest: server.peak_memory_bytes()?,
            spans_stored: count(&server)?,
            ..Figures::of_sending(&sent)
        };
        ensure!(
            figures.spans_stored == corpus.spans() * mark,
            "{} spans were sent and acknowledged, {} are stored",
            corpus.spans() * mark,
            figures.spans_stored
        );
        if arguments.repetitions > 0 {
            figures.questions = ask(&server, arguments.repetitions)?;
        }
        if arguments.ids > 0 {
            figures.ids_milli = lookup::by_id(&server, arguments.ids)?;
        }
        figures.peak_memory_bytes = server.peak_memory_bytes()?;
        figures.disk = server.disk()?;
        print(&figures);
        all.push(figures);
        rounds = *mark;
    }
    if tail_readers > 0 {
        let (bytes, ended) = readers.figures();
        eprint!("{}", tail::figures(&server)?);
        eprintln!("readers took {bytes} bytes; {ended} of their streams ended");
    }
    Ok(all)
}

/// Step from round to round, and the shift of round 0, so that the last round ends now. A single round stays as it is.
fn shift(corpus: &Corpus, arguments: &Arguments) -> Result<(i64, i64)> {
    let rounds = arguments.marks.last().copied().unwrap_or(1);
    if rounds == 1 {
        return Ok((0, 0));
    }
    let (first, last) = corpus.times().context("the corpus is empty")?;
    let step = i64::try_from(last - first)?;
    let end = i64::try_from(now_unix_nano()?)? - i64::try_from(last)?;
    Ok((step, end.saturating_sub(step.saturating_mul(i64::try_from(rounds - 1)?))))
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
