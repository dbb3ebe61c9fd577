//! The live tail of the real server.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::Server;

/// Scenario: a reader follows the live tail; a span comes; the server is told to stop.
/// Guarantees: the reader gets the span, and its stream ends properly and at once instead of holding the server up.
#[test]
fn a_stopping_server_ends_open_streams_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("serve", &folder.path().join("data"), &["--ttl", "never"]);
    let mut reader = TcpStream::connect(("127.0.0.1", server.ports.ui)).unwrap();
    reader.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    reader.write_all(b"GET /api/v1/tail?name=hello HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut text = read_until(&mut reader, "id: ");
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    send_hello(&server);
    text.push_str(&read_until(&mut reader, "event: span"));
    let asked = Instant::now();
    assert!(server.terminate().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    reader.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
}

/// Scenario: `spanlake tail` follows the server of its address with a filter; a span comes that fits.
/// Guarantees: it prints the span as one line of JSON.
#[test]
fn the_command_prints_spans_as_they_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("serve", &folder.path().join("data"), &["--ttl", "never"]);
    let mut child = crate::support::spanlake()
        .args(["tail", "--name", "hello", "--format", "json", "--server", &server.url("")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let figures = || {
        let mut answer = ureq::get(server.url("/metrics")).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    while !figures().contains("\nspanlake_tail_readers 1\n") {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", figures());
        std::thread::sleep(Duration::from_millis(20));
    }
    send_hello(&server);
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let span: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(span["trace_id"], "0123456789abcdef0123456789abcdef");
    assert_eq!(span["name"], "hello");
}

fn send_hello(server: &Server) {
    let sent = ureq::post(format!("http://127.0.0.1:{}/v1/traces", server.ports.http))
        .header("content-type", "application/json")
        .send(
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789abcdef0123456789abcdef",
                "spanId":"0123456789abcdef","name":"hello"}]}]}]}"#,
        );
    assert!(sent.is_ok(), "{sent:?}");
}

fn read_until(reader: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains(end) {
        let read = reader.read(&mut bytes).expect("the stream");
        assert!(read > 0, "the stream ended: {text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).expect("UTF-8"));
    }
    text
}
