use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use ingest::{Decoder, Format, Ingest};
use query::Engine;
use serde_json::{Value, json};
use storage::{ManualClock, TimeRange};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use super::*;
use crate::{Auth, Web};

/// 2026-11-21T10:00:00Z.
const NOW: i64 = 1_795_255_200_000_000_000;

struct Fixture {
    router: Router,
    tail: Tail,
    store: Store,
    ingest: Ingest,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

async fn fixture(config: Config) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let manual = Arc::new(ManualClock::at(NOW));
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&manual);
    let mut table = storage::Config::in_folder(folder.path());
    table.ttl = None;
    let decoder = Arc::new(Decoder::new(ingest::Config::default()));
    let store = Store::open(table, decoder, Arc::clone(&clock)).await.unwrap();
    let ingest = Ingest::new(store.clone(), ingest::Config::default(), Arc::clone(&clock));
    let tail = Tail::new(store.clone(), config, &*clock);
    let auth = Auth::open(folder.path().join("tokens.json"), false, Arc::clone(&clock)).unwrap();
    let router = crate::router(Web {
        engine: Engine::new(store.clone(), query::Config::default()).unwrap(),
        store: store.clone(),
        tail: tail.clone(),
        auth,
        clock,
        version: "1.2.3",
        hosts: Vec::new(),
        figures: Arc::new(Vec::new),
    });
    Fixture { router, tail, store, ingest, clock: manual, folder }
}

/// A span named `name` of the service; a call of something where it has a parent.
fn span(service: &str, name: &str, parent: &str) -> Value {
    let service = json!({"key": "service.name", "value": {"stringValue": service}});
    let id = name.bytes().fold(1u64, |id, byte| (id << 8) | u64::from(byte));
    let ids = format!("{id:016x}");
    json!({
        "resource": {"attributes": [service]},
        "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
            "traceId": format!("{ids}{ids}"), "spanId": ids, "parentSpanId": parent, "name": name, "kind": 2,
            "startTimeUnixNano": (NOW - 10).to_string(), "endTimeUnixNano": (NOW - 5).to_string(),
            "attributes": [{"key": "note", "value": {"stringValue": "</script><b>"}}],
        }]}],
    })
}

impl Fixture {
    /// Stores one request with a span for each name; returns once they are visible.
    async fn send(&self, names: &[String]) {
        let spans: Vec<Value> = names.iter().map(|name| span("shop", name, "")).collect();
        self.send_spans(spans).await;
    }

    async fn send_spans(&self, spans: Vec<Value>) {
        self.clock.set(self.clock.now_unix_nano() + 1);
        let body = json!({"resourceSpans": spans}).to_string().into_bytes().into();
        let accepted = self.ingest.accept(Format::OtlpJson, body, Some(TimeRange::ALL)).await;
        accepted.unwrap();
    }

