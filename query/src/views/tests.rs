//! Views over other people's traces, through the real decoder and store, against independently computed truth and
//! against plain SQL over `spans`.
use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::Value;
use storage::time::SystemClock;
use storage::{Entry, Store, TimeRange};

use crate::fixture::{patient, sets};
use crate::{Config, Engine, View, ViewRequest};

mod absences;
mod estimates;
mod history;
mod incident;
mod questions;
mod rollups;
mod tracegen;

struct Lake {
    store: Store,
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Lake {
    async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = storage::Config::in_folder(folder.path());
        config.ttl = None;
        // datadog_snapshots has a name of 50,000 bytes.
        let limits =
            ingest::Config { age_max: None, name_bytes_max: 64 << 10, ..Default::default() };
        let decoder = ingest::decode::Decoder::new(limits);
        let store = Store::open(config, Arc::new(decoder), Arc::new(SystemClock)).await.unwrap();
        let engine = Engine::new(store.clone(), patient()).unwrap();
        Self { store, engine, _folder: folder }
    }

    /// A lake with one set, flushed after every `flush_every` requests.
    async fn with(folder: &Path, set: &str, flush_every: usize) -> Self {
        let lake = Self::empty().await;
        let file = std::fs::File::open(folder.join(format!("{set}.otlp.pb.gz"))).unwrap();
        let pieces = ingest::file::Pieces::open(Box::new(BufReader::new(file))).unwrap();
        for (number, piece) in pieces.enumerate() {
            let piece = piece.unwrap();
            let entry = Entry {
                format: piece.format.code(),
                received_unix_nano: 0,
                accept: TimeRange::ALL,
                body: piece.body,
                deduplicate: false,
            };
            lake.store.append(entry).await.unwrap();
            if (number + 1) % flush_every == 0 {
                lake.store.flush().await.unwrap();
            }
        }
        lake
    }

    async fn sql(&self, sql: &str) -> Vec<Value> {
        json(self.engine.sql(sql, Vec::new()).await.unwrap()).await
    }

    async fn view(&self, view: View) -> Vec<Value> {
        json(self.engine.view(ViewRequest::everything(view)).await.unwrap()).await
    }

    /// With quantiles that are nearest ranks.
    async fn exact(&self, view: View) -> Vec<Value> {
        let request = ViewRequest { exact: true, ..ViewRequest::everything(view) };
        json(self.engine.view(request).await.unwrap()).await
    }

    async fn every_view(&self) -> Vec<Vec<Value>> {
        let mut rows = Vec::new();
        for view in View::ALL {
            rows.push(self.view(view).await);
        }
        rows
    }
}

async fn json(answer: crate::Answer) -> Vec<Value> {
    let batches: Vec<_> = answer.batches.try_collect().await.unwrap();
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(Vec::new());
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    let bytes = writer.into_inner();
    if bytes.is_empty() { Vec::new() } else { serde_json::from_slice(&bytes).unwrap() }
}

fn truth(folder: &Path, set: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(format!("{set}.truth.json"))).unwrap())
        .unwrap()
}

