use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use storage::schema::AttributeType;
use storage::snapshot::TraceFilter;
use storage::{DataFile, ManualClock};

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
    check(
        &text(sql).await,
        expect_test::expect![[r#"
        +----------------------------------+------------------+------------------+---------+--------------------------------+-------------------------------------------------------------------------------------+-----------------------------------------------+--------------------+------------------------------------------------------------------------------------------------------------------------------------------------------------+------------+
        | trace_id                         | span_id          | parent_span_id   | service | start_time                     | attributes                                                                          | resource                                      | scope              | links                                                                                                                                                      | date       |
        +----------------------------------+------------------+------------------+---------+--------------------------------+-------------------------------------------------------------------------------------+-----------------------------------------------+--------------------+------------------------------------------------------------------------------------------------------------------------------------------------------------+------------+
        | 00000000000000000000000000000001 | 0000000000000011 |                  | shop    | 2026-11-21T00:00:00Z           | {}                                                                                  | {"service.name":"shop"}                       | {"name":"fixture"} |                                                                                                                                                            | 2026-11-21 |
        | 00000000000000000000000000000001 | 0000000000000012 | 0000000000000011 | shop    | 2026-11-21T00:00:00.000000010Z | {"http.response.status_code":503,"http.route":"/cart","rare.int":7,"rare.text":"x"} | {"service.name":"shop"}                       | {"name":"fixture"} | [{trace_id: 00000000000000000000000000000001, span_id: 0000000000000099, trace_state: , attributes: {"why":"retry"}, dropped_attributes_count: , flags: }] | 2026-11-21 |
        | 00000000000000000000000000000002 | 0000000000000021 |                  | pay     | 2026-11-22T00:00:00Z           | {"http.route":"/pay"}                                                               | {"service.name":"pay","k8s.pod.name":"pay-1"} | {"name":"fixture"} |                                                                                                                                                            | 2026-11-22 |
        | 00000000000000000000000000000003 | 0000000000000031 |                  | hot     | 2026-11-22T00:00:00.000000500Z | {"http.response.status_code":"404","rare.int":5.5}                                  | {"service.name":"shop"}                       | {"name":"fixture"} |                                                                                                                                                            | 2026-11-22 |
        +----------------------------------+------------------+------------------+---------+--------------------------------+-------------------------------------------------------------------------------------+-----------------------------------------------+--------------------+------------------------------------------------------------------------------------------------------------------------------------------------------------+------------+"#]],
    );
}

#[tokio::test]
async fn attributes_are_found_wherever_they_are() {
    let sql = "SELECT span_id, attributes['http.route'], attributes['http.response.status_code'] AS code, \
               attributes['rare.int'] AS rare, resource['k8s.pod.name'], resource['service.name'] AS s \
               FROM spans ORDER BY start_time";
    check(
        &text(sql).await,
        expect_test::expect![[r#"
        +------------------+--------------------------+------+------+--------------------------+------+
        | span_id          | attributes['http.route'] | code | rare | resource['k8s.pod.name'] | s    |
        +------------------+--------------------------+------+------+--------------------------+------+
        | 0000000000000011 |                          |      |      |                          | shop |
        | 0000000000000012 | /cart                    | 503  | 7    |                          | shop |
        | 0000000000000021 | /pay                     |      |      | pay-1                    | pay  |
        | 0000000000000031 |                          | 404  | 5.5  |                          | hot  |
        +------------------+--------------------------+------+------+--------------------------+------+"#]],
    );
}

#[tokio::test]
async fn filters_and_projections_reach_the_files() {
    let sql = "EXPLAIN SELECT name FROM spans WHERE trace_id = '00000000000000000000000000000001' \
               AND start_time < TIMESTAMP '2026-11-22T00:00:00Z' AND attributes['http.route'] = '/cart'";
    check(
        &text(sql).await,
        expect_test::expect![[r#"
        +---------------+--------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------+
        | plan_type     | plan                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             |
        +---------------+--------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------+
        | logical_plan  | TableScan: spans projection=[name], full_filters=[spans.trace_id = Utf8View("00000000000000000000000000000001"), spans.start_time < TimestampNanosecond(1795305600000000000, Some("UTC")), spans.http_route = Utf8View("/cart")]                                                                                                                                                                                                                                                                                                                                                                                                                                                                 |
        | physical_plan | UnionExec                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        |
        |               |   DataSourceExec: file_groups={1 group: [[date=2026-11-21/0.parquet]]}, projection=[name], file_type=parquet, predicate=trace_id@0 = 00000000000000000000... AND start_time_unix_nano@3 < 1795305600000000000 AND http_route@30 = /cart, pruning_predicate=trace_id_null_count@2 != row_count@3 AND trace_id_min@0 <= 00000000000000000000... AND 00000000000000000000... <= trace_id_max@1 AND start_time_unix_nano_null_count@5 != row_count@3 AND start_time_unix_nano_min@4 < 1795305600000000000 AND http_route_null_count@8 != row_count@3 AND http_route_min@6 <= /cart AND /cart <= http_route_max@7, required_guarantees=[http_route in (/cart), trace_id in (00000000000000000000...)] |
        |               |   CooperativeExec                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                |
        |               |     HotExec: batches=1, predicate=trace_id@0 = 00000000000000000000... AND start_time_unix_nano@1 < 1795305600000000000 AND http_route@2 = /cart                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 |
        |               |                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  |
        +---------------+--------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------+"#]],
    );
}

#[tokio::test]
async fn texts_that_are_numbers_compare_as_numbers() {
    for (condition, expected) in [
        ("attributes['rare.int'] > 6", 1),
        ("attributes['rare.int'] > 5", 2),
        ("attributes['rare.int'] = 7", 1),
        ("attributes['rare.int'] IN (7, 8)", 1),
        ("attributes['rare.int'] BETWEEN 5 AND 6", 1),
        ("attributes['rare.text'] = 5", 0),
        ("attributes['rare.text'] IN (1, 2)", 0),
        ("attributes['rare.text'] = 'x'", 1),
        ("attributes['http.response.status_code'] >= 400", 2),
        ("attributes['http.response.status_code'] = 404", 1),
        ("attributes['rare.int'] + 1 = 8", 1),
        ("attributes['absent'] IS NULL", 4),
        ("resource['service.name'] = 'pay'", 1),
        ("resource['k8s.pod.name'] LIKE 'pay-%'", 1),
        ("trace_id = '00000000000000000000000000000003'", 1),
        ("trace_id IN ('00000000000000000000000000000003', 'zz')", 1),
        ("trace_id = 'no id'", 0),
        ("trace_id <> 'no id'", 4),
        ("parent_span_id = '0000000000000011'", 1),
        ("parent_span_id IS NULL", 3),
        ("start_time >= TIMESTAMP '2026-11-22T00:00:00Z'", 2),
        ("date = '2026-11-22'", 2),
        ("date_trunc('day', start_time) = TIMESTAMP '2026-11-21T00:00:00Z'", 2),
        ("end_time > start_time", 4),
        ("service || name = 'payGET /cart'", 1),
        ("hex(decode('00ff', 'hex')) = '00ff'", 4),
    ] {
        let sql = format!("SELECT count(*) AS n FROM spans WHERE {condition}");
        let shown = text(&sql).await;
        assert!(shown.contains(&format!("| {expected} ")), "{condition}\n{shown}");
    }
}

#[tokio::test]
async fn attributes_are_found_through_aliases_joins_and_ctes() {
    for sql in [
        "SELECT count(*) AS n FROM spans s WHERE s.attributes['http.route'] = '/cart'",
        "WITH e AS (SELECT * FROM spans) SELECT count(*) AS n FROM e WHERE attributes['http.route'] = '/cart'",
        "WITH e AS (SELECT attributes FROM spans) SELECT count(*) AS n FROM e WHERE attributes['http.route'] = '/cart'",
        "SELECT count(*) AS n FROM spans c JOIN spans p ON c.parent_span_id = p.span_id AND c.trace_id = p.trace_id \
         WHERE c.attributes['http.route'] = '/cart'",
        "SELECT n FROM (SELECT attributes['http.route'], count(*) AS n FROM spans GROUP BY attributes['http.route']) \
         WHERE n = 1 LIMIT 1",
    ] {
        let shown = text(sql).await;
        assert!(shown.contains("| 1 "), "{sql}\n{shown}");
    }
}

#[tokio::test]
async fn a_trace_is_read_by_its_id() {
    let engine = engine(Config::default()).await;
    for (trace, spans) in [(1, 2), (2, 1), (3, 1), (4, 0)] {
        let answer = engine.trace(TraceId(u128::to_be_bytes(trace))).await.unwrap();
        assert_eq!(answer.schema.field(0).name(), "trace_id");
        let rows: usize = rows(Ok(answer)).await.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, spans, "trace {trace}");
    }
}

#[tokio::test]
async fn parameters_fill_the_statement() {
    let engine = engine(Config::default()).await;
    let sql = "SELECT name FROM spans WHERE service = $1";
    let pay = vec![ScalarValue::from("pay")];
    let found = rows(engine.sql(sql, pay).await).await.unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    let error = engine.sql(sql, Vec::new()).await.unwrap_err();
    assert!(error.message.contains("1 parameters ($1, ...), 0 were given"), "{error}");
}

#[tokio::test]
async fn mistakes_are_explained() {
    for (sql, words) in [
        ("SELECT servce FROM spans", "no column \"servce\"; there is service"),
        ("SELECT * FROM span", "span"),
        ("SELECT no_such_function(1)", "no_such_function"),
        ("SELECT repeat('x', 2000000000)", "more than"),
        ("SELECT lpad('x', 2000000000)", "more than"),
        ("SELECT array_repeat(1, 2000000000)", "array_repeat"),
        ("SELECT * FROM generate_series(1, 1000000000000)", "generate_series"),
        ("SELECT input_file_name() FROM spans", "input_file_name"),
        ("SELECT * FROM '/etc/passwd'", "not found"),
        ("SELECT * FROM 's3://bucket/x'", "not found"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
        ("SELECT * FROM information_schema.df_settings", "not found"),
        ("DESCRIBE '/etc/passwd'", "not found"),
        ("SELECT CAST(name AS BIGINT) FROM spans", "GET /cart"),
    ] {
        let shown = text(sql).await;
        assert!(shown.starts_with("Invalid: "), "{sql}\n{shown}");
        assert!(shown.contains(words), "{sql}\n{shown}");
    }
}

const CROSS: &str = "SELECT count(*) FROM spans a, spans b, spans c, spans d, spans e, spans f, spans g, \
                     spans h, spans i, spans j, spans k, spans l, spans m, spans n, spans o, spans p \
                     WHERE a.duration_nano + p.duration_nano + b.duration_nano < 0";

#[tokio::test]
async fn a_query_without_end_is_stopped() {
    let config = Config { time_max: std::time::Duration::from_millis(300), ..Config::default() };
    let engine = engine(config).await;
    let error = rows(engine.sql(CROSS, Vec::new()).await).await.unwrap_err();
    assert_eq!(error.kind, Kind::TimedOut, "{error}");
}

#[tokio::test]
async fn beyond_the_queue_queries_are_refused() {
    let config = Config { running_max: 1, waiting_max: 0, ..Config::default() };
    let engine = engine(config).await;
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { rows(engine.sql(CROSS, Vec::new()).await).await }
    });
    while engine.shared.permits.running() == 0 {
        tokio::task::yield_now().await;
    }
    let error = engine.sql("SELECT 1", Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Busy, "{error}");
    // Dropping the question stops its work and gives its place back.
    first.abort();
    while engine.shared.permits.running() > 0 {
        tokio::task::yield_now().await;
    }
    engine.sql("SELECT 1", Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_join_that_never_ends_by_itself_stops_when_its_time_is_over() {
    let numbers = "(VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))";
    let tables: Vec<String> = (0..12).map(|index| format!("{numbers} AS t{index}")).collect();
    let sum: Vec<String> = (0..12).map(|index| format!("t{index}.column1")).collect();
    let (tables, sum) = (tables.join(", "), sum.join(" + "));
    let config = Config { time_max: std::time::Duration::from_millis(300), ..Config::default() };
    let engine = engine(config).await;
    for sql in [
        format!("SELECT count(*) FROM {tables} WHERE {sum} > 1000"),
        format!("SELECT {sum} FROM {tables} WHERE {sum} > 1000 ORDER BY 1"),
        "SELECT count(*) FROM (SELECT unnest([1,2,3,4,5,6,7,8,9,10]) AS a FROM spans) x, \
         (SELECT 1 WHERE random() > 2) y"
            .to_owned(),
    ] {
        // Refused for its time or its memory, or over at once; in any case nothing runs on.
        let answer = rows(engine.sql(&sql, Vec::new()).await).await;
        if let Err(error) = answer {
            assert!(matches!(error.kind, Kind::TimedOut | Kind::Busy), "{sql}: {error}");
        }
        while engine.shared.permits.running() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_pattern_that_is_too_large_is_the_statements_mistake() {
    for pattern in ["(a{1000}){1000}", "(", "a{2,1}"] {
        let shown =
            text(&format!("SELECT name FROM spans WHERE regexp_like(name, '{pattern}')")).await;
        assert!(shown.starts_with("Invalid: "), "{pattern}: {shown}");
        let shown = text(&format!("SELECT name ~ '{pattern}' FROM spans")).await;
        assert!(shown.starts_with("Invalid: "), "{pattern}: {shown}");
    }
}

#[tokio::test]
async fn an_answer_ends_at_the_row_limit_and_says_so() {
    let engine = engine(Config { rows_max: 3, ..Config::default() }).await;
    let answer = engine.sql("SELECT name FROM spans", Vec::new()).await.unwrap();
    assert_eq!(answer.notes[0].0, "truncated");
    let rows: usize = rows(Ok(answer)).await.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 3);
    let answer = engine.sql("SELECT name FROM spans LIMIT 3", Vec::new()).await.unwrap();
    assert!(answer.notes.is_empty(), "{:?}", answer.notes);
}

#[tokio::test]
async fn show_and_describe_name_what_there_is() {
    for (sql, words) in [
        ("SHOW TABLES", "spans"),
        ("SHOW TABLES", "dependencies"),
        ("SHOW COLUMNS FROM spans", "start_time_unix_nano"),
        ("DESCRIBE spans", "http_route"),
        ("SELECT column_name FROM information_schema.columns", "trace_id"),
    ] {
        assert!(text(sql).await.contains(words), "{sql}");
    }
}

/// Files of three days, of two services, without hot batches; what a sidecar would know of each is known.
async fn three_known_files() -> Arc<Snapshot> {
    let mut table = table().await;
    table.file(&batch(&[span(7, 0x71, 2 * 86_400_000_000_000)], &[])).await;
    let snapshot = table.snapshot();
    let known = [("shop", 1), ("pay", 2), ("shop", 7)];
    let files = snapshot.files.iter().zip(known).map(|(file, (service, trace))| {
        let mut traces = TraceFilter::with_capacity(1);
        traces.insert(&TraceId(u128::to_be_bytes(trace)));
        let services = Some((service.to_owned(), service.to_owned()));
        Arc::new(DataFile { services, traces: Some(Arc::new(traces)), ..file.as_ref().clone() })
    });
    let files = files.collect();
    Arc::new(Snapshot { files, hot: Arc::new([]), ..snapshot.as_ref().clone() })
}

#[tokio::test]
async fn explain_analyze_says_which_files_were_left_out_and_why() {
    let snapshot = three_known_files().await;
    let clock = Arc::new(ManualClock::at(DAY));
    let over = Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap();
    for (condition, figures) in [
        ("true", [3, 0, 0, 0]),
        ("start_time < TIMESTAMP '2026-11-21T12:00:00Z'", [3, 2, 0, 0]),
        ("date = '2026-11-24'", [3, 3, 0, 0]),
        ("service = 'pay'", [3, 0, 2, 0]),
        ("service > 'zzz'", [3, 0, 3, 0]),
        ("trace_id = '00000000000000000000000000000002'", [3, 0, 0, 2]),
        (
            "start_time >= TIMESTAMP '2026-11-22' AND trace_id = '00000000000000000000000000000001'",
            [3, 1, 0, 2],
        ),
    ] {
        let sql = format!("EXPLAIN ANALYZE SELECT name FROM spans WHERE {condition}");
        let rows = rows(over.sql(&sql, Vec::new()).await).await.unwrap();
        let plan = pretty_format_batches(&rows).unwrap().to_string();
        let reasons = ["in_table", "pruned_by_time", "pruned_by_service", "pruned_by_trace_id"];
        for (reason, figure) in reasons.iter().zip(figures) {
            assert!(
                plan.contains(&format!("files_{reason}={figure}")),
                "{condition}: {reason}\n{plan}"
            );
        }
        let reads = figures[0] > figures[1] + figures[2] + figures[3];
        assert_eq!(plan.contains("row_groups_pruned"), reads, "{condition}\n{plan}");
    }
}

#[tokio::test]
async fn rows_of_files_are_counted_by_the_keys_of_a_column() {
    let engine = engine(Config { threads: 2, ..Config::default() }).await;
    let ask = |sql: &'static str| {
        let engine = engine.clone();
        async move {
            let found = rows(engine.sql(sql, Vec::new()).await).await.unwrap();
            pretty_format_batches(&found).unwrap().to_string()
        }
    };
    let plan = ask("EXPLAIN SELECT attributes['http.route'], count(*) FROM spans GROUP BY 1").await;
    assert!(plan.contains("CountKeysExec: files=2, column=http_route"), "{plan}");
    assert!(plan.contains("HotExec"), "{plan}");
    check(
        &ask("SELECT attributes['http.route'] AS route, count(*) AS n FROM spans GROUP BY 1 ORDER BY 1")
            .await,
        expect_test::expect![[r#"
            +-------+---+
            | route | n |
            +-------+---+
            | /cart | 1 |
            | /pay  | 1 |
            |       | 2 |
            +-------+---+"#]],
    );
    // Where something else is counted, or not all rows are, they are read.
    for sql in [
        "EXPLAIN SELECT service, count(status_message) FROM spans GROUP BY 1",
        "EXPLAIN SELECT service, count(*) FROM spans WHERE kind = 'SERVER' GROUP BY 1",
        "EXPLAIN SELECT service, name, count(*) FROM spans GROUP BY 1, 2",
        "EXPLAIN SELECT upper(service), count(*) FROM spans GROUP BY 1",
    ] {
        let plan = ask(sql).await;
        assert!(!plan.contains("CountKeysExec"), "{sql}\n{plan}");
    }
}

#[tokio::test]
async fn a_sort_of_what_is_never_null_leaves_out_files_that_are_too_old() {
    let snapshot = three_known_files().await;
    let clock = Arc::new(ManualClock::at(DAY));
    let config = Config { threads: 1, ..Config::default() };
    let over = Engine::over(move || Arc::clone(&snapshot), config, clock).unwrap();
    let sql = "EXPLAIN ANALYZE SELECT span_id FROM spans ORDER BY start_time DESC LIMIT 1";
    let found = rows(over.sql(sql, Vec::new()).await).await.unwrap();
    let plan = pretty_format_batches(&found).unwrap().to_string();
    assert!(!plan.contains("IS NULL"), "{plan}");
    // The newest of the three files has one span; no row of the others was read.
    let scan = plan.lines().find(|line| line.contains("file_type=parquet")).unwrap();
    assert!(scan.contains("output_rows=1,"), "{plan}");
}

#[tokio::test]
async fn what_caches_hold_and_how_long_planning_took_is_told_and_bounded() {
    let engine = engine(Config { cache_bytes: 0, ..Config::default() }).await;
    let sum = |name: &str| -> f64 {
        let metrics = engine.metrics();
        metrics.iter().filter(|metric| metric.name == name).map(|metric| metric.value).sum()
    };
    let asked = "SELECT * FROM spans WHERE service = 'shop'";
    for _ in 0..2 {
        rows(engine.sql(asked, Vec::new()).await).await.unwrap();
    }
    assert!(sum("spanlake_query_planning_seconds_total") > 0.0);
    assert!(sum("spanlake_query_cache_misses_total") > 0.0);
    assert_eq!(sum("spanlake_query_cache_bytes"), 0.0, "no cache may hold anything");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_of_queries_step_back_behind_those_of_the_doors() {
    let niceness = || rustix::process::getpriority_process(None).unwrap();
    let before = niceness();
    let engine = engine(Config::default()).await;
    let theirs = engine.threads().unwrap().spawn(async move { niceness() }).await.unwrap();
    assert_eq!((theirs, niceness()), ((before + NICER).min(19), before));
}
