use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::prelude::SessionContext;
use storage::{Snapshot, SpanBatch, TableVersion, TimeRange};

use super::*;
use crate::fixture::{Table, batch, span};
use crate::view::View;
use crate::views::traces::filter::Filter;
use crate::views::traces::listing::Listing;
use crate::views::{Ask, Notes, schema};

const SECOND: i64 = 1_000_000_000;
const LATE: Duration = Duration::from_secs(1);

/// So many spans of one trace.
fn many(trace: u128, spans: u64) -> SpanBatch {
    let spans: Vec<_> = (1..=spans).map(|id| span(trace, id, 0)).collect();
    batch(&spans, &[])
}

/// A table whose only spans are hot, at second 10.
fn first(table: &mut Table) -> Tables {
    let tables = Tables::new(table.hot(many(1, 2)).snapshot(), 10 * SECOND).unwrap();
    cache(&tables).recent.allow(3 * LATE);
    tables
}

fn cache(tables: &Tables) -> Arc<Cache> {
    tables.rollups.clone().unwrap()
}

fn later(tables: &Tables, snapshot: Arc<Snapshot>, now: i64) -> Tables {
    let version = TableVersion(tables.snapshot.version.0 + 1);
    let receipts = Arc::clone(&tables.snapshot.receipts);
    let snapshot = Snapshot { version, receipts, ..snapshot.as_ref().clone() };
    tables.renewed(Arc::new(snapshot), now).unwrap()
}

fn source(tables: &Tables) -> Source {
    let context = SessionContext::new();
    let reservation = MemoryConsumer::new("test").register(&context.runtime_env().memory_pool);
    Source::new(context, tables.clone(), reservation)
}

/// Spans of each trace that a list shows, of those that start together the smallest id first, and its source.
async fn list(tables: &Tables, bytes: bool) -> (Vec<i64>, String) {
    let ask = Ask { range: TimeRange::ALL, exact: false, bytes };
    let Ok(mut listing) = Listing::new(source(tables), ask).await.unwrap() else { panic!() };
    let all = schema(View::Traces).unwrap();
    let place = all.index_of("spans").unwrap();
    let filter = Filter::new(None, Arc::new(all.project(&[place]).unwrap()), vec![place]);
    let (mut spans, mut notes) = (Vec::new(), Notes::new());
    while let Some(batch) = listing.next(&filter, &mut notes).await.unwrap() {
        let counts = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(
            batch.column(0).as_ref(),
        );
        spans.extend(counts.values());
    }
    let source = notes.into_iter().find(|note| note.0 == "source").unwrap().1;
    (spans, source)
}

/// Pretends that the last beginning took so long to make.
fn took(tables: &Tables, took: Duration) {
    cache(tables).moments.lock().as_mut().unwrap().took = took;
}

const NOW: &str = "rollups of 0 files; 2 traces from spans";

#[tokio::test]
async fn a_list_is_of_a_moment_ago_while_many_spans_arrive_and_is_made_anew() {
    let mut table = Table::default();
    let tables = first(&mut table);
    assert_eq!(list(&tables, true).await.0, [2]);
    took(&tables, LATE);
    let snapshot = table.hot(many(2, 10_000)).snapshot();
    let soon = later(&tables, Arc::clone(&snapshot), 11 * SECOND + SECOND / 2);
    let words = "rollups of 0 files; 1 traces from spans; as of 1.5 s ago, 10000 spans came since";
    assert_eq!(list(&soon, false).await, (vec![2], words.into()));
    let (cache, expected) = (cache(&soon), LATE);
    assert_eq!(cache.moments.expected(), expected);
    cache.recent.wanted().await;
    renew(&source(&soon), &cache).await.unwrap();
    assert_eq!(cache.moments.expected(), Duration::ZERO, "it is of now");
    assert_eq!(list(&soon, true).await, (vec![2, 10_000], NOW.into()));
}

#[tokio::test]
async fn nobody_misses_what_he_stored_where_little_arrives_or_a_list_is_cheap() {
    let mut table = Table::default();
    let tables = first(&mut table);
    list(&tables, true).await;
    took(&tables, LATE);
    let few = later(&tables, table.hot(many(2, 9_999)).snapshot(), 11 * SECOND);
    assert_eq!(list(&few, true).await, (vec![2, 9_999], NOW.into()));
    took(&tables, Duration::from_millis(19));
    let more = later(&few, table.hot(many(3, 10_000)).snapshot(), 11 * SECOND);
    assert_eq!(list(&more, true).await.0, [2, 9_999, 10_000]);
}

#[tokio::test]
async fn a_list_is_never_older_than_allowed_nor_of_what_was_removed() {
    let mut table = Table::default();
    let tables = first(&mut table);
    list(&tables, true).await;
    took(&tables, LATE);
    let snapshot = table.hot(many(2, 10_000)).snapshot();
    let late = later(&tables, Arc::clone(&snapshot), 13 * SECOND + 1);
    assert_eq!(list(&late, true).await, (vec![2, 10_000], NOW.into()));
    took(&tables, LATE);
    let removed = later(&late, table.hot(many(3, 10_000)).snapshot(), 14 * SECOND);
    let receipts = Vec::new().into();
    let snapshot = Snapshot { receipts, ..removed.snapshot.as_ref().clone() };
    let removed = removed.renewed(Arc::new(snapshot), 14 * SECOND).unwrap();
    assert_eq!(list(&removed, true).await.0, [2, 10_000, 10_000]);
    cache(&tables).recent.allow(Duration::ZERO);
    took(&tables, LATE);
    let more = later(&removed, table.hot(many(4, 10_000)).snapshot(), 14 * SECOND + 1);
    assert_eq!(list(&more, true).await.0.len(), 4, "it was switched off");
}

#[tokio::test]
async fn what_was_read_of_hot_spans_is_read_once_while_nothing_changes() {
    let mut table = Table::default();
    let tables = first(&mut table);
    let begin = |tables: Tables, bytes| async move {
        let cache = cache(&tables);
        let (moment, age) = begin(&source(&tables), &cache, bytes).await.unwrap().unwrap();
        assert_eq!(age, None);
        moment
    };
    let narrow = begin(tables.clone(), false).await;
    let wide = begin(tables.clone(), true).await;
    assert!(!Arc::ptr_eq(&narrow, &wide), "it did not have the bytes");
    let at_noon = tables.renewed(Arc::clone(&tables.snapshot), 43_200 * SECOND).unwrap();
    for bytes in [true, false] {
        assert!(Arc::ptr_eq(&wide, &begin(at_noon.clone(), bytes).await));
    }
    assert!(wide.tables.snapshot.hot.is_empty(), "no batch is held");
    assert!(cache(&tables).moments.bytes() > 0);
}
