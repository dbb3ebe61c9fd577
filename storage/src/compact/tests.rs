use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, PutPayload};
use uuid::Uuid;

use super::*;
use crate::WalSeq;
use crate::batch::RestCount;
use crate::config::Config;
use crate::flush::tests::{DAY, TestSpan, batch, span};
use crate::rollup::Sum;
use crate::schema::{AttributeColumns, AttributeScope, AttributeType, column};
use crate::table::place::Place;
use crate::testing::FailingStore;
use crate::time::{Clock, ManualClock, NANOS_PER_DAY, NANOS_PER_SECOND};

/// A table and its clock.
struct Rig {
    table: Table,
    clock: Arc<ManualClock>,
}

impl std::ops::Deref for Rig {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}

async fn open(store: Arc<dyn ObjectStore>) -> Rig {
    let url = url::Url::parse("memory:///default/").unwrap();
    open_place(Place::at(store, &Path::from("default"), &url).unwrap()).await
}

async fn open_place(place: Place) -> Rig {
    // Far behind the spans: every hour has long been closed.
    let clock = Arc::new(ManualClock::at(DAY + 10 * NANOS_PER_DAY));
    let mut config = Config::in_folder("unused");
    config.ttl = None;
    let table = Table::open(place, &config, Uuid::nil(), Arc::clone(&clock) as _).await.unwrap();
    Rig { table, clock }
}

/// The same table in a new process: nothing is in memory.
async fn open_again(rig: &Rig) -> Rig {
    let again = open_place(rig.table.place().clone()).await;
    again.clock.set(rig.clock.now_unix_nano());
    again
}

async fn table() -> Rig {
    open(Arc::new(InMemory::new())).await
}

/// Flushes, and lets an hour go by.
async fn flush_one(table: &Rig, through: u64, spans: &[TestSpan], columns: &AttributeColumns) {
    flush::flush(table, &[batch(spans, Vec::new())], columns, WalSeq(through)).await.unwrap();
    table.clock.set(table.clock.now_unix_nano() + 3_600 * NANOS_PER_SECOND);
}

async fn compact(table: &Table, compactor: &Compactor) -> u64 {
    let mut steps = 0;
    while let Some(merged) = compactor.step(table, Due::WhenQuiet).await.unwrap() {
        assert!(table.commit_merged(&merged).await.unwrap());
        compactor.committed(&merged);
        steps += 1;
    }
    steps
}

/// All rows of the table: by span id, the texts of every column that is not null.
async fn rows(table: &Table) -> BTreeMap<String, Vec<(String, String)>> {
    let state = table.state();
    let mut rows = BTreeMap::new();
    for file in state.files.iter() {
        let read = read::read(table.object_store(), file, &state.columns).await.unwrap();
        for batch in read {
            let records = batch.records();
            let schema = records.schema();
            for row in 0..records.num_rows() {
                let values =
                    schema.fields().iter().zip(records.columns()).filter_map(|(field, array)| {
                        Some((field.name().clone(), shown(array, row)?))
                    });
                let values: Vec<(String, String)> = values.collect();
                let id = values.iter().find(|(name, _)| name == column::SPAN_ID).unwrap().1.clone();
                assert!(rows.insert(id, values).is_none(), "a span is there twice");
            }
        }
    }
    rows
}

fn shown(array: &ArrayRef, row: usize) -> Option<String> {
    let one = array.slice(row, 1);
    (one.logical_null_count() == 0)
        .then(|| arrow::util::display::array_value_to_string(&one, 0).unwrap())
}

fn value<'a>(row: &'a [(String, String)], name: &str) -> Option<&'a str> {
    row.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
}

fn id(span: u64) -> String {
    format!("{span:016x}")
}

#[tokio::test]
async fn merging_keeps_every_value_of_every_span() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    for (number, name) in (0..9u64).zip(["a", "b", "c"].into_iter().cycle()) {
        let mut span = span(u128::from(number), number + 1, None, DAY + 60 - number as i64);
        span.name = name;
        span.attributes = (number == 4).then_some(r#"{"odd":{"k":[1]},"é":"ü"}"#);
        flush_one(&table, number + 1, &[span], &columns).await;
    }
    let before = rows(&table).await;
    assert_eq!(table.state().files.len(), 9);
    assert_eq!(compact(&table, &compactor).await, 1);
    let state = table.state();
    assert_eq!((state.files.len(), state.files[0].rows, state.wal_through), (1, 9, WalSeq(9)));
    assert_eq!(rows(&table).await, before);
    assert!(state.files[0].may_hold_rest(AttributeScope::Span, "odd"));
    assert!(state.files[0].may_hold_rest(AttributeScope::Span, "é"));
    assert!(!state.files[0].may_hold_rest(AttributeScope::Span, "other"));
    assert_eq!(compact(&table, &compactor).await, 0, "nothing is left to do");
}

