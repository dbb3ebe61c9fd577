//! Questions and the table of figures.
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::server::Server;

/// One question's latency as a whole HTTP request.
#[derive(Debug, Serialize)]
pub struct Timing {
    /// What was asked.
    pub question: &'static str,
    /// Rows of the answer.
    pub rows: usize,
    /// Fastest, median and slowest of the repetitions, in milliseconds; the refusal where there was no answer.
    pub milli: Result<[f64; 3], String>,
}

/// The questions: name and SQL.
pub const QUESTIONS: &[(&str, &str)] = &[
    ("count", "SELECT count(*) AS n FROM spans"),
    ("latency by root operation", "SELECT * FROM latency()"),
    ("latency histogram", "SELECT * FROM latency_histogram()"),
    ("quantiles by service and operation", "SELECT * FROM operations()"),
    ("dependencies", "SELECT * FROM dependencies()"),
    ("network", "SELECT * FROM network()"),
    ("network caused", "SELECT * FROM network_caused()"),
    ("traces, newest 20", "SELECT * FROM traces() ORDER BY start_time DESC LIMIT 20"),
    (
        "count by http.route",
        "SELECT attributes['http.route'] AS route, count(*) AS n FROM spans GROUP BY 1",
    ),
    (
        "errors, newest 20",
        "SELECT trace_id, service, name, start_time FROM spans WHERE status = 'ERROR' \
         ORDER BY start_time DESC LIMIT 20",
    ),
    (
        "slow spans of one statement, newest 20",
        "SELECT trace_id, start_time, duration_nano FROM spans WHERE duration_nano > 15000000 \
         AND attributes['db.query.text'] LIKE 'SELECT id, order_id%' ORDER BY start_time DESC LIMIT 20",
    ),
];

/// Asks every question `repetitions` times, after one time that does not count.
///
/// # Errors
/// An answer was not a success.
pub fn ask(server: &Server, repetitions: usize) -> Result<Vec<Timing>> {
    let mut timings = Vec::new();
    for (question, sql) in QUESTIONS {
        timings.push(time(question, repetitions, || rows_of_sql(server, sql))?);
    }
    let ids = rows(ureq::post(server.url("/api/v1/sql")).send(
        "SELECT DISTINCT trace_id FROM spans WHERE start_time_unix_nano % 97 = 0 LIMIT 50",
    )?)?;
    let mut next = ids.iter().cycle();
    timings.push(time("trace by id", repetitions * 5, || {
        let id = next.next().and_then(|row| row["trace_id"].as_str()).context("an id")?;
        let mut answer = ureq::get(server.url(&format!("/api/v1/traces/{id}"))).call()?;
        let trace: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        Ok(trace["spans"].as_array().map_or(0, Vec::len))
    })?);
    Ok(timings)
}

fn time(
    question: &'static str,
    repetitions: usize,
    mut ask: impl FnMut() -> Result<usize>,
) -> Result<Timing> {
    let rows = match ask() {
        Ok(rows) => rows,
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

fn rows_of_sql(server: &Server, sql: &str) -> Result<usize> {
    Ok(rows(post(server, sql)?)?.len())
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

fn rows(mut answer: ureq::http::Response<ureq::Body>) -> Result<Vec<Value>> {
    let text = answer.body_mut().with_config().limit(256 << 20).read_to_string()?;
    Ok(serde_json::from_str(&text)?)
}
