//! The demo fills every page.
use std::time::{Duration, Instant};

use crate::support::Server;

/// *Scenario*: a newcomer starts the demo. *Guarantees*: before long every view has rows, with some thirty services,
/// queues, databases and errors among them. A few seconds do; the bound is for machines that are busy with other tests.
#[test]
fn the_demo_fills_every_view() {
    let folder = tempfile::tempdir().expect("folder");
    let server = Server::start("demo", &folder.path().join("data"), &["--rate", "200"]);
    let started = Instant::now();
    let questions = [
        ("services", "SELECT count(DISTINCT service) >= 25 AS ok FROM spans"),
        ("traces", "SELECT count(*) > 20 AS ok FROM traces() WHERE complete"),
        ("latency", "SELECT count(*) >= 5 AS ok FROM latency()"),
        ("histogram", "SELECT count(*) > 10 AS ok FROM latency_histogram()"),
        ("operations", "SELECT count(*) > 30 AS ok FROM operations()"),
        ("rpc", "SELECT count(*) > 15 AS ok FROM dependencies() WHERE kind = 'rpc'"),
        ("messaging", "SELECT count(*) > 0 AS ok FROM dependencies() WHERE kind = 'messaging'"),
        ("links", "SELECT count(*) > 0 AS ok FROM dependencies() WHERE kind = 'link'"),
        ("databases", "SELECT count(*) > 3 AS ok FROM dependencies() WHERE kind = 'database'"),
        ("network", "SELECT sum(bytes_out) > 0 AS ok FROM network()"),
        ("by operation", "SELECT sum(bytes_out) > 0 AS ok FROM network_operations()"),
        ("caused", "SELECT count(*) > 3 AS ok FROM network_caused()"),
        ("errors", "SELECT count(*) > 0 AS ok FROM spans WHERE status = 'ERROR'"),
    ];
    let mut open: Vec<_> = questions.to_vec();
    while !open.is_empty() {
        open.retain(|(_, sql)| server.sql(sql)[0]["ok"] != true);
        assert!(
            started.elapsed() < Duration::from_secs(240),
            "still empty: {open:?}\n{}",
            server.log_text()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let partitions = server.get("/api/v1/partitions");
    assert!(!partitions.as_array().expect("rows").is_empty());
    let status = server.terminate();
    assert!(status.success(), "{status}");
}
