use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::prelude::SessionContext;

use super::together::QuantilesTogether;
use super::{Shape, nearest_rank, quantile};

#[test]
fn nearest_rank_takes_element_ceil_p_n() {
    let hundred: Vec<i64> = (1..=100).collect();
    for p in 1..=100 {
        assert_eq!(nearest_rank(&hundred, f64::from(p) / 100.0), Some(i64::from(p)));
    }
    assert_eq!(nearest_rank(&hundred, 0.0), Some(1));
    assert_eq!(nearest_rank(&[7], 0.99), Some(7));
    assert_eq!(nearest_rank(&[], 0.5), None);
    let twenty: Vec<i64> = (1..=20).collect();
    assert_eq!(nearest_rank(&twenty, 0.95), Some(19));
    assert_eq!(nearest_rank(&twenty, 0.951), Some(20));
}

#[test]
fn selecting_equals_sorting() {
    let mut values: Vec<i64> = (0..1_000).map(|i| (i * 7_919) % 1_009).collect();
    let mut sorted = values.clone();
    sorted.sort_unstable();
    // In no order, and one of them twice.
    let ps = [0.999, 0.0, 0.5, 0.01, 0.5, 0.9, 1.0, 0.95, 0.99];
    let several = Shape { ps: ps.to_vec(), float: false, is_one: false };
    assert_eq!(several.select(&mut values), ps.map(|p| nearest_rank(&sorted, p)));
    assert_eq!(several.select::<i64>(&mut []), ps.map(|_| None));
}

async fn rows(sql: &str) -> datafusion::common::Result<Vec<arrow::array::RecordBatch>> {
    let context = SessionContext::new();
    context.register_udaf(quantile());
    context.sql(sql).await?.collect().await
}

#[tokio::test]
async fn sql_groups_are_exact() {
    let sql = "SELECT v % 2 AS odd, quantile(v, 0.5) AS q FROM (SELECT unnest(range(1, 10001)) AS v) \
               GROUP BY 1 ORDER BY 1";
    let batches = rows(sql).await.unwrap();
    let answers = batches[0].column(1).as_primitive::<Int64Type>();
    assert_eq!(answers.values(), &[5_000, 4_999]);
}

#[tokio::test]
async fn sql_floats_order_below_and_above_zero() {
    let sql = "SELECT quantile(v, 0.0), quantile(v, 0.5), quantile(v, 1) \
               FROM (VALUES (1.5), (-2.5), (NULL), (0.25)) AS t(v)";
    let batches = rows(sql).await.unwrap();
    let answer = |column: usize| batches[0].column(column).as_primitive::<Float64Type>().value(0);
    assert_eq!((answer(0), answer(1), answer(2)), (-2.5, 0.25, 1.5));
}

/// Whatever is computed together is the same as alone, of whole numbers and others, with NULLs and a filter.
#[tokio::test]
async fn quantiles_together_are_those_of_each_alone() {
    const FROM: &str = "FROM (SELECT v, CASE WHEN v % 3 = 0 THEN NULL ELSE v * 7919 % 1009 END AS w, \
                        v * 0.5 AS half FROM (SELECT unnest(range(0, 3000)) AS v)) GROUP BY v % 4 ORDER BY 1";
    let calls = [
        "quantile(w, 0.5)",
        "count(*)",
        "quantile(w, 0.99)",
        "quantile(half, 0.1)",
        "quantile(w, 0.0)",
        "quantile(w, 0.5) FILTER (WHERE v > 100)",
        "quantile(half, 1)",
        "quantile(v, 0.3)",
    ];
    let context = SessionContext::new();
    context.register_udaf(quantile());
    let together = SessionContext::new();
    together.register_udaf(quantile());
    together.add_optimizer_rule(std::sync::Arc::new(QuantilesTogether::default()));
    let sql = format!("SELECT v % 4 AS g, {} {FROM}", calls.join(", "));
    let frame = together.sql(&sql).await.unwrap();
    let plan = frame.clone().into_optimized_plan().unwrap().display_indent().to_string();
    assert!(plan.contains("quantiles("), "{plan}");
    let all = frame.collect().await.unwrap();
    for (place, call) in calls.iter().enumerate() {
        let sql = format!("SELECT v % 4 AS g, {call} {FROM}");
        let alone = context.sql(&sql).await.unwrap().collect().await.unwrap();
        assert_eq!(alone[0].column(1), all[0].column(place + 1), "{call}");
    }
}

#[tokio::test]
async fn no_values_give_null() {
    let batches = rows("SELECT quantile(NULL, 0.5)").await.unwrap();
    assert_eq!(batches[0].column(0).null_count(), 1);
}

#[tokio::test]
async fn a_wrong_second_argument_is_refused() {
    for sql in [
        "SELECT quantile(1, 2)",
        "SELECT quantile(1, NULL)",
        "SELECT quantile('a', 0.5)",
        "SELECT quantile(1)",
    ] {
        let message = rows(sql).await.unwrap_err().to_string();
        assert!(message.contains("quantile"), "{message}");
    }
}