    async fn ask(&self, query: &str, id: &str) -> Response {
        let request = Request::get(format!("/api/v1/tail{query}"))
            .header(header::HOST, "localhost")
            .header(LAST_EVENT_ID, id);
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn open(&self, query: &str, id: &str) -> Events {
        let response = self.ask(query, id).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        Events::new(response).await
    }

    async fn status(&self, query: &str, id: &str) -> StatusCode {
        self.ask(query, id).await.status()
    }

    /// What SQL says.
    async fn shown(&self, sql: &'static str) -> Value {
        let request = Request::post("/api/v1/sql").header(header::HOST, "localhost");
        let request = request.body(Body::from(sql)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    async fn end(self) {
        self.tail.close().await;
        self.store.close().await.unwrap();
    }
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("op {number}")).collect()
}

/// A stream as a client reads it.
struct Events {
    body: BodyDataStream,
    text: String,
    /// As an `EventSource` keeps it.
    id: String,
}

impl Events {
    async fn new(response: Response) -> Self {
        let mut events = Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
            id: String::new(),
        };
        while events.id.is_empty() {
            assert!(events.block().await.unwrap().1.is_null());
        }
        events
    }

    /// The next block: the event's name and data; no name where there is no data.
    async fn block(&mut self) -> Option<(String, Value)> {
        let block = loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                break std::mem::replace(&mut self.text, rest);
            }
            let piece = timeout(Duration::from_secs(30), self.body.next()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        };
        let (mut name, mut data) = (String::new(), Value::Null);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("event", event)) => event.clone_into(&mut name),
                Some(("id", id)) => id.clone_into(&mut self.id),
                Some(("data", text)) => data = serde_json::from_str(text).unwrap(),
                _ => {}
            }
        }
        Some((name, data))
    }

    /// The row of the next span.
    async fn row(&mut self) -> Value {
        loop {
            let (name, data) = self.block().await.unwrap();
            if name == "span" {
                return data;
            }
        }
    }

    /// The next event, in one word: a span's name, or what happened to how many.
    async fn next(&mut self) -> Option<String> {
        loop {
            let (name, data) = self.block().await?;
            let reason = data["reason"].as_str().unwrap_or_default();
            match name.as_str() {
                "" => {}
                "span" => return Some(data["name"].as_str().unwrap().to_owned()),
                other => return Some(format!("{other} {} {reason}", data["spans"])),
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await.unwrap());
        }
        taken
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_arrive_as_sql_shows_them_and_only_those_wanted() {
    let f = fixture(Config::default()).await;
    let mut all = f.open("", "").await;
    let mut cart = f
        .open("?service=cart&root=true&kind=server&attribute=note%3D%3C/script%3E%3Cb%3E", "")
        .await;
    let spans =
        vec![span("shop", "a", ""), span("cart", "b", "00000000000000aa"), span("cart", "c", "")];
    f.send_spans(spans).await;
    assert_eq!(all.take(3).await, ["a", "b", "c"]);
    assert_eq!(cart.take(1).await, ["c"]);
    f.send_spans(vec![span("shop", "d", ""), span("cart", "e", "")]).await;
    assert_eq!(cart.take(1).await, ["e"]);
    let (name, row) = loop {
        let block = all.block().await.unwrap();
        if !block.0.is_empty() {
            break block;
        }
    };
    let shown = f.shown("SELECT * FROM spans WHERE name = 'd'").await;
    assert_eq!(name, "span");
    for (column, value) in row.as_object().unwrap() {
        assert_eq!(value, &shown[0][column], "{column}");
    }
    assert_eq!(row["attributes"]["note"], "</script><b>");
    assert!(row.get("attributes_rest").is_none());
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_back_gets_everything_once_and_in_order_also_across_a_flush() {
    let f = fixture(Config::default()).await;
    let mut first = f.open("", "").await;
    f.send(&names(0..5)).await;
    assert_eq!(first.take(3).await, names(0..3));
    let id = first.id.clone();
    drop(first);
    f.send(&names(5..7)).await;
    f.store.flush().await.unwrap();
    f.send(&names(7..9)).await;
    let mut second = f.open("", &id).await;
    assert_eq!(second.take(6).await, names(3..9));
    // Under another filter, too; the ring of that one begins later.
    let mut other = f.open("?service=shop", &id).await;
    f.send(&names(9..10)).await;
    assert_eq!(other.take(7).await, names(3..10));
    assert_eq!(second.take(1).await, names(9..10));
    f.end().await;
}

/// A place before span number `next`, as ids of this start of the server have it.
fn before(next: u64) -> String {
    format!("{:x}-0-{next}", NOW / 1_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_memory_before_anybody_listened_is_read_from_the_table_in_order() {
    let f = fixture(Config::default()).await;
    f.send(&names(0..3)).await;
    f.send_spans(vec![span("shop", "op 3", ""), span("cart", "op 4", "00000000000000aa")]).await;
    f.store.flush().await.unwrap();
    f.send(&names(5..7)).await;
    f.store.flush().await.unwrap();
    f.send(&names(7..9)).await;
    let mut all = f.open("", &before(0)).await;
    assert_eq!(all.take(9).await, names(0..9));
    assert_eq!(all.id.split('-').next_back(), Some("9"), "{}", all.id);
    let filters = [
        (
            "?service=cart&kind=server&status=unset&min_duration=5&max_duration=5",
            vec!["op 4", "op 9"],
        ),
        ("?name=op%206&root=true", vec!["op 6"]),
        ("?service=cart&attribute=note%3D%3C/script%3E%3Cb%3E", vec!["op 4", "op 9"]),
        ("?service=cart&attribute=note%3Dx", vec![]),
    ];
    let mut readers = Vec::new();
    for (filter, expected) in filters {
        readers.push((f.open(filter, &before(0)).await, expected));
    }
    f.send_spans(vec![span("cart", "op 9", "")]).await;
    for (reader, expected) in &mut readers {
        assert_eq!(reader.take(expected.len()).await, *expected);
    }
    // From the middle of a request on: what is gone of it comes again whole, for its place in it is not known.
    let mut events = f.open("", &before(4)).await;
    assert_eq!(events.take(7).await, names(3..10));
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_from_the_table_have_what_those_from_memory_have() {
    let f = fixture(Config::default()).await;
    f.send(&names(0..1)).await;
    f.store.flush().await.unwrap();
    f.send(&names(1..2)).await;
    let mut events = f.open("", &before(0)).await;
    let (from_table, from_memory) = (events.row().await, events.row().await);
    let shown = f.shown("SELECT * FROM spans WHERE name = 'op 0'").await;
    for (column, value) in from_table.as_object().unwrap() {
        assert_eq!(value, &shown[0][column], "{column}");
    }
    let columns = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(columns(&from_table), columns(&from_memory));
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_in_the_table_any_more_is_counted() {
    let f = fixture(Config::default()).await;
    for at in [0..3, 3..5, 5..6] {
        f.send(&names(at)).await;
    }
    f.store.flush().await.unwrap();
    let id = |name: &str| -> storage::TraceId {
        let row = span("shop", name, "");
        row["scopeSpans"][0]["spans"][0]["traceId"].as_str().unwrap().parse().unwrap()
    };
    let gone = storage::retain::Selection::Traces(vec![id("op 1"), id("op 3"), id("op 4")]);
    f.store.delete(&gone, true).await.unwrap();
    let mut events = f.open("", &before(0)).await;
    assert_eq!(events.take(4).await, ["lagged 3 flushed", "op 0", "op 2", "op 5"]);
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_nanosecond_that_do_not_follow_one_another_are_counted() {
    let f = fixture(Config::default()).await;
    f.send(&names(0..2)).await;
    f.send(&names(2..3)).await;
    // The time of the first.
    f.clock.set(NOW);
    f.send(&names(3..4)).await;
    f.store.flush().await.unwrap();
    let mut events = f.open("", &before(0)).await;
    assert_eq!(events.take(2).await, ["lagged 3 flushed", "op 2"]);
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_from_the_table_has_a_limit_and_the_rest_is_counted() {
    let f = fixture(Config { resume_spans_max: 4, ..Config::default() }).await;
    for at in [0..3, 3..6, 6..9] {
        f.send(&names(at)).await;
    }
    f.store.flush().await.unwrap();
    let mut events = f.open("", &before(3)).await;
    assert_eq!(events.take(5).await, ["skipped 2 ", "op 3", "op 4", "op 5", "op 6"]);
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_the_log_position_says_where_to_go_on() {
    let f = fixture(Config::default()).await;
    f.send(&names(0..2)).await;
    f.send(&names(2..4)).await;
    let mut events = f.open("", "1-1-77").await;
    assert_eq!(events.take(3).await, ["lagged null restarted", "op 2", "op 3"]);
    let mut events = f.open("", "1-2-2").await;
    f.send(&names(4..5)).await;
    assert_eq!(events.take(2).await, ["lagged null restarted", "op 4"]);
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_exactly_how_many_spans_it_lost() {
    let config = Config { waiting_bytes_max: 40_000, ..Config::default() };
    let f = fixture(config).await;
    let mut slow = f.open("", "").await;
    let mut quick = f.open("", "").await;
    let mut sent = 0;
    for _ in 0..10 {
        f.send(&names(sent..sent + 20)).await;
        sent += 20;
        // Whoever reads at once loses nothing.
        assert_eq!(quick.take(20).await, names(sent - 20..sent));
    }
    let told = slow.next().await.unwrap();
    let lost: usize = told.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(told.ends_with(" slow") && lost > 0 && lost < sent, "{told}");
    assert_eq!(slow.take(sent - lost).await, names(lost..sent));
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_over_the_limit_are_counted() {
    let f = fixture(Config::default()).await;
    let mut events = f.open("?limit=2", "").await;
    f.send(&names(0..50)).await;
    let (mut spans, mut skipped) = (0, 0);
    while spans + skipped < 50 {
        let event = events.next().await.unwrap();
        match event.strip_prefix("skipped ") {
            Some(count) => skipped += count.trim().parse::<u64>().unwrap(),
            None => spans += 1,
        }
    }
    assert_eq!((spans, skipped), (2, 48));
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_absence_is_read_up_to_a_limit_and_the_rest_counted() {
    let f = fixture(Config { resume_spans_max: 100, ..Config::default() }).await;
    // Another filter: the ring of the one that comes back begins behind all spans.
    let first = f.open("?limit=1", "").await;
    for at in 0..3 {
        f.send(&names(at * 50..(at + 1) * 50)).await;
    }
    let id = first.id.clone();
    let mut events = f.open("", &id).await;
    assert_eq!(events.take(100).await, names(0..100));
    assert_eq!(events.take(1).await, ["skipped 50 "]);
    f.send(&names(0..1)).await;
    assert_eq!(events.take(1).await, ["op 0"]);
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_open_streams_at_once_and_takes_no_new_ones() {
    let f = fixture(Config::default()).await;
    let mut events = f.open("", "").await;
    f.tail.close().await;
    assert_eq!(events.next().await, None);
    assert_eq!(f.status("", "").await, StatusCode::SERVICE_UNAVAILABLE);
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_filters_and_their_words_have_limits() {
    let config = Config { readers_per_token_max: 3, filters_max: 2, ..Config::default() };
    let f = fixture(config).await;
    let first = f.open("", "").await;
    let second = f.open("?name=a", "").await;
    assert_eq!(f.status("?name=b", "").await, StatusCode::TOO_MANY_REQUESTS);
    let third = f.open("?name=a", "").await;
    assert_eq!(f.status("", "").await, StatusCode::TOO_MANY_REQUESTS);
    drop((second, third));
    drop(f.open("?name=b", "").await);
    for wrong in ["?kind=none", "?status=bad", "?root=maybe", "?attribute=x", "?limit=0", "?x=1"] {
        assert_eq!(f.status(wrong, "").await, StatusCode::BAD_REQUEST, "{wrong}");
    }
    for wrong in ["7", "x-1-1", "1-1", "1-1-1-1"] {
        assert_eq!(f.status("", wrong).await, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let refused = f.tail.metrics();
    let refused = refused.iter().find(|metric| metric.name == "spanlake_tail_refused_total");
    assert_eq!(refused.unwrap().value.to_string(), "2");
    drop(first);
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_asked_to_leave() {
    let f = fixture(Config::default()).await;
    let response = f.ask("", "").await;
    let leave = response.extensions().get::<Leave>().unwrap().clone();
    f.tail.hub.sweep(Instant::now() + Duration::from_secs(29));
    assert!(!leave.is_asked());
    f.tail.hub.sweep(Instant::now() + Duration::from_secs(31));
    assert!(leave.is_asked());
    let mut body = response.into_body().into_data_stream();
    assert!(body.next().await.is_none());
    f.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_at_their_age_and_show_life_until_then() {
    let config = Config {
        heartbeat: Duration::from_millis(20),
        age_max: Duration::from_millis(200),
        linger: Duration::ZERO,
        ..Config::default()
    };
    let f = fixture(config).await;
    let response = f.ask("", "").await;
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    while let Some(piece) = body.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    assert!(text.contains(": still here\nid: "), "{text}");
    drop(body);
    // A new one works, whether the thread of the first has ended or not.
    let mut events = f.open("", "").await;
    f.send(&names(0..1)).await;
    assert_eq!(events.take(1).await, ["op 0"]);
    assert!(f.folder.path().exists());
    f.end().await;
}
