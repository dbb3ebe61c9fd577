//! `spanlake tail`: spans of a server as they arrive, until Ctrl-C.
use std::io::{BufReader, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use http::{Request, StatusCode, header};
use serde_json::Value;

use super::Format;
use crate::config::environment;
use crate::source::refusal;
use crate::sse::{Event, Events};
use crate::words::duration;

const SERVER: &str = "http://127.0.0.1:8080";
/// A server gives a sign of life every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Events read ahead while standard output is slow; then the server is told by its full connection.
const AHEAD_EVENTS: usize = 256;

/// Print spans as they arrive.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake tail --service checkout --status error
  spanlake tail --attribute http.request.method=POST --min-duration 500ms
  spanlake tail --root --format json | jq .name")]
pub(crate) struct Tail {
    /// The server [env: SPANLAKE_SERVER] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Token for the server [env: SPANLAKE_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// How spans are written: a line for people, or JSON, one object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What to show; all must hold.
#[derive(Debug, Args)]
struct Filter {
    /// Spans of this service
    #[arg(long)]
    service: Option<String>,
    /// Spans of this name
    #[arg(long)]
    name: Option<String>,
    /// server, client, producer, consumer, internal or unspecified
    #[arg(long)]
    kind: Option<String>,
    /// error, ok or unset
    #[arg(long)]
    status: Option<String>,
    /// Spans that took this long at least: 5ms, 1.5s
    #[arg(long, value_name = "DURATION")]
    min_duration: Option<String>,
    /// Spans that took this long at most
    #[arg(long, value_name = "DURATION")]
    max_duration: Option<String>,
    /// Spans with this attribute and value; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    attribute: Vec<String>,
    /// Only spans without a parent
    #[arg(long)]
    root: bool,
    /// Spans a second at most; the others are counted
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

impl Filter {
    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let texts = [
            ("service", &self.service),
            ("name", &self.name),
            ("kind", &self.kind),
            ("status", &self.status),
            ("min_duration", &self.min_duration),
            ("max_duration", &self.max_duration),
        ];
        for (name, value) in texts {
            query.extend_pairs(value.iter().map(|value| (name, value)));
        }
        query.extend_pairs(self.attribute.iter().map(|pair| ("attribute", pair)));
        if self.root {
            query.append_pair("root", "true");
        }
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        query.finish()
    }
}

impl Tail {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = environment();
        let or_of =
            |given: &Option<String>, name| given.clone().or_else(|| environment.get(name).cloned());
        let base = or_of(&self.server, "SPANLAKE_SERVER").unwrap_or_else(|| SERVER.to_owned());
        let stream = Stream {
            url: format!("{}/api/v1/tail?{}", base.trim_end_matches('/'), self.filter.query()),
            token: or_of(&self.token, "SPANLAKE_TOKEN"),
        };
        // Whoever mistyped the address should hear of it; a server that answered once is waited for.
        let mut news = match stream.open(String::new()) {
            Ok(news) => news,
            Err(Failure::Passing(error) | Failure::Final(error)) => return Err(error),
        };
        let mut last_id = String::new();
        loop {
            last_id = self.follow(&news, last_id)?;
            news = stream.open_again(&last_id)?;
        }
    }

    /// Prints what comes behind `last_id`; returns the place where the stream broke off.
    fn follow(&self, news: &Receiver<News>, mut last_id: String) -> anyhow::Result<String> {
        loop {
            match news.recv_timeout(SILENCE_MAX) {
                Ok(News { event, id }) => {
                    last_id = id;
                    event.map_or(Ok(()), |event| self.print(&event))?;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Ok(last_id);
                }
            }
        }
    }

    fn print(&self, event: &Event) -> anyhow::Result<()> {
        if event.name == "span" {
            let line = match self.format {
                Format::Json => event.data.clone(),
                Format::Text => line(&serde_json::from_str(&event.data).context("a span")?),
            };
            let mut out = std::io::stdout().lock();
            writeln!(out, "{line}")?;
            return Ok(out.flush()?);
        }
        if let Some(words) = notice(event) {
            note(&words);
        }
        Ok(())
    }
}

/// A span as a line.
fn line(span: &Value) -> String {
    let text = |name: &str| span[name].as_str().unwrap_or("-").to_owned();
    let start = text("start_time");
    let time = start.split_once('T').map_or(start.as_str(), |(_, time)| time);
    let status = if span["status"] == "ERROR" { "ERROR" } else { "" };
    format!(
        "{:<12} {:>9} {status:<5} {:<20} {} {}",
        time.get(..12).unwrap_or(time),
        duration(span["duration_nano"].as_u64().unwrap_or(0)),
        text("service"),
        text("name"),
        text("trace_id"),
    )
}

/// What the server says about spans that do not come.
fn notice(event: &Event) -> Option<String> {
    let said: Value = serde_json::from_str(&event.data).ok()?;
    let spans = said["spans"].as_u64().map_or_else(|| "some".to_owned(), crate::words::count);
    match (event.name.as_str(), said["reason"].as_str()) {
        ("skipped", _) => Some(format!("{spans} spans more than the limit")),
        ("lagged", Some("slow")) => Some(format!("{spans} spans lost: read too slowly")),
        ("lagged", Some("flushed")) => Some(format!(
            "{spans} spans (wanted or not) came too fast to be looked at; SQL has them"
        )),
        ("lagged", Some("restarted")) => Some("the server was started anew".to_owned()),
        _ => None,
    }
}

#[expect(clippy::print_stderr, reason = "notices go beside the spans, not among them")]
fn note(words: &str) {
    eprintln!("-- {words}");
}

/// A sign of life, perhaps with an event, and the place behind it.
struct News {
    event: Option<Event>,
    id: String,
}

/// Why a stream did not begin.
enum Failure {
    /// It may begin later.
    Passing(anyhow::Error),
    /// It will not.
    Final(anyhow::Error),
}

struct Stream {
    url: String,
    token: Option<String>,
}

impl Stream {
    /// Waits ever longer for a server that went away.
    fn open_again(&self, last_id: &str) -> anyhow::Result<Receiver<News>> {
        let mut pause = PAUSE_MIN;
        note("the stream broke off; connecting again");
        loop {
            thread::sleep(pause);
            match self.open(last_id.to_owned()) {
                Ok(news) => return Ok(news),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(_)) => pause = (pause * 2).min(PAUSE_MAX),
            }
        }
    }

    fn open(&self, last_id: String) -> Result<Receiver<News>, Failure> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(SILENCE_MAX))
            .build()
            .into();
        let mut request = Request::get(&self.url).header(header::ACCEPT, "text/event-stream");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if !last_id.is_empty() {
            request = request.header("last-event-id", &last_id);
        }
        let request = request.body(()).context("the address").map_err(Failure::Final)?;
        let answer = agent.run(request).with_context(|| format!("ask {}", self.url));
        let mut answer = answer.map_err(Failure::Passing)?;
        let status = answer.status();
        if !status.is_success() {
            let words = answer.body_mut().with_config().limit(64 << 10).read_to_string();
            let error = refusal(status, words.unwrap_or_default().as_bytes());
            let passes = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            return Err(if passes { Failure::Passing(error) } else { Failure::Final(error) });
        }
        let (sender, news) = sync_channel(AHEAD_EVENTS);
        let input = answer.into_body().into_with_config().limit(u64::MAX).reader();
        let events = Events::new(BufReader::new(input), last_id);
        // A thread, because a dead connection would hold up a read for ever.
        thread::spawn(move || read(events, &sender));
        Ok(news)
    }
}

