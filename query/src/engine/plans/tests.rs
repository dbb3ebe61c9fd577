use std::sync::{Arc, Mutex};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use storage::{ManualClock, Snapshot};

use super::super::Engine;
use super::*;
use crate::Config;
use crate::fixture::{DAY, Table, batch, span};

/// What the engine sees, which a test may change.
struct Seen {
    engine: Engine,
    snapshot: Arc<Mutex<Arc<Snapshot>>>,
}

impl Seen {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        let snapshot = Arc::new(Mutex::new(snapshot));
        let seen = Arc::clone(&snapshot);
        let now = move || Arc::clone(&seen.lock().unwrap());
        let clock = Arc::new(ManualClock::at(DAY));
        Self { engine: Engine::over(now, Config::default(), clock).unwrap(), snapshot }
    }

    async fn rows(&self, sql: &str, params: &[ScalarValue]) -> usize {
        let answer = self.engine.sql(sql, params.to_vec()).await.unwrap();
        let batches: Vec<_> = answer.batches.try_collect().await.unwrap();
        batches.iter().map(arrow::array::RecordBatch::num_rows).sum()
    }

    async fn number(&self, sql: &str, params: &[ScalarValue]) -> i64 {
        let answer = self.engine.sql(sql, params.to_vec()).await.unwrap();
        let batches: Vec<_> = answer.batches.try_collect().await.unwrap();
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    fn hits(&self) -> u64 {
        self.engine.shared.plans.hits.value()
    }
}

async fn table() -> Table {
    let mut table = Table::default();
    table.file(&batch(&[span(1, 0x11, 0), span(1, 0x12, 10)], &[])).await;
    table
}

const COUNT: &str = "SELECT count(*) FROM spans WHERE service = $1 AND duration_nano >= 0";

#[tokio::test]
async fn a_search_asked_again_sees_the_spans_that_came_meanwhile() {
    let mut table = table().await;
    let first = table.snapshot();
    let seen = Seen::new(Arc::clone(&first));
    let shop = [ScalarValue::from("shop")];
    assert_eq!((seen.number(COUNT, &shop).await, seen.hits()), (2, 0));
    assert_eq!((seen.number(COUNT, &shop).await, seen.hits()), (2, 1));
    table.file(&batch(&[span(2, 0x21, 20)], &[])).await;
    table.hot(batch(&[span(3, 0x31, 30)], &[]));
    let later = table.snapshot();
    let (files, hot) = (Arc::clone(&later.files), Arc::clone(&later.hot));
    *seen.snapshot.lock().unwrap() = Arc::new(Snapshot { files, hot, ..first.as_ref().clone() });
    assert_eq!((seen.number(COUNT, &shop).await, seen.hits()), (4, 2));
}

#[tokio::test]
async fn other_parameters_or_columns_are_another_plan() {
    let table = table().await;
    let seen = Seen::new(table.snapshot());
    let [shop, other] = ["shop", "none"].map(|name| [ScalarValue::from(name)]);
    assert_eq!((seen.number(COUNT, &shop).await, seen.hits()), (2, 0));
    assert_eq!((seen.number(COUNT, &other).await, seen.hits()), (0, 0));
    // Columns of their own, though they look alike.
    *seen.snapshot.lock().unwrap() = table.snapshot();
    assert_eq!((seen.number(COUNT, &shop).await, seen.hits()), (2, 0));
    assert_eq!((seen.number(COUNT, &shop).await, seen.hits()), (2, 1));
}

#[tokio::test]
async fn what_may_say_another_thing_is_planned_each_time() {
    let seen = Seen::new(table().await.snapshot());
    for sql in [
        "SELECT span_id, now() FROM spans",
        "SELECT count(*) FROM spans WHERE start_time < now() AND random() < 2",
        "EXPLAIN SELECT span_id FROM spans",
        "EXPLAIN ANALYZE SELECT span_id FROM spans",
        "SELECT service FROM operations()",
        "SELECT table_name FROM information_schema.tables",
        "SELECT span_id FROM spans WHERE service IN (SELECT service FROM operations())",
    ] {
        let rows = seen.rows(sql, &[]).await;
        assert_eq!((seen.rows(sql, &[]).await, seen.hits()), (rows, 0), "{sql}");
    }
}

#[tokio::test]
async fn many_statements_are_kept_within_bounds_and_those_asked_last() {
    let seen = Seen::new(table().await.snapshot());
    let sql = |number: usize| format!("SELECT span_id FROM spans WHERE duration_nano > {number}");
    for number in 0..PLANS_MAX + 10 {
        seen.rows(&sql(number), &[]).await;
        seen.rows(&sql(0), &[]).await;
    }
    let held = seen.engine.shared.plans.held.lock().unwrap().plans.len();
    assert_eq!(held, PLANS_MAX);
    let hits = seen.hits();
    seen.rows(&sql(1), &[]).await;
    assert_eq!(seen.hits(), hits, "it was let go");
    seen.rows(&sql(PLANS_MAX + 9), &[]).await;
    assert_eq!(seen.hits(), hits + 1);
    let long = format!("SELECT span_id FROM spans WHERE service <> '{}'", "x".repeat(BYTES_MAX));
    seen.rows(&long, &[]).await;
    seen.rows(&long, &[]).await;
    assert_eq!(seen.hits(), hits + 1, "it is too long to be kept");
}
