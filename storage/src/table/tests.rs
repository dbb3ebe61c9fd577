use chrono::NaiveDate;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::*;
use crate::flush::flush;
use crate::flush::tests::{DAY, batch, span};
use crate::id::TraceId;
use crate::retain::{PolicyChange, Ttl};
use crate::testing::FailingStore;
use crate::time::{ManualClock, NANOS_PER_DAY, NANOS_PER_SECOND};

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn open(store: Arc<dyn ObjectStore>, clock: &Arc<ManualClock>) -> Table {
    open_as(store, clock, Uuid::nil()).await
}

async fn open_as(store: Arc<dyn ObjectStore>, clock: &Arc<ManualClock>, log: Uuid) -> Table {
    let url = url::Url::parse("memory:///default/").unwrap();
    let place = Place::at(store, &Path::from("default"), &url).unwrap();
    let config = Config::in_folder("unused");
    Table::open(place, &config, log, Arc::clone(clock) as _).await.unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(DAY + NANOS_PER_DAY))
}

fn rows(table: &Table) -> u64 {
    table.state().files.iter().map(|file| file.rows).sum()
}

/// Flushes one span of each of two dates.
async fn flush_two(table: &Table, trace: u128, through: u64) -> Result<()> {
    let spans = [span(trace, 1, None, DAY), span(trace, 2, Some(1), DAY + NANOS_PER_DAY)];
    let columns = AttributeColumns::from_start();
    flush(table, &[batch(&spans, Vec::new())], &columns, WalSeq(through)).await
}

/// Removes whole dates, as the store does.
async fn drop_dates(table: &Table, dates: &[NaiveDate]) -> Receipt {
    let removal = table.removal_of(dates, None, "command").await.unwrap();
    if removal.inputs.is_empty() {
        return removal.receipt;
    }
    table.commit_removal(&removal).await.unwrap().unwrap()
}

/// Applies the policy once, as the store does.
async fn apply(table: &Table) -> Option<Receipt> {
    let now = table.clock().now_unix_nano();
    if !table.clock_is_confirmed(now).await {
        return None;
    }
    let removal = table.next_removal(false).await.unwrap()?;
    table.commit_removal(&removal).await.unwrap()
}

async fn set_ttl(table: &Table, ttl: Option<Duration>) {
    let change = PolicyChange { ttl: Some(ttl), ..PolicyChange::default() };
    table.set_policy(&change).await.unwrap();
}

async fn planned(table: &Table) -> Vec<NaiveDate> {
    table.plan(&table.state().policy).await.unwrap().loss.dates
}

fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
}

fn objects(store: &Arc<dyn ObjectStore>, folder: &str) -> impl Future<Output = usize> {
    store.list(Some(&Path::from(format!("default/spans/{folder}")))).count()
}

#[tokio::test]
async fn a_write_that_fails_anywhere_in_a_flush_leaves_each_span_once() {
    // Two data files, two sidecars, two rollups, one commit: the eighth change does not happen, so the last round is a
    // clean one.
    for (change, after) in (0..8).flat_map(|change| [(change, false), (change, true)]) {
        let (inner, clock) = (memory(), clock());
        drop(open(Arc::clone(&inner), &clock).await);
        let store = FailingStore::over(&inner);
        let table = open(Arc::clone(&store) as _, &clock).await;
        store.fail_change(change, after);
        let first = flush_two(&table, 7, 3).await;
        // A commit whose answer was lost is found by reading it back.
        assert_eq!(first.is_ok(), change == 7 || (change == 6 && after), "{change} {after}");

        let crashed = open(Arc::clone(&inner), &clock).await;
        let expected = if first.is_ok() { (2, WalSeq(3)) } else { (0, WalSeq(0)) };
        assert_eq!((rows(&crashed), crashed.state().wal_through), expected, "{change} {after}");

        flush_two(&table, 7, 3).await.unwrap();
        assert_eq!(rows(&table), 2, "{change} {after}: the same process tries again");
        let reopened = open(inner, &clock).await;
        assert_eq!((rows(&reopened), reopened.state().wal_through), (2, WalSeq(3)));
    }
}

#[tokio::test]
async fn two_writers_that_race_both_commit_and_see_each_other() {
    let (store, clock) = (memory(), clock());
    let one = open_as(Arc::clone(&store), &clock, Uuid::from_u128(1)).await;
    let two = open_as(Arc::clone(&store), &clock, Uuid::from_u128(2)).await;
    for round in 1..=5u64 {
        let trace = u128::from(round);
        let (a, b) =
            tokio::join!(flush_two(&one, trace, round), flush_two(&two, 1_000 + trace, round));
        a.unwrap();
        b.unwrap();
    }
    let reopened = open_as(store, &clock, Uuid::from_u128(2)).await;
    assert_eq!((rows(&reopened), reopened.state().version), (20, TableVersion(10)));
    assert_eq!(reopened.state().wal_through, WalSeq(5));
    flush_two(&one, 99, 6).await.unwrap();
    assert_eq!(rows(&one), 22, "a commit first reads what the other has committed");
    let foreign = TraceId(1_005u128.to_be_bytes());
    let known = one.state().files.iter().filter(|file| file.may_hold_trace(&foreign)).count();
    assert_eq!(known, 2, "the other writer's sidecars are read, too");
}

