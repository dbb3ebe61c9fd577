use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Field, Int64Type};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{binary, col, lit};
use futures::TryStreamExt;
use proptest::prelude::*;
use storage::ManualClock;

use super::*;
use crate::fixture::{DAY, Span, Table, batch, span};
use crate::{Config, Engine};

#[test]
fn comparisons_are_bounds() {
    let schema = Schema::new(vec![
        Field::new("n", DataType::Int64, false),
        Field::new("text", DataType::Utf8View, true),
    ]);
    let bound = |left, operator, right| {
        let made = binary(left, operator, right, &schema).unwrap();
        Bound::of(&made, &schema).map(|bound| bound.within)
    };
    let n = || col("n", &schema).unwrap();
    assert_eq!(bound(n(), Operator::GtEq, lit(5_i64)), Some(5..=i64::MAX));
    assert_eq!(bound(n(), Operator::Gt, lit(5_i64)), Some(6..=i64::MAX));
    assert_eq!(bound(n(), Operator::Lt, lit(5_i64)), Some(i64::MIN..=4));
    assert_eq!(bound(lit(5_i64), Operator::Lt, n()), Some(6..=i64::MAX));
    assert_eq!(bound(n(), Operator::Eq, lit(5_i64)), Some(5..=5));
    // Nothing is above the highest number: the stock plan may say so.
    assert_eq!(bound(n(), Operator::Gt, lit(i64::MAX)), None);
    assert_eq!(bound(n(), Operator::NotEq, lit(5_i64)), None);
    assert_eq!(bound(n(), Operator::Lt, n()), None);
}

fn spans(number: u64) -> Vec<Span> {
    let one = |place: u64| {
        let id = number * 1_000 + place + 1;
        let dice = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let start = i64::try_from(number * 400 + dice % 400).unwrap();
        let mut one = span(u128::from(id), id, start);
        one.duration = i64::try_from(dice % 5_003).unwrap();
        one.service = ["shop", "pay", "mail"][usize::try_from(dice % 3).unwrap()];
        one.status = if dice.is_multiple_of(11) { "ERROR" } else { "UNSET" };
        one
    };
    (0..500).map(one).collect()
}

/// A file of one row group, one of many, one that nothing cuts, and a hot batch.
async fn engine() -> (Engine, Vec<Span>) {
    let all: Vec<Vec<Span>> = (0..4).map(spans).collect();
    let mut table = Table::default();
    table.file(&batch(&all[0], &[])).await;
    table.file_in_groups(&batch(&all[1], &[]), 50).await;
    table.file(&batch(&all[2], &[])).await;
    table.hot(batch(&all[3], &[]));
    let snapshot = table.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    let engine = Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap();
    (engine, all.concat())
}

async fn column(engine: &Engine, sql: &str) -> Vec<RecordBatch> {
    let answer = engine.sql(sql, Vec::new()).await.unwrap();
    answer.batches.try_collect().await.unwrap()
}

async fn count(engine: &Engine, condition: &str) -> i64 {
    let rows = column(engine, &format!("SELECT count(*) FROM spans WHERE {condition}")).await;
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn counts_are_those_of_rows_that_satisfy_all_conditions() {
    let (engine, all) = engine().await;
    let explain = "EXPLAIN SELECT count(*) FROM spans WHERE start_time_unix_nano >= 1795219200000000300 AND service = 'pay'";
    let plan = column(&engine, explain).await;
    let texts = plan[0].column(1).as_string::<i32>();
    assert!(texts.iter().flatten().any(|plan| plan.contains("CountRowsExec")), "{texts:?}");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
    let bound = || proptest::option::of(-10_i64..1_700);
    let service = proptest::option::of(proptest::sample::select(vec!["shop", "pay", "none"]));
    let longer = proptest::option::of(0_i64..6_000);
    let conditions = (bound(), bound(), service, longer, any::<bool>());
    let handle = tokio::runtime::Handle::current();
    let run = move || {
        runner.run(&conditions, |(from, until, service, longer, failed)| {
            let mut parts = vec!["name <> ''".to_owned()];
            parts.extend(from.map(|from| format!("start_time_unix_nano >= {}", DAY + from)));
            parts.extend(until.map(|until| format!("start_time_unix_nano < {}", DAY + until)));
            parts.extend(service.map(|service| format!("service = '{service}'")));
            parts.extend(longer.map(|longer| format!("{longer} < duration_nano")));
            parts.extend(failed.then(|| "status = 'ERROR'".to_owned()));
            let admit = |span: &&Span| {
                from.is_none_or(|from| span.start >= DAY + from)
                    && until.is_none_or(|until| span.start < DAY + until)
                    && service.is_none_or(|service| span.service == service)
                    && longer.is_none_or(|longer| span.duration > longer)
                    && (!failed || span.status == "ERROR")
            };
            let expected = i64::try_from(all.iter().filter(admit).count()).unwrap();
            let own = handle.block_on(count(&engine, &parts.join(" AND ")));
            prop_assert_eq!(own, expected, "{:?}", parts);
            Ok(())
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}
