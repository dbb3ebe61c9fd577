//! Views with arguments of their own, over other people's traces.
use super::*;

/// Questions whose answer does not depend on a set.
const QUESTIONS: &[&str] = &[
    "SELECT * FROM patterns() ORDER BY pattern",
    "SELECT * FROM compare('duration_nano > 20000000') ORDER BY position",
    "SELECT * FROM compare_spans('status = ''ERROR''', 'kind = ''SERVER''') ORDER BY position",
];

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
        patterns_hold_every_trace(&lake).await;
        lake.store.close().await.unwrap();
    }
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