#[tokio::test]
async fn a_drop_removes_whole_dates_in_one_commit_and_deletes_after_the_grace() {
    let (store, clock) = (memory(), clock());
    let table = open(Arc::clone(&store), &clock).await;
    flush_two(&table, 1, 1).await.unwrap();
    flush_two(&table, 2, 2).await.unwrap();
    let receipt = drop_dates(&table, &[date(21)]).await;
    assert_eq!((receipt.version, receipt.loss.rows), (Some(3), 2));
    assert_eq!((receipt.loss.traces, receipt.loss.files), (2, 2));
    assert_eq!(rows(&table), 2);
    table.maintain().await.unwrap();
    assert_eq!(objects(&store, "date=2026-11-21").await, 2, "readers may still hold them");

    let reopened = open(Arc::clone(&store), &clock).await;
    clock.set(DAY + NANOS_PER_DAY + 331 * NANOS_PER_SECOND);
    reopened.maintain().await.unwrap();
    assert_eq!(objects(&store, "date=2026-11-21").await, 0);
    assert_eq!(objects(&store, "date=2026-11-22").await, 2);
    table.maintain().await.unwrap();
    assert_eq!(objects(&store, "_sidecars").await, 4, "sidecars and rollups");
    assert_eq!(*table.state().receipts, *std::slice::from_ref(&receipt));

    let nothing = drop_dates(&table, &[date(21)]).await;
    assert_eq!((nothing.version, nothing.loss.rows), (None, 0));

    store.delete(&Path::from("default/receipts/00000000000000000003.json")).await.unwrap();
    let restored = open(store, &clock).await;
    assert_eq!(*restored.state().receipts, [receipt], "the commit carries it, too");
}

#[tokio::test]
async fn a_ttl_expires_whole_dates_but_not_on_a_clock_that_just_jumped() {
    let (store, clock) = (memory(), clock());
    let table = open(Arc::clone(&store), &clock).await;
    flush_two(&table, 1, 1).await.unwrap();
    let day = Some(Duration::from_secs(86_400));
    set_ttl(&table, day).await;
    assert_eq!(open(Arc::clone(&store), &clock).await.state().policy.ttl.duration, day);
    clock.set(DAY + 2 * NANOS_PER_DAY - 1);
    assert_eq!(planned(&table).await, []);
    clock.set(DAY + 2 * NANOS_PER_DAY);
    assert_eq!(planned(&table).await, [date(21)]);
    assert_eq!(apply(&table).await, None, "the clock jumped by a day");
    assert_eq!(apply(&table).await, None, "one look confirms it");
    let receipt = apply(&table).await.expect("two looks confirm it");
    assert_eq!((receipt.loss.dates, receipt.reason.as_str()), (vec![date(21)], "ttl"));
    set_ttl(&table, None).await;
    assert_eq!(table.state().policy.ttl, Ttl { duration: None, by_command: true });
    clock.set(DAY + 900 * NANOS_PER_DAY);
    for _ in 0..3 {
        assert_eq!(apply(&table).await, None);
    }
}

#[tokio::test]
async fn a_checkpoint_holds_files_tags_position_and_columns() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::in_folder(folder.path());
    let clock = clock();
    let table =
        Table::open(Place::open(&config).unwrap(), &config, Uuid::nil(), Arc::clone(&clock) as _)
            .await
            .unwrap();
    for seq in 1..=50 {
        flush_two(&table, u128::from(seq), seq).await.unwrap();
    }
    table.maintain().await.unwrap();
    let log = folder.path().join("default/spans/_delta_log");
    assert!(log.join("_last_checkpoint").exists());
    for version in 0..50 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let reopened =
        Table::open(Place::open(&config).unwrap(), &config, Uuid::nil(), clock as _).await.unwrap();
    let (before, after) = (table.state(), reopened.state());
    assert_eq!(after.wal_through, WalSeq(50));
    assert_eq!(after.columns.as_slice(), before.columns.as_slice());
    let sorted = |state: &TableState| {
        let mut files: Vec<String> = state.files.iter().map(|f| format!("{f:?}")).collect();
        files.sort();
        files
    };
    assert_eq!(sorted(&after), sorted(&before));
}

#[tokio::test]
async fn a_file_of_a_flush_that_never_committed_is_deleted_when_it_is_old() {
    let (inner, clock) = (memory(), clock());
    let store = FailingStore::over(&inner);
    let table = open(Arc::clone(&store) as _, &clock).await;
    store.fail_change(3, false);
    flush_two(&table, 1, 1).await.unwrap_err();
    assert_eq!(objects(&inner, "date=2026-11-21").await, 1);
    let far = i64::MAX / 2; // objects in memory carry the machine's time
    clock.set(far);
    table.maintain().await.unwrap();
    assert_eq!(objects(&inner, "date=2026-11-21").await, 0);
    assert_eq!(objects(&inner, "_sidecars").await, 0);
    assert_eq!(objects(&inner, "_delta_log").await, 1);
}

#[tokio::test]
async fn a_file_that_changed_is_found_by_its_checksum() {
    let (store, clock) = (memory(), clock());
    flush_two(&open(Arc::clone(&store), &clock).await, 1, 1).await.unwrap();
    let table = open(Arc::clone(&store), &clock).await;
    let file = Arc::clone(&table.state().files[0]);
    let place = table.object_store();
    let whole = file.read_checked(&*place).await.unwrap();
    assert!(file.checksum.is_some() && whole.len() as u64 == file.bytes);
    let path = Path::from(file.path.as_str());
    let mut flipped = whole.to_vec();
    flipped[whole.len() / 2] ^= 1;
    for (damaged, words) in [(flipped, "checksum"), (whole[1..].to_vec(), "bytes long")] {
        place.put(&path, damaged.into()).await.unwrap();
        let error = file.read_checked(&*place).await.unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Corrupt);
        assert!(error.to_string().contains(&file.path) && error.to_string().contains(words));
    }
    place.delete(&path).await.unwrap();
    let error = file.read_checked(&*place).await.unwrap_err();
    assert_eq!(error.kind(), crate::Kind::NotFound);
}
