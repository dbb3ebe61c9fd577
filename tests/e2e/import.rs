//! Other people's traces through the command line, compared with truth that was computed independently.
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{data_sets, run};

/// *Scenario*: `import` of a real set, then questions by `query` and `export`, no server anywhere.
/// *Guarantees*: spans, traces, edges (calls and errors), spans per operation and nearest-rank quantiles of root
/// durations equal the truth file.
#[test]
fn online_boutique_equals_its_truth() {
    equals_truth("nezha_ob_0822");
}

#[test]
fn train_ticket_equals_its_truth() {
    equals_truth("nezha_tt_0129");
}

fn equals_truth(set: &str) {
    let Some(sets) = data_sets() else { return };
    let converted = sets.join("converted");
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let file = converted.join(format!("{set}.otlp.pb.gz"));
    run(&["import", "--data", data, file.to_str().expect("UTF-8")]);
    let truth: Value = serde_json::from_slice(
        &std::fs::read(converted.join(format!("{set}.truth.json"))).expect("truth"),
    )
    .expect("JSON");

    let counts =
        query(data, "SELECT count(*) AS spans, count(DISTINCT trace_id) AS traces FROM spans");
    assert_eq!(counts[0]["spans"], truth["spans"]);
    assert_eq!(counts[0]["traces"], truth["traces"]);
    let rows = query(data, "SELECT count(*) AS n FROM traces()");
    assert_eq!(rows[0]["n"], truth["traces"]);
    edges(data, &truth);
    operations(data, &truth);
    roots(data, &truth);
}

fn edges(data: &str, truth: &Value) {
    let exported = run(&["export", "dependencies", "--data", data, "--format", "json"]);
    let exported: Vec<Value> = serde_json::from_str(&exported).expect("rows");
    let mut ours = BTreeMap::new();
    for row in exported.iter().filter(|row| row["kind"] == "rpc" || row["kind"] == "messaging") {
        let entry = ours.entry((text(&row["caller"]), text(&row["callee"]))).or_insert((0, 0));
        entry.0 += row["calls"].as_u64().expect("calls");
        entry.1 += row["errors"].as_u64().expect("errors");
    }
    let theirs: BTreeMap<_, _> = array(&truth["dependency_edges"])
        .iter()
        .map(|edge| {
            (
                (text(&edge[0]), text(&edge[1])),
                (edge[2].as_u64().expect("n"), edge[3].as_u64().expect("n")),
            )
        })
        .collect();
    assert_eq!(ours, theirs);
}

fn operations(data: &str, truth: &Value) {
    let rows =
        query(data, "SELECT service, name, sum(spans) AS spans FROM operations() GROUP BY 1, 2");
    let ours: BTreeMap<_, _> = rows
        .iter()
        .map(|row| ((text(&row["service"]), text(&row["name"])), row["spans"].as_u64().expect("n")))
        .collect();
    let theirs: BTreeMap<_, _> = array(&truth["spans_per_operation"])
        .iter()
        .map(|row| ((text(&row[0]), text(&row[1])), row[2].as_u64().expect("n")))
        .collect();
    assert_eq!(ours, theirs);
}

fn roots(data: &str, truth: &Value) {
    let exact = query(data, "SELECT * FROM latency(NULL, NULL, 'exact')");
    let close = query(data, "SELECT * FROM latency()");
    for expected in array(&truth["root_duration_ns"]) {
        let (exact, close) = (root(&exact, expected), root(&close, expected));
        let figures = &expected[2];
        for (ours, theirs) in [("traces", "count"), ("max_nano", "max")] {
            assert_eq!(close[ours], figures[theirs], "{ours} of {expected}");
            assert_eq!(exact[ours], figures[theirs], "{ours} of {expected}");
        }
        for theirs in ["p50", "p90", "p95", "p99"] {
            let ours = format!("{theirs}_nano");
            assert_eq!(exact[&ours], figures[theirs], "{ours} of {expected}");
            let number = |value: &Value| value.as_f64().expect("a number");
            let error = (number(&close[&ours]) / number(&figures[theirs]) - 1.0).abs();
            assert!(error <= 0.01, "{ours} of {expected} is {error} off");
        }
    }
}

fn root<'a>(rows: &'a [Value], expected: &Value) -> &'a Value {
    let found = rows
        .iter()
        .find(|row| row["root_service"] == expected[0] && row["root_name"] == expected[1]);
    found.unwrap_or_else(|| panic!("no row for {expected}"))
}

/// *Guarantees*: a second import of the same file adds nothing.
#[test]
fn importing_twice_stores_once() {
    let Some(sets) = data_sets() else { return };
    let file = sets.join("converted/opensearch_jaeger_hotrod.otlp.jsonl.gz");
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    for _ in 0..2 {
        run(&["import", "--data", path(&data), path(&file)]);
    }
    let rows = query(path(&data), "SELECT count(*) AS n FROM spans");
    assert_eq!(rows[0]["n"], 379);
}

