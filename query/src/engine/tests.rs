use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use storage::ManualClock;
use storage::schema::AttributeType;

use super::*;
use crate::fixture::{DAY, Table, batch, span};

/// Two traces in a file of 2026-11-21, one in a file of the day after, one hot.
async fn table() -> Table {
    let root = span(1, 0x11, 0);
    let mut child = span(1, 0x12, 10);
    child.parent = Some(0x11);
    child.kind = "CLIENT";
    child.rest = Some(r#"{"rare.int":7,"rare.text":"x"}"#);
    child.columns = &[("http_route", "/cart"), ("http_response_status_code", "503")];
    child.link = Some(0x99);
    let mut late = span(2, 0x21, 86_400_000_000_000);
    late.service = "pay";
    late.status = "ERROR";
    late.resource = r#"{"service.name":"pay","k8s.pod.name":"pay-1"}"#;
    late.columns = &[("resource_k8s_pod_name", "pay-1"), ("http_route", "/pay")];
    let mut hot = span(3, 0x31, 86_400_000_000_500);
    hot.service = "hot";
    hot.rest = Some(r#"{"http.response.status_code":"404","rare.int":5.5}"#);
    let mut table = Table::default();
    table.file(&batch(&[root, child], &[])).await;
    table.file(&batch(&[late], &[])).await;
    table.hot(batch(&[hot], &[("http.response.status_code", AttributeType::String)]));
    table
}

async fn engine(config: Config) -> Engine {
    let snapshot = table().await.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    Engine::over(move || Arc::clone(&snapshot), config, clock).unwrap()
}

async fn rows(answer: Result<Answer>) -> Result<Vec<RecordBatch>> {
    answer?.batches.try_collect().await
}

async fn text(sql: &str) -> String {
    let engine = engine(Config::default()).await;
    match rows(engine.sql(sql, Vec::new()).await).await {
        Ok(batches) => pretty_format_batches(&batches).unwrap().to_string(),
        Err(error) => format!("{:?}: {error}", error.kind),
    }
}

#[track_caller]
fn check(actual: &str, expected: expect_test::Expect) {
    expected.assert_eq(actual);
}

#[tokio::test]
async fn every_span_is_there_once_with_its_columns() {
    let sql = "SELECT trace_id, span_id, parent_span_id, service, start_time, attributes, resource, scope, links, date \
               FROM spans ORDER BY start_time";
    check(&text(sql).await, expect_test::expect![[""]]);
}

#[tokio::test]
async fn attributes_are_found_wherever_they_are() {
    let sql = "SELECT span_id, attributes['http.route'], attributes['http.response.status_code'] AS code, \
               attributes['rare.int'] AS rare, resource['k8s.pod.name'], resource['service.name'] AS s \
               FROM spans ORDER BY start_time";
    check(&text(sql).await, expect_test::expect![[""]]);
}

#[tokio::test]
async fn filters_and_projections_reach_the_files() {
    let sql = "EXPLAIN SELECT name FROM spans WHERE trace_id = '00000000000000000000000000000001' \
               AND start_time < TIMESTAMP '2026-11-22T00:00:00Z' AND attributes['http.route'] = '/cart'";
    check(&text(sql).await, expect_test::expect![[""]]);
}
