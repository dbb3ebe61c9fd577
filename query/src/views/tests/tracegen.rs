//! Views over a generated corpus whose generator wrote down the truth: edges with bytes, databases, links, quantiles, and
//! an incident. `SPANLAKE_TRACEGEN=/path/corpus` names `corpus.bin` (length-prefixed OTLP requests) and `corpus.json`.
use super::*;

/// The corpus, if it is there.
fn corpus() -> Option<(PathBuf, Value)> {
    #[expect(clippy::disallowed_methods, reason = "tests find their data by it")]
    let path = std::env::var("SPANLAKE_TRACEGEN").ok().map(PathBuf::from);
    let Some(path) = path.filter(|path| path.with_extension("bin").is_file()) else {
        println!("skipped: SPANLAKE_TRACEGEN names no corpus");
        return None;
    };
    let truth = std::fs::read(path.with_extension("json")).unwrap();
    Some((path.with_extension("bin"), serde_json::from_slice(&truth).unwrap()))
}

async fn loaded(path: &Path) -> Lake {
    let lake = Lake::empty().await;
    let bytes = bytes::Bytes::from(std::fs::read(path).unwrap());
    let (mut at, mut requests) = (0, 0);
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let entry = Entry {
            format: ingest::decode::Format::OtlpProtobuf.code(),
            received_unix_nano: 0,
            accept: TimeRange::ALL,
            body: bytes.slice(at + 4..at + 4 + length),
            deduplicate: false,
        };
        lake.store.append(entry).await.unwrap();
        at += 4 + length;
        requests += 1;
        if requests % 100 == 0 {
            lake.store.flush().await.unwrap();
        }
    }
    lake
}

/// Rows of the truth as `(name, name) -> figures`.
fn named(rows: &Value, names: [&str; 2], figures: &[&str]) -> Sums {
    sums(rows.as_array().unwrap(), names, figures)
}

async fn calls_equal_truth(lake: &Lake, truth: &Value) {
    let edges = lake.view(View::Dependencies).await;
    let of = |kinds: &[&str]| -> Vec<Value> {
        let here = edges.iter().filter(|edge| kinds.contains(&edge["kind"].as_str().unwrap()));
        here.cloned().collect()
    };
    let figures = ["calls", "errors", "request_bytes", "response_bytes"];
    assert_eq!(
        sums(&of(&["rpc", "messaging"]), ["caller", "callee"], &figures),
        named(&truth["edges"], ["parent", "child"], &figures)
    );
    let figures = ["calls", "errors"];
    assert_eq!(
        sums(&of(&["database"]), ["caller", "callee"], &figures),
        named(&truth["db_edges"], ["service", "db"], &figures)
    );
    // A link to the parent is the message itself.
    let links = sums(&of(&["link", "messaging"]), ["caller", "callee"], &["calls"]);
    let expected = named(&truth["link_edges"], ["producer", "consumer"], &["links"]);
    assert_eq!(links, expected);
}

async fn services_equal_truth(lake: &Lake, truth: &Value) {
    let sql =
        "SELECT service, sum(spans) AS spans, sum(errors) AS errors FROM operations() GROUP BY 1";
    for row in lake.sql(sql).await {
        let own = &truth["services"][row["service"].as_str().unwrap()];
        assert_eq!((&row["spans"], &row["errors"]), (&own["spans"], &own["error_spans"]), "{row}");
    }
    let rows = lake.view(View::Network).await;
    assert_eq!(rows.len(), truth["services"].as_object().unwrap().len());
    for row in rows {
        let own = &truth["services"][row["service"].as_str().unwrap()];
        assert_eq!(row["server_in"], own["bytes_in"], "{row}");
        assert!(number(&row["bytes_out"]) >= number(&own["bytes_out"]), "{row}");
    }
}

async fn roots_have_true_quantiles(lake: &Lake, truth: &Value) {
    let latency = lake.exact(View::Latency).await;
    for own in truth["root_operations"].as_array().unwrap() {
        let same =
            |row: &&Value| row["root_service"] == own["service"] && row["root_name"] == own["name"];
        let row = latency.iter().find(same).unwrap();
        assert_eq!(row["traces"], own["traces"], "{row}");
        for quantile in ["p50", "p95", "p99", "max"] {
            let expected = &own["root_span_duration_ns"][quantile];
            assert_eq!(&row[format!("{quantile}_nano")], expected, "{quantile} of {row}");
        }
    }
    let count = lake.sql("SELECT count(*) AS n FROM traces()").await;
    assert_eq!(count[0]["n"], truth["traces"]);
}

/// The slow CLIENT spans of the incident have the planted statement and server in common.
async fn the_incident_is_found(lake: &Lake, truth: &Value) {
    let incident = &truth["incident"];
    if number(&incident["slow_spans"]) < 20 {
        println!("skipped: too few slow spans in this corpus");
        return;
    }
    let (from, to) = (&incident["start_unix_nano"], &incident["end_unix_nano"]);
    let slow = "kind = ''CLIENT'' AND attributes[''db.system.name''] = ''postgresql'' AND duration_nano > 50e6";
    let all = "kind = ''CLIENT'' AND attributes[''db.system.name''] = ''postgresql''";
    let spans = format!("compare_spans('{slow}', '{all}', '{from}', '{to}')");
    let began = format!("start_time >= to_timestamp_nanos({from})");
    let orders = "root_name = ''GET /orders/{orderId}''";
    let before = number(from) - 3 * (number(to) - number(from));
    let traces = format!("compare('{orders} AND {began}', '{orders}', '{before}', '{to}')");
    for compared in [spans, traces] {
        // One row a finding: what else the same spans have says the same in fewer words.
        let sql = format!(
            "SELECT value FROM {compared} WHERE position = same_as ORDER BY position LIMIT 2"
        );
        let rows = lake.sql(&sql).await;
        let values: Vec<&Value> = rows.iter().map(|row| &row["value"]).collect();
        for planted in ["db.query.text", "server.address"] {
            assert!(values.contains(&&incident[planted]), "{compared}: {planted} not {values:#?}");
        }
    }
    // The shape that got slow comes first, with the time at which it did. Others got slow without a plan: logins do, by a
    // little, for three quarters of an hour.
    let columns = "slow_trace_id, CAST(slower_from AS BIGINT) AS from_nano, \
                   CAST(slower_until AS BIGINT) AS until_nano, slowdown";
    let sql = format!("SELECT {columns} FROM patterns() LIMIT 1");
    let first = lake.sql(&sql).await.remove(0);
    let slow = incident["slow_trace_ids"].as_array().unwrap();
    let minute = |value: &Value| number(value) / 60_000_000_000;
    let is_near = |own: &Value, planted: &Value| (minute(own) - minute(planted)).abs() <= 5;
    let is_planted = |row: &Value| {
        slow.contains(&row["slow_trace_id"])
            && is_near(&row["from_nano"], &incident["start_unix_nano"])
            && is_near(&row["until_nano"], &incident["end_unix_nano"])
    };
    assert!(is_planted(&first), "{first:#?}");
}

#[tokio::test]
async fn a_generated_corpus_equals_its_truth() {
    let Some((path, truth)) = corpus() else { return };
    let lake = loaded(&path).await;
    for stored in ["part hot", "in files"] {
        calls_equal_truth(&lake, &truth).await;
        services_equal_truth(&lake, &truth).await;
        roots_have_true_quantiles(&lake, &truth).await;
        println!("{stored}: {} spans as the generator says", truth["spans"]);
        lake.store.flush().await.unwrap();
    }
    the_incident_is_found(&lake, &truth).await;
    lake.store.close().await.unwrap();
}
