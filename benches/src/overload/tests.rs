use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::corpus::Corpus;

#[test]
fn an_answer_is_whole_with_its_body() {
    let whole =
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nretry-after: 3\r\n\r\nno";
    for end in 0..whole.len() {
        assert_eq!(status_of_whole(&whole[..end]).unwrap(), None, "{end}");
    }
    assert_eq!(status_of_whole(whole).unwrap(), Some(503));
    assert_eq!(status_of_whole(b"HTTP/1.1 200 OK\r\n\r\n").unwrap(), Some(200));
    assert!(status_of_whole(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n").is_err());
}

/// Reads requests and refuses every second one of each connection, after `pause`.
fn serve(pause: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut output = stream.unwrap();
            thread::spawn(move || -> std::io::Result<()> {
                let mut input = BufReader::new(output.try_clone()?);
                for status in ["200 OK", "503 busy"].iter().cycle() {
                    let mut length = 0;
                    let mut line = String::new();
                    while input.read_line(&mut line)? > 2 {
                        if let Some(value) = line.strip_prefix("content-length: ") {
                            length = value.trim().parse().expect("a number");
                        }
                        line.clear();
                    }
                    input.read_exact(&mut vec![0; length])?;
                    thread::sleep(pause);
                    write!(output, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")?;
                }
                Ok(())
            });
        }
    });
    port
}

#[test]
fn what_was_refused_is_sent_again_and_what_could_not_be_sent_is_counted() {
    let corpus = Corpus::generate(7, 2_000, 2_000_000_000_000_000_000);
    let load = Load {
        requests: &corpus.requests,
        first_round: 1,
        connections: 3,
        spans_per_second: None,
        time: Duration::from_millis(300),
    };
    let outcome = run(serve(Duration::from_millis(1)), &load).unwrap();
    assert!(outcome.acknowledged > 3 && outcome.unavailable > 3, "{outcome:?}");
    assert!(outcome.acknowledged.abs_diff(outcome.unavailable) <= 3, "{outcome:?}");
    assert_eq!((outcome.too_many, outcome.broken, outcome.held_back_spans), (0, 0, 0));
    assert!(outcome.sent_spans > outcome.acknowledged_spans);
    // A server that takes two seconds for each cannot be sent what three senders have in that time.
    let load =
        Load { spans_per_second: Some(100_000.0), time: Duration::from_millis(2_500), ..load };
    let outcome = run(serve(Duration::from_secs(2)), &load).unwrap();
    assert!(outcome.held_back_spans > 50_000, "{outcome:?}");
}
