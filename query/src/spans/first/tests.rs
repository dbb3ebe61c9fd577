use arrow::array::{AsArray, RecordBatch};
use futures::TryStreamExt;
use storage::ManualClock;

use super::*;
use crate::fixture::{DAY, Span, Table, batch, span};
use crate::{Config, Engine};

/// Spans in an order that has nothing to do with their times, of which many are equal.
fn spans(number: u64) -> Vec<Span> {
    const ROUTES: [&[(&str, &str)]; 4] = [
        &[],
        &[("http_route", "/cart")],
        &[("http_route", "/pay"), ("http_response_status_code", "500")],
        &[("http_response_status_code", "200")],
    ];
    let one = |place: u64| {
        let id = number * 1_000 + place + 1;
        let dice = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let mut one = span(u128::from(dice % 50 + 1), id, i64::try_from(dice % 400).unwrap());
        one.duration = i64::try_from(dice % 37).unwrap();
        one.status = if dice.is_multiple_of(11) { "ERROR" } else { "UNSET" };
        one.service = ["shop", "pay", "mail"][usize::try_from(dice % 3).unwrap()];
        one.columns = ROUTES[usize::try_from(dice % 4).unwrap()];
        one
    };
    (0..700).map(one).collect()
}

async fn engine() -> (Engine, Vec<Span>) {
    let mut table = Table::default();
    let mut all = Vec::new();
    for number in 0..4 {
        let own = spans(number);
        let own_batch = batch(&own, &[]);
        match number {
            0 => {
                table.file(&own_batch).await;
            }
            1 | 2 => {
                table.file_of_pages(&own_batch).await;
            }
            _ => {
                table.hot(own_batch);
            }
        }
        all.extend(own);
    }
    let snapshot = table.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    (Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap(), all)
}

async fn rows(engine: &Engine, sql: &str) -> Vec<RecordBatch> {
    let answer = engine.sql(sql, Vec::new()).await.unwrap();
    answer.batches.try_collect().await.unwrap()
}

/// The ids that `sql` gives, in its order.
async fn ids(engine: &Engine, sql: &str) -> Vec<u64> {
    let mut found = Vec::new();
    for batch in rows(engine, sql).await {
        let ids = batch.column(0).as_string_view();
        found.extend(ids.iter().flatten().map(|id| u64::from_str_radix(id, 16).unwrap()));
    }
    found
}

fn route(span: &Span) -> Option<&str> {
    span.columns.iter().find(|(name, _)| *name == "http_route").map(|(_, route)| *route)
}

type Admit = fn(&Span) -> bool;
type Order = (&'static str, fn(&Span) -> i64);

#[tokio::test]
async fn the_first_rows_are_those_of_all_rows_sorted() {
    let (engine, all) = engine().await;
    let conditions: [(&str, Admit); 8] = [
        ("true", |_| true),
        ("status = 'ERROR'", |span| span.status == "ERROR"),
        ("service = 'pay' AND duration_nano > 30", |span| {
            span.service == "pay" && span.duration > 30
        }),
        ("attributes['http.route'] = '/cart' AND status = 'ERROR'", |span| {
            route(span) == Some("/cart") && span.status == "ERROR"
        }),
        ("attributes['http.route'] IS NULL AND service <> 'shop'", |span| {
            route(span).is_none() && span.service != "shop"
        }),
        ("attributes['http.response.status_code'] = 500 AND duration_nano % 2 = 0", |span| {
            route(span) == Some("/pay") && span.duration % 2 == 0
        }),
        ("attributes['http.route'] LIKE '/c_r%' AND duration_nano > 5", |span| {
            route(span) == Some("/cart") && span.duration > 5
        }),
        ("service NOT LIKE 's_op'", |span| span.service != "shop"),
    ];
    let orders: [Order; 4] = [
        ("start_time DESC", |span| -span.start),
        ("start_time", |span| span.start),
        ("duration_nano DESC", |span| -span.duration),
        ("start_time_unix_nano + 0 DESC", |span| -span.start),
    ];
    for (condition, admit) in conditions {
        for (order, key) in orders {
            for limit in [1, 7, 40] {
                let sql = format!(
                    "SELECT span_id, start_time, duration_nano FROM spans WHERE {condition} \
                     ORDER BY {order}, span_id LIMIT {limit}"
                );
                let mut truth: Vec<(i64, u64)> = all
                    .iter()
                    .filter(|span| admit(span))
                    .map(|span| (key(span), span.id))
                    .collect();
                truth.sort_unstable();
                let truth: Vec<u64> = truth.into_iter().take(limit).map(|(_, id)| id).collect();
                assert_eq!(ids(&engine, &sql).await, truth, "{sql}");
            }
        }
    }
}

/// The plan of `sql` with what it counted.
async fn explained(engine: &Engine, sql: &str) -> String {
    let rows = rows(engine, &format!("EXPLAIN ANALYZE {sql}")).await;
    rows[0].column(1).as_string::<i32>().value(0).to_owned()
}

/// What the scan of files counted as `name`; 0 where no file was opened that counts.
fn counted<'a>(plan: &'a str, name: &str) -> &'a str {
    let scan = plan.lines().find(|line| line.contains("file_type=parquet")).unwrap();
    let found = scan.split_once(&format!("{name}="));
    found.map_or("0", |(_, rest)| rest.split([',', ']']).next().unwrap())
}

