use arrow::array::{AsArray, RecordBatch};
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use storage::ManualClock;

use super::*;
use crate::fixture::{DAY, Span, Table, batch, span};
use crate::spans::pages::KeyRuns;
use crate::{Config, Engine};

fn spans(number: u64) -> Vec<Span> {
    let one = |place: u64| {
        let id = number * 1_000 + place + 1;
        let dice = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let mut one = span(u128::from(id), id, i64::try_from(dice % 400).unwrap());
        one.duration = i64::try_from(dice % 5_003).unwrap();
        // Sorted by service, as files are; names and routes lie anywhere.
        one.service = ["mail", "pay", "shop"][usize::try_from(place / 250).unwrap()];
        one.name = ["GET /", "PUT /"][usize::try_from(dice % 2).unwrap()];
        one.status = if dice.is_multiple_of(11) { "ERROR" } else { "UNSET" };
        one.columns = match dice % 4 {
            0 => &[("http_route", "/cart")],
            1 => &[("http_route", "/pay")],
            _ => &[],
        };
        one
    };
    (0..700).map(one).collect()
}

/// A file of one row group, one of many, one without routes, and a hot batch.
async fn engine() -> Engine {
    let mut all: Vec<Vec<Span>> = (0..4).map(spans).collect();
    all[2].iter_mut().for_each(|span| span.columns = &[]);
    let mut table = Table::default();
    table.file(&batch(&all[0], &[])).await;
    table.file_in_groups(&batch(&all[1], &[]), 50).await;
    table.file(&batch(&all[2], &[])).await;
    table.hot(batch(&all[3], &[]));
    let snapshot = table.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap()
}

async fn rows(engine: &Engine, sql: &str) -> Vec<RecordBatch> {
    let answer = engine.sql(sql, Vec::new()).await.unwrap();
    answer.batches.try_collect().await.unwrap()
}

async fn plan(engine: &Engine, sql: &str) -> String {
    let plan = rows(engine, &format!("EXPLAIN {sql}")).await;
    plan[0].column(1).as_string::<i32>().iter().flatten().collect()
}

const CALLS: &str = "count(*) AS rows, sum(duration_nano) AS total, min(duration_nano) AS least, max(start_time) AS newest, \
     avg(duration_nano) AS mean, quantile(duration_nano, 0.9) AS nine, quantile(duration_nano, 0.5) AS middle, \
     histogram(duration_nano + 1, 1) AS rows_of";

#[tokio::test]
async fn groups_are_those_of_the_stock_plan() {
    let engine = engine().await;
    let conditions = [
        "",
        "WHERE service = 'pay'",
        "WHERE name LIKE 'GET%' AND duration_nano > 2500 AND duration_nano % 3 = 1",
        "WHERE start_time_unix_nano < 1795219200000000200 AND status = 'ERROR'",
        "WHERE attributes['http.route'] = '/cart'",
        "WHERE service = 'none'",
    ];
    for by in ["service", "service, name", "name", "attributes['http.route'], service, status"] {
        for condition in conditions {
            let made = by.split(", ").map(|column| format!("concat({column}, '')"));
            let made = made.collect::<Vec<_>>().join(", ");
            // `concat` makes an empty text of nothing.
            let whole = by.split(", ").map(|column| format!("coalesce({column}, '')"));
            let whole = whole.collect::<Vec<_>>().join(" || '|' || ");
            let sql = |by: &str, of: &str| {
                format!(
                    "SELECT {of} AS key, {CALLS} FROM spans {condition} GROUP BY {by} ORDER BY 1"
                )
            };
            let short = sql(by, &whole);
            let stock = sql(&made, &made.replace(", concat", " || '|' || concat"));
            let own = plan(&engine, &short).await;
            assert!(own.contains("GroupRunsExec"), "{short}: {own}");
            assert!(!plan(&engine, &stock).await.contains("GroupRunsExec"), "{stock}");
            let [short, stock] = [rows(&engine, &short).await, rows(&engine, &stock).await]
                .map(|rows| pretty_format_batches(&rows).unwrap().to_string());
            assert_eq!(short, stock, "{by} {condition}");
        }
    }
}

#[tokio::test]
async fn many_groups_are_made_as_before() {
    let engine = engine().await;
    // Two columns of many values each would be as many groups as rows.
    let sql = "SELECT count(*) FROM (SELECT service, trace_state, count(*) AS n, max(duration_nano) FROM spans \
               GROUP BY 1, 2) WHERE n > 0";
    let counted = rows(&engine, sql).await;
    assert_eq!(counted[0].num_rows(), 1);
}

#[test]
fn rows_of_a_group_may_lie_apart() {
    let runs = |runs: &[(u32, usize)]| KeyRuns {
        values: Arc::new(arrow::array::StringViewArray::from(vec!["a", "b"])),
        runs: runs.to_vec(),
    };
    let by = [runs(&[(0, 40), (1, 100)]), runs(&[(0, 20), (1, 60), (0, 100)])];
    let groups = runs::groups(&by, &[10..50, 55..100], 85).unwrap();
    let found: Vec<_> = groups
        .iter()
        .map(|group| {
            let pieces = group.pieces.iter().map(|piece| (piece.start, piece.end));
            ((group.keys[0], group.keys[1]), pieces.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        found,
        [
            ((0, 0), vec![(0, 10)]),
            ((0, 1), vec![(10, 30)]),
            ((1, 1), vec![(30, 45)]),
            ((1, 0), vec![(45, 85)]),
        ]
    );
    assert_eq!(groups[0].indices(), None);
}