fn read(mut events: Events<impl std::io::BufRead>, sender: &SyncSender<News>) {
    while let Ok(event) = events.next() {
        let news = News { event, id: events.last_id().to_owned() };
        if sender.send(news).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_line() {
        let span = serde_json::json!({
            "start_time": "2026-11-22T10:15:04.123456789Z", "duration_nano": 12_345_678, "status": "ERROR",
            "service": "checkout", "name": "POST /orders", "trace_id": "a1",
        });
        assert_eq!(
            line(&span),
            "10:15:04.123   12.3 ms ERROR checkout             POST /orders a1"
        );
        assert_eq!(
            line(&serde_json::json!({})),
            "-                 0 ns       -                    - -"
        );
    }

    #[test]
    fn what_does_not_come_is_told() {
        let told = |name: &str, data: &str| {
            notice(&Event { name: name.to_owned(), data: data.to_owned() }).unwrap_or_default()
        };
        assert_eq!(told("skipped", r#"{"spans":1234}"#), "1,234 spans more than the limit");
        assert!(told("lagged", r#"{"spans":5,"reason":"slow"}"#).contains("too slowly"));
        assert!(told("lagged", r#"{"spans":null,"reason":"restarted"}"#).contains("anew"));
        assert_eq!(told("later", "{}"), "");
    }

    #[test]
    fn a_filter_is_a_query() {
        let filter = Filter {
            service: Some("a&b".to_owned()),
            name: None,
            kind: None,
            status: Some("error".to_owned()),
            min_duration: None,
            max_duration: Some("1s".to_owned()),
            attribute: vec!["k=v w".to_owned(), "x=1".to_owned()],
            root: true,
            limit: Some(5),
        };
        assert_eq!(
            filter.query(),
            "service=a%26b&status=error&max_duration=1s&attribute=k%3Dv+w&attribute=x%3D1&root=true&limit=5"
        );
    }

    /// Answers one request with `answer` and closes; returns its head.
    fn answer(listener: &std::net::TcpListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn a_broken_stream_goes_on_where_it_was() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/v1/tail", listener.local_addr().unwrap());
        let events = |number: u32| {
            format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
                 id: r-1-{number}\nevent: span\ndata: {{}}\n\nid: lost\ndata: cut"
            )
        };
        let server = thread::spawn(move || {
            let first = answer(&listener, &events(1));
            let refused = "HTTP/1.1 503 busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let second = answer(&listener, refused);
            let third = answer(&listener, &events(2));
            let denied = "HTTP/1.1 401 who\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            answer(&listener, denied);
            [first, second, third]
        });
        let stream = Stream { url, token: Some("trc_x".to_owned()) };
        let Ok(news) = stream.open(String::new()) else { panic!("a stream") };
        let News { event, id } = news.recv().unwrap();
        assert_eq!((event.unwrap().name.as_str(), id.as_str()), ("span", "r-1-1"));
        assert!(news.recv().is_err(), "what broke off is no event");
        let news = stream.open_again(&id).unwrap();
        assert_eq!(news.recv().unwrap().id, "r-1-2");
        assert!(stream.open_again("r-1-2").is_err(), "a refusal for good ends it");
        let [first, second, third] = server.join().unwrap();
        assert!(!first.contains("last-event-id") && first.contains("authorization: Bearer trc_x"));
        for again in [second, third] {
            assert!(again.contains("last-event-id: r-1-1"), "{again}");
        }
    }
}