#[tokio::test]
async fn what_a_condition_chose_in_a_file_is_not_read_again() {
    let (engine, _) = engine().await;
    let sql = "SELECT span_id FROM spans WHERE status = 'ERROR' AND service = 'pay' \
               ORDER BY start_time DESC LIMIT 7";
    let mut asked = Vec::new();
    for _ in 0..2 {
        let plan = explained(&engine, sql).await;
        let opened = counted(&plan, "files_opened").to_owned();
        asked.push((opened, counted(&plan, "bytes_scanned").to_owned(), ids(&engine, sql).await));
    }
    let [(opened, bytes, found), (opened_again, bytes_again, found_again)] = &asked[..] else {
        unreachable!()
    };
    assert_eq!((opened, found), (opened_again, found_again));
    assert_eq!(found.len(), 7);
    assert_ne!(bytes, bytes_again);
}

#[tokio::test]
async fn a_file_gives_no_more_rows_than_the_sort_wants() {
    let mut table = Table::default();
    let mut all = spans(0);
    for (start, one) in (0..).zip(&mut all) {
        one.start = DAY + start;
    }
    table.file(&batch(&all, &[])).await;
    let snapshot = table.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    let engine = Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap();
    let newest =
        "SELECT span_id FROM spans WHERE status = 'ERROR' ORDER BY start_time DESC LIMIT 5";
    let plan = explained(&engine, newest).await;
    assert!(plan.contains("wanted=greatest 5 by start_time_unix_nano"), "{plan}");
    assert_eq!(counted(&plan, "output_rows"), "5", "{plan}");
    // Names are decided by the whole text, not by one column's dictionary: all matches are read.
    let other = "SELECT span_id FROM spans WHERE status = 'ERROR' AND service || name <> 'x' \
                 ORDER BY start_time DESC LIMIT 5";
    let plan = explained(&engine, other).await;
    assert_ne!(counted(&plan, "output_rows"), "5", "{plan}");
}

#[tokio::test]
async fn files_that_are_older_than_the_first_rows_are_not_opened() {
    let mut table = Table::default();
    for number in 0..3 {
        let mut own = spans(number);
        for (start, one) in (0..).zip(&mut own) {
            one.start = DAY + i64::try_from(number).unwrap() * 1_000_000 + start;
        }
        table.file_of_pages(&batch(&own, &[])).await;
    }
    let snapshot = table.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    let engine = Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap();
    let newest = |count: usize| {
        format!(
            "SELECT span_id, service FROM spans WHERE status = 'ERROR' \
             ORDER BY start_time DESC LIMIT {count}"
        )
    };
    let opened = |plan: &str| {
        let scan = plan.lines().find(|line| line.contains("FirstExec: files=3")).unwrap();
        scan.split_once("files_opened=")
            .map(|(_, rest)| rest.split([',', ']']).next().unwrap().to_owned())
    };
    let plan = explained(&engine, &newest(5)).await;
    assert_eq!(opened(&plan).as_deref(), Some("1"), "{plan}");
    let plan = explained(&engine, &newest(150)).await;
    assert_eq!(opened(&plan).as_deref(), Some("3"), "{plan}");
}

#[tokio::test]
async fn a_file_is_not_opened_twice_for_a_value_that_it_lacks() {
    let (engine, _) = engine().await;
    let sql = "SELECT span_id FROM spans WHERE attributes['http.route'] = '/nowhere' \
               ORDER BY start_time DESC LIMIT 5";
    let plan = explained(&engine, sql).await;
    assert_ne!(counted(&plan, "bytes_scanned"), "0", "{plan}");
    let plan = explained(&engine, sql).await;
    assert_eq!(counted(&plan, "bytes_scanned"), "0", "{plan}");
}
