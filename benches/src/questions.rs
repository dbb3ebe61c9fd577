//! What is asked: a fixed list, and questions about what the corpus has most of.
use anyhow::{Context, Result};
use serde_json::Value;

use crate::report::rows_of;
use crate::server::Server;

/// A question: its name and its SQL.
pub type Question = (&'static str, String);

/// Those that need to know nothing of the corpus.
pub(crate) const FIXED: &[(&str, &str)] = &[
    ("count", "SELECT count(*) AS n FROM spans"),
    ("latency by root operation", "SELECT * FROM latency()"),
    ("latency histogram", "SELECT * FROM latency_histogram()"),
    ("quantiles by service and operation", "SELECT * FROM operations()"),
    ("dependencies", "SELECT * FROM dependencies()"),
    ("network", "SELECT * FROM network()"),
    ("network caused", "SELECT * FROM network_caused()"),
    ("traces, newest 20", "SELECT * FROM traces() ORDER BY start_time DESC LIMIT 20"),
    ("traces, slowest 20", "SELECT * FROM traces() ORDER BY duration_nano DESC LIMIT 20"),
    (
        "count by http.route",
        "SELECT attributes['http.route'] AS route, count(*) AS n FROM spans GROUP BY 1",
    ),
    (
        "errors, newest 20",
        "SELECT trace_id, service, name, start_time FROM spans WHERE status = 'ERROR' \
         ORDER BY start_time DESC LIMIT 20",
    ),
    (
        "slow spans of one statement, newest 20",
        "SELECT trace_id, start_time, duration_nano FROM spans WHERE duration_nano > 15000000 \
         AND attributes['db.query.text'] LIKE 'SELECT id, order_id%' ORDER BY start_time DESC LIMIT 20",
    ),
];

/// What medians over two million spans are to be, in milliseconds.
const GOALS: &[(&str, f64)] = &[
    ("count", 2.0),
    (IN_A_RANGE, 2.0),
    ("latency by root operation", 5.0),
    ("latency histogram", 5.0),
    (HISTOGRAM_EXACTLY, 20.0),
    ("quantiles by service and operation", 5.0),
    (QUANTILES_EXACTLY, 30.0),
    ("dependencies", 10.0),
    ("network", 10.0),
    ("network caused", 10.0),
    ("count by http.route", 5.0),
    ("slow spans of one statement, newest 20", 3.0),
    ("quantiles per minute, one service", 5.0),
    ("errors of one route, newest 20", 3.0),
    ("rare attribute value, newest 20", 3.0),
    ("a span below another, newest 20", 10.0),
    ("trace by id", 3.0),
];

const IN_A_RANGE: &str = "count in a range of time";
const HISTOGRAM_EXACTLY: &str = "histogram by service, of all spans";
const QUANTILES_EXACTLY: &str = "quantiles by service and name, exact";

/// What the median of a question is to be over two million spans, in milliseconds.
pub(crate) fn goal(question: &str) -> Option<f64> {
    GOALS.iter().find(|(name, _)| *name == question).map(|(_, goal)| *goal)
}

/// Attributes of which one value may be rare, the first that the corpus has.
const OF_MANY_VALUES: &[&str] =
    &["user.id", "enduser.id", "session.id", "messaging.message.id", "url.path", "db.query.text"];

/// All questions about what `server` has.
///
/// # Errors
/// The server does not answer.
pub fn questions(server: &Server) -> Result<Vec<Question>> {
    let mut all: Vec<Question> =
        FIXED.iter().map(|(name, sql)| (*name, (*sql).to_owned())).collect();
    all.push((
        HISTOGRAM_EXACTLY,
        "SELECT service, histogram(duration_nano) FROM spans GROUP BY 1".to_owned(),
    ));
    let quantiles = "SELECT service, name, quantile(duration_nano, 0.5) AS p50, quantile(duration_nano, 0.95) AS p95, \
                     quantile(duration_nano, 0.99) AS p99 FROM spans GROUP BY 1, 2";
    all.push((QUANTILES_EXACTLY, quantiles.to_owned()));
    let about =
        [about_a_range, about_a_service, about_errors_of_a_route, about_a_rare_value, about_a_call];
    for about in about {
        all.extend(about(server)?);
    }
    Ok(all)
}

/// From a sixth to a half of all time, so that both ends cut files.
fn about_a_range(server: &Server) -> Result<Option<Question>> {
    let sql = "SELECT CAST(min(start_time_unix_nano) AS VARCHAR) AS first, \
               CAST(max(start_time_unix_nano) AS VARCHAR) AS second FROM spans";
    let [Some(low), Some(high)] = first(server, sql)? else { return Ok(None) };
    let (low, high): (i64, i64) = (low.parse()?, high.parse()?);
    let (from, until) = (low + (high - low) / 6, low + (high - low) / 2);
    let sql = format!(
        "SELECT count(*) AS n FROM spans WHERE start_time_unix_nano >= {from} AND start_time_unix_nano < {until}"
    );
    Ok(Some((IN_A_RANGE, sql)))
}

fn about_a_service(server: &Server) -> Result<Option<Question>> {
    let sql = "SELECT service AS first FROM spans GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1";
    let [service, _] = first(server, sql)?;
    Ok(service.map(|service| {
        let sql = format!(
            "SELECT date_trunc('minute', start_time) AS minute, quantile(duration_nano, 0.5) AS p50, \
             quantile(duration_nano, 0.95) AS p95, quantile(duration_nano, 0.99) AS p99 FROM spans \
             WHERE service = {} GROUP BY 1 ORDER BY 1",
            literal(&service)
        );
        ("quantiles per minute, one service", sql)
    }))
}

fn about_errors_of_a_route(server: &Server) -> Result<Option<Question>> {
    let sql = "SELECT attributes['http.route'] AS first FROM spans WHERE status = 'ERROR' \
               AND attributes['http.route'] IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1";
    let [route, _] = first(server, sql)?;
    Ok(route.map(|route| {
        let sql = format!(
            "SELECT trace_id, service, start_time FROM spans WHERE status = 'ERROR' \
             AND attributes['http.route'] = {} ORDER BY start_time DESC LIMIT 20",
            literal(&route)
        );
        ("errors of one route, newest 20", sql)
    }))
}

fn about_a_rare_value(server: &Server) -> Result<Option<Question>> {
    for key in OF_MANY_VALUES {
        let sql = format!(
            "SELECT attributes['{key}'] AS first FROM spans WHERE attributes['{key}'] IS NOT NULL \
             GROUP BY 1 ORDER BY count(*), 1 LIMIT 1"
        );
        let [Some(value), _] = first(server, &sql)? else { continue };
        let sql = format!(
            "SELECT trace_id, service, name, start_time FROM spans WHERE attributes['{key}'] = {} \
             ORDER BY start_time DESC LIMIT 20",
            literal(&value)
        );
        return Ok(Some(("rare attribute value, newest 20", sql)));
    }
    Ok(None)
}

fn about_a_call(server: &Server) -> Result<Option<Question>> {
    let sql = "SELECT caller AS first, callee AS second FROM dependencies() WHERE kind = 'rpc' \
               ORDER BY calls DESC, 1, 2 LIMIT 1";
    let [Some(caller), Some(callee)] = first(server, sql)? else { return Ok(None) };
    let sql = format!(
        "SELECT trace_id, span_id, name FROM calls({}, {}) ORDER BY start_time DESC LIMIT 20",
        literal(&caller),
        literal(&callee)
    );
    Ok(Some(("a span below another, newest 20", sql)))
}

/// The columns `first` and `second` of the first row.
fn first(server: &Server, sql: &str) -> Result<[Option<String>; 2]> {
    let rows = rows_of(server, sql).with_context(|| sql.to_owned())?;
    let text = |name: &str| rows.first()?.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok([text("first"), text("second")])
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
