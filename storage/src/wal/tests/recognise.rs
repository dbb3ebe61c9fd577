//! Retried requests.
use std::time::Duration;

use super::rig::{Disk, Rig};
use crate::entry::Appended;
use crate::error::Error;
use crate::id::WalSeq;
use crate::testing::{DAY, Fault, MemoryFolder, compressed};
use crate::wal::{Fingerprint, Recent};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_request_is_stored_once() {
    let rig = Rig::open(Disk::default()).unwrap();
    assert_eq!(rig.append("1 2").await.unwrap(), Appended::Stored(WalSeq(1)));
    assert_eq!(rig.append("1 2").await.unwrap(), Appended::Duplicate);
    assert_eq!(rig.append("3 1").await.unwrap(), Appended::Stored(WalSeq(2)));
    assert_eq!(rig.visible(), [1, 2, 3]);
    assert_eq!(rig.status.duplicates.value(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_retries_are_stored_once_and_all_are_answered_when_it_is_visible() {
    let rig = Rig::open(Disk::default()).unwrap();
    let sends = (0..32).map(|_| async {
        let appended = rig.append("1 3").await.unwrap();
        assert_eq!(rig.visible(), [1, 2, 3]);
        appended
    });
    let answers = futures::future::join_all(sends).await;
    let stored = answers.iter().filter(|answer| matches!(answer, Appended::Stored(_))).count();
    assert_eq!(stored, 1);
    rig.end().await;
}

/// Scenario: a client sends again what it sent before, compressed otherwise or not at all, before and after a restart.
/// Guarantees: it is stored once, as it came first, and read back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_recognised_however_it_is_compressed() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    let text = format!("1 2 a=b{}", " ".repeat(300));
    let (plain, first) = compressed("1 2 a=b", 3);
    let (_, second) = compressed(&format!("1 2 a=b{}", " ".repeat(100)), 2);
    assert_eq!(plain.body, text);
    let sends = |rig: &Rig| {
        let wal = rig.wal.clone();
        [Some(first.clone()), Some(second.clone()), None].map(|sent| {
            let (wal, plain) = (wal.clone(), plain.clone());
            async move { wal.append(plain, sent).await.unwrap() }
        })
    };
    let [stored, again, uncompressed] = sends(&rig);
    assert_eq!(stored.await, Appended::Stored(WalSeq(1)));
    assert_eq!((again.await, uncompressed.await), (Appended::Duplicate, Appended::Duplicate));
    for commit in [false, true] {
        if commit {
            rig.commit();
        }
        rig = Rig::open(rig.end().await).unwrap();
        let name = rig.disk.folder.names(".log").remove(0);
        let log = crate::wal::Folder::read(&rig.disk.folder, &name).unwrap();
        assert!(log.windows(8).any(|bytes| bytes == b"\x031 2 a=b"), "the log has it as it came");
        for answer in sends(&rig) {
            assert_eq!(answer.await, Appended::Duplicate);
        }
        assert_eq!(rig.visible(), [1, 2]);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_compression_made_no_smaller_is_kept_without_it() {
    let rig = Rig::open(Disk::default()).unwrap();
    let (plain, sent) = compressed("1 2", 0);
    rig.wal.append(plain, Some(sent)).await.unwrap();
    let disk = rig.end().await;
    let name = disk.folder.names(".log").remove(0);
    let log = crate::wal::Folder::read(&disk.folder, &name).unwrap();
    assert!(!log.windows(4).any(|bytes| bytes == b"\x001 2"));
    let rig = Rig::open(disk).unwrap();
    assert_eq!(rig.visible(), [1, 2]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_inflated_at_replay_costs_only_itself() {
    let rig = Rig::open(Disk::default()).unwrap();
    let (plain, mut sent) = compressed("1 2", 3);
    sent.body = b"\x021 2".as_slice().into();
    rig.wal.append(plain, Some(sent)).await.unwrap();
    rig.append("5 1").await.unwrap();
    assert_eq!(rig.visible(), [1, 2, 5]);
    let rig = Rig::open(rig.end().await).unwrap();
    assert_eq!((rig.visible(), rig.status.unreadable.value(), rig.lost), (vec![5], 1, 0));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_format_beyond_six_bits_is_refused() {
    let rig = Rig::open(Disk::default()).unwrap();
    let mut entry = crate::testing::entry("1 1");
    entry.format = 64;
    assert!(matches!(rig.wal.append(entry, None).await, Err(Error::Invalid(_))));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_recognition_is_stored_each_time() {
    let rig = Rig::open(Disk::default()).unwrap();
    for _ in 0..2 {
        let mut entry = crate::testing::entry("5 1");
        entry.deduplicate = false;
        rig.wal.append(entry, None).await.unwrap();
    }
    assert_eq!(rig.visible(), [5, 5]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_recognised_after_a_kill_between_commit_and_trim() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 2").await.unwrap();
    rig.commit();
    let disk = rig.end().await;
    let rig = Rig::open(disk).unwrap();
    assert_eq!(rig.append("1 2").await.unwrap(), Appended::Duplicate);
    assert_eq!(rig.visible(), [1, 2]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_recognised_after_its_segment_was_trimmed_and_the_server_restarted() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 2").await.unwrap();
    rig.commit_and_trim().await.unwrap();
    let disk = rig.end().await;
    assert!(disk.folder.names(".log").is_empty());
    for _ in 0..2 {
        let rig = Rig::open(disk.clone()).unwrap();
        assert_eq!(rig.append("1 2").await.unwrap(), Appended::Duplicate);
        assert_eq!(rig.visible(), [1, 2]);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_not_recognised_as_stored() {
    let rig = Rig::open(Disk::default()).unwrap();
    rig.disk.folder.set_free_bytes(10);
    let refused = rig.append("1 1").await;
    assert!(matches!(refused, Err(Error::DiskFull { free_bytes: 10, .. })), "{refused:?}");
    rig.disk.folder.set_free_bytes(1 << 30);
    assert_eq!(rig.append("1 1").await.unwrap(), Appended::Stored(WalSeq(1)));
    rig.end().await;
}

#[test]
fn the_window_forgets_in_time_and_deletes_its_old_files() {
    let folder = MemoryFolder::default();
    let second = crate::time::NANOS_PER_SECOND;
    let mut recent = Recent::load(&folder, Duration::from_secs(10)).unwrap();
    let request = |body: &str| Fingerprint::of(1, body.as_bytes());
    recent.insert(request("a"), DAY, WalSeq(1));
    recent.insert(request("b"), DAY + 5 * second, WalSeq(2));
    assert!(recent.contains(request("a"), DAY + 10 * second));
    recent.save(&folder, WalSeq(1), DAY + 10 * second).unwrap();
    recent.save(&folder, WalSeq(2), DAY + 10 * second).unwrap();
    assert_eq!(folder.names(".recent").len(), 2);

    let mut reopened = Recent::load(&folder, Duration::from_secs(10)).unwrap();
    assert!(!reopened.contains(request("a"), DAY + 11 * second));
    assert!(reopened.contains(request("b"), DAY + 11 * second));
    assert!(!reopened.contains(Fingerprint::of(2, b"b"), DAY + 11 * second), "another format");
    reopened.save(&folder, WalSeq(2), DAY + 11 * second).unwrap();
    assert_eq!(folder.names(".recent").len(), 1);
    reopened.save(&folder, WalSeq(2), DAY + 16 * second).unwrap();
    assert!(folder.names(".recent").is_empty());
}

#[test]
fn a_damaged_file_of_recent_requests_is_left_out() {
    let folder = MemoryFolder::default();
    let mut recent = Recent::load(&folder, Duration::from_secs(10)).unwrap();
    recent.insert(Fingerprint(7), DAY, WalSeq(1));
    recent.save(&folder, WalSeq(1), DAY).unwrap();
    let name = folder.names(".recent").remove(0);
    let bytes = crate::wal::Folder::read(&folder, &name).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        folder.put(&name, &flipped);
        let mut reopened = Recent::load(&folder, Duration::from_secs(10)).unwrap();
        assert!(!reopened.contains(Fingerprint(7), DAY));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_fails_keeps_the_segments() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 2").await.unwrap();
    let through = rig.commit();
    rig.disk.folder.plant(Fault::FailOnce(2, std::io::ErrorKind::Other));
    assert!(rig.wal.trim(through).await.is_err());
    assert_eq!(rig.disk.folder.names(".log").len(), 1);
    rig.wal.trim(through).await.unwrap();
    assert!(rig.disk.folder.names(".log").is_empty());
    assert_eq!(rig.append("1 2").await.unwrap(), Appended::Duplicate);
    rig.end().await;
}

/// Scenario: a server starts on a table that is older than what was trimmed from its log (an old list of the store).
/// Guarantees: no position is given out twice, and what the table lacks is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_go_on_after_what_was_trimmed_though_the_table_is_older() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    for number in 1..=3 {
        rig.append(&format!("{number} 1")).await.unwrap();
    }
    rig.commit_and_trim().await.unwrap();
    let mut disk = rig.end().await;
    assert!(disk.folder.names(".log").is_empty());
    (disk.committed, disk.table) = (1, vec![1]);
    let rig = Rig::open(disk).unwrap();
    assert_eq!(rig.lost, 2);
    assert_eq!(rig.append("4 1").await.unwrap(), Appended::Stored(WalSeq(4)));
    rig.end().await;
}
