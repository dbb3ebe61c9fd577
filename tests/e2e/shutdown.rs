//! A polite end: everything acknowledged is in files, the exit code is 0.
use crate::support::{Server, run};

/// *Scenario*: spans are acknowledged, `SIGTERM` arrives before any flush. *Guarantees*: exit 0, and the folder
/// alone, without a server, answers with every span.
#[test]
fn sigterm_flushes_what_is_hot_and_exits_zero() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let server = Server::start("serve", &data, &["--flush-interval", "1h"]);
    send(&server, 30);
    let status = server.terminate();
    assert!(status.success(), "{status}");
    let data = data.to_str().expect("UTF-8");
    let sql = "SELECT count(*) AS n FROM spans";
    let rows = run(&["query", "--data", data, "--format", "ndjson", sql]);
    assert_eq!(rows.trim(), r#"{"n":30}"#);
}

/// *Guarantees*: while a server holds the folder, commands on the folder refuse and say what to do.
#[test]
fn commands_on_a_held_folder_refuse_and_name_the_server_flag() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let server = Server::start("serve", &data, &[]);
    send(&server, 3);
    let mut command = crate::support::spanlake();
    let output =
        command.arg("query").arg("--data").arg(&data).arg("SELECT 1").output().expect("runs");
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("--server"), "{words}");
    let rows = run(&[
        "query",
        "--server",
        &server.url(""),
        "--format",
        "csv",
        "SELECT count(*) AS n FROM spans",
    ]);
    assert_eq!(rows.lines().collect::<Vec<_>>(), ["n", "3"]);
}

#[expect(clippy::disallowed_methods, reason = "the server's window is around now")]
fn send(server: &Server, count: usize) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("clock");
    let spans: Vec<String> = (1..=count)
        .map(|number| {
            let start = now.as_nanos();
            format!(
                r#"{{"traceId":"{number:032x}","spanId":"{number:016x}","name":"n","startTimeUnixNano":"{start}","endTimeUnixNano":"{start}"}}"#
            )
        })
        .collect();
    let body =
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
    let url = format!("http://127.0.0.1:{}/v1/traces", server.ports.http);
    let answer = ureq::post(url).header("content-type", "application/json").send(&body);
    assert!(answer.expect("an answer").status().is_success());
}
