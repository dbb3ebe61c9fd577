use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use storage::ManualClock;

use super::*;
use crate::fixture::{DAY, Span, Table, batch, span};
use crate::{Config, Engine};

fn spans(number: u64) -> Vec<Span> {
    let one = |place: u64| {
        let id = number * 1_000 + place + 1;
        let dice = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let mut one = span(u128::from(id), id, i64::try_from(dice % 400).unwrap());
        one.duration = i64::try_from(dice % 5_003).unwrap();
        one.service = ["shop", "pay", "mail"][usize::try_from(dice % 3).unwrap()];
        one.status = if dice.is_multiple_of(11) { "ERROR" } else { "UNSET" };
        one.columns = match dice % 4 {
            0 => &[("http_route", "/cart")],
            1 => &[("http_route", "/pay"), ("http_response_status_code", "500")],
            _ => &[],
        };
        one
    };
    (0..700).map(one).collect()
}

/// A file of one row group, one of many, and a hot batch.
async fn engine() -> (Engine, Vec<Span>) {
    let all: Vec<Vec<Span>> = (0..3).map(spans).collect();
    let mut table = Table::default();
    table.file(&batch(&all[0], &[])).await;
    table.file_in_groups(&batch(&all[1], &[]), 50).await;
    table.hot(batch(&all[2], &[]));
    let snapshot = table.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    let engine = Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap();
    (engine, all.concat())
}

async fn rows(engine: &Engine, sql: &str) -> Vec<RecordBatch> {
    let answer = engine.sql(sql, Vec::new()).await.unwrap();
    answer.batches.try_collect().await.unwrap()
}

fn route(span: &Span) -> Option<&str> {
    span.columns.iter().find(|(name, _)| *name == "http_route").map(|(_, route)| *route)
}

type Admit = fn(&Span) -> bool;

#[tokio::test]
async fn an_aggregate_of_chosen_rows_is_that_of_all_rows_filtered() {
    let (engine, all) = engine().await;
    let conditions: [(&str, Admit); 7] = [
        ("service = 'pay'", |span| span.service == "pay"),
        ("service = 'none'", |_| false),
        ("service LIKE '%a%' AND status = 'ERROR'", |span| {
            span.service != "shop" && span.status == "ERROR"
        }),
        ("service = 'pay' AND duration_nano > 2500 AND duration_nano % 3 = 1", |span| {
            span.service == "pay" && span.duration > 2_500 && span.duration % 3 == 1
        }),
        ("attributes['http.route'] = '/cart'", |span| route(span) == Some("/cart")),
        ("attributes['http.route'] IS NULL AND service = 'mail'", |span| {
            route(span).is_none() && span.service == "mail"
        }),
        ("service = 'shop' AND start_time_unix_nano < 1795219200000000200", |span| {
            span.service == "shop" && span.start < DAY + 200
        }),
    ];
    for (condition, admit) in conditions {
        let sql = format!(
            "SELECT start_time_unix_nano % 7, sum(duration_nano), max(duration_nano), \
             quantile(duration_nano, 0.9), quantile(duration_nano, 0.5) AS middle, \
             quantile(duration_nano, 0.5) AS again \
             FROM spans WHERE {condition} GROUP BY 1 ORDER BY 1"
        );
        let mut own = Vec::new();
        for batch in rows(&engine, &sql).await {
            let column = |place: usize| batch.column(place).as_primitive::<Int64Type>().clone();
            let columns: Vec<_> = (0..6).map(column).collect();
            for row in 0..batch.num_rows() {
                own.push(columns.iter().map(|column| column.value(row)).collect::<Vec<i64>>());
            }
        }
        let truth: Vec<Vec<i64>> = (0..7)
            .filter_map(|rest| figures(&all, |span| admit(span) && span.start % 7 == rest, rest))
            .collect();
        assert_eq!(own, truth, "{sql}");
    }
}

