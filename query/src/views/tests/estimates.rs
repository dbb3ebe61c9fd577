//! What views estimate from sampled traces, against the truth of all of them.
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use http::Request;
use ingest::Ingest;
use storage::{Clock, Store};
use tower::ServiceExt;

use super::*;

/// Numbers that are the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// The next number (splitmix64).
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

const TRACES: u64 = 20_000;

/// What one trace holds: `GET /cart` with one to eight calls of `cart`, some of which fail; every third trace is a
/// checkout without calls.
#[derive(Default)]
struct Truth {
    traces: f64,
    checkouts: f64,
    spans: f64,
    calls: f64,
    failed: f64,
}

/// By which a span is a request for a handler.
const METHOD: &str =
    r#","attributes":[{"key":"http.request.method","value":{"stringValue":"POST"}}]"#;

/// OTLP JSON of `traces` traces; what they hold is added to `truth`.
fn request(dice: &mut Dice, traces: u64, now: i64, truth: &mut Truth) -> String {
    let (mut shop, mut cart) = (String::new(), String::new());
    for _ in 0..traces {
        let trace = format!("{:016x}{:016x}", dice.roll() | 1, dice.roll());
        let times =
            format!(r#""startTimeUnixNano":"{now}","endTimeUnixNano":"{}""#, now + 5_000_000);
        let checkout = dice.roll().is_multiple_of(3);
        let name = if checkout { "POST /checkout" } else { "GET /cart" };
        let comma = if shop.is_empty() { "" } else { "," };
        // Nobody handles checkouts.
        let asked = if checkout { METHOD } else { "" };
        write!(shop, r#"{comma}{{"traceId":"{trace}","spanId":"00000000000000ff","name":"{name}","kind":2,{times}{asked}}}"#).unwrap();
        truth.traces += 1.0;
        truth.checkouts += f64::from(u8::from(checkout));
        truth.spans += 1.0;
        let calls = if checkout { 0 } else { 1 + dice.roll() % 8 };
        for call in 1..=calls {
            let failed = dice.roll().is_multiple_of(10);
            let status = if failed { r#","status":{"code":2}"# } else { "" };
            let comma = if cart.is_empty() { "" } else { "," };
            write!(cart, r#"{comma}{{"traceId":"{trace}","spanId":"{call:016x}","parentSpanId":"00000000000000ff","name":"Get","kind":2,{times}{status}}}"#).unwrap();
            truth.spans += 1.0;
            truth.calls += 1.0;
            truth.failed += f64::from(u8::from(failed));
        }
    }
    let resource = |service: &str, spans: &str| {
        format!(
            r#"{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{spans}]}}]}}"#
        )
    };
    format!(r#"{{"resourceSpans":[{},{}]}}"#, resource("shop", &shop), resource("cart", &cart))
}

/// Sends the whole set through the OTLP door of a lake that keeps `rate` of it.
async fn sampled(rate: f64) -> (Lake, Truth) {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = ingest::Config::default();
    limits.sampling.rate = rate;
    let decoder = Arc::new(ingest::Decoder::new(limits.clone()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now = clock.now_unix_nano();
    let config = storage::Config::in_folder(folder.path());
    let store = Store::open(config, decoder, Arc::clone(&clock)).await.unwrap();
    let door = Ingest::new(store.clone(), limits, clock).otlp_http();
    let (mut dice, mut truth) = (Dice(20_261_122), Truth::default());
    for _ in 0..20 {
        let body = request(&mut dice, TRACES / 20, now, &mut truth);
        let request = Request::post("/v1/traces").header("content-type", "application/json");
        let response = door.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let engine = Engine::new(store.clone(), patient()).unwrap();
    (Lake { store, engine, _folder: folder }, truth)
}

/// The estimate lies within four stated standard errors of the truth, and the error is no excuse.
#[track_caller]
fn near(row: &Value, column: &str, truth: f64, rate: f64) {
    let estimate = row[column].as_f64().unwrap();
    let error = row[format!("{column}_error")].as_f64().unwrap();
    let off = (estimate - truth).abs();
    assert!(off <= 4.0 * error, "{column} at {rate}: {estimate} ± {error}, not {truth}");
    assert!(error > 0.0 && error < truth, "{column} at {rate}: {estimate} ± {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn estimates_lie_within_their_errors_of_the_truth() {
    for rate in [0.5, 0.1, 0.01] {
        let (lake, truth) = sampled(rate).await;
        for stored in ["hot", "in files"] {
            let row = |rows: Vec<Value>, key: &'static str, value: &'static str| {
                rows.into_iter().find(|row| row[key] == value).unwrap()
            };
            let cart = row(lake.view(View::Latency).await, "root_name", "GET /cart");
            near(&cart, "weighted_traces", truth.traces - truth.checkouts, rate);
            assert_eq!(cart["weighted_errors"], 0.0);
            let called = row(lake.view(View::Operations).await, "service", "cart");
            near(&called, "weighted_spans", truth.calls, rate);
            near(&called, "weighted_errors", truth.failed, rate);
            let edge = row(lake.view(View::Dependencies).await, "callee", "cart");
            near(&edge, "weighted_calls", truth.calls, rate);
            near(&edge, "weighted_errors", truth.failed, rate);
            for column in ["weighted_calls_error", "weighted_errors_error"] {
                let same = column.replace("calls", "spans");
                assert_eq!(edge[column], called[same], "one truth, {stored}");
            }
            // One operation against everything else: traces, then spans.
            let sql = "SELECT * FROM compare('root_name = ''GET /cart''') \
                 WHERE scope = 'field' AND key = 'name' AND value = 'GET /cart'";
            let compared = lake.sql(sql).await.remove(0);
            assert_eq!(compared["selection"], cart["traces"], "{stored}");
            assert_eq!(compared["weighted_selection"], cart["weighted_traces"], "{stored}");
            near(&compared, "weighted_selection", truth.traces - truth.checkouts, rate);
            assert_eq!(compared["weighted_baseline"], 0.0);
            let sql = "SELECT * FROM compare_spans('service = ''cart''') \
                 WHERE scope = 'field' AND key = 'service' AND value = 'cart'";
            let compared = lake.sql(sql).await.remove(0);
            assert_eq!(compared["weighted_selection"], called["weighted_spans"], "{stored}");
            near(&compared, "weighted_selection", truth.calls, rate);
            let error = |row: &Value, column: &str| row[column].as_f64().unwrap();
            let times = error(&compared, "weighted_selection_error")
                / error(&called, "weighted_spans_error");
            assert!((0.7..1.4).contains(&times), "about the same error: {compared} {called}");
            assert_eq!(compared["weighted_baseline_error"], 0.0);
            other_views_are_near(&lake, &truth, rate).await;
            // The same by plain SQL: the sampling unit is the trace.
            let sql = "SELECT sum(weight) AS weighted_spans, sqrt(sum(s * (s - n))) AS weighted_spans_error FROM \
                 (SELECT trace_id, sum(weight) AS weight, sum(weight) AS s, count(*) AS n FROM spans GROUP BY 1)";
            let all = lake.sql(sql).await.remove(0);
            near(&all, "weighted_spans", truth.spans, rate);
            // Whole traces: nothing lacks its parent, every root has its calls.
            let cut = "SELECT count(*) AS n FROM traces() WHERE NOT complete OR (spans = 1 AND root_name = 'GET /cart')";
            assert_eq!(number(&lake.sql(cut).await[0]["n"]), 0, "{stored}");
            lake.store.flush().await.unwrap();
        }
        lake.store.close().await.unwrap();
    }
}

/// Every other view that counts traces, spans or requests, one row each.
async fn other_views_are_near(lake: &Lake, truth: &Truth, rate: f64) {
    let carts = truth.traces - truth.checkouts;
    let cases = [
        ("latency_histogram() WHERE root_name = 'GET /cart'", "weighted_traces", carts),
        ("latency_heatmap(NULL, NULL, 'shop', 'GET /cart')", "weighted_traces", carts),
        ("network_caused() WHERE root_name = 'GET /cart'", "weighted_traces", carts),
        ("network_caused_services() WHERE service = 'cart'", "weighted_traces", carts),
        ("patterns() WHERE root_name = 'POST /checkout'", "weighted_traces", truth.checkouts),
        ("critical_path() WHERE service = 'cart'", "weighted_traces", carts),
        ("self_time() WHERE service = 'cart'", "weighted_spans", truth.calls),
        ("unowned()", "weighted_requests", truth.checkouts),
    ];
    for (view, column, truth) in cases {
        let rows = lake.sql(&format!("SELECT * FROM {view}")).await;
        assert_eq!(rows.len(), 1, "{view}: {rows:?}");
        near(&rows[0], column, truth, rate);
    }
    let patterns =
        "SELECT round(sum(weighted_traces), 3) AS n FROM patterns() WHERE root_name = 'GET /cart'";
    let latency =
        "SELECT round(sum(weighted_traces), 3) AS n FROM latency() WHERE root_name = 'GET /cart'";
    assert_eq!(lake.sql(patterns).await, lake.sql(latency).await);
    let traces = "SELECT round(sum(weight), 3) AS n FROM traces() WHERE root_name = 'GET /cart'";
    assert_eq!(lake.sql(traces).await, lake.sql(latency).await);
}
