//! A lean sender: keep-alive HTTP/1.1 over plain sockets, so that it takes little from the machine it shares.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What sending a corpus took.
#[derive(Debug, Default)]
pub struct Sent {
    /// From the first byte to the last answer.
    pub elapsed: Duration,
    /// Milliseconds of each answer, sorted.
    pub answers_milli: Vec<f64>,
    /// Requests answered 429 or 503 and sent again.
    pub again: usize,
}

/// Sends all `requests` to `127.0.0.1:port` over `connections` sockets. A refusal that may be retried is retried.
///
/// # Errors
/// A socket failed, or an answer was neither success nor 429 nor 503.
pub fn send(port: u16, requests: &[Vec<u8>], connections: usize) -> Result<Sent> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let parts = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| worker(port, requests, &next))).collect();
        workers.into_iter().map(|w| w.join().expect("no panic")).collect::<Result<Vec<_>>>()
    })?;
    let mut sent = Sent { elapsed: started.elapsed(), ..Sent::default() };
    for part in parts {
        sent.answers_milli.extend(part.answers_milli);
        sent.again += part.again;
    }
    sent.answers_milli.sort_by(f64::total_cmp);
    Ok(sent)
}

fn worker(port: u16, requests: &[Vec<u8>], next: &AtomicUsize) -> Result<Sent> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    let mut sent = Sent::default();
    while let Some(body) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut message = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-protobuf\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        message.extend_from_slice(body);
        loop {
            let started = Instant::now();
            output.write_all(&message)?;
            let status = answer(&mut input)?;
            match status {
                200 => {
                    sent.answers_milli.push(started.elapsed().as_secs_f64() * 1e3);
                    break;
                }
                429 | 503 => {
                    sent.again += 1;
                    thread::sleep(Duration::from_millis(50));
                }
                other => bail!("the server answered {other}"),
            }
        }
    }
    Ok(sent)
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
