//! A lean sender: keep-alive HTTP/1.1 over plain sockets, so that it takes little from the machine it shares.
use std::borrow::Cow;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::grpc;
use crate::rounds::{Request, Round};

/// What sending took.
#[derive(Debug, Default)]
pub struct Sent {
    /// From the first byte to the last answer.
    pub elapsed: Duration,
    /// Milliseconds of each answer, sorted; with a rate, counted from the moment at which the request was due.
    pub answers_milli: Vec<f64>,
    /// Requests answered 429 or 503 and sent again.
    pub again: usize,
    /// Spans sent.
    pub spans: u64,
}

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over HTTP/1.1: a connection has one request on its way.
    Http,
    /// OTLP over gRPC.
    Grpc {
        /// Calls on their way on one connection.
        calls: usize,
    },
}

/// What to send, and how fast.
#[derive(Debug)]
pub struct Plan<'a> {
    /// One round.
    pub requests: &'a [Request],
    /// Rounds to send: the corpus again and again, each time as other spans.
    pub rounds: Range<u64>,
    /// How much later each round is than the one before, and the shift of round 0.
    pub shift_nano: (i64, i64),
    /// Sockets.
    pub connections: usize,
    /// What is spoken on them.
    pub protocol: Protocol,
    /// Spans a second to send; `None`: as fast as they are taken.
    pub rate: Option<f64>,
}

impl Plan<'_> {
    fn round(&self, number: u64) -> Round {
        let (step, first) = self.shift_nano;
        let steps = i64::try_from(number).unwrap_or(i64::MAX);
        Round { number, shift_nano: first.saturating_add(step.saturating_mul(steps)) }
    }

    /// The bytes of the request whose turn it is.
    pub(crate) fn body(&self, turn: &Turn) -> Cow<'_, [u8]> {
        let request = &self.requests[turn.index];
        let round = self.round(self.rounds.start + turn.round);
        match round.number != 0 || round.shift_nano != 0 {
            true => Cow::Owned(request.of_round(round)),
            false => Cow::Borrowed(&request.body),
        }
    }

    /// And its spans.
    pub(crate) fn spans(&self, turn: &Turn) -> u64 {
        self.requests[turn.index].spans
    }
}

/// One request's turn.
#[derive(Debug)]
pub(crate) struct Turn {
    index: usize,
    round: u64,
    /// The moment from which its answer is timed.
    pub(crate) due: Instant,
}

/// Sends to `127.0.0.1:port`. A refusal that may be retried is retried.
///
/// # Errors
/// A socket failed, or an answer was neither success nor 429 nor 503.
pub fn send(port: u16, plan: &Plan<'_>) -> Result<Sent> {
    let clock = Clock { next: AtomicUsize::new(0), due: due(plan), started: Instant::now() };
    let parts = thread::scope(|scope| {
        let clock = &clock;
        let work = move || match plan.protocol {
            Protocol::Http => worker(port, plan, clock),
            Protocol::Grpc { calls } => grpc::worker(port, (plan, clock), calls),
        };
        let workers: Vec<_> = (0..plan.connections).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|w| w.join().expect("no panic")).collect::<Result<Vec<_>>>()
    })?;
    let mut sent = Sent { elapsed: clock.started.elapsed(), ..Sent::default() };
    for part in parts {
        sent.answers_milli.extend(part.answers_milli);
        sent.again += part.again;
        sent.spans += part.spans;
    }
    sent.answers_milli.sort_by(f64::total_cmp);
    Ok(sent)
}

/// Whose turn it is, and when.
pub(crate) struct Clock {
    next: AtomicUsize,
    /// Seconds after the start at which each request of one round is due, and the length of a round; `None` without a rate.
    due: Option<(Vec<f64>, f64)>,
    started: Instant,
}

fn due(plan: &Plan<'_>) -> Option<(Vec<f64>, f64)> {
    let rate = plan.rate?;
    let mut seconds = 0.0;
    let mut each = Vec::with_capacity(plan.requests.len());
    for request in plan.requests {
        each.push(seconds);
        seconds += request.spans as f64 / rate;
    }
    Some((each, seconds))
}

impl Clock {
    /// The next request once it is due; `None` where all were sent.
    pub(crate) fn turn(&self, plan: &Plan<'_>) -> Option<Turn> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (round, index) = ((turn / plan.requests.len()) as u64, turn % plan.requests.len());
        (round < plan.rounds.end - plan.rounds.start).then(|| Turn {
            index,
            round,
            due: self.wait(index, round),
        })
    }

    /// Waits until the request is due; returns the moment from which its answer is timed.
    fn wait(&self, index: usize, round: u64) -> Instant {
        let Some((due, length)) = &self.due else { return Instant::now() };
        let at = Duration::from_secs_f64(due[index] + length * round as f64);
        let due = self.started + at;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due
    }
}

fn worker(port: u16, plan: &Plan<'_>, clock: &Clock) -> Result<Sent> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    let mut sent = Sent::default();
    while let Some(turn) = clock.turn(plan) {
        let body = plan.body(&turn);
        while !post(&mut output, &mut input, &body)? {
            sent.again += 1;
            thread::sleep(Duration::from_millis(50));
        }
        sent.answers_milli.push(turn.due.elapsed().as_secs_f64() * 1e3);
        sent.spans += plan.spans(&turn);
    }
    Ok(sent)
}

/// Sends one request; false where it was refused for now.
fn post(output: &mut TcpStream, input: &mut BufReader<TcpStream>, body: &[u8]) -> Result<bool> {
    match exchange(output, input, body)? {
        200 => Ok(true),
        429 | 503 => Ok(false),
        other => bail!("the server answered {other}"),
    }
}

/// Sends one request and returns the status of the answer.
fn exchange(output: &mut TcpStream, input: &mut BufReader<TcpStream>, body: &[u8]) -> Result<u16> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let sent = output.write_vectored(&[IoSlice::new(head.as_bytes()), IoSlice::new(body)])?;
    if sent < head.len() {
        output.write_all(&head.as_bytes()[sent..])?;
    }
    output.write_all(&body[sent.saturating_sub(head.len())..])?;
    answer(input)
}

fn answer(input: &mut BufReader<TcpStream>) -> Result<u16> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let status =
        line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a status line")?;
    let mut length = 0;
    loop {
        line.clear();
        input.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok(status)
}
