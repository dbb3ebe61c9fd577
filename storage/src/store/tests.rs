use std::collections::BTreeSet;
use std::path::Path;

use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::*;
use crate::WalSeq;
use crate::config::Location;
use crate::table::place::Place;
use crate::testing::{CountDecode, DAY, FailingStore, Fault, MemoryFolder, entry, ids};
use crate::time::ManualClock;

pub(super) fn config(root: &Path) -> Config {
    let mut config = Config::in_folder(root);
    config.group_commit_wait = Duration::ZERO;
    config.wal_segment_bytes = 4096;
    config.flush_interval = Duration::from_secs(3600);
    config.ttl = None;
    config
}

pub(super) async fn open(config: &Config) -> Result<Store> {
    let clock = Arc::new(ManualClock::at(DAY));
    Store::open(config.clone(), Arc::new(CountDecode), clock).await
}

/// With the log in a folder that can fail.
async fn open_in(config: &Config, folder: &MemoryFolder) -> Result<Store> {
    open_at(config, folder, Place::open(config)?).await
}

async fn open_at(config: &Config, folder: &MemoryFolder, place: Place) -> Result<Store> {
    let clock = Arc::new(ManualClock::at(DAY));
    let parts = (Arc::new(folder.clone()) as _, Vec::new());
    open::open_with(config.clone(), Arc::new(CountDecode), clock, parts, place).await
}

/// A table in `store`.
fn place(store: Arc<dyn ObjectStore>) -> Place {
    let url = url::Url::parse("memory:///default/").unwrap();
    Place::at(store, &object_store::path::Path::from("default"), &url).unwrap()
}

/// Ends the tasks as a kill would: without a flush.
async fn kill(store: Store) {
    store.shared.end(false).await.ok();
}

fn hot_ids(store: &Store) -> Vec<u64> {
    store.snapshot().hot.iter().flat_map(|batch| ids(batch)).collect()
}

