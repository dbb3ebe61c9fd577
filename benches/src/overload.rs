//! Five times more than the machine takes: how much of its capacity is still used for what gets in.
//!
//! Senders honour no backoff: whatever was refused is offered again at the next turn, as the same bytes, so that at the end
//! every span that was acknowledged can be counted.
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::rounds::{Request, Round};
use crate::send::exchange;

/// What to offer.
#[derive(Debug)]
pub struct Overload<'a> {
    /// One round of requests; each is sent in further rounds as other spans.
    pub requests: &'a [Request],
    /// The round to begin with.
    pub first_round: u64,
    /// Sockets; each has one request on its way.
    pub connections: u64,
    /// Spans a second, all connections together.
    pub offered_per_second: f64,
    /// How long.
    pub time: Duration,
}

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Spans acknowledged.
    pub acknowledged_spans: u64,
    /// Requests acknowledged.
    pub acknowledged: u64,
    /// Spans offered, again and again where they were refused.
    pub offered_spans: u64,
    /// Requests answered 429.
    pub too_many: u64,
    /// Requests answered 503.
    pub unavailable: u64,
    /// Connections that ended without an answer.
    pub broken: u64,
    /// Seconds from the first request to the last answer.
    pub seconds: f64,
    /// Milliseconds of each answer that was a success, sorted.
    #[serde(skip)]
    pub answers_milli: Vec<f64>,
}

impl Outcome {
    /// Adds another connection's.
    fn add(&mut self, other: Self) {
        self.acknowledged_spans += other.acknowledged_spans;
        self.acknowledged += other.acknowledged;
        self.offered_spans += other.offered_spans;
        self.too_many += other.too_many;
        self.unavailable += other.unavailable;
        self.broken += other.broken;
        self.answers_milli.extend(other.answers_milli);
    }

    /// Spans acknowledged in a second.
    pub fn goodput(&self) -> f64 {
        self.acknowledged_spans as f64 / self.seconds
    }
}

/// Offers load to `127.0.0.1:port` for the time given.
///
/// # Errors
/// An answer was none of 200, 429 and 503, or no connection was to be had.
pub fn overload(port: u16, plan: &Overload<'_>) -> Result<Outcome> {
    ensure!(!plan.requests.is_empty(), "the corpus is empty");
    let bodies = AtomicU64::new(0);
    let started = Instant::now();
    let parts = thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.connections)
            .map(|number| {
                let bodies = &bodies;
                scope.spawn(move || Worker { port, plan, bodies, started, number }.run())
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut outcome = Outcome::default();
    for part in parts {
        outcome.add(part);
    }
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome.answers_milli.sort_by(f64::total_cmp);
    Ok(outcome)
}

struct Worker<'a> {
    port: u16,
    plan: &'a Overload<'a>,
    /// Counts the bodies that all connections have taken.
    bodies: &'a AtomicU64,
    started: Instant,
    number: u64,
}

impl Worker<'_> {
    fn run(&self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut connection = None;
        let (mut spans, mut body) = self.next_body();
        let share = self.plan.offered_per_second / self.plan.connections as f64;
        // The connections take turns: their first requests are spread over the time of one.
        let mut due = spans as f64 / share * self.number as f64 / self.plan.connections as f64;
        while self.started.elapsed() < self.plan.time {
            let wait = Duration::from_secs_f64(due).saturating_sub(self.started.elapsed());
            thread::sleep(wait);
            due += spans as f64 / share;
            outcome.offered_spans += spans;
            let sent = Instant::now();
            let (output, input) = match &mut connection {
                Some(connection) => connection,
                none => none.insert(self.connect()?),
            };
            match exchange(output, input, &body) {
                Ok(200) => {
                    outcome.answers_milli.push(sent.elapsed().as_secs_f64() * 1e3);
                    outcome.acknowledged += 1;
                    outcome.acknowledged_spans += spans;
                    (spans, body) = self.next_body();
                }
                Ok(429) => outcome.too_many += 1,
                Ok(503) => outcome.unavailable += 1,
                Ok(other) => anyhow::bail!("the server answered {other}"),
                // Stored or not: sent again as the same bytes, it is counted once.
                Err(_) => {
                    outcome.broken += 1;
                    connection = None;
                }
            }
        }
        Ok(outcome)
    }

    fn next_body(&self) -> (u64, Vec<u8>) {
        let turn = self.bodies.fetch_add(1, Ordering::Relaxed);
        let length = self.plan.requests.len() as u64;
        let request = &self.plan.requests[usize::try_from(turn % length).unwrap_or(0)];
        let number = self.plan.first_round + turn / length;
        (request.spans, request.of_round(Round { number, shift_nano: 0 }))
    }

    fn connect(&self) -> Result<(TcpStream, BufReader<TcpStream>)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).context("connect")?;
        stream.set_nodelay(true)?;
        Ok((stream.try_clone()?, BufReader::new(stream)))
    }
}