/// A service's name as Spanlake has it.
fn service(value: &Value) -> String {
    match value.as_str().unwrap() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

type Sums = BTreeMap<(String, String), Vec<i64>>;

/// Adds up `columns` of rows by two names.
fn sums(rows: &[Value], names: [&str; 2], columns: &[&str]) -> Sums {
    let mut sums = Sums::new();
    for row in rows {
        let key = (service(&row[names[0]]), service(&row[names[1]]));
        let entry = sums.entry(key).or_insert_with(|| vec![0; columns.len()]);
        for (sum, column) in entry.iter_mut().zip(columns) {
            *sum += number(&row[*column]);
        }
    }
    sums
}

/// The same of arrays `[name, name, figure, ...]`, as the truth files have them.
fn true_sums(rows: &Value, figures: usize) -> Sums {
    let mut sums = Sums::new();
    for row in rows.as_array().unwrap() {
        let entry =
            sums.entry((service(&row[0]), service(&row[1]))).or_insert_with(|| vec![0; figures]);
        for (figure, sum) in entry.iter_mut().enumerate() {
            *sum += number(&row[figure + 2]);
        }
    }
    sums
}

async fn edges_equal_truth(lake: &Lake, truth: &Value) {
    let mut edges = lake.view(View::Dependencies).await;
    edges.retain(|edge| edge["kind"] == "rpc" || edge["kind"] == "messaging");
    let mut expected = true_sums(&truth["dependency_edges"], 2);
    // Two services without a name are one `unknown` here.
    expected.retain(|(caller, callee), _| caller != callee);
    assert_eq!(
        sums(&edges, ["caller", "callee"], &["calls", "errors"]),
        expected,
        "{}",
        truth["set"]
    );
}

async fn operations_equal_truth(lake: &Lake, truth: &Value) {
    let operations = lake.exact(View::Operations).await;
    let expected = true_sums(&truth["spans_per_operation"], 1);
    let ours = sums(&operations, ["service", "name"], &["spans"]);
    let named = |sums: &Sums| sums.iter().filter(|((_, name), _)| name != "unknown").count();
    assert_eq!(named(&ours), named(&expected), "{}", truth["set"]);
    let total = |sums: &Sums| sums.values().map(|sum| sum[0]).sum::<i64>();
    assert_eq!(total(&ours), total(&expected), "{}", truth["set"]);
    for (key, spans) in &expected {
        assert_eq!(ours.get(key), Some(spans), "{} {key:?}", truth["set"]);
    }
    // Quantiles are by service and name in the truth, so compare where a name has one kind.
    for row in truth["operation_span_duration_ns"].as_array().unwrap() {
        let same = |own: &&Value| own["service"] == row[0] && own["name"] == row[1];
        let own: Vec<&Value> = operations.iter().filter(same).collect();
        if let [own] = own[..]
            && own["spans"] == row[2]["count"]
        {
            quantiles_equal(own, &row[2]);
        }
    }
}

async fn roots_equal_truth(lake: &Lake, truth: &Value) {
    let latency = lake.exact(View::Latency).await;
    let ours = sums(&latency, ["root_service", "root_name"], &["traces"]);
    assert_eq!(ours, true_sums(&truth["root_operations"], 1), "{}", truth["set"]);
    for row in truth["root_duration_ns"].as_array().unwrap() {
        let same = |own: &&Value| own["root_service"] == row[0] && own["root_name"] == row[1];
        if let Some(own) = latency.iter().find(same).filter(|own| own["traces"] == row[2]["count"])
        {
            quantiles_equal(own, &row[2]);
        }
    }
    let buckets = lake.view(View::LatencyHistogram).await;
    assert_eq!(sums(&buckets, ["root_service", "root_name"], &["traces"]), ours);
}

#[track_caller]
fn quantiles_equal(own: &Value, truth: &Value) {
    for quantile in ["p50", "p90", "p95", "p99", "max"] {
        assert_eq!(own[format!("{quantile}_nano")], truth[quantile], "{quantile} of {own}");
    }
}

/// One line a trace: spans, services, extent, root, its duration, errors.
async fn traces_equal_truth(folder: &Path, lake: &Lake, set: &str) {
    let file = std::fs::File::open(folder.join(format!("{set}.traces.jsonl.gz"))).unwrap();
    let lines = std::io::read_to_string(flate2::read::MultiGzDecoder::new(file)).unwrap();
    let rows = lake.view(View::Traces).await;
    let ours: BTreeMap<&str, &Value> =
        rows.iter().map(|row| (row["trace_id"].as_str().unwrap(), row)).collect();
    assert_eq!(ours.len(), rows.len(), "a trace has one row");
    let mut traces = 0;
    for line in lines.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let own = ours[line[0].as_str().unwrap()];
        let pairs = [("spans", 1), ("extent_nano", 5), ("duration_nano", 8), ("root_name", 7)];
        for (column, position) in pairs {
            assert_eq!(own[column], line[position], "{column} of {own}");
        }
        assert_eq!(own["root_service"].as_str().unwrap(), service(&line[6]), "{own}");
        assert_eq!(number(&own["errors"]) > 0, number(&line[9]) > 0, "{own}");
        traces += 1;
    }
    assert_eq!(traces, rows.len());
}

#[tokio::test]
async fn small_sets_equal_their_truth() {
    let Some(folder) = sets() else { return };
    // Not xray_contrib: a span of the year 2438 is beyond 64-bit nanoseconds and refused at the door.
    for set in [
        "zipkin_small",
        "jaeger_ui",
        "opensearch_jaeger_hotrod",
        "opensearch_otel_demo",
        "elastic_apm_opbeans",
        "kiali",
        "crisp",
        "otlp_arrow",
        "jaeger_otlp",
        "datadog_snapshots",
    ] {
        let lake = Lake::with(&folder, set, usize::MAX).await;
        let truth = truth(&folder, set);
        edges_equal_truth(&lake, &truth).await;
        operations_equal_truth(&lake, &truth).await;
        roots_equal_truth(&lake, &truth).await;
        traces_equal_truth(&folder, &lake, set).await;
        let hot = lake.every_view().await;
        lake.store.flush().await.unwrap();
        assert_eq!(lake.every_view().await, hot, "{set}: before and after the flush");
        rollups::say_the_same_as_spans(&lake, &[]).await;
        lake.store.close().await.unwrap();
    }
}