fn file_rows(store: &Store) -> u64 {
    store.snapshot().files.iter().map(|file| file.rows).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_appended_is_visible_and_still_there_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let config = config(root.path());
    let store = open(&config).await.unwrap();
    assert_eq!(store.append(entry("1 2")).await.unwrap(), Appended::Stored(WalSeq(1)));
    assert_eq!(hot_ids(&store), [1, 2]);
    kill(store).await;
    let store = open(&config).await.unwrap();
    assert_eq!(hot_ids(&store), [1, 2]);
    assert_eq!(store.append(entry("1 2")).await.unwrap(), Appended::Duplicate);
    assert_eq!(store.append(entry("3 1")).await.unwrap(), Appended::Stored(WalSeq(2)));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_moves_spans_into_files_and_trims_the_log() {
    let root = tempfile::tempdir().unwrap();
    let config = config(root.path());
    let store = open(&config).await.unwrap();
    for first in [1, 11, 21] {
        store.append(entry(&format!("{first} 10"))).await.unwrap();
    }
    store.flush().await.unwrap();
    assert_eq!((hot_ids(&store).len(), file_rows(&store)), (0, 30));
    assert_eq!(store.shared.wal.status().bytes_used(), 0);
    store.append(entry("100 5")).await.unwrap();
    assert_eq!(store.snapshot().rows(), 35);
    kill(store).await;

    let store = open(&config).await.unwrap();
    assert_eq!((hot_ids(&store).len(), file_rows(&store)), (5, 30));
    assert_eq!(store.append(entry("200 1")).await.unwrap(), Appended::Stored(WalSeq(5)));
    store.close().await.unwrap();
    let store = open(&config).await.unwrap();
    assert_eq!((hot_ids(&store).len(), file_rows(&store)), (0, 36));
    let partitions = store.partitions();
    assert_eq!((partitions.len(), partitions[0].rows, partitions[0].hot_rows), (1, 36, 0));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_buffer_is_flushed_without_being_asked() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config(root.path());
    config.flush_bytes = 1;
    let store = open(&config).await.unwrap();
    let mut changes = store.changes();
    store.append(entry("1 3")).await.unwrap();
    while file_rows(&store) < 3 {
        changes.changed().await.unwrap();
        assert_eq!(store.snapshot().rows(), 3, "no moment with a span twice or missing");
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_refuse_with_a_time_to_try_again() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config(root.path());
    config.wal_bytes_max = 100;
    let store = open(&config).await.unwrap();
    let error = store.append(entry(&format!("1 1 a={}", "x".repeat(200)))).await.unwrap_err();
    assert!(matches!(error, Error::WalFull { .. }) && error.retry_after().is_some());
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_room_in_the_hot_buffer() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config(root.path());
    config.hot_bytes_max = 1;
    let store = open(&config).await.unwrap();
    for id in 1..4 {
        store.append(entry(&format!("{id} 1"))).await.unwrap();
    }
    assert_eq!(store.snapshot().rows(), 3);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_beyond_the_limit_is_too_large() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&config(root.path())).await.unwrap();
    let mut large = entry("");
    large.body = vec![0; crate::config::BODY_BYTES_MAX + 1].into();
    let error = store.append(large).await.unwrap_err();
    assert_eq!(error.kind(), crate::Kind::TooLarge);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_store_at_a_time_holds_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let config = config(root.path());
    let store = open(&config).await.unwrap();
    assert!(
        matches!(open(&config).await, Err(Error::Locked { pid, .. }) if pid == std::process::id())
    );
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.append(entry("1 1")).await, Err(Error::Closed)));
    assert!(matches!(store.flush().await, Err(Error::Closed)));
    assert!(store.ready().is_err());
    open(&config).await.unwrap().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_all_handles_ends_the_tasks() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&config(root.path())).await.unwrap();
    store.append(entry("1 1")).await.unwrap();
    let tasks = store.shared.tasks.lock().await.take().unwrap();
    drop(store);
    tasks.flusher.await.unwrap();
    tasks.publisher.await.unwrap();
    tasks.writer.join().unwrap();
    drop(tasks.locks);
    let store = open(&config(root.path())).await.unwrap();
    assert_eq!(hot_ids(&store), [1]);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_settings_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for tenant in ["", "..", "A", "a/b", "-a", &"a".repeat(64)] {
        let mut config = config(root.path());
        config.tenant = tenant.into();
        assert!(matches!(open(&config).await, Err(Error::Invalid(_))), "{tenant:?}");
    }
    let remote = Location::ObjectStore { url: "s3://bucket".into(), options: Vec::new() };
    let config = Config::at(remote);
    assert!(matches!(open(&config).await, Err(Error::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_larger_than_the_buffer_is_flushed_while_it_is_replayed() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config(root.path());
    let store = open(&config).await.unwrap();
    for first in 0..20 {
        store.append(entry(&format!("{} 10", first * 10 + 1))).await.unwrap();
    }
    kill(store).await;
    config.flush_bytes = 1;
    let store = open(&config).await.unwrap();
    assert_eq!((hot_ids(&store).len(), file_rows(&store)), (0, 200));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trim_that_failed_is_made_up_for_by_the_next_flush() {
    let root = tempfile::tempdir().unwrap();
    let config = config(root.path());
    let folder = MemoryFolder::default();
    let store = open_in(&config, &folder).await.unwrap();
    store.append(entry("1 1")).await.unwrap();
    // The first step of a trim makes the file of recent requests.
    folder.plant(Fault::FailOnce(1, std::io::ErrorKind::Other));
    store.flush().await.unwrap();
    assert_eq!((file_rows(&store), folder.names(".log").len()), (1, 1));
    store.flush().await.unwrap();
    assert!(folder.names(".log").is_empty());
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_the_log_is_counted_and_shown_and_the_rest_is_served() {
    let root = tempfile::tempdir().unwrap();
    let config = config(root.path());
    let folder = MemoryFolder::default();
    let store = open_in(&config, &folder).await.unwrap();
    assert_eq!(store.ready(), Ok(()));
    for id in 1..4 {
        store.append(entry(&format!("{id} 1"))).await.unwrap();
    }
    kill(store).await;
    let name = folder.names(".log").remove(0);
    let mut bytes = crate::wal::Folder::read(&folder, &name).unwrap();
    let second = bytes.windows(3).position(|window| window == b"2 1").unwrap();
    bytes[second] ^= 1;
    folder.put(&name, &bytes);

    let store = open_in(&config, &folder).await.unwrap();
    assert_eq!(hot_ids(&store), [1, 3]);
    let problem = store.ready().unwrap_err();
    assert!(problem.contains("1 requests are lost"), "{problem}");
    let lost = store.metrics().into_iter().find(|m| m.name == "spanlake_wal_lost_entries");
    assert!((lost.unwrap().value - 1.0).abs() < f64::EPSILON);
    store.append(entry("9 1")).await.unwrap();
    store.close().await.unwrap();
    let store = open_in(&config, &folder).await.unwrap();
    assert_eq!((store.ready(), file_rows(&store)), (Ok(()), 3));
    store.close().await.unwrap();
}

/// Scenario: a commit took effect, its answer was lost and could not be read again. Guarantees: each span once, in
/// whichever order more spans and other commits come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_whose_answer_was_lost_is_found_and_the_next_one_goes_on() {
    for other_commit_between in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let config = config(root.path());
        let folder = MemoryFolder::default();
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let failing = FailingStore::over(&inner);
        let store = open_at(&config, &folder, place(Arc::clone(&failing) as _)).await.unwrap();
        store.append(entry("1 2")).await.unwrap();
        failing.fail_change(3, true); // data file, sidecar, rollup, commit
        failing.fail_reads(true);
        store.flush().await.unwrap_err();
        store.append(entry("3 4")).await.unwrap();
        store.flush().await.unwrap_err();
        assert_eq!((hot_ids(&store).len(), file_rows(&store)), (6, 0));

        failing.fail_reads(false);
        if other_commit_between {
            store.set_ttl(None).await.unwrap();
            assert_eq!((hot_ids(&store), file_rows(&store)), (vec![3, 4, 5, 6], 2));
        }
        store.flush().await.unwrap();
        assert_eq!((hot_ids(&store).len(), file_rows(&store)), (0, 6));
        assert_eq!((store.shared.wal.status().bytes_used(), store.ready()), (0, Ok(())));
        kill(store).await;

        let store = open_at(&config, &folder.after_kill(), place(inner)).await.unwrap();
        assert_eq!((hot_ids(&store).len(), file_rows(&store)), (0, 6));
        store.close().await.unwrap();
    }
}

/// Scenario: each step of the log dies in turn, flushes into real files in between. Guarantees: every acknowledged request once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_flush_loses_and_doubles_nothing() {
    for step in 1.. {
        let root = tempfile::tempdir().unwrap();
        let config = config(root.path());
        let folder = MemoryFolder::default();
        let store = open_in(&config, &folder).await.unwrap();
        folder.plant(Fault::CrashAfter(step));
        let mut acked = BTreeSet::new();
        for first in [1, 2, 3, 4] {
            if store.append(entry(&format!("{first} 1"))).await.is_ok() {
                acked.insert(first);
            }
            if first % 2 == 0 {
                store.flush().await.unwrap();
            }
        }
        let struck = folder.steps() >= step;
        kill(store).await;
        let store = open_in(&config, &folder.after_kill()).await.unwrap();
        let rows = store.snapshot().rows();
        assert!(acked.len() as u64 <= rows && rows <= 4, "step {step}: {rows} rows, {acked:?}");
        for first in [1, 2, 3, 4] {
            store.append(entry(&format!("{first} 1"))).await.unwrap();
        }
        assert_eq!(store.snapshot().rows(), 4, "step {step}");
        store.close().await.unwrap();
        if !struck {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flusher_that_panics_is_counted_and_asks_for_a_restart_that_has_everything() {
    let root = tempfile::tempdir().unwrap();
    let (config, folder) = (config(root.path()), MemoryFolder::default());
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let failing = FailingStore::over(&objects);
    let failing_place = place(Arc::clone(&failing) as _);
    let store = open_at(&config, &folder, failing_place).await.unwrap();
    store.append(entry("1 5")).await.unwrap();
    failing.panic_in_list();
    assert!(store.shared.command(Command::Vacuum).await.is_err());
    assert_eq!(store.failed().await, "flusher");
    assert!(store.ready().unwrap_err().contains("flusher"));
    let counted = |metric: &Metric| metric.name == "spanlake_task_panics_total";
    let panics: f64 = store.metrics().iter().filter(|m| counted(m)).map(|m| m.value).sum();
    assert!((panics - 1.0).abs() < f64::EPSILON);
    assert!(store.close().await.is_err());
    let store = open_at(&config, &folder, place(objects)).await.unwrap();
    assert_eq!(hot_ids(&store), [1, 2, 3, 4, 5]);
}