/// *Scenario*: a new table is made from traces of 2022, then a server with the default ttl of a week opens it.
/// *Guarantees*: nothing is gone; the table says that it keeps everything.
#[test]
fn a_server_keeps_the_history_that_a_new_table_was_made_of() {
    let Some(sets) = data_sets() else { return };
    let file = sets.join("converted/opensearch_jaeger_hotrod.otlp.pb.gz");
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    run(&["import", "--data", path(&data), path(&file)]);
    let server = crate::support::Server::start("serve", &data, &[]);
    assert_eq!(server.get("/api/v1/retention")["ttl"], Value::Null);
    let plan = server.get("/api/v1/retention/plan");
    assert_eq!(plan["rows"].as_u64().unwrap_or(0), 0, "{plan}");
    assert_eq!(server.sql("SELECT count(*) AS n FROM spans")[0]["n"], 379);
}

/// *Scenario*: a Chrome trace and a Jaeger trace as their tools write them, the first one moved to now.
/// *Guarantees*: both can be asked like any other trace; what has no place among spans is told.
#[test]
fn traces_of_chrome_and_jaeger_are_asked_like_others() {
    let Some(sets) = data_sets() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let chrome = sets.join("chrome_lighthouse/pid-change.json.gz");
    let flags = ["--shift-to-now", "--format", "json"];
    let import = ["import", "--data", path(&data), path(&chrome)];
    let told = run(&[&import[..], &flags].concat());
    let told: Value = serde_json::from_str(&told).expect("a summary");
    assert_eq!(told["left_out"]["objects (N, D, O)"], 61, "{told}");
    let slices = "SELECT count(*) AS n, count(DISTINCT trace_id) AS traces FROM spans \
                  WHERE attributes['chrome.phase'] IS NULL AND start_time_unix_nano > 1700000000000000000";
    let rows = query(path(&data), slices);
    assert_eq!((&rows[0]["n"], &rows[0]["traces"]), (&Value::from(7_651), &Value::from(1)));
    let jaeger =
        sets.join("jaeger_ui/components/TracePage/TraceTimelineViewer/genaiTestTrace.json");
    run(&["import", "--data", path(&data), path(&jaeger)]);
    let exported = run(&["export", "dependencies", "--data", path(&data), "--format", "json"]);
    let edges: Vec<Value> = serde_json::from_str(&exported).expect("rows");
    let failed = edges.iter().find(|edge| edge["callee"] == "k8s-api").expect("an edge");
    assert_eq!(
        (&failed["caller"], &failed["calls"]),
        (&Value::from("trace-store"), &Value::from(3))
    );
    assert_eq!(failed["errors"], 1);
}

/// *Scenario*: a follower that sends to a server is killed, the file grows, and another one goes on until Ctrl-C.
/// *Guarantees*: the server has every line once, and the follower says at its end what it did.
#[test]
fn a_follower_goes_on_after_it_was_killed() {
    let folder = tempfile::tempdir().expect("folder");
    let server = crate::support::Server::start(
        "serve",
        &folder.path().join("data"),
        &["--set", "ttl=never"],
    );
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).expect("folder");
    let follow = || {
        crate::support::spanlake()
            .args(["import", "--follow", path(&logs), "--server"])
            .arg(format!("http://127.0.0.1:{}", server.ports.http))
            .args(["--journal", path(&folder.path().join("journal"))])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts")
    };
    let has = |spans: u64| server.sql("SELECT count(*) AS n FROM spans")[0]["n"] == spans;
    let wait_for = |spans: u64| {
        let begin = std::time::Instant::now();
        while !has(spans) {
            assert!(begin.elapsed().as_secs() < 60, "{spans} spans never came");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    std::fs::write(logs.join("a.jsonl"), lines(0..50)).expect("write");
    let mut first = follow();
    wait_for(50);
    first.kill().expect("kill");
    first.wait().expect("wait");
    std::fs::rename(logs.join("a.jsonl"), logs.join("a.jsonl.1")).expect("rotate");
    std::fs::write(logs.join("a.jsonl"), lines(50..80) + "not a trace\n").expect("write");
    let second = follow();
    wait_for(80);
    let pid = rustix::process::Pid::from_child(&second);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signal");
    let output = second.wait_with_output().expect("output");
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("spans from"), "{words}");
    assert!(has(80));
}

/// OTLP JSON, a request a line.
fn lines(ids: std::ops::Range<u64>) -> String {
    let line = |id: u64| {
        let id = id + 1;
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id:032x}","spanId":"{id:016x}","name":"n","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000001"}}]}}]}}]}}"#
        ) + "\n"
    };
    ids.map(line).collect()
}

fn query(data: &str, sql: &str) -> Vec<Value> {
    serde_json::from_str(&run(&["query", "--data", data, "--format", "json", sql])).expect("rows")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("array")
}