#[tokio::test]
async fn online_boutique_equals_its_truth_and_plain_sql() {
    let Some(folder) = sets() else { return };
    let lake = Lake::with(&folder, "nezha_ob_0822", 150).await;
    let truth = truth(&folder, "nezha_ob_0822");
    edges_equal_truth(&lake, &truth).await;
    operations_equal_truth(&lake, &truth).await;
    roots_equal_truth(&lake, &truth).await;
    traces_equal_truth(&folder, &lake, "nezha_ob_0822").await;
    plain_sql_says_the_same(&lake).await;
    adjacent_ranges_share_no_trace(&lake).await;
    quantiles_are_within_one_percent(&lake).await;
    rollups::say_the_same_as_spans(&lake, &["1661140400", "1661140460.5", "1661145990"]).await;
    let pieces = lake.every_view().await;
    little_memory_is_enough(&lake, &pieces).await;
    lake.store.flush().await.unwrap();
    assert_eq!(lake.every_view().await, pieces, "part hot, part in files, then all in files");
    lake.store.close().await.unwrap();
}

/// Without `exact`, quantiles are off by at most 1 %, and nothing else differs.
async fn quantiles_are_within_one_percent(lake: &Lake) {
    let mut compared = 0;
    for view in [View::Latency, View::Operations, View::Dependencies] {
        let (about, exact) = (lake.view(view).await, lake.exact(view).await);
        assert_eq!(about.len(), exact.len());
        for (about, exact) in about.iter().zip(&exact) {
            for (column, exact) in exact.as_object().unwrap() {
                if !column.contains("_p") && !column.starts_with('p') || exact.is_null() {
                    assert_eq!(&about[column], exact, "{column} of {about}");
                    continue;
                }
                let off = (number(&about[column]) - number(exact)).abs() as f64;
                assert!(off <= number(exact) as f64 * 0.01, "{column} of {about}: not {exact}");
                compared += 1;
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

/// A query with 3 MiB reads part by part and slice by slice what takes 17 MiB at once, and says the same.
async fn little_memory_is_enough(lake: &Lake, expected: &[Vec<Value>]) {
    let config = Config { memory_bytes_max: 12 << 20, ..patient() };
    let engine = Engine::new(lake.store.clone(), config).unwrap();
    let exact = ViewRequest { exact: true, ..ViewRequest::everything(View::Operations) };
    let small = Config { memory_bytes_max: 4 << 20, ..patient() };
    let small = Engine::new(lake.store.clone(), small).unwrap();
    let error = small.view(exact).await.unwrap_err();
    assert!(error.message.contains("leave out exact"), "{}", error.message);
    for (view, expected) in View::ALL.into_iter().zip(expected) {
        let answer = engine.view(ViewRequest::everything(view)).await.unwrap();
        let mut rows = json(answer).await;
        if view == View::Traces {
            let newest = |row: &Value| std::cmp::Reverse(row["start_time"].to_string());
            rows.sort_by_key(|row| (newest(row), row["trace_id"].to_string()));
        }
        assert_eq!(rows.len(), expected.len(), "{view:?}");
        for (row, expected) in rows.iter().zip(expected) {
            assert_eq!(row, expected, "{view:?}");
        }
    }
}

async fn plain_sql_says_the_same(lake: &Lake) {
    for (view, sql) in [
        (
            "SELECT caller, callee, calls, errors, callee_p50_nano, callee_p99_nano \
             FROM dependencies(NULL, NULL, 'exact') \
             WHERE kind IN ('rpc', 'messaging') ORDER BY 1, 2",
            "SELECT p.service AS caller, c.service AS callee, count(*) AS calls, \
             count(*) FILTER (WHERE c.status = 'ERROR') AS errors, \
             quantile(c.duration_nano, 0.5) AS callee_p50_nano, \
             quantile(c.duration_nano, 0.99) AS callee_p99_nano \
             FROM spans c JOIN spans p ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id \
             WHERE p.service <> c.service GROUP BY 1, 2 ORDER BY 1, 2",
        ),
        (
            "SELECT service, name, kind, spans, errors, p50_nano, p99_nano, max_nano \
             FROM operations(NULL, NULL, 'exact') \
             ORDER BY 1, 2, 3",
            "SELECT service, name, kind, count(*) AS spans, \
             count(*) FILTER (WHERE status = 'ERROR') AS errors, \
             quantile(duration_nano, 0.5) AS p50_nano, quantile(duration_nano, 0.99) AS p99_nano, \
             max(duration_nano) AS max_nano FROM spans GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        ),
        (
            "SELECT root_service, root_name, traces, errors, p95_nano FROM latency(NULL, NULL, 'exact')",
            "SELECT service AS root_service, name AS root_name, count(*) AS traces, \
             count(*) FILTER (WHERE status = 'ERROR') AS errors, \
             quantile(duration_nano, 0.95) AS p95_nano \
             FROM spans WHERE parent_span_id IS NULL GROUP BY 1, 2",
        ),
        (
            "SELECT trace_id, spans, errors, services, extent_nano FROM traces() ORDER BY 1 LIMIT 300",
            "SELECT trace_id, count(*) AS spans, count(*) FILTER (WHERE status = 'ERROR') AS errors, \
             count(DISTINCT service) AS services, \
             max(start_time_unix_nano + duration_nano) - min(start_time_unix_nano) AS extent_nano \
             FROM spans GROUP BY 1 ORDER BY 1 LIMIT 300",
        ),
        (
            "SELECT service, spans, eligible_spans, sized_spans FROM network() ORDER BY 1",
            "SELECT service, count(*) AS spans, count(*) FILTER (WHERE kind NOT IN ('INTERNAL', 'UNSPECIFIED')) \
             AS eligible_spans, 0 AS sized_spans FROM spans GROUP BY 1 ORDER BY 1",
        ),
    ] {
        assert_eq!(lake.sql(view).await, lake.sql(sql).await, "{view}");
    }
}

async fn adjacent_ranges_share_no_trace(lake: &Lake) {
    // Borders within the busy minutes, so that traces cross them.
    let borders = ["0", "1661140400", "1661140460.5", "1661145990", "1661152200", "1700000000"];
    let (mut traces, mut spans, mut calls) = (0, 0, 0);
    for border in borders.windows(2) {
        let (from, to) = (border[0], border[1]);
        let sql =
            format!("SELECT count(*) AS n, sum(spans) AS spans FROM traces('{from}', '{to}')");
        let row = lake.sql(&sql).await;
        traces += number(&row[0]["n"]);
        spans += number(&row[0]["spans"]);
        let sql = format!("SELECT sum(calls) AS n FROM dependencies('{from}', '{to}')");
        calls += number(&lake.sql(&sql).await[0]["n"]);
    }
    assert_eq!((traces, spans), (4_931, 199_003));
    let all = lake.sql("SELECT sum(calls) AS n FROM dependencies()").await;
    assert_eq!(calls, number(&all[0]["n"]));
}

#[tokio::test]
async fn train_ticket_equals_its_truth() {
    let Some(folder) = sets() else { return };
    let lake = Lake::with(&folder, "nezha_tt_0129", usize::MAX).await;
    let truth = truth(&folder, "nezha_tt_0129");
    lake.store.flush().await.unwrap();
    edges_equal_truth(&lake, &truth).await;
    operations_equal_truth(&lake, &truth).await;
    roots_equal_truth(&lake, &truth).await;
    traces_equal_truth(&folder, &lake, "nezha_tt_0129").await;
    lake.store.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_table_gives_empty_views_and_bad_ranges_say_why() {
    let lake = Lake::empty().await;
    for rows in lake.every_view().await {
        assert!(rows.is_empty());
    }
    for (call, word) in [
        ("traces('yesterday')", "yesterday"),
        ("latency('now', '-1h')", "ends before it starts"),
        ("operations(1, 2, 3)", "takes two times and 'exact'"),
        ("network(true)", "is not a time"),
    ] {
        let sql = format!("SELECT * FROM {call}");
        let error = lake.engine.sql(&sql, Vec::new()).await.unwrap_err();
        assert_eq!(error.kind, storage::Kind::Invalid);
        assert!(error.message.contains(word), "{}", error.message);
    }
    let sql = "SELECT count(*) AS n FROM traces(now() - INTERVAL '1 hour', TIMESTAMP '2100-01-01')";
    assert_eq!(number(&lake.sql(sql).await[0]["n"]), 0);
    lake.store.close().await.unwrap();
}
