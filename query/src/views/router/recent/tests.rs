use super::*;
use crate::fixture::{Table, batch, span};

const SECOND: i64 = 1_000_000_000;
const LATE: Duration = Duration::from_secs(1);

/// What a query sees at `now` of a table with so many spans, one of them in a file.
async fn tables(rows: u64, now: i64) -> Tables {
    let mut table = Table::default();
    table.file(&batch(&[span(1, 1, 0)], &[])).await;
    let snapshot = table.snapshot();
    let file = storage::DataFile { rows, ..snapshot.files[0].as_ref().clone() };
    let snapshot =
        storage::Snapshot { files: [Arc::new(file)].into(), ..snapshot.as_ref().clone() };
    Tables::new(Arc::new(snapshot), now).unwrap()
}

/// The same table later, with so many spans.
fn later(tables: &Tables, rows: u64, now: i64) -> Tables {
    let snapshot = tables.snapshot.as_ref().clone();
    let file = storage::DataFile { rows, ..snapshot.files[0].as_ref().clone() };
    let version = storage::TableVersion(snapshot.version.0 + 1);
    let snapshot = storage::Snapshot { files: [Arc::new(file)].into(), version, ..snapshot };
    tables.renewed(Arc::new(snapshot), now).unwrap()
}

fn totals() -> Totals {
    Totals { sum: Arc::default(), gaps: Arc::default(), source: "rollups of 1 files".into() }
}

/// Keeps an answer for everything that took so long to make, over 1,000 spans, at second 10.
async fn kept(took: Duration) -> (Recent, Tables) {
    let recent = Recent::default();
    recent.allow(3 * LATE);
    let tables = tables(1_000, 10 * SECOND).await;
    recent.put(Asked::of(TimeRange::ALL, &tables), &tables, &totals(), took);
    (recent, tables)
}

fn source(recent: &Recent, tables: &Tables, range: TimeRange) -> Result<String, bool> {
    recent.find(Asked::of(range, tables), tables).map(|totals| totals.source)
}

#[tokio::test]
async fn a_dear_answer_is_given_again_while_many_spans_arrive() {
    let (recent, first) = kept(LATE).await;
    let now = later(&first, 11_000, 11 * SECOND + SECOND / 2);
    let words = "rollups of 1 files; as of 1.5 s ago, 10000 spans came since";
    assert_eq!(source(&recent, &now, TimeRange::ALL), Ok(words.into()));
    assert_eq!(recent.given(12 * SECOND), [TimeRange::ALL], "it is to be made anew");
    assert_eq!(recent.wanted().await, LATE);
    let asked = Asked::of(TimeRange::ALL, &now);
    recent.put(asked, &now, &totals(), LATE);
    assert_eq!(recent.given(12 * SECOND), [], "it is of now");
    assert_eq!(source(&recent, &now, TimeRange::ALL), Ok("rollups of 1 files".into()));
}

#[tokio::test]
async fn whoever_stored_a_few_spans_finds_them() {
    let (recent, first) = kept(LATE).await;
    let now = later(&first, 10_999, 11 * SECOND);
    assert_eq!(source(&recent, &now, TimeRange::ALL), Err(true));
}

#[tokio::test]
async fn a_cheap_answer_is_always_of_now() {
    let (recent, first) = kept(Duration::from_millis(19)).await;
    let now = later(&first, 1_000_000, 11 * SECOND);
    assert_eq!(source(&recent, &now, TimeRange::ALL), Err(false));
}

#[tokio::test]
async fn an_answer_grows_too_old() {
    let (recent, first) = kept(LATE).await;
    let now = later(&first, 1_000_000, 13 * SECOND + 1);
    assert_eq!(source(&recent, &now, TimeRange::ALL), Err(true));
    let same = later(&first, 1_000, 14 * SECOND);
    let same =
        storage::Snapshot { version: first.snapshot.version, ..same.snapshot.as_ref().clone() };
    let same = first.renewed(Arc::new(same), 14 * SECOND).unwrap();
    assert_eq!(source(&recent, &same, TimeRange::ALL), Err(true), "also where nothing has changed");
    recent.allow(Duration::ZERO);
    let now = later(&first, 1_000_000, 11 * SECOND);
    assert_eq!(source(&recent, &now, TimeRange::ALL), Err(false), "it was switched off");
}

#[tokio::test]
async fn what_was_removed_is_in_no_answer() {
    let (recent, first) = kept(LATE).await;
    let fewer = later(&first, 999, 11 * SECOND);
    assert_eq!(source(&recent, &fewer, TimeRange::ALL), Err(true));
    let now = later(&first, 1_000_000, 11 * SECOND);
    let receipts: Arc<[Receipt]> = Vec::new().into();
    let snapshot = storage::Snapshot { receipts, ..now.snapshot.as_ref().clone() };
    let removed = now.renewed(Arc::new(snapshot), 11 * SECOND).unwrap();
    assert_eq!(source(&recent, &removed, TimeRange::ALL), Err(true));
}

#[tokio::test]
async fn the_last_hour_is_the_same_question_a_second_later() {
    let (recent, first) = kept(LATE).await;
    let hour = |now: i64| TimeRange { from: now - 3_600 * SECOND, until: i64::MAX };
    let asked = Asked::of(hour(10 * SECOND), &first);
    recent.put(asked, &first, &totals(), LATE);
    let now = later(&first, 20_000, 11 * SECOND);
    let other = TimeRange { from: hour(11 * SECOND).from + 1, until: i64::MAX };
    assert_eq!(source(&recent, &now, other), Err(false), "another hour");
    assert!(source(&recent, &now, hour(11 * SECOND)).unwrap().contains("as of 1.0 s ago"));
    assert_eq!(recent.given(12 * SECOND), [hour(12 * SECOND)]);
}
