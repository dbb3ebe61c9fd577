//! A planted incident: one statement is slow at one server for a while. Who looks for what slow traces have in common has to
//! be told so.
use std::fmt::Write;

use storage::time::NANOS_PER_SECOND;

use super::*;

const START: i64 = 1_795_255_200 * NANOS_PER_SECOND;
const MILLI: i64 = 1_000_000;
const TRACES: i64 = 1_200;
/// Traces that start in these seconds meet the incident.
const INCIDENT: std::ops::Range<i64> = 600..900;
const SLOW: &str = "SELECT sku FROM order_items WHERE order_id = $1 FOR SHARE";
const STATEMENTS: [&str; 4] =
    [SLOW, "SELECT id FROM orders", "SELECT name FROM customers", "UPDATE carts SET seen = $1"];

/// One OTLP request with a trace a second; its slow traces are added to `slow`.
fn request(slow: &mut Vec<String>) -> String {
    let (mut shop, mut orders) = (String::new(), String::new());
    for second in 0..TRACES {
        let mut dice = u64::try_from(second).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut roll = |sides: u64| {
            dice ^= dice >> 29;
            dice = dice.wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x94d0_49bb);
            (dice >> 33) % sides
        };
        let trace = format!("{:032x}", second + 1);
        let start = START + second * NANOS_PER_SECOND;
        let mut at = start + MILLI;
        let comma = if second == 0 { "" } else { "," };
        let calls = 1 + roll(3);
        let mut is_slow = false;
        let mut spans = String::new();
        for call in 0..calls {
            let statement = STATEMENTS[usize::try_from(roll(4)).unwrap()];
            let server = format!("orders-pg-{}.internal", roll(6));
            let planted =
                statement == SLOW && server == "orders-pg-1.internal" && INCIDENT.contains(&second);
            is_slow |= planted;
            let end = at + if planted { 150 * MILLI } else { MILLI };
            write!(spans, r#",{{"traceId":"{trace}","spanId":"{:016x}","parentSpanId":"00000000000000a2","name":"query","kind":3,"startTimeUnixNano":"{at}","endTimeUnixNano":"{end}","attributes":[{},{},{},{}]}}"#,
                0xb0 + call,
                attribute("db.query.text", statement), attribute("server.address", &server),
                attribute("db.connection", &format!("c{}", roll(40))), attribute("db.session", &trace[20..])).unwrap();
            at = end;
        }
        let end = at + MILLI;
        if is_slow {
            slow.push(trace.clone());
        }
        write!(shop, r#"{comma}{{"traceId":"{trace}","spanId":"00000000000000a1","name":"GET /orders","kind":2,"startTimeUnixNano":"{start}","endTimeUnixNano":"{}","attributes":[{}]}}"#,
            end + MILLI, attribute("user.tier", ["free", "paid"][usize::try_from(roll(2)).unwrap()])).unwrap();
        write!(orders, r#"{comma}{{"traceId":"{trace}","spanId":"00000000000000a2","parentSpanId":"00000000000000a1","name":"ListOrders","kind":2,"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}"}}{spans}"#).unwrap();
    }
    let resource = |service: &str, spans: &str| {
        format!(
            r#"{{"resource":{{"attributes":[{}]}},"scopeSpans":[{{"spans":[{spans}]}}]}}"#,
            attribute("service.name", service)
        )
    };
    format!(r#"{{"resourceSpans":[{},{}]}}"#, resource("shop", &shop), resource("orders", &orders))
}

fn attribute(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
}

/// The values of the first two rows that are no interval of time, sorted.
fn first_two(rows: &[Value]) -> Vec<&str> {
    let values = rows.iter().filter(|row| row["scope"] != "time");
    let mut values: Vec<&str> = values.take(2).map(|row| row["value"].as_str().unwrap()).collect();
    values.sort_unstable();
    values
}

#[tokio::test]
async fn a_comparison_names_the_planted_statement_and_server_first() {
    let lake = Lake::empty().await;
    let mut slow = Vec::new();
    let entry = Entry {
        format: ingest::decode::Format::OtlpJson.code(),
        received_unix_nano: 0,
        accept: TimeRange::ALL,
        body: request(&mut slow).into(),
        deduplicate: false,
    };
    lake.store.append(entry).await.unwrap();
    assert!(slow.len() > 10, "{}", slow.len());
    let planted = [SLOW, "orders-pg-1.internal"];
    let rows =
        lake.sql("SELECT * FROM compare('duration_nano > 100000000') ORDER BY position").await;
    assert_eq!(first_two(&rows), planted, "{rows:#?}");
    for row in rows.iter().filter(|row| row["value"] == planted[0] || row["value"] == planted[1]) {
        assert_eq!(number(&row["selection"]), i64::try_from(slow.len()).unwrap(), "{row}");
        assert!(row["p_value"].as_f64().unwrap() < 1e-6, "{row}");
    }
    let interval = rows.iter().find(|row| row["scope"] == "time").unwrap();
    for (key, sign) in [("from_time", -1), ("to_time", 1)] {
        let time = chrono::DateTime::parse_from_rfc3339(interval[key].as_str().unwrap()).unwrap();
        let second = time.timestamp() - START / NANOS_PER_SECOND;
        let border = if sign < 0 { INCIDENT.start } else { INCIDENT.end };
        assert!((second - border).abs() <= 60, "{interval}");
    }
    // What has nothing to do with it is not significant.
    let by_chance =
        rows.iter().filter(|row| row["key"] == "user.tier" || row["key"] == "db.connection");
    for row in by_chance {
        assert!(row["p_value"].as_f64().unwrap() > 0.01, "{row}");
    }
    before_and_now_name_them_by_their_durations(&lake).await;
    let spans = "SELECT * FROM compare_spans('duration_nano > 100000000 AND kind = ''CLIENT''', 'kind = ''CLIENT''') \
         ORDER BY position";
    assert_eq!(first_two(&lake.sql(spans).await), planted);
    let pattern = lake.sql("SELECT * FROM patterns() LIMIT 1").await.remove(0);
    assert!(slow.contains(&pattern["slow_trace_id"].as_str().unwrap().to_owned()), "{pattern}");
    assert_eq!(pattern["top_name"], "query", "{pattern}");
    assert!(number(&pattern["lost_nano"]) > 100_000_000, "{pattern}");
    for (key, border) in [("slower_from", INCIDENT.start), ("slower_until", INCIDENT.end)] {
        let time = chrono::DateTime::parse_from_rfc3339(pattern[key].as_str().unwrap()).unwrap();
        let second = time.timestamp() - START / NANOS_PER_SECOND;
        assert!((second - border).abs() <= 120, "{key}: {second} of {pattern}");
    }
    let path = "SELECT service, name FROM critical_path() ORDER BY path_nano DESC LIMIT 1";
    assert_eq!(lake.sql(path).await[0]["name"], "query");
    lake.store.close().await.unwrap();
}

/// The statement and the server are in as many traces before the incident as within it: only that their spans got slow tells.
async fn before_and_now_name_them_by_their_durations(lake: &Lake) {
    let [border, end] = [INCIDENT.start, INCIDENT.end].map(|second| {
        let nanos = START + second * NANOS_PER_SECOND;
        chrono::DateTime::from_timestamp_nanos(nanos).to_rfc3339()
    });
    let sql = format!(
        "SELECT * FROM compare('start_time >= TIMESTAMP ''{border}''', NULL, NULL, '{end}') ORDER BY position"
    );
    let rows = lake.sql(&sql).await;
    // When it was is what was asked.
    assert!(rows.iter().all(|row| row["scope"] != "time"), "{rows:#?}");
    for (place, row) in rows.iter().take(2).enumerate() {
        assert!(
            row["value"] == SLOW || row["value"] == "orders-pg-1.internal",
            "{place}: {rows:#?}"
        );
        assert_eq!(row["told_by"], "duration", "{row}");
        assert!(
            number(&row["selection_leaf_nano"]) > 10 * number(&row["baseline_leaf_nano"]),
            "{row}"
        );
        assert!(row["p_value"].as_f64().unwrap() < 1e-4, "{row}");
        assert!(row["g"].as_f64().unwrap() < 10.0, "{row}");
    }
}
