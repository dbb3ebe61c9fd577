//! More than the server takes: how much of its capacity is still used for what gets in.
//!
//! One thread sends over many sockets, so that it costs little beside the server: bodies are made before they are due, what
//! was refused is sent again as the same bytes, and of an answer only its status and length are read. Nobody honours
//! `Retry-After`. At the end every span that was acknowledged can be counted.
use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::rounds::{Request, Round};

/// What to send.
#[derive(Debug)]
pub struct Load<'a> {
    /// One round of requests; each is sent in further rounds as other spans.
    pub requests: &'a [Request],
    /// The round to begin with.
    pub first_round: u64,
    /// Sockets; each has one request on its way, as an exporter has.
    pub connections: u64,
    /// Spans a second that the senders have, all together; `None`: always one more.
    pub spans_per_second: Option<f64>,
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
    /// Spans sent, again and again where they were refused.
    pub sent_spans: u64,
    /// Spans due while the connection was busy with earlier ones for a second or more: a real exporter's queue is full then.
    pub held_back_spans: u64,
    /// Requests answered 429.
    pub too_many: u64,
    /// Requests answered 503.
    pub unavailable: u64,
    /// Connections that ended without an answer.
    pub broken: u64,
    /// Rounds begun, those before included.
    pub rounds: u64,
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
        self.sent_spans += other.sent_spans;
        self.held_back_spans += other.held_back_spans;
        self.too_many += other.too_many;
        self.unavailable += other.unavailable;
        self.broken += other.broken;
        self.answers_milli.extend(other.answers_milli);
    }

    /// Spans acknowledged in a second.
    pub fn goodput(&self) -> f64 {
        self.acknowledged_spans as f64 / self.seconds
    }

    /// Spans that the senders had in a second: sent, or held back because the server was busy with earlier ones.
    pub fn demand(&self) -> f64 {
        (self.sent_spans + self.held_back_spans) as f64 / self.seconds
    }
}

/// Sends to `127.0.0.1:port` for the time given.
///
/// # Errors
/// An answer was none of 200, 429 and 503, or no connection was to be had.
pub fn run(port: u16, load: &Load<'_>) -> Result<Outcome> {
    ensure!(!load.requests.is_empty(), "the corpus is empty");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let bodies = Rc::new(Cell::new(0));
        let started = Instant::now();
        let senders = (0..load.connections).map(|number| {
            let bodies = Rc::clone(&bodies);
            Sender { port, load, bodies, started, number }.run()
        });
        let mut outcome = Outcome::default();
        for part in futures::future::try_join_all(senders).await? {
            outcome.add(part);
        }
        outcome.seconds = started.elapsed().as_secs_f64();
        outcome.rounds = load.first_round + bodies.get() / load.requests.len() as u64 + 1;
        outcome.answers_milli.sort_by(f64::total_cmp);
        Ok(outcome)
    })
}

struct Sender<'a> {
    port: u16,
    load: &'a Load<'a>,
    /// Counts the bodies that all connections have taken.
    bodies: Rc<Cell<u64>>,
    started: Instant,
    number: u64,
}

impl Sender<'_> {
    async fn run(self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut connection = None;
        let (mut spans, mut body) = self.next_body();
        let share = self.load.spans_per_second.map(|rate| rate / self.load.connections as f64);
        // The connections take turns: their first requests are spread over the time of one.
        let turn = self.number as f64 / self.load.connections as f64;
        let mut due = share.map_or(0.0, |share| spans as f64 / share * turn);
        while self.started.elapsed() < self.load.time {
            if let Some(share) = share {
                let late = self.started.elapsed().as_secs_f64() - due;
                if late > 1.0 {
                    outcome.held_back_spans += whole(late * share);
                    due += late;
                }
                tokio::time::sleep_until(self.started + Duration::from_secs_f64(due)).await;
                due += spans as f64 / share;
            }
            outcome.sent_spans += spans;
            let sent = Instant::now();
            let stream = match &mut connection {
                Some(stream) => stream,
                none => none.insert(self.connect().await?),
            };
            match exchange(stream, &body).await {
                Ok(200) => {
                    outcome.answers_milli.push(sent.elapsed().as_secs_f64() * 1e3);
                    outcome.acknowledged += 1;
                    outcome.acknowledged_spans += spans;
                    (spans, body) = self.next_body();
                }
                Ok(429) => outcome.too_many += 1,
                Ok(503) => outcome.unavailable += 1,
                Ok(other) => bail!("the server answered {other}"),
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
        let turn = self.bodies.replace(self.bodies.get() + 1);
        let length = self.load.requests.len() as u64;
        let request = &self.load.requests[usize::try_from(turn % length).unwrap_or(0)];
        let number = self.load.first_round + turn / length;
        (request.spans, request.of_round(Round { number, shift_nano: 0 }))
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Sends one request and returns the status of the answer.
async fn exchange(stream: &mut TcpStream, body: &[u8]) -> Result<u16> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut slices = [IoSlice::new(head.as_bytes()), IoSlice::new(body)];
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        let written = stream.write_vectored(left).await?;
        ensure!(written > 0, "the connection takes no more");
        IoSlice::advance_slices(&mut left, written);
    }
    let mut buffer = [0; 4 << 10];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the connection ended");
        filled += read;
        if let Some(status) = status_of_whole(&buffer[..filled])? {
            return Ok(status);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "spans of some seconds")]
fn whole(spans: f64) -> u64 {
    spans as u64
}

/// The status of an answer that has come to its end; `None` before that.
fn status_of_whole(answer: &[u8]) -> Result<Option<u16>> {
    let find = |text: &[u8]| answer.windows(text.len()).position(|window| window == text);
    let Some(end) = find(b"\r\n\r\n") else { return Ok(None) };
    let length = match find(b"content-length: ") {
        Some(at) => {
            let digits = answer[at + 16..].split(|byte| *byte == b'\r').next().unwrap_or_default();
            std::str::from_utf8(digits)?.parse()?
        }
        None => 0,
    };
    if answer.len() < end + 4 + length {
        return Ok(None);
    }
    let status = answer.get(9..12).context("a status line")?;
    Ok(Some(std::str::from_utf8(status)?.parse()?))
}

#[cfg(test)]
mod tests;