#[tokio::test]
async fn callers_and_roots_that_lay_in_another_file_become_known() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    let mut root = span(1, 1, None, DAY);
    (root.service, root.name) = ("front", "GET /");
    let mut child = span(1, 2, Some(1), DAY + 1);
    child.service = "back";
    let grandchild = span(1, 3, Some(2), DAY + 2);
    flush_one(&table, 1, &[child, grandchild], &columns).await;
    let before = rows(&table).await;
    assert_eq!(value(&before[&id(3)], column::CALLER_SERVICE), Some("back"));
    assert_eq!(value(&before[&id(2)], column::CALLER_SERVICE), None);
    flush_one(&table, 2, &[root], &columns).await;
    compact(&table, &compactor).await;
    let after = rows(&table).await;
    for span in [2, 3] {
        assert_eq!(value(&after[&id(span)], column::ROOT_SERVICE), Some("front"));
        assert_eq!(value(&after[&id(span)], column::ROOT_NAME), Some("GET /"));
    }
    assert_eq!(value(&after[&id(2)], column::CALLER_SERVICE), Some("front"));
    assert_eq!(value(&after[&id(3)], column::CALLER_SERVICE), Some("back"));
}

#[tokio::test]
async fn what_was_known_of_a_parent_in_another_hour_stays_known() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    let hour = 3_600 * NANOS_PER_SECOND;
    // One flush, two dates: the child is in another file than its parent, which is never merged with it.
    let parent = span(1, 1, None, DAY + NANOS_PER_DAY - 1);
    let child = span(1, 2, Some(1), DAY + NANOS_PER_DAY);
    flush_one(&table, 1, &[parent, child], &columns).await;
    flush_one(&table, 2, &[span(2, 3, None, DAY + NANOS_PER_DAY + hour / 2)], &columns).await;
    let before = rows(&table).await;
    assert_eq!(compact(&table, &compactor).await, 1);
    assert_eq!(rows(&table).await, before);
    assert_eq!(value(&before[&id(2)], column::CALLER_SERVICE), Some("shop"));
}

