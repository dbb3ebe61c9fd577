use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use ingest::{Decoder, Format, Ingest};
use query::Engine;
use serde_json::{Value, json};
use storage::{Clock, ManualClock, Store, TimeRange};
use tower::ServiceExt;

use super::*;
use crate::{Auth, Tail, TailConfig};

mod examples;
mod views;

/// 2026-11-21T10:00:00Z.
const NOW: i64 = 1_795_255_200_000_000_000;
const TRACE: &str = "0123456789abcdef0123456789abcdef";

struct Fixture {
    router: Router,
    store: Store,
    token: String,
    _folder: tempfile::TempDir,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

/// A server over two traces: web -> cart (an error), and web alone.
async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let mut config = storage::Config::in_folder(folder.path());
    config.ttl = None;
    let decoder = Arc::new(Decoder::new(ingest::Config::default()));
    let store = Store::open(config, decoder, Arc::clone(&clock)).await.unwrap();
    let ingest = Ingest::new(store.clone(), ingest::Config::default(), Arc::clone(&clock));
    let body = spans().to_string().into_bytes().into();
    let outcome = ingest.accept(Format::OtlpJson, body, Some(TimeRange::ALL)).await.unwrap();
    assert_eq!(outcome.accepted_spans, 3, "{}", outcome.message);
    let auth = Auth::open(folder.path().join("tokens.json"), false, Arc::clone(&clock)).unwrap();
    let token = auth.first_token().unwrap().unwrap().expose().to_owned();
    let router = router(Web {
        engine: Engine::new(store.clone(), query::Config::default()).unwrap(),
        store: store.clone(),
        tail: Tail::new(store.clone(), TailConfig::default(), &*clock),
        auth,
        clock,
        version: "1.2.3",
        hosts: Vec::new(),
        figures: Arc::new(move || ingest.metrics()),
    });
    Fixture { router, store, token, _folder: folder }
}

fn spans() -> Value {
    let span = |trace: &str, id: &str, parent: &str, kind: u8, start: i64, nanos: i64, code: u8| {
        json!({
            "traceId": trace, "spanId": id, "parentSpanId": parent, "name": "get", "kind": kind,
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + nanos).to_string(),
            "attributes": [
                {"key": "http.response.status_code", "value": {"intValue": "500"}},
                {"key": "odd", "value": {"stringValue": "o'clock"}},
            ],
            "status": {"code": code},
        })
    };
    let service = |name: &str, spans: Vec<Value>| {
        let attribute = json!({"key": "service.name", "value": {"stringValue": name}});
        json!({
            "resource": {"attributes": [attribute]},
            "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}],
        })
    };
    let (a, b) = (TRACE, "fedcba9876543210fedcba9876543210");
    json!({"resourceSpans": [
        service("web", vec![
            span(a, "00000000000000a1", "", 2, NOW - 1_000_000, 900_000, 0),
            span(b, "00000000000000b1", "", 2, NOW - 2_000_000, 5_000_000, 0),
        ]),
        service("cart", vec![span(a, "00000000000000a2", "00000000000000a1", 2, NOW - 999_000, 7_000, 2)]),
    ]})
}

