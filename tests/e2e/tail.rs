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
    ureq::post(format!("http://127.0.0.1:{}/v1/traces", server.ports.http))
        .header("content-type", "application/json")
        .send(
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789abcdef0123456789abcdef",
                "spanId":"0123456789abcdef","name":"hello"}]}]}]}"#,
        )
        .unwrap();
    text.push_str(&read_until(&mut reader, "event: span"));
    let asked = Instant::now();
    assert!(server.terminate().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    reader.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
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
