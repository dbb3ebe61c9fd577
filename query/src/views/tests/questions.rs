//! Views with arguments of their own, over other people's traces.
use super::*;

/// Questions whose answer does not depend on a set.
const QUESTIONS: &[&str] = &[
    "SELECT * FROM patterns() ORDER BY pattern",
    "SELECT * FROM compare('duration_nano > 20000000') ORDER BY position",
    "SELECT * FROM compare_spans('status = ''ERROR''', 'kind = ''SERVER''') ORDER BY position",
    "SELECT * FROM critical_path()",
    "SELECT * FROM structure() ORDER BY trace_id, nested_left",
    "SELECT * FROM self_time()",
    "SELECT * FROM unowned()",
    "SELECT * FROM descendants('kind = ''SERVER''', 'duration_nano > 1000') \
     ORDER BY trace_id, start_time, span_id, service, name, distance",
    "SELECT * FROM latency_heatmap()",
    "SELECT * FROM missing_parents()",
    "SELECT * FROM network_caused_services()",
];

/// A view, and the same by plain SQL over spans (or over `traces`, which is compared with them elsewhere).
const PLAIN: [(&str, &str); 9] = [
    (
        "SELECT service, name, kind, spans FROM network_operations() ORDER BY 1, 2, 3",
        "SELECT service, name, kind, count(*) AS spans FROM spans \
         WHERE kind NOT IN ('INTERNAL', 'UNSPECIFIED') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ),
    (
        "SELECT service, bytes_in, bytes_out, sized_spans FROM network() \
         WHERE eligible_spans > 0 ORDER BY 1",
        "SELECT service, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out, \
         sum(sized_spans) AS sized_spans FROM network_operations() GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT root_service, root_name, traces, bytes FROM network_caused() ORDER BY 1, 2",
        "SELECT root_service, root_name, count(*) AS traces, sum(bytes) AS bytes FROM traces() \
         GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    (
        "SELECT root_service, root_name, high_nano, traces FROM latency_histogram() ORDER BY 1, 2, 3",
        "SELECT t.root_service, t.root_name, high_nano, count(*) AS traces FROM traces() t \
         JOIN latency_histogram() h ON t.root_service = h.root_service AND t.root_name = h.root_name \
         AND t.duration_nano <= high_nano AND (t.duration_nano > low_nano OR high_nano = 0) \
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ),
    (
        "SELECT from_time, low_nano, high_nano, traces, errors, trace_id, max_nano \
         FROM latency_heatmap(NULL, NULL, NULL, NULL, '7d', 1)",
        "SELECT date_bin(INTERVAL '7 days', start_time) AS from_time, \
         CAST(coalesce(floor(power(2.0, bucket - 1)), 0) AS BIGINT) AS low_nano, \
         CAST(coalesce(power(2.0, bucket), 0) AS BIGINT) AS high_nano, count(*) AS traces, \
         count(*) FILTER (WHERE root_error) AS errors, \
         first_value(trace_id ORDER BY duration_nano DESC, trace_id) AS trace_id, max(duration_nano) AS max_nano \
         FROM (SELECT *, ceil(log2(nullif(duration_nano, 0))) AS bucket FROM traces()) \
         GROUP BY 1, bucket ORDER BY 1, 2",
    ),
    (
        "SELECT trace_id, parent_span_id, children FROM missing_parents() ORDER BY 1, 2",
        "SELECT s.trace_id, s.parent_span_id, count(*) AS children FROM spans s WHERE s.parent_span_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM spans p WHERE p.trace_id = s.trace_id AND p.span_id = s.parent_span_id) \
         AND (s.kind NOT IN ('SERVER', 'CONSUMER') OR NOT EXISTS (SELECT 1 FROM spans t WHERE t.trace_id = s.trace_id \
         AND t.span_id = s.span_id AND t.kind IN ('CLIENT', 'PRODUCER'))) GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    (
        "SELECT service, traces FROM network_caused_services() ORDER BY 1",
        "SELECT service, count(DISTINCT trace_id) AS traces FROM spans GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT service, name, spans, duration_nano, self_nano FROM self_time() ORDER BY 1, 2",
        "SELECT service, name, count(*) AS spans, sum(duration_nano) AS duration_nano, sum(self_nano) AS self_nano \
         FROM structure() GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    (
        "SELECT coalesce(sum(requests), 0) AS n, coalesce(sum(errors), 0) AS errors FROM unowned()",
        "SELECT count(*) AS n, count(*) FILTER (WHERE status = 'ERROR') AS errors FROM spans WHERE kind = 'SERVER' \
         AND (attributes['http.request.method'] IS NOT NULL OR attributes['http.method'] IS NOT NULL \
         OR attributes['url.path'] IS NOT NULL OR attributes['http.target'] IS NOT NULL \
         OR attributes['url.full'] IS NOT NULL OR attributes['http.url'] IS NOT NULL) \
         AND (attributes['http.route'] IS NULL \
         OR coalesce(CAST(attributes['http.response.status_code'] AS VARCHAR), \
         CAST(attributes['http.status_code'] AS VARCHAR)) = '404')",
    ),
];

async fn plain_sql_says_the_same(lake: &Lake, set: &str) {
    for (view, plain) in PLAIN {
        assert_eq!(lake.sql(view).await, lake.sql(plain).await, "{set}: {view}");
    }
    let cells = "SELECT sum(traces) AS n, sum(errors) AS e, sum(weighted_traces) AS w FROM latency_heatmap()";
    let roots =
        "SELECT sum(traces) AS n, sum(errors) AS e, sum(weighted_traces) AS w FROM latency()";
    assert_eq!(lake.sql(cells).await, lake.sql(roots).await, "{set}");
    let trace = lake.sql("SELECT trace_id FROM traces() ORDER BY 1 LIMIT 1").await.remove(0);
    let id = trace["trace_id"].as_str().unwrap();
    let one = format!("SELECT pattern, shape FROM trace_pattern('{id}')");
    let pattern = lake.sql(&one).await.remove(0);
    let columns = "span_id, service, name, depth, duration_nano, self_nano, error";
    let tree = format!("SELECT {columns} FROM trace_tree('{id}')");
    let placed =
        format!("SELECT {columns} FROM structure() WHERE trace_id = '{id}' ORDER BY nested_left");
    assert_eq!(lake.sql(&tree).await, lake.sql(&placed).await, "{set}");
    let name = pattern["pattern"].as_str().unwrap();
    let all = format!("SELECT pattern, shape FROM patterns() WHERE pattern = '{name}'");
    assert_eq!(lake.sql(&all).await, std::slice::from_ref(&pattern), "{set}");
}

async fn every_question(lake: &Lake) -> Vec<Vec<Value>> {
    let mut answers = Vec::new();
    for question in QUESTIONS {
        answers.push(lake.sql(question).await);
    }
    answers
}

#[tokio::test]
async fn questions_have_the_same_answer_before_and_after_the_flush() {
    let Some(folder) = sets() else { return };
    for set in ["zipkin_small", "jaeger_ui", "kiali", "elastic_apm_opbeans", "datadog_snapshots"] {
        let lake = Lake::with(&folder, set, usize::MAX).await;
        let hot = every_question(&lake).await;
        lake.store.flush().await.unwrap();
        let stored = every_question(&lake).await;
        for ((question, hot), stored) in QUESTIONS.iter().zip(hot).zip(stored) {
            assert_eq!(hot, stored, "{set}: {question}");
        }
        plain_sql_says_the_same(&lake, set).await;
        patterns_hold_every_trace(&lake).await;
        paths_are_as_long_as_roots(&lake).await;
        structure_says_who_stands_below(&lake).await;
        checks_count_as_structure_does(&lake).await;
        lake.store.close().await.unwrap();
    }
}

/// Of all traces together, and of the longest one.
async fn paths_are_as_long_as_roots(lake: &Lake) {
    let paths = lake.sql("SELECT sum(path_nano) AS n FROM critical_path()").await;
    assert_eq!(paths, lake.sql("SELECT sum(duration_nano) AS n FROM traces()").await);
    let longest = "SELECT trace_id, duration_nano AS n FROM traces() ORDER BY 2 DESC, 1 LIMIT 1";
    let longest = lake.sql(longest).await.remove(0);
    let id = longest["trace_id"].as_str().unwrap();
    let sql = format!("SELECT coalesce(sum(path_nano), 0) AS n FROM critical_path('{id}')");
    assert_eq!(lake.sql(&sql).await[0]["n"], longest["n"]);
}

/// Two services that stand above one another somewhere.
const ABOVE_AND_BELOW: &str = "SELECT a.service AS above, b.service AS below, \
     count(DISTINCT b.span_id || b.trace_id || b.service || b.name) AS spans FROM structure() a JOIN structure() b \
     ON a.trace_id = b.trace_id AND a.nested_left < b.nested_left AND b.nested_right < a.nested_right \
     WHERE a.service <> b.service GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 3";

async fn structure_says_who_stands_below(lake: &Lake) {
    let spans = lake.sql("SELECT count(*) AS n FROM structure()").await;
    assert_eq!(spans, lake.sql("SELECT count(*) AS n FROM spans").await);
    for pair in lake.sql(ABOVE_AND_BELOW).await {
        let name = |key: &str| pair[key].as_str().unwrap().replace('\'', "''");
        let (above, below) = (name("above"), name("below"));
        let calls = format!(
            "SELECT count(DISTINCT span_id || trace_id || service || name) AS n FROM calls('{above}', '{below}')"
        );
        assert_eq!(lake.sql(&calls).await[0]["n"], pair["spans"], "{pair}");
    }
}

async fn checks_count_as_structure_does(lake: &Lake) {
    let Some(pair) = lake.sql(ABOVE_AND_BELOW).await.into_iter().next() else { return };
    let name = |key: &str| pair[key].as_str().unwrap().replace('\'', "''");
    let (above, below) = (name("above"), name("below"));
    let check = |place, at_least, at_most| crate::Check {
        name: "check".into(),
        when: format!("service = '{above}'"),
        expect: crate::Expect::Count {
            place,
            condition: format!("service = '{below}'"),
            at_least,
            at_most,
        },
    };
    let checks = vec![
        check(crate::Place::Below, 1, None),
        check(crate::Place::Below, 0, Some(0)),
        check(crate::Place::Trace, 0, None),
    ];
    let rows = json(lake.engine.check(checks, TimeRange::ALL).await.unwrap()).await;
    let (when, condition) = (format!("service = '{above}'"), format!("service = '{below}'"));
    let written = serde_json::json!({ "check": [
        { "name": "check", "when": when, "below": condition },
        { "name": "check", "when": when, "below": condition, "at_most": 0 },
        { "name": "check", "when": when, "trace": condition, "at_least": 0 },
    ] });
    let written = written.to_string().replace('\'', "''");
    assert_eq!(lake.sql(&format!("SELECT * FROM checks('{written}')")).await, rows, "{pair}");
    let sql = format!(
        "SELECT count(DISTINCT a.trace_id || CAST(a.nested_left AS TEXT)) AS has FROM structure() a \
         JOIN structure() b ON a.trace_id = b.trace_id AND a.nested_left < b.nested_left \
         AND b.nested_right < a.nested_right WHERE a.service = '{above}' AND b.service = '{below}'"
    );
    let has = number(&lake.sql(&sql).await[0]["has"]);
    let sql = format!("SELECT count(*) AS n FROM spans WHERE service = '{above}'");
    let tested = number(&lake.sql(&sql).await[0]["n"]);
    let counts: Vec<_> =
        rows.iter().map(|row| (number(&row["tested"]), number(&row["failed"]))).collect();
    assert_eq!(counts, [(tested, tested - has), (tested, has), (tested, 0)], "{pair}");
    assert_eq!(rows[1]["passed"], has == 0);
    let examples = rows[1]["examples"].as_str().unwrap().split(", ").count();
    assert_eq!(examples, usize::try_from(has.min(10)).unwrap());
}

/// Patterns by root are the rows of `latency`, and each pattern's own tree has its traces.
async fn patterns_hold_every_trace(lake: &Lake) {
    let by_root = "SELECT root_service, root_name, sum(traces) AS traces, sum(errors) AS errors, \
         max(max_nano) AS max_nano, sum(incomplete) AS incomplete FROM patterns() GROUP BY 1, 2 ORDER BY 1, 2";
    let latency = "SELECT root_service, root_name, traces, errors, max_nano, incomplete FROM latency() ORDER BY 1, 2";
    assert_eq!(lake.sql(by_root).await, lake.sql(latency).await);
    let patterns = lake.sql("SELECT * FROM patterns() ORDER BY traces DESC, pattern LIMIT 3").await;
    for row in patterns {
        let pattern = row["pattern"].as_str().unwrap();
        let places =
            lake.sql(&format!("SELECT * FROM pattern('{pattern}') ORDER BY position")).await;
        let deepest = places.iter().map(|place| number(&place["depth"])).max().unwrap();
        assert_eq!(deepest, number(&row["depth"]), "{row}");
        let errors: i64 = places.iter().map(|place| number(&place["errors"])).sum();
        assert_eq!(errors, number(&row["error_spans"]), "{row}");
        for place in &places {
            let (spans, traces) = (number(&place["spans"]), number(&row["traces"]));
            let (low, high) = (number(&place["low_spans"]), number(&place["high_spans"]));
            assert!((low * traces..=high * traces).contains(&spans), "{place} of {row}");
        }
    }
}

#[tokio::test]
async fn a_comparison_counts_as_plain_sql_does() {
    let Some(folder) = sets() else { return };
    let lake = Lake::with(&folder, "nezha_ob_0822", 150).await;
    let root = lake.sql("SELECT * FROM latency() ORDER BY traces DESC LIMIT 1").await.remove(0);
    let (name, slow) = (root["root_name"].as_str().unwrap(), number(&root["p90_nano"]));
    let both = format!("root_name = '{name}'");
    let quoted = both.replace('\'', "''");
    let compared = format!(
        "SELECT * FROM compare('{quoted} AND duration_nano > {slow}', '{quoted}') \
         WHERE scope IN ('attribute', 'resource') ORDER BY position LIMIT 6"
    );
    let rows = lake.sql(&compared).await;
    assert_eq!(rows.len(), 6, "{rows:?}");
    for row in rows {
        let map = if row["scope"] == "resource" { "resource" } else { "attributes" };
        let key = row["key"].as_str().unwrap();
        let value = row["value"].as_str().unwrap().replace('\'', "''");
        let sql = format!(
            "SELECT count(*) FILTER (WHERE duration_nano > {slow}) AS selection, \
             count(*) FILTER (WHERE duration_nano <= {slow}) AS baseline \
             FROM traces() WHERE {both} AND trace_id IN (SELECT trace_id FROM spans \
             WHERE CAST({map}['{key}'] AS TEXT) = '{value}')"
        );
        let expected = lake.sql(&sql).await.remove(0);
        assert_eq!(
            (&row["selection"], &row["baseline"]),
            (&expected["selection"], &expected["baseline"]),
            "{key} = {value}"
        );
    }
    patterns_hold_every_trace(&lake).await;
    lake.store.close().await.unwrap();
}