/// What is grouped by, whether that is told without touching each row, and the same of a start.
type Groups = (&'static str, bool, fn(i64) -> i64);

#[tokio::test]
async fn quantiles_by_time_are_those_of_each_row_grouped() {
    let (engine, all) = engine().await;
    // The last does not rise with the time.
    let groups: [Groups; 4] = [
        ("start_time_unix_nano / 7", false, |start| start / 7),
        ("date_bin(INTERVAL '50 nanoseconds', start_time)", true, |start| start / 50 * 50),
        ("date_trunc('minute', start_time)", true, |start| start / 60_000_000_000 * 60_000_000_000),
        ("start_time_unix_nano % 7", false, |start| start % 7),
    ];
    for (group, is_by_time, key) in groups {
        let sql = format!(
            "SELECT CAST({group} AS BIGINT) AS k, quantile(duration_nano, 0.9), \
             quantile(duration_nano, 0.5) FROM spans WHERE service = 'pay' GROUP BY {group} ORDER BY k"
        );
        let plan_of = plan(&engine, &sql).await;
        assert_eq!(plan_of.contains("QuantilesExec"), is_by_time, "{plan_of}");
        let mut own = Vec::new();
        for batch in rows(&engine, &sql).await {
            let column = |place: usize| batch.column(place).as_primitive::<Int64Type>().clone();
            let columns: Vec<_> = (0..3).map(column).collect();
            for row in 0..batch.num_rows() {
                own.push(columns.iter().map(|column| column.value(row)).collect::<Vec<i64>>());
            }
        }
        let mut truth: std::collections::BTreeMap<i64, Vec<i64>> = Default::default();
        for span in all.iter().filter(|span| span.service == "pay") {
            truth.entry(key(span.start)).or_default().push(span.duration);
        }
        let truth: Vec<Vec<i64>> = truth
            .into_iter()
            .map(|(key, mut durations)| {
                durations.sort_unstable();
                let rank = |p| crate::quantile::nearest_rank(&durations, p).unwrap();
                vec![key, rank(0.9), rank(0.5)]
            })
            .collect();
        assert_eq!(own, truth, "{sql}");
    }
}

/// Durations of which half take eight bytes and some are below 0.
fn long_and_short(number: u64) -> Vec<Span> {
    let mut all = spans(number);
    for span in &mut all {
        let short = span.duration % 61;
        span.duration = match span.id % 10 {
            5 => -short,
            id if id % 2 == 0 => 9_000_000_000 + short * 1_000_003,
            _ => short,
        };
    }
    all
}

#[tokio::test]
async fn quantiles_of_more_values_than_memory_holds_are_exact() {
    let all: Vec<Vec<Span>> = (0..30).map(long_and_short).collect();
    let mut table = Table::default();
    for own in all.chunks(10) {
        table.file_in_groups(&batch(&own.concat(), &[]), 500).await;
    }
    table.hot(batch(&long_and_short(30), &[]));
    let snapshot = table.snapshot();
    let of = |memory_bytes_max: usize| {
        let (snapshot, clock) = (Arc::clone(&snapshot), Arc::new(ManualClock::at(DAY)));
        let config = Config { memory_bytes_max, running_max: 1, ..Config::default() };
        Engine::over(move || Arc::clone(&snapshot), config, clock).unwrap()
    };
    let (enough, little) = (of(1 << 30), of(100 << 10));
    let mut passes = Vec::new();
    // Starts are alike in their first digits, so that more of these are looked at.
    for column in ["duration_nano", "start_time_unix_nano"] {
        let sql = format!(
            "SELECT date_bin(INTERVAL '200 nanoseconds', start_time) AS t, quantile({column}, 0.5), \
             quantile({column}, 0), quantile({column}, 1), quantile({column}, 0.9) \
             FROM spans WHERE service IN ('pay', 'shop', 'mail') GROUP BY 1"
        );
        let plain = rows(&enough, &sql).await;
        assert_eq!(plain[0].num_rows(), 2);
        assert_eq!(plain, rows(&little, &sql).await, "{sql}");
        for engine in [&enough, &little] {
            let explained = rows(engine, &format!("EXPLAIN ANALYZE {sql}")).await;
            let plan = explained[0].column(1).as_string::<i32>().value(0);
            let count = plan.split_once("passes=").unwrap().1.split([',', ']']).next().unwrap();
            passes.push(count.parse::<u32>().unwrap());
        }
        let error = of(1 << 10).sql(&sql, Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains("latency()"), "{error}");
    }
    assert!(matches!(passes[..], [1, few, 1, many] if 2 < few && few < many), "{passes:?}");
}

/// The rows of a join by time, each side of which is spread as the other is.
#[tokio::test]
async fn quantiles_by_time_can_be_joined() {
    let (engine, _) = engine().await;
    let one = |p: f64| {
        format!(
            "(SELECT date_bin(INTERVAL '50 nanoseconds', start_time) AS t, \
             quantile(duration_nano, {p}) AS q FROM spans WHERE service = 'pay' GROUP BY 1)"
        )
    };
    let sql = format!(
        "SELECT a.t, a.q, b.q FROM {} a JOIN {} b USING (t) ORDER BY 1",
        one(0.1),
        one(0.9)
    );
    let both = "SELECT date_bin(INTERVAL '50 nanoseconds', start_time) AS t, quantile(duration_nano, 0.1), \
                quantile(duration_nano, 0.9) FROM spans WHERE service = 'pay' GROUP BY 1 ORDER BY 1";
    let (joined, plain) = (rows(&engine, &sql).await, rows(&engine, both).await);
    assert_eq!(joined.iter().map(RecordBatch::num_rows).sum::<usize>(), 8);
    assert_eq!(joined[0].columns(), plain[0].columns());
}

/// What the statement above says of the spans that `admit` wants.
fn figures(all: &[Span], admit: impl Fn(&Span) -> bool, key: i64) -> Option<Vec<i64>> {
    let mut durations: Vec<i64> =
        all.iter().filter(|span| admit(span)).map(|span| span.duration).collect();
    durations.sort_unstable();
    let rank = |p| crate::quantile::nearest_rank(&durations, p);
    let (high, middle) = (rank(0.9)?, rank(0.5)?);
    Some(vec![key, durations.iter().sum(), *durations.last()?, high, middle, middle])
}

/// The plan of `sql`.
async fn plan(engine: &Engine, sql: &str) -> String {
    let rows = rows(engine, &format!("EXPLAIN {sql}")).await;
    let plans = rows.iter().map(|batch| batch.column(1).as_string::<i32>().clone());
    plans.flat_map(|plans| plans.iter().flatten().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn numbers_of_chosen_rows_are_read_directly_and_others_are_not() {
    let (engine, _) = engine().await;
    let direct = "SELECT sum(duration_nano) FROM spans WHERE service = 'pay'";
    let plan_of = plan(&engine, direct).await;
    assert!(plan_of.contains("NumbersExec: files=2, columns=[duration_nano]"), "{plan_of}");
    for other in [
        "SELECT sum(duration_nano) FROM spans",
        "SELECT name, sum(duration_nano) FROM spans WHERE service = 'pay' GROUP BY 1",
        "SELECT sum(weight) FROM spans WHERE service = 'pay'",
        "SELECT sum(duration_nano) FROM spans WHERE service || name = 'pay'",
    ] {
        let plan_of = plan(&engine, other).await;
        assert!(!plan_of.contains("NumbersExec"), "{plan_of}");
    }
}
