//! `kill -9` during ingest, again and again, with a journal of every answer.
mod client;
mod zipkin;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::client::{Client, DOORS};
use crate::support::{Ports, Server};

const SPANS_PER_REQUEST: u64 = 20;

/// What a client knows about one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Answered 2xx: must be there exactly once.
    Acknowledged,
    /// Refused by an answer: must not be there.
    Refused,
    /// No answer: there once or not at all.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
struct Request {
    client: u64,
    number: u64,
}

type Journal = HashMap<Request, State>;

/// *Scenario*: one client for each door and encoding (OTLP over HTTP in JSON, protobuf, gzip, zstd; gRPC; Zipkin in JSON and
/// protobuf) sends while the server is killed at a random moment, mid-flush included (flushes come several times a second); it restarts; half of what got no answer is sent again, byte
/// for byte. *Guarantees*: every acknowledged span is there exactly once, whatever got no answer at most once,
/// nothing else is there.
#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let rounds: u32 = setting("SPANLAKE_CRASH_ROUNDS", 100);
    let seed: u64 = setting("SPANLAKE_CRASH_SEED", 17);
    eprintln!("{rounds} rounds, seed {seed}");
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut journal = Journal::new();
    let mut next = 0;
    for round in 0..rounds {
        let server = start(&data);
        if round % 10 == 0 {
            check(&server, &journal);
        }
        let pause = Duration::from_millis(random.random_range(0..700));
        let until = next + 1_000_000;
        let news = send_until_killed(server, next..until, pause, &unanswered(&journal));
        next = news.keys().map(|request| request.number + 1).max().unwrap_or(next).max(next);
        for (request, state) in news {
            // An acknowledgement outranks an earlier silence; a refusal does not: the first try may have been stored.
            let known = journal.entry(request).or_insert(state);
            if state == State::Acknowledged {
                *known = state;
            }
        }
    }
    let server = start(&data);
    check(&server, &journal);
    let acknowledged = journal.values().filter(|state| **state == State::Acknowledged).count();
    eprintln!(
        "{rounds} kills: {} spans acknowledged, 0 lost, 0 doubled",
        acknowledged as u64 * SPANS_PER_REQUEST
    );
    for door in 0..DOORS {
        let by = |(request, state): (&Request, &State)| {
            request.client == door && *state == State::Acknowledged
        };
        assert!(journal.iter().any(by), "client {door} must have got something through");
    }
    assert!(acknowledged > rounds as usize, "the test must have sent something");
}

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn start(data: &Path) -> Server {
    Server::start("serve", data, &["--flush-interval", "250ms"])
}

/// Every second request without an answer: those are sent again.
fn unanswered(journal: &Journal) -> Vec<Request> {
    let mut open: Vec<Request> =
        journal.iter().filter(|(_, state)| **state == State::Unknown).map(|(r, _)| *r).collect();
    open.sort();
    open.into_iter().filter(|request| request.number % 2 == 0).collect()
}

fn send_until_killed(
    server: Server,
    numbers: std::ops::Range<u64>,
    pause: Duration,
    again: &[Request],
) -> Journal {
    let stop = AtomicBool::new(false);
    let ports = server.ports;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..DOORS)
            .map(|client| {
                let (stop, numbers) = (&stop, numbers.clone());
                let again = again.iter().filter(move |request| request.client == client);
                let new = numbers.map(move |number| Request { client, number });
                scope.spawn(move || send_all(ports, again.copied().chain(new), stop))
            })
            .collect();
        thread::sleep(pause);
        server.kill();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("client")).collect()
    })
}

fn send_all(
    ports: Ports,
    requests: impl Iterator<Item = Request>,
    stop: &AtomicBool,
) -> Vec<(Request, State)> {
    let mut client = None;
    let mut answers = Vec::new();
    for request in requests {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let client = client.get_or_insert_with(|| Client::new(request.client, ports));
        answers.push((request, client.send(&request, today_nanos())));
    }
    answers
}

/// Yesterday at midnight, in nanoseconds: fixed for a run (which lasts minutes), inside the accepted window.
fn today_nanos() -> u64 {
    static BASE: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *BASE.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "the server's window is around now")]
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        (seconds / 86_400 - 1) * 86_400 * 1_000_000_000
    })
}

#[track_caller]
fn check(server: &Server, journal: &Journal) {
    let rows = server.sql(
        "SELECT client, number, count(*) AS requests, min(spans) AS low, max(spans) AS high \
         FROM (SELECT attributes['client'] AS client, attributes['number'] AS number, \
               attributes['index'] AS i, count(*) AS spans FROM spans GROUP BY 1, 2, 3) AS s \
         GROUP BY 1, 2",
    );
    let mut stored = HashMap::new();
    for row in &rows {
        let field = |name: &str| -> u64 {
            row[name].as_u64().or_else(|| row[name].as_str()?.parse().ok()).expect("a number")
        };
        let request = Request { client: field("client"), number: field("number") };
        assert_eq!(
            (field("requests"), field("low"), field("high")),
            (SPANS_PER_REQUEST, 1, 1),
            "{request:?} must be there whole and once"
        );
        stored.insert(request, ());
    }
    for (request, state) in journal {
        match state {
            State::Acknowledged => assert!(stored.contains_key(request), "{request:?} was lost"),
            State::Refused => assert!(!stored.contains_key(request), "{request:?} was refused"),
            State::Unknown => {}
        }
    }
    for request in stored.keys() {
        assert!(journal.contains_key(request), "{request:?} was never sent");
    }
}