#[tokio::test]
async fn equal_spans_become_one_and_unequal_ones_stay() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    let mut same = span(1, 1, None, DAY);
    same.attributes = Some(r#"{"a":[1]}"#);
    let other_id = span(1, 2, None, DAY);
    flush_one(&table, 1, &[same.clone(), other_id], &columns).await;
    flush_one(&table, 2, &[same], &columns).await;
    let merged = compactor.step(&table, Due::WhenQuiet).await.unwrap().unwrap();
    assert_eq!(merged.duplicates, 1);
    assert!(table.commit_merged(&merged).await.unwrap());
    assert_eq!(rows(&table).await.len(), 2);

    // The two halves of a Zipkin span share ids; so do spans whose attributes differ.
    let mut half = span(1, 2, None, DAY);
    half.attributes = Some(r#"{"a":[2]}"#);
    flush_one(&table, 3, &[half], &columns).await;
    let merged = compactor.step(&table, Due::WhenQuiet).await.unwrap().unwrap();
    assert_eq!(merged.duplicates, 0);
    assert_eq!(merged.outputs.len(), 1);
    table.commit_merged(&merged).await.unwrap();
    assert_eq!(table.state().files[0].rows, 3);
}

#[tokio::test]
async fn attributes_that_became_columns_later_are_lifted() {
    let (table, compactor) = (table().await, Compactor::default());
    let mut columns = AttributeColumns::from_start();
    let mut early = span(1, 1, None, DAY);
    early.attributes = Some(r#"{"cart":"full","left":1}"#);
    let rest = |key: &str, kind| RestCount {
        scope: AttributeScope::Span,
        key: key.into(),
        kind,
        spans: 1,
    };
    let counts = vec![rest("cart", AttributeType::String), rest("left", AttributeType::Int)];
    flush::flush(&table, &[batch(&[early], counts)], &columns, WalSeq(1)).await.unwrap();
    columns.add(AttributeScope::Span, "cart", AttributeType::String);
    flush_one(&table, 2, &[span(1, 2, None, DAY + 1)], &columns).await;
    compact(&table, &compactor).await;
    let after = rows(&table).await;
    assert_eq!(value(&after[&id(1)], "cart"), Some("full"));
    assert_eq!(value(&after[&id(1)], column::ATTRIBUTES), Some(r#"{"left":1}"#));
    let file = &table.state().files[0];
    assert!(!file.may_hold_rest(AttributeScope::Span, "cart"));
    assert!(file.may_hold_rest(AttributeScope::Span, "left"));
}

#[tokio::test]
async fn a_damaged_file_is_parked_and_the_others_go_on() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    for number in 1..=4u64 {
        flush_one(&table, number, &[span(1, number, None, DAY + number as i64)], &columns).await;
    }
    let damaged = table.state().files[1].path.clone();
    let store = table.object_store();
    let path = Path::from(damaged.as_str());
    let mut bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[20] ^= 1;
    store.put(&path, PutPayload::from(bytes)).await.unwrap();
    assert_eq!(compact(&table, &compactor).await, 1);
    let state = table.state();
    assert_eq!(state.files.len(), 2);
    assert!(state.files.iter().any(|file| file.path == damaged), "it stays, untouched");
    let parked = compactor.metrics();
    let parked = parked.iter().find(|metric| metric.name.ends_with("parked_files")).unwrap();
    assert!((parked.value - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn of_two_compactions_of_the_same_files_one_is_refused() {
    let table = table().await;
    let columns = AttributeColumns::from_start();
    for number in 1..=3u64 {
        flush_one(&table, number, &[span(1, number, None, DAY)], &columns).await;
    }
    let first = Compactor::default().step(&table, Due::WhenQuiet).await.unwrap().unwrap();
    let second = Compactor::default().step(&table, Due::WhenQuiet).await.unwrap().unwrap();
    assert!(table.commit_merged(&first).await.unwrap());
    assert!(!table.commit_merged(&second).await.unwrap());
    assert_eq!(rows(&table).await.len(), 3);
}

#[tokio::test]
async fn a_drop_while_merging_wins() {
    let table = table().await;
    let columns = AttributeColumns::from_start();
    for number in 1..=3u64 {
        flush_one(&table, number, &[span(1, number, None, DAY)], &columns).await;
    }
    let merged = Compactor::default().step(&table, Due::WhenQuiet).await.unwrap().unwrap();
    let date = table.state().files[0].date;
    let removal = table.removal_of(&[date], None, "command").await.unwrap();
    assert!(table.commit_removal(&removal).await.unwrap().is_some());
    assert!(!table.commit_merged(&merged).await.unwrap());
    assert!(table.state().files.is_empty(), "the drop is not undone");
}

#[tokio::test]
async fn what_a_merge_holds_of_its_files_has_no_room_to_grow() {
    let (table, columns) = (table().await, AttributeColumns::from_start());
    // The last of two batches is a small one. Half of the rows have a parent.
    let spans = (1..=66_000).map(|id| {
        span(u128::from(id / 2), id, (id % 2 == 1).then_some(id - 1), DAY + id.cast_signed())
    });
    flush_one(&table, 1, &spans.collect::<Vec<_>>(), &columns).await;
    let state = table.state();
    let batches = read::read(table.object_store(), &state.files[0], &state.columns).await.unwrap();
    let columns = batches.iter().flat_map(|batch| batch.records().columns());
    for column in columns.map(Array::to_data) {
        for buffer in column.buffers() {
            let (room, used) = (buffer.capacity(), buffer.len());
            assert!(
                room <= used + used / 20 + 64,
                "{room} bytes for {used}: {:?}",
                column.data_type()
            );
        }
    }
}

#[tokio::test]
async fn a_write_that_fails_anywhere_leaves_each_span_once() {
    // One data file, one sidecar, one rollup, one commit; the fifth change does not happen, so that the last round is a
    // clean one.
    for (change, after) in (0..5).flat_map(|change| [(change, false), (change, true)]) {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let columns = AttributeColumns::from_start();
        let table = open(Arc::clone(&inner)).await;
        for number in 1..=3u64 {
            flush_one(&table, number, &[span(1, number, None, DAY)], &columns).await;
        }
        let failing = FailingStore::over(&inner);
        let clock = table.clock.now_unix_nano();
        let table = open(Arc::clone(&failing) as _).await;
        table.clock.set(clock);
        let compactor = Compactor::default();
        failing.fail_change(change, after);
        if let Ok(Some(merged)) = compactor.step(&table, Due::WhenQuiet).await {
            // The answer may be lost: then nobody knows, until the log is read again.
            let _ = table.commit_merged(&merged).await;
        }
        assert_eq!(rows(&open(inner).await.table).await.len(), 3, "change {change}, after {after}");
        table.refresh().await.unwrap();
        compact(&table, &compactor).await;
        assert_eq!((table.state().files.len(), rows(&table).await.len()), (1, 3));
    }
}

#[tokio::test]
async fn who_follows_the_table_sees_no_new_spans() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    for number in 1..=2u64 {
        flush_one(&table, number, &[span(1, number, None, DAY)], &columns).await;
    }
    compact(&table, &compactor).await;
    let path = Path::from("_delta_log/00000000000000000003.json");
    let entry = table.object_store().get(&path).await.unwrap().bytes().await.unwrap();
    let entry = std::str::from_utf8(&entry).unwrap();
    assert!(entry.contains(r#""operation":"OPTIMIZE""#), "{entry}");
    assert_eq!(entry.matches(r#""dataChange":false"#).count(), 3, "{entry}");
}

/// What a file's rollup says: traces counted, edges counted, open traces.
async fn rollup(table: &Table, place: usize) -> (i64, i64, usize) {
    let file = Arc::clone(&table.state().files[place]);
    let rollup = table.rollups().whole(&file).await.unwrap();
    let mut sum = Sum::default();
    rollup.add_to(&mut sum);
    let traces = sum.figures.roots.values().map(|row| row.traces).sum();
    (traces, sum.figures.edges.values().map(|row| row.moved.calls).sum(), rollup.open().len())
}

#[tokio::test]
async fn a_trace_that_lay_in_two_files_is_in_the_rollup_of_the_merged_one() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    let child = TestSpan { service: "stock", ..span(1, 2, Some(1), DAY + 5) };
    flush_one(&table, 1, &[span(1, 1, None, DAY), span(2, 8, None, DAY)], &columns).await;
    flush_one(&table, 2, &[child], &columns).await;
    assert_eq!((rollup(&table, 0).await, rollup(&table, 1).await), ((2, 0, 0), (0, 0, 1)));
    compact(&table, &compactor).await;
    assert_eq!((table.state().files.len(), rollup(&table, 0).await), (1, (2, 1, 0)));
}

#[tokio::test]
async fn a_second_root_stays_open_as_long_as_the_first_is_in_another_file() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    // The first root lies in the day before the others: its file is not merged with theirs.
    let day = DAY + NANOS_PER_DAY;
    flush_one(&table, 1, &[span(1, 1, None, day - 1)], &columns).await;
    flush_one(&table, 2, &[span(1, 2, None, day + 1)], &columns).await;
    flush_one(&table, 3, &[span(2, 3, None, day + 2)], &columns).await;
    assert_eq!(rollup(&table, 1).await, (0, 0, 1));
    compact(&table, &compactor).await;
    let mut rollups = [rollup(&table, 0).await, rollup(&table, 1).await];
    rollups.sort_unstable();
    assert_eq!(rollups, [(1, 0, 0), (1, 0, 1)], "one trace counts, the other is open");
}

#[tokio::test]
async fn a_file_without_a_rollup_is_merged_like_any_other() {
    let (table, compactor) = (table().await, Compactor::default());
    let columns = AttributeColumns::from_start();
    flush_one(&table, 1, &[span(1, 1, None, DAY)], &columns).await;
    flush_one(&table, 2, &[span(1, 2, Some(1), DAY + 1)], &columns).await;
    let rollup_path = table.state().files[0].rollup.clone().unwrap();
    table.object_store().delete(&Path::from(rollup_path)).await.unwrap();
    let table = open_again(&table).await;
    compact(&table, &compactor).await;
    assert_eq!((table.state().files.len(), rollup(&table, 0).await), (1, (1, 0, 0)));
}

mod joined;
