use std::path::Path;

use super::super::tests::{config, open};
use super::*;
use crate::testing::entry;

/// Files below `folder` that contain `needle`.
fn holders(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holders(&path, needle));
        } else if std::fs::read(&path).unwrap().windows(needle.len()).any(|bytes| bytes == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_deletion_with_vacuum_no_byte_of_a_trace_is_left_in_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&config(root.path())).await.unwrap();
    // Of every kind: in a file, in one that compaction has replaced, in a spare of the log, hot and in the log.
    let secret = "secret-4711-in-plain-bytes";
    store.append(entry(&format!("70 1 user={secret}"))).await.unwrap();
    store.flush().await.unwrap();
    store.append(entry("1 3")).await.unwrap();
    store.flush().await.unwrap();
    store.append(entry(&format!("71 1 user={secret}"))).await.unwrap();
    store.append(entry("5 2")).await.unwrap();
    assert!(!holders(root.path(), secret.as_bytes()).is_empty());
    let trace = |id: u128| TraceId(id.to_be_bytes());
    store.pin(&trace(70), "a pin goes, too").await.unwrap();
    let note = |id: u128, text: &str| {
        let trace_id = trace(id).to_string();
        crate::patch::What::Note { trace_id, span_id: None, text: text.into() }
    };
    store.patch(note(71, secret)).await.unwrap();
    store.patch(note(1, "another's")).await.unwrap();
    assert_eq!(store.snapshot().patches.all().len(), 2);

    let selection = Selection::Attribute { key: "user".into(), value: secret.into() };
    let plan = store.plan_deletion(&selection).await.unwrap();
    assert_eq!((plan.version, plan.loss.rows, plan.loss.traces), (None, 2, 2));
    assert_eq!(store.snapshot().rows(), 7, "a plan deletes nothing");
    let deletion = store.delete(&selection, true).await.unwrap();
    assert!(deletion.vacuumed && deletion.receipt.version.is_some());
    assert_eq!(deletion.receipt.loss.rows, 2);
    assert_eq!(store.snapshot().rows(), 5);
    assert_eq!(store.pins().await.unwrap(), []);
    assert_eq!(store.snapshot().patches.all().len(), 1);
    assert_eq!(*store.receipts(), [deletion.receipt]);
    assert_eq!(holders(root.path(), secret.as_bytes()), [""; 0]);
    for id in [70, 71] {
        assert_eq!(holders(root.path(), &trace(id).0), [""; 0], "the id as bytes");
        assert_eq!(holders(root.path(), trace(id).to_string().as_bytes()), [""; 0], "as text");
    }
    // What came after goes on, and comes back.
    store.append(entry("90 1")).await.unwrap();
    store.close().await.unwrap();
    let store = open(&config(root.path())).await.unwrap();
    assert_eq!(store.snapshot().rows(), 6);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_started_before_a_drop_finish_and_the_clock_must_be_confirmed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&config(root.path())).await.unwrap();
    store.append(entry("1 3")).await.unwrap();
    store.flush().await.unwrap();
    let before = store.snapshot();
    let date: NaiveDate = before.files[0].date;
    let receipt = store.drop_partitions(&[date]).await.unwrap();
    assert_eq!((receipt.loss.rows, receipt.loss.traces), (3, 3));
    assert_eq!(store.snapshot().rows(), 0);
    before.files[0].read_checked(before.object_store.as_ref()).await.unwrap();
    assert_eq!(store.drop_class(&[date], "default").await.unwrap().version, None);
    assert_eq!(store.apply_policy().await.unwrap(), []);
    store.close().await.unwrap();
}
