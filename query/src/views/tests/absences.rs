//! Why parents are missing: what the doors refused, what may still come, what nobody sent.
use std::sync::Arc;

use axum::body::Body;
use http::Request;
use ingest::{Decoder, Format, Ingest};
use serde_json::json;
use storage::time::NANOS_PER_SECOND;
use storage::{Clock, ManualClock, Store};
use tower::ServiceExt;

use super::*;

const NOW: i64 = 1_795_255_200 * NANOS_PER_SECOND;
const MINUTE: i64 = 60 * NANOS_PER_SECOND;

fn span(trace: u8, id: u8, parent: u8, (start, end): (i64, i64)) -> Value {
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    json!({
        "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "parentSpanId": parent,
        "name": "work", "kind": 2,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
    })
}

/// Children whose parents came too early, too late, not at all, and not yet.
fn request() -> String {
    let while_ago = (NOW - 10 * MINUTE, NOW - 9 * MINUTE);
    let day = 24 * 60 * MINUTE;
    let spans = vec![
        span(1, 0x11, 0, (NOW - 100 * day, NOW)),
        span(1, 0x12, 0x11, while_ago),
        span(2, 0x21, 0, (NOW + 100 * day, NOW + 101 * day)),
        span(2, 0x22, 0x21, while_ago),
        span(2, 0x23, 0x21, while_ago),
        span(3, 0x32, 0x31, while_ago),
        span(4, 0x42, 0x41, (NOW - MINUTE, NOW)),
        span(5, 0x51, 0, while_ago),
    ];
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string()
}

async fn opened(folder: &Path, clock: &Arc<dyn Clock>) -> (Store, Engine) {
    let decoder = Arc::new(Decoder::new(ingest::Config::default()));
    let mut config = storage::Config::in_folder(folder);
    config.ttl = None;
    let store = Store::open(config, decoder, Arc::clone(clock)).await.unwrap();
    let source = store.clone();
    let clock = Arc::clone(clock);
    let engine = Engine::over(move || source.snapshot(), patient(), clock).unwrap();
    (store, engine)
}

async fn explained(engine: &Engine) -> Vec<Value> {
    let sql = "SELECT trace_id, reason, children FROM missing_parents() ORDER BY 1";
    let rows = json(engine.sql(sql, Vec::new()).await.unwrap()).await;
    let notes = engine.view(ViewRequest::everything(View::Latency)).await.unwrap().notes;
    let counts: Vec<&(&str, String)> =
        notes.iter().filter(|(name, _)| name.starts_with("parents_")).collect();
    let expected = [
        ("parents_late", "2".to_owned()),
        ("parents_dropped", "2".to_owned()),
        ("parents_never_sent", "1".to_owned()),
    ];
    assert_eq!(counts, expected.iter().collect::<Vec<_>>(), "{notes:?}");
    rows
}

#[tokio::test]
async fn missing_parents_are_explained_by_the_ledger_of_refusals_across_an_orderly_end() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let (store, engine) = opened(folder.path(), &clock).await;
    let ingest = Ingest::new(store.clone(), ingest::Config::default(), Arc::clone(&clock));
    let outcome = ingest.accept(Format::OtlpJson, request().into(), None).await.unwrap();
    assert_eq!((outcome.accepted_spans, outcome.rejected_spans), (6, 2), "{}", outcome.message);
    let row = |trace: u8, reason: &str, children: i64| json!({"trace_id": format!("{trace:032x}"), "reason": reason, "children": children});
    let expected =
        [row(1, "late", 1), row(2, "dropped", 2), row(3, "never_sent", 1), row(4, "late", 1)];
    assert_eq!(explained(&engine).await, expected);
    store.flush().await.unwrap();
    assert_eq!(explained(&engine).await, expected, "from files");
    drop(ingest);
    drop(engine);
    store.close().await.unwrap();
    let (store, engine) = opened(folder.path(), &clock).await;
    assert_eq!(store.ledger().knows_since(), None);
    assert_eq!(explained(&engine).await, expected, "after an orderly end");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_parent_that_a_door_left_out_was_sampled_out() {
    let folder = tempfile::tempdir().unwrap();
    let manual = Arc::new(ManualClock::at(NOW));
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&manual);
    let (store, engine) = opened(folder.path(), &clock).await;
    let mut config = ingest::Config::default();
    config.sampling.rate = 0.5;
    let ingest = Ingest::new(store.clone(), config, Arc::clone(&clock));
    manual.set(NOW + 10 * MINUTE);
    let then = (NOW + MINUTE, NOW + 2 * MINUTE);
    let body = |spans: &[Value]| {
        json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string()
    };
    let import = async |spans: &[Value]| {
        let accept = Some(TimeRange::ALL);
        ingest.accept(Format::OtlpJson, body(spans).into(), accept).await.unwrap().accepted_spans
    };
    // The door keeps the upper half of all ids, an import everything.
    let request = Request::post("/v1/traces").header("content-type", "application/json");
    let request = request.body(Body::from(body(&[span(1, 0x11, 0, then)]))).unwrap();
    assert_eq!(ingest.otlp_http().oneshot(request).await.unwrap().status(), 200);
    assert_eq!(import(&[span(1, 0x12, 0x11, then)]).await, 1);
    // A trace of the upper half whose services sample at different rates.
    let mut mixed = [span(2, 0x22, 0x21, then), span(2, 0x23, 0x21, then)];
    for span in &mut mixed {
        span["traceId"] = Value::from("f".repeat(32));
    }
    mixed[0]["traceState"] = Value::from("ot=th:8");
    assert_eq!(import(&mixed).await, 2);
    // Another one of which nobody has seen the parent.
    let mut alone = span(3, 0x32, 0x31, then);
    alone["traceId"] = Value::from("e".repeat(32));
    assert_eq!(import(&[alone]).await, 1);
    let sql = "SELECT reason, children FROM missing_parents() ORDER BY trace_id";
    let expected = json!([
        {"reason": "sampled_out", "children": 1},
        {"reason": "never_sent", "children": 1},
        {"reason": "sampled_out", "children": 2},
    ]);
    for _ in 0..2 {
        let rows = json(engine.sql(sql, Vec::new()).await.unwrap()).await;
        assert_eq!(Value::from(rows), expected);
        store.flush().await.unwrap();
    }
    store.close().await.unwrap();
}
