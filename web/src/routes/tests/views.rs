//! Each view over HTTP is the view in SQL.
use axum::body::BodyDataStream;
use futures::StreamExt;
use storage::Entry;

use super::*;

/// Endpoints without parameters of their own, and their table functions.
const VIEWS: [(&str, &str); 17] = [
    ("traces", "traces()"),
    ("latency", "latency()"),
    ("latency/histogram", "latency_histogram()"),
    ("latency/heatmap", "latency_heatmap()"),
    ("operations", "operations()"),
    ("dependencies", "dependencies()"),
    ("network", "network()"),
    ("network/operations", "network_operations()"),
    ("network/caused", "network_caused()"),
    ("network/caused/services", "network_caused_services()"),
    ("patterns", "patterns()"),
    ("critical-path", "critical_path()"),
    ("structure", "structure()"),
    ("self-time", "self_time()"),
    ("missing-parents", "missing_parents()"),
    ("unowned", "unowned()"),
    ("compare", "compare('root_error')"),
];

/// Those with parameters.
const ASKED: [(&str, &str); 10] = [
    ("latency?exact=true", "latency(NULL, NULL, 'exact')"),
    ("operations?service=cart", "operations() WHERE service = 'cart'"),
    (
        "latency/heatmap?from=2026-11-21T09:59:59.999Z&step=1m&rows=2&root_name=get",
        "latency_heatmap('2026-11-21T09:59:59.999Z', NULL, NULL, 'get', '1m', 2)",
    ),
    ("calls?caller=web&callee=cart", "calls('web', 'cart')"),
    (
        "descendants?above=service%3D'web'&below=service%3D'cart'",
        "descendants('service = ''web''', 'service = ''cart''')",
    ),
    ("compare?min_duration=2ms", "compare('duration_nano >= 2000000')"),
    ("compare?of=spans&selection=status%3D'ERROR'", "compare_spans('status = ''ERROR''')"),
    ("traces/TRACE/tree", "trace_tree('TRACE')"),
    ("traces/TRACE/critical-path", "critical_path('TRACE')"),
    ("traces/TRACE/pattern", "trace_pattern('TRACE')"),
];

/// The rows, in an order of their own.
fn rows(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let mut rows: Vec<String> =
        reply.json().as_array().unwrap().iter().map(ToString::to_string).collect();
    rows.sort_unstable();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_has_the_same_rows_over_http_and_in_sql() {
    let f = fixture().await;
    let mut without = 0;
    for (path, view) in VIEWS.iter().chain(&ASKED) {
        let (path, view) = (path.replace("TRACE", TRACE), view.replace("TRACE", TRACE));
        let by_path = f.get(&format!("/api/v1/{path}")).await;
        let by_sql = f.sql(&format!("SELECT * FROM {view}")).await;
        assert_eq!(rows(&by_path), rows(&by_sql), "{path}");
        without += usize::from(rows(&by_path).is_empty());
    }
    // Nothing is missing in these traces, and nobody asked for what was not there.
    assert!(without <= 4, "{without} views have no row");
    let pattern = f.get("/api/v1/patterns").await.json()[0]["pattern"].clone();
    let pattern = pattern.as_str().unwrap();
    let by_path = f.get(&format!("/api/v1/patterns/{pattern}")).await;
    let by_sql = f.sql(&format!("SELECT * FROM pattern('{pattern}')")).await;
    assert_eq!(rows(&by_path), rows(&by_sql));
    let checks = json!({"check": [{"name": "web alone", "when": "service = 'web'", "below": "true", "at_most": 0}]});
    let request = Request::post("/api/v1/checks")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    let by_path = f.send(request.body(Body::from(checks.to_string())).unwrap()).await;
    let checks = checks.to_string().replace('\'', "''");
    let by_sql = f.sql(&format!("SELECT * FROM checks('{checks}')")).await;
    assert_eq!(rows(&by_path), rows(&by_sql));
    assert_eq!(by_path.json()[0]["failed"], 1, "{}", by_path.text);
    f.store.close().await.unwrap();
}

/// The next lines of a stream.
async fn lines(body: &mut BodyDataStream) -> Option<String> {
    let bytes = body.next().await?.unwrap();
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_streams_what_it_found_before_it_looks_further() {
    let f = fixture().await;
    // The same two traces as one day before.
    let day = 86_400_000_000_000;
    let mut older = spans();
    for resource in older["resourceSpans"].as_array_mut().unwrap() {
        for span in resource["scopeSpans"][0]["spans"].as_array_mut().unwrap() {
            for time in ["startTimeUnixNano", "endTimeUnixNano"] {
                let at: i64 = span[time].as_str().unwrap().parse().unwrap();
                span[time] = (at - day).to_string().into();
            }
            let id = span["traceId"].as_str().unwrap().replace('0', "1");
            span["traceId"] = id.into();
        }
    }
    let entry = Entry {
        format: Format::OtlpJson.code(),
        received_unix_nano: NOW,
        accept: TimeRange::ALL,
        body: older.to_string().into_bytes().into(),
        deduplicate: false,
    };
    f.store.append(entry).await.unwrap();
    let asked = async || -> u64 {
        let metrics = f.get("/metrics").await.text;
        let line =
            metrics.lines().find(|line| line.starts_with("spanlake_queries_total ")).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    let path = "/api/v1/traces?name=get&stream=true&format=ndjson&limit=10";
    let request = Request::get(path).header(header::HOST, "localhost");
    let response = f.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    while text.lines().count() < 2 {
        text += &lines(&mut body).await.unwrap();
    }
    assert_eq!(text.lines().count(), 2, "the newest minute alone: {text}");
    let first = asked().await;
    while let Some(more) = lines(&mut body).await {
        text += &more;
    }
    assert_eq!(text.lines().count(), 5, "four traces and the page: {text}");
    assert!(asked().await > first, "all was looked for before the first row was sent");
    f.store.close().await.unwrap();
}

/// The views that the page completes: name, columns, arguments.
fn completed() -> Vec<(String, String, String)> {
    let page = include_str!("../../../ui/src/complete.ts");
    let (_, difference) = page.split_once("const DIFFERENCE = \"").unwrap();
    let (difference, _) = difference.split_once('"').unwrap();
    let (_, views) = page.split_once("export const VIEWS").unwrap();
    let (views, _) = views.split_once("\n];").unwrap();
    let views = views.lines().filter_map(|line| line.trim().strip_prefix("[\""));
    views
        .map(|view| {
            let (name, rest) = view.split_once("\", ").unwrap();
            let rest = rest.strip_suffix("],").unwrap();
            let (columns, rest) = match rest.strip_prefix('"') {
                Some(columns) => columns.split_once('"').unwrap(),
                None => (difference, rest.strip_prefix("DIFFERENCE").unwrap()),
            };
            let arguments = rest.strip_prefix(", ").unwrap_or("\"'-1h', 'now'\"");
            let arguments = arguments.trim_matches(['"', '`']);
            (name.to_owned(), columns.to_owned(), arguments.to_owned())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_completes_the_columns_that_views_have() {
    let f = fixture().await;
    let engine = query::Engine::new(f.store.clone(), query::Config::default()).unwrap();
    let completed = completed();
    assert!(completed.len() > 20, "{completed:?}");
    for (name, columns, arguments) in completed {
        let sql = format!("SELECT * FROM {name}({arguments}) LIMIT 1");
        let answer =
            engine.sql(&sql, Vec::new()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let own: Vec<&str> =
            answer.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(own.join(", "), columns, "{sql}");
    }
    f.store.close().await.unwrap();
}
