//! Why parents are missing: what the doors refused, what may still come, what nobody sent.
use std::sync::Arc;

use ingest::{Decoder, Format, Ingest};
use serde_json::json;
use storage::time::NANOS_PER_SECOND;
use storage::{Clock, ManualClock, Store};

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
    let engine = Engine::over(move || source.snapshot(), Config::default(), clock).unwrap();
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
