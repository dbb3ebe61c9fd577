use object_store::memory::InMemory;

use super::tail::Arrivals;
use super::*;
use crate::config::Config;
use crate::entry::Decode;
use crate::id::TableVersion;
use crate::retain::Policy;
use crate::schema::AttributeScope;
use crate::testing::{CountDecode, entry, ids};

/// A store without files, and their rollups.
pub(crate) fn nowhere() -> (Arc<dyn ObjectStore>, Arc<Rollups>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    (Arc::clone(&store), Rollups::new(store, 0).into())
}

fn table(version: u64) -> Arc<TableState> {
    Arc::new(TableState {
        version: TableVersion(version),
        files: Arc::new([]),
        columns: Arc::new(AttributeColumns::default()),
        wal_through: WalSeq(version),
        policy: Arc::new(Policy::of(&Config::in_folder("unused"))),
        rearranged: Arc::default(),
        receipts: Arc::new([]),
        patches: Arc::default(),
    })
}

fn hot(flush_bytes: usize) -> Hot {
    Hot::new(table(0), nowhere(), flush_bytes)
}

fn push(hot: &Hot, seq: u64, body: &str) {
    let batch = CountDecode.decode(&[entry(body)], &hot.columns());
    hot.push(WalSeq(seq), vec![batch]);
}

fn visible(hot: &Hot) -> Vec<u64> {
    hot.snapshot().hot.iter().flat_map(|batch| ids(batch)).collect()
}

fn has_column(hot: &Hot, key: &str) -> bool {
    hot.columns().find(AttributeScope::Span, key).is_some()
}

#[test]
fn a_snapshot_stays_as_it_was_and_is_shared_until_something_changes() {
    let hot = hot(usize::MAX);
    push(&hot, 1, "1 2");
    let before = hot.snapshot();
    assert!(Arc::ptr_eq(&before, &hot.snapshot()));
    push(&hot, 2, "5 1");
    assert_eq!(before.rows(), 2);
    assert_eq!(visible(&hot), [1, 2, 5]);
    assert_eq!(hot.rows(), 3);
}

#[test]
fn a_flush_swaps_batches_for_a_version_and_keeps_what_came_meanwhile() {
    let hot = hot(usize::MAX);
    push(&hot, 1, "1 2");
    let sealed = hot.seal();
    assert_eq!((sealed.batches.len(), sealed.through), (1, WalSeq(1)));
    push(&hot, 2, "7 1");
    hot.replace(table(1));
    let snapshot = hot.snapshot();
    assert_eq!((snapshot.version, visible(&hot)), (TableVersion(1), vec![7]));
    assert!(hot.is_dirty());
    hot.replace(table(2));
    assert_eq!((hot.bytes(), hot.rows(), hot.is_dirty()), (0, 0, false));
}

#[test]
fn entries_without_spans_still_move_the_position() {
    let hot = hot(usize::MAX);
    push(&hot, 1, "no spans");
    assert!(hot.is_dirty());
    let sealed = hot.seal();
    assert_eq!((sealed.batches.len(), sealed.through), (0, WalSeq(1)));
}

#[tokio::test]
async fn a_full_buffer_asks_for_a_flush() {
    let hot = hot(1);
    push(&hot, 1, "1 2");
    hot.flush_requested().await;
}

#[test]
fn the_tail_gives_every_batch_with_its_position_from_any_place_on() {
    let hot = Arc::new(hot(usize::MAX));
    push(&hot, 3, "7 2");
    let tail = hot.tail();
    let mut changes = hot.changes();
    assert_eq!(tail.next(), 2);
    push(&hot, 4, "9 1");
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert_eq!(arrived(&tail, 0), (vec![(3, 0, vec![7, 8]), (4, 2, vec![9])], 0, 3));
    assert_eq!(arrived(&tail, 1), (vec![(3, 0, vec![7, 8]), (4, 2, vec![9])], 0, 3));
    assert_eq!(arrived(&tail, 2), (vec![(4, 2, vec![9])], 0, 3));
    assert_eq!(arrived(&tail, 3), (vec![], 0, 3));
    hot.replace(table(4));
    assert!(changes.has_changed().unwrap());
}

#[test]
fn flushed_batches_are_kept_while_somebody_listens_and_counted_otherwise() {
    let hot = Arc::new(hot(usize::MAX));
    push(&hot, 1, "1 2");
    hot.replace(table(1));
    let (first, second) = (hot.tail(), hot.tail());
    push(&hot, 2, "7 1");
    hot.replace(table(2));
    push(&hot, 3, "9 1");
    drop(second);
    let expected = vec![(2, 2, vec![7]), (3, 3, vec![9])];
    assert_eq!(arrived(&first, 0), (expected, 2, 4));
    drop(first);
    let late = hot.tail();
    assert_eq!(arrived(&late, 2), (vec![(3, 3, vec![9])], 1, 4));
    hot.replace(table(3));
    assert_eq!(hot.bytes(), 0);
    assert_eq!(arrived(&late, 3), (vec![(3, 3, vec![9])], 0, 4));
}

/// Position, number of the first span, ids.
type Seen = (u64, u64, Vec<u64>);

/// The batches, the spans missed, the next number.
fn arrived(tail: &Tail, from: u64) -> (Vec<Seen>, u64, u64) {
    let Arrivals { batches, missed, next } = tail.after(from);
    let batches = batches.iter().map(|at| (at.through.0, at.first, ids(&at.batch))).collect();
    (batches, missed, next)
}

#[test]
fn a_frequent_attribute_gets_a_column_for_the_next_groups() {
    let hot = hot(usize::MAX);
    push(&hot, 1, "1 99 shop.id=a");
    assert!(!has_column(&hot, "shop.id"));
    push(&hot, 2, "100 1 shop.id=a");
    assert!(has_column(&hot, "shop.id"));
    push(&hot, 3, "101 1 shop.id=a");
    let snapshot = hot.snapshot();
    assert!(snapshot.schema.field_with_name("shop_id").is_ok());
    assert!(snapshot.hot[2].records().column_by_name("shop_id").is_some());
    assert!(snapshot.hot[2].rest().is_empty());
}

#[test]
fn a_rare_attribute_gets_no_column() {
    let hot = hot(usize::MAX);
    push(&hot, 1, "1 20000");
    push(&hot, 2, "30000 150 rare=a");
    hot.seal();
    assert!(!has_column(&hot, "rare"));
}

#[test]
fn a_flush_gives_columns_to_what_was_frequent_in_it() {
    let hot = hot(usize::MAX);
    push(&hot, 1, "1 9 few=a");
    push(&hot, 2, "100 10 some=a");
    let sealed = hot.seal();
    assert!(sealed.columns.find(AttributeScope::Span, "some").is_some());
    assert!(sealed.columns.find(AttributeScope::Span, "few").is_none());
}

#[test]
fn columns_of_the_table_come_first() {
    let mut columns = AttributeColumns::default();
    columns.add(AttributeScope::Span, "a.b", crate::schema::AttributeType::Int);
    let mut state = (*table(0)).clone();
    state.columns = Arc::new(columns);
    let hot = Hot::new(Arc::new(state), nowhere(), 1);
    let columns = hot.columns();
    assert_eq!(columns.as_slice()[0].key, "a.b");
    assert!(columns.find(AttributeScope::Span, "http.route").is_some());
}

#[test]
fn dictionaries_are_read_as_views() {
    let snapshot = hot(1).snapshot();
    let kind = snapshot.schema.field_with_name("service").unwrap().data_type().clone();
    assert_eq!(kind, arrow::datatypes::DataType::Utf8View);
}