impl Fixture {
    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 16 << 20).await.unwrap();
        Reply { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path).header(header::HOST, "localhost:8080");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The answer without its body.
    async fn head(&self, path: &str) -> Reply {
        let request = Request::get(path).header(header::HOST, "localhost:8080");
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status, headers, text: String::new() }
    }

    async fn sql(&self, text: &str) -> Reply {
        let request = Request::post("/api/v1/sql").header(header::HOST, "localhost");
        self.send(request.body(Body::from(text.to_owned())).unwrap()).await
    }

    async fn admin(&self, method: &str, path: &str, body: &str) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reading_route_answers_with_the_safe_headers() {
    let f = fixture().await;
    for route in ROUTES.iter().filter(|route| route.method == "get") {
        let path = route.path.replace("{trace_id}", TRACE).replace("{pattern}", "00000000000000aa");
        let path = match route.path {
            "/api/v1/calls" => path + "?caller=web&callee=cart",
            "/api/v1/descendants" => path + "?above=true&below=true",
            _ => path,
        };
        let reply = match route.answers {
            // It does not end by itself.
            Answers::Events => f.head(&path).await,
            _ => f.get(&path).await,
        };
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        let policy = reply.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("require-trusted-types-for 'script'"), "{path}");
        assert_eq!(reply.headers["x-request-id"].len(), 16, "{path}");
        let caching = reply.headers.get(header::CACHE_CONTROL).map(|value| value.as_bytes());
        assert_eq!(caching == Some(b"no-store"), path.starts_with("/api/"), "{path}");
    }
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_answers_in_the_format_asked_for() {
    let f = fixture().await;
    let statement =
        "SELECT service, count(*) AS spans FROM spans GROUP BY service ORDER BY service";
    let rows = f.sql(statement).await;
    assert_eq!(
        rows.json(),
        json!([{"service": "cart", "spans": 1}, {"service": "web", "spans": 2}])
    );
    let request = Request::post("/api/v1/sql?format=csv")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    let body = json!({
        "query": "SELECT span_id, attributes FROM spans WHERE service = $1",
        "params": ["cart"],
    });
    let csv = f.send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(csv.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    assert!(csv.text.starts_with("span_id,attributes\r\n00000000000000a2,\"{"), "{}", csv.text);
    let nested =
        f.sql("SELECT attributes, resource FROM spans WHERE service = 'cart'").await.json();
    assert_eq!(nested[0]["attributes"]["http.response.status_code"], 500);
    assert_eq!(nested[0]["resource"]["service.name"], "cart");
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_say_what_is_wrong_and_carry_the_request_id() {
    let f = fixture().await;
    let cases = [
        ("/api/v1/traces?colour=red", StatusCode::BAD_REQUEST, "invalid"),
        ("/api/v1/traces?from=yesterday", StatusCode::BAD_REQUEST, "invalid"),
        ("/api/v1/traces?format=xml", StatusCode::BAD_REQUEST, "invalid"),
        ("/api/v1/traces/0123", StatusCode::BAD_REQUEST, "invalid"),
        ("/api/v1/traces/00000000000000000000000000000001", StatusCode::NOT_FOUND, "not_found"),
        ("/api/v1/nothing", StatusCode::NOT_FOUND, "not_found"),
        ("/api/v1/sql", StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
    ];
    for (path, status, kind) in cases {
        let reply = f.get(path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        let error = &reply.json()["error"];
        assert_eq!(error["kind"], kind, "{path}");
        assert_eq!(error["request_id"], reply.headers["x-request-id"].to_str().unwrap());
    }
    for statement in ["", "SELEC 1", "DROP TABLE spans", "SELECT nothing FROM spans"] {
        assert_eq!(f.sql(statement).await.status, StatusCode::BAD_REQUEST, "{statement}");
    }
    let huge = f.sql(&" ".repeat((1 << 20) + 1)).await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE);
    let foreign = Request::get("/").header(header::HOST, "evil.example").body(Body::empty());
    assert_eq!(f.send(foreign.unwrap()).await.status, StatusCode::MISDIRECTED_REQUEST);
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_find_traces_page_by_page() {
    let f = fixture().await;
    let ids = |reply: &Reply| -> Vec<String> {
        let rows = reply.json();
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["trace_id"].as_str().unwrap().into())
            .collect()
    };
    let hits = [
        ("service=cart", 1),
        ("service=cart&status=error", 1),
        ("service=web&status=error", 0),
        ("status=error", 1),
        ("root_service=web", 2),
        ("attribute=http.response.status_code%3D500", 2),
        ("attribute=http.response.status_code%3Dabc", 0),
        ("attribute=odd%3Do'clock", 2),
        ("resource=service.name%3Dcart", 1),
        ("resource=service.name%3Dcart&attribute=odd%3Do'clock&kind=SERVER&scope_name=lib", 1),
        ("resource=nothing%3Dx", 0),
        ("kind=CLIENT", 0),
        ("min_duration=2ms", 1),
        ("max_duration=2ms", 1),
        ("from=-1h&to=now&service=cart", 1),
        ("from=now", 0),
        ("name='%20OR%20true%20--", 0),
    ];
    for (query, number) in hits {
        let reply = f.get(&format!("/api/v1/traces?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.text);
        assert_eq!(ids(&reply).len(), number, "{query}: {}", reply.text);
    }
    for order in ["newest", "slowest"] {
        let first = f.get(&format!("/api/v1/traces?order={order}&limit=1")).await;
        let cursor = first.headers["spanlake-cursor"].to_str().unwrap();
        let path = format!("/api/v1/traces?order={order}&limit=1&cursor={cursor}");
        let second = f.get(&path).await;
        assert!(!second.headers.contains_key("spanlake-cursor"));
        assert_eq!(
            (&first.headers["spanlake-total"], &second.headers["spanlake-total"]),
            (&"2".parse().unwrap(), &"2".parse().unwrap())
        );
        assert_eq!((ids(&first).len(), ids(&second).len()), (1, 1));
        assert_ne!(ids(&first), ids(&second));
        assert_eq!(ids(&first)[0] == TRACE, order == "newest");
    }
    let bound = f.get("/api/v1/traces?name=get&limit=1").await;
    assert_eq!(bound.headers["spanlake-total"], "2+");
    let exact = f.get("/api/v1/traces?name=get&limit=1&total=exact").await;
    assert_eq!(exact.headers["spanlake-total"], "2");
    let streamed = f.get("/api/v1/traces?limit=1&stream=true&format=ndjson").await;
    let lines: Vec<Value> =
        streamed.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{}", streamed.text);
    assert_eq!(lines[0]["trace_id"], TRACE);
    assert_eq!(lines[1]["page"]["total"], "2");
    let cursor = lines[1]["page"]["cursor"].as_str().unwrap();
    let next = format!("/api/v1/traces?limit=1&stream=true&format=ndjson&cursor={cursor}");
    let next = f.get(&next).await;
    assert!(next.text.ends_with("{\"page\":{\"cursor\":null,\"total\":\"2\"}}\n"), "{}", next.text);
    assert_eq!(f.get("/api/v1/traces?stream=true").await.status, StatusCode::BAD_REQUEST);
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_comes_as_a_tree_as_otlp_and_as_jaeger() {
    let f = fixture().await;
    let trace = f.get(&format!("/api/v1/traces/{TRACE}")).await.json();
    assert_eq!(trace["complete"], true);
    assert_eq!(trace["root_service"], "web");
    assert_eq!(trace["duration_nano"], 900_000);
    assert_eq!(trace["spans"][1]["span_id"], "00000000000000a2");
    assert_eq!(trace["spans"][1]["depth"], 1);
    let pattern = f.get(&format!("/api/v1/traces/{TRACE}/pattern")).await.json();
    assert_eq!(pattern[0]["pattern"], trace["pattern"], "{pattern}");
    assert_eq!(trace["shape"], "web: get (cart: get)");
    let patterns = f.get("/api/v1/patterns").await.json();
    let rows = patterns.as_array().unwrap();
    assert!(rows.iter().any(|row| row["pattern"] == trace["pattern"]), "{patterns}");
    let otlp = f.get(&format!("/api/v1/traces/{TRACE}?format=otlp")).await.json();
    assert_eq!(otlp["resourceSpans"].as_array().unwrap().len(), 2);
    let jaeger = f.get(&format!("/api/v1/traces/{TRACE}?format=jaeger")).await.json();
    assert_eq!(jaeger["data"][0]["spans"].as_array().unwrap().len(), 2);
    let dot = f.get("/api/v1/dependencies?format=dot").await;
    assert!(dot.text.contains("web") && dot.text.contains("cart"), "{}", dot.text);
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_need_the_admin_token_and_take_effect() {
    let f = fixture().await;
    for (method, path) in [
        ("POST", "/api/v1/flush"),
        ("POST", "/api/v1/compact"),
        ("PUT", "/api/v1/retention"),
        ("POST", "/api/v1/partitions/drop"),
        ("POST", "/api/v1/retention/apply"),
        ("POST", "/api/v1/pins"),
        ("DELETE", "/api/v1/pins/0123456789abcdef0123456789abcdef"),
        ("POST", "/api/v1/delete"),
        ("POST", "/api/v1/patches"),
    ] {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let reply = f.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(f.admin("POST", "/api/v1/flush", "").await.status, StatusCode::OK);
    let status = f.get("/api/v1/status").await.json();
    assert_eq!(status["version"], "1.2.3");
    assert_eq!((&status["table"]["rows"], &status["table"]["hot_rows"]), (&json!(3), &json!(0)));
    assert_eq!(status["ingest"]["spans"], 3.0);
    let rule = f.admin("PUT", "/api/v1/retention", "{\"ttl\":\"36h\"}").await.json();
    assert_eq!((&rule["ttl"], &rule["ttl_seconds"]), (&json!("36h"), &json!(129_600)));
    assert_eq!((&rule["by_command"], &rule["rules"]), (&json!(true), &json!([])));
    for wrong in ["{}", "{\"ttl\":\"soon\"}", "{\"ttl\":7}"] {
        let reply = f.admin("PUT", "/api/v1/retention", wrong).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(f.get("/api/v1/partitions").await.json()[0]["date"], "2026-11-21");
    let missing = f.admin("POST", "/api/v1/partitions/drop", "{\"dates\":[\"2001-01-01\"]}").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let receipt = f.admin("POST", "/api/v1/partitions/drop", "{\"dates\":[\"2026-11-21\"]}").await;
    assert_eq!((&receipt.json()["rows"], &receipt.json()["traces"]), (&json!(3), &json!(2)));
    assert_eq!(f.sql("SELECT count(*) AS n FROM spans").await.json(), json!([{"n": 0}]));
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_pins_and_plans_decide_what_a_drop_leaves() {
    let f = fixture().await;
    let rules = json!([{"class": "errors", "ttl": "90d", "error": true}]);
    let body = json!({"rules": rules, "max_bytes": 1_000_000_000, "keep_latest": 0}).to_string();
    let policy = f.admin("PUT", "/api/v1/retention", &body).await.json();
    assert_eq!((&policy["rules"], &policy["rules_by_command"]), (&rules, &json!(true)));
    let wrong = json!({"rules": [{"class": "kept", "ttl": "1d"}]}).to_string();
    assert_eq!(f.admin("PUT", "/api/v1/retention", &wrong).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(f.admin("POST", "/api/v1/flush", "").await.status, StatusCode::OK);
    assert_eq!(f.get("/api/v1/partitions").await.json()[0]["classes"], "default, errors");

    let plan = f.admin("POST", "/api/v1/retention/plan", "{\"max_bytes\": 1}").await.json();
    assert_eq!((&plan["rows"], &plan["traces"]), (&json!(3), &json!(2)), "{plan}");
    assert_eq!(plan["parts"].as_array().unwrap().len(), 2);
    let plan = f.get("/api/v1/retention/plan?ttl=7d").await.json();
    assert_eq!(
        (&plan["rows"], &plan["stays"][1]["class"]),
        (&json!(0), &json!("errors")),
        "{plan}"
    );

    let other = "fedcba9876543210fedcba9876543210";
    let body = json!({"trace_id": other, "note": "look again"}).to_string();
    let pin = f.admin("POST", "/api/v1/pins", &body).await;
    assert_eq!(pin.json()["note"], "look again", "{}", pin.text);
    assert_eq!(f.get("/api/v1/pins").await.json()[0]["trace_id"], other);
    let drop = json!({"dates": ["2026-11-21"], "class": "default"}).to_string();
    let receipt = f.admin("POST", "/api/v1/partitions/drop", &drop).await.json();
    assert_eq!((&receipt["rows"], &receipt["kept_rows"]), (&json!(0), &json!(1)), "{receipt}");
    assert_eq!(f.get("/api/v1/partitions").await.json()[0]["classes"], "errors, kept");
    let path = format!("/api/v1/pins/{other}");
    assert_eq!(f.admin("DELETE", &path, "").await.status, StatusCode::OK);
    assert_eq!(f.admin("DELETE", &path, "").await.status, StatusCode::NOT_FOUND);
    let receipts = f.admin("POST", "/api/v1/retention/apply", "").await.json();
    assert_eq!((&receipts[0]["reason"], &receipts[0]["rows"]), (&json!("unpinned"), &json!(1)));
    let log = "SELECT reason, spans, kept_spans FROM retention_log ORDER BY table_version";
    let expected = json!([
        {"reason": "command", "spans": 0, "kept_spans": 1},
        {"reason": "unpinned", "spans": 1, "kept_spans": 0},
    ]);
    assert_eq!(f.sql(log).await.json(), expected);
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_counts_first_and_then_removes_whole_traces() {
    let f = fixture().await;
    let by_attribute = |dry_run: bool| {
        let attribute = json!({"key": "odd", "value": "o'clock"});
        json!({"attribute": attribute, "dry_run": dry_run, "now": true}).to_string()
    };
    let planned = f.admin("POST", "/api/v1/delete", &by_attribute(true)).await.json();
    assert_eq!((&planned["rows"], &planned["traces"]), (&json!(3), &json!(2)), "{planned}");
    assert_eq!((&planned["version"], &planned["dry_run"]), (&json!(null), &json!(true)));
    let by_id = json!({"traces": [TRACE]}).to_string();
    let deleted = f.admin("POST", "/api/v1/delete", &by_id).await.json();
    assert_eq!((&deleted["rows"], &deleted["vacuumed"]), (&json!(2), &json!(false)), "{deleted}");
    assert_eq!(f.get(&format!("/api/v1/traces/{TRACE}")).await.status, StatusCode::NOT_FOUND);
    let deleted = f.admin("POST", "/api/v1/delete", &by_attribute(false)).await.json();
    assert_eq!((&deleted["rows"], &deleted["vacuumed"]), (&json!(1), &json!(true)));
    assert_eq!(f.sql("SELECT count(*) AS n FROM spans").await.json(), json!([{"n": 0}]));
    for wrong in [
        "{}",
        "{\"traces\":[]}",
        "{\"traces\":[\"x\"]}",
        "{\"attribute\":{\"key\":\"\",\"value\":\"\"}}",
    ] {
        let reply = f.admin("POST", "/api/v1/delete", wrong).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_are_shown_unless_raw_is_asked_for_and_can_be_taken_back() {
    let f = fixture().await;
    let cart = "00000000000000a2";
    for (number, patch) in [
        json!({"kind": "note", "trace_id": TRACE, "text": "the disk was full"}),
        json!({"kind": "alias", "trace_id": TRACE, "alias": "order 17"}),
        json!({"kind": "correction", "trace_id": TRACE, "span_id": cart, "fields": {"status": "OK"},
            "attributes": {"odd": "even", "new": 7}}),
        json!({"kind": "rename", "service": "cart", "name": "get", "to": "cart.Get"}),
    ]
    .into_iter()
    .enumerate()
    {
        let added = f.admin("POST", "/api/v1/patches", &patch.to_string()).await;
        assert_eq!(added.status, StatusCode::OK, "{}", added.text);
        assert_eq!(added.json()["number"], number + 1);
    }
    let wrong = json!({"kind": "poem", "text": "x"}).to_string();
    let refused = f.admin("POST", "/api/v1/patches", &wrong).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);

    let of_cart = |trace: &Value| {
        let spans = trace["spans"].as_array().unwrap();
        spans.iter().find(|span| span["span_id"] == cart).unwrap().clone()
    };
    let shown = f.get("/api/v1/traces/order%2017").await.json();
    assert_eq!((&shown["trace_id"], &shown["errors"]), (&json!(TRACE), &json!(0)));
    assert_eq!(shown["patches"].as_array().unwrap().len(), 3, "{}", shown["patches"]);
    let span = of_cart(&shown);
    assert_eq!((&span["name"], &span["status"]), (&json!("cart.Get"), &json!("OK")));
    assert_eq!(
        (&span["attributes"]["odd"], &span["attributes"]["new"]),
        (&json!("even"), &json!(7))
    );
    let columns = f.get(&format!("/api/v1/traces/{TRACE}?format=columns")).await.json();
    assert_eq!(columns["columns"]["status"]["words"], json!(["UNSET", "OK"]));
    let raw = f.get(&format!("/api/v1/traces/{TRACE}?raw=true")).await.json();
    let span = of_cart(&raw);
    assert_eq!((&span["name"], &span["status"]), (&json!("get"), &json!("ERROR")));
    assert_eq!((&raw["patches"], &span["attributes"]["odd"]), (&json!([]), &json!("o'clock")));

    let count = |table: &str, name: &str| {
        format!("SELECT count(*) AS n FROM {table} WHERE service = 'cart' AND name = '{name}'")
    };
    for (table, name, n) in [("spans", "cart.Get", 1), ("spans", "get", 0), ("spans_raw", "get", 1)]
    {
        assert_eq!(f.sql(&count(table, name)).await.json()[0]["n"], n, "{table} {name}");
    }
    let operations = f.get("/api/v1/operations?service=cart").await.json();
    assert_eq!(operations[0]["name"], "cart.Get");
    let retract = json!({"kind": "retract", "patch": 4}).to_string();
    assert_eq!(f.admin("POST", "/api/v1/patches", &retract).await.status, StatusCode::OK);
    assert_eq!(f.get("/api/v1/operations?service=cart").await.json()[0]["name"], "get");
    assert_eq!(f.get("/api/v1/patches").await.json().as_array().unwrap().len(), 5);
    let about = f.get("/api/v1/patches?trace_id=order%2017").await.json();
    assert_eq!(about.as_array().unwrap().len(), 3);
    f.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_below_others_are_found_in_memory_and_in_files() {
    let f = fixture().await;
    let below = json!([{
        "trace_id": TRACE, "span_id": "00000000000000a2", "service": "cart", "name": "get", "error": true,
        "ancestor_span_id": "00000000000000a1", "ancestor_service": "web", "distance": 1,
    }]);
    for _ in 0..2 {
        for path in [
            "calls?caller=web&callee=cart",
            "descendants?above=service%20%3D%20'web'&below=kind%20%3D%20'SERVER'",
            "descendants?above=service%20%3D%20'web'&below=duration_nano%20%3D%207000&limit=5",
        ] {
            let found = f.get(&format!("/api/v1/{path}")).await.json();
            for (key, value) in below[0].as_object().unwrap() {
                assert_eq!(found[0][key], *value, "{path}: {found}");
            }
            assert_eq!(found.as_array().unwrap().len(), 1, "{path}: {found}");
        }
        assert_eq!(f.get("/api/v1/calls?caller=cart&callee=web").await.json(), json!([]));
        let tree = f.get(&format!("/api/v1/traces/{TRACE}/tree")).await.json();
        assert_eq!(tree[1]["tree"], "  cart: get 7µs ERROR", "{tree}");
        let places = f.get("/api/v1/structure?service=cart").await.json();
        assert_eq!((&places[0]["depth"], &places[0]["nested_left"]), (&json!(1), &json!(2)));
        f.store.flush().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_a_question_about_spans_below_others_are_needed() {
    let f = fixture().await;
    for path in ["calls?caller=web", "calls?callee=web", "descendants?above=true"] {
        let reply = f.get(&format!("/api/v1/{path}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}: {}", reply.text);
        assert!(reply.text.contains("is missing"), "{}", reply.text);
    }
}
