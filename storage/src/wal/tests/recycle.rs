//! Files of trimmed segments are used again, and nothing of what they held comes back.
use uuid::Uuid;

use super::rig::{Disk, Rig, replay};
use crate::entry::{Appended, Entry};
use crate::id::WalSeq;
use crate::testing::{Fault, MemoryFolder, entry};
use crate::wal::layout::SegmentHeader;
use crate::wal::segment::{Segment, SegmentName};
use crate::wal::{Folder, Logged};

const LOG: Uuid = Uuid::from_u128(1);
const BYTES: u64 = 1 << 14;

fn logged(id: u64) -> Logged {
    let body = format!("{id} 1 padding={}", "x".repeat(500));
    Logged { entry: entry(&body), sent: None, fingerprint: None }
}

fn name(number: u64, base: u64) -> SegmentName {
    SegmentName { number, base: WalSeq(base), quarantined: false }
}

/// A file that was written to its end as segment 1, then became segment 2, which takes the groups `second`. Also returns
/// its name, and its content without the last group.
fn twice(second: &[u64]) -> (MemoryFolder, String, Vec<u8>) {
    let folder = MemoryFolder::default();
    let header = SegmentHeader::new(LOG, WalSeq(1), 0);
    let mut segment = Segment::create(&folder, name(1, 1), header, BYTES).unwrap();
    let entries: Vec<Logged> = (1..=26).map(logged).collect();
    for (seq, group) in (1..).step_by(2).zip(entries.chunks(2)) {
        segment.append(WalSeq(seq), group).unwrap();
    }
    assert!(segment.bytes() > BYTES - 1000, "the file is full");
    let sealed = segment.seal(WalSeq(26));
    let spare = sealed.spare_file();
    folder.rename(&sealed.name.file(), &spare).unwrap();

    let header = SegmentHeader::new(LOG, WalSeq(27), 0);
    let mut segment = Segment::recycle(&folder, &spare, name(2, 27), header, BYTES).unwrap();
    let (mut seq, file) = (27, name(2, 27).file());
    let mut before = Vec::new();
    for count in second {
        before = folder.read(&file).unwrap();
        let group: Vec<Logged> = (seq..seq + count).map(logged).collect();
        segment.append(WalSeq(seq), &group).unwrap();
        seq += count;
    }
    (folder, file, before)
}

fn seqs(entries: &[(u64, Entry)]) -> Vec<u64> {
    entries.iter().map(|(seq, _)| *seq).collect()
}

#[test]
fn what_an_earlier_segment_left_is_never_replayed_and_is_no_damage() {
    for second in [&[][..], &[1], &[2, 1], &[5, 3, 1], &[1; 11]] {
        let (folder, file, _) = twice(second);
        let before = folder.read(&file).unwrap();
        let (entries, recovery) = replay(&folder, LOG, 26).unwrap();
        let count: u64 = second.iter().sum();
        assert_eq!(seqs(&entries), (27..27 + count).collect::<Vec<_>>());
        assert_eq!((recovery.next, recovery.lost), (WalSeq(27 + count), 0));
        assert!(recovery.quarantined.is_empty());
        assert_eq!(
            folder.read(&file).unwrap(),
            before,
            "nothing was taken for an unfinished write"
        );
    }
}

/// Scenario: the last group of a used-again segment was written in any part when the power went. Guarantees: it is there
/// whole or was never acknowledged; what lies beneath it is not taken for entries or damage.
#[test]
fn an_unfinished_write_over_old_bytes_is_cut_off() {
    let (folder, file, old) = twice(&[2, 3]);
    let new = folder.read(&file).unwrap();
    let group_from = 128 + 2 * logged(27).len();
    let group_until = group_from + 3 * logged(27).len();
    for from in (group_from..group_until).step_by(64) {
        // The front of the group did not reach the disk, its back did: the old bytes stay in front.
        let mut torn = new.clone();
        torn[group_from..from].copy_from_slice(&old[group_from..from]);
        check_torn(&folder, &file, &torn, from == group_from);
        // And the other way round.
        let mut torn = new.clone();
        torn[from..group_until].copy_from_slice(&old[from..group_until]);
        check_torn(&folder, &file, &torn, false);
    }
}

fn check_torn(folder: &MemoryFolder, file: &str, bytes: &[u8], whole: bool) {
    let folder = folder.after_kill();
    folder.put(file, bytes);
    let (entries, recovery) = replay(&folder, LOG, 26).unwrap();
    let seqs = seqs(&entries);
    assert!(seqs.starts_with(&[27, 28]), "{seqs:?}");
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1) && seqs.len() <= 5, "{seqs:?}");
    assert!(!whole || seqs.len() == 5);
    assert_eq!((recovery.lost, recovery.quarantined.len()), (0, 0));
    let (again, recovery) = replay(&folder, LOG, 26).unwrap();
    assert_eq!(again.len(), entries.len());
    assert_eq!(recovery.lost, 0);
}

#[test]
fn a_flipped_bit_between_entries_of_a_used_again_segment_is_counted() {
    let (folder, file, _) = twice(&[1, 1, 1]);
    let mut bytes = folder.read(&file).unwrap();
    bytes[128 + logged(27).len() + 100] ^= 1;
    folder.put(&file, &bytes);
    let (entries, recovery) = replay(&folder, LOG, 26).unwrap();
    assert_eq!(seqs(&entries), [27, 29]);
    assert_eq!((recovery.lost, recovery.quarantined.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trimmed_segment_becomes_the_next_one_also_after_a_restart() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 1").await.unwrap();
    rig.commit_and_trim().await.unwrap();
    assert_eq!(rig.disk.folder.names(".spare"), ["0000000001.spare"]);
    rig.append("2 1").await.unwrap();
    assert!(rig.disk.folder.names(".spare").is_empty());
    rig.commit_and_trim().await.unwrap();
    let disk = rig.end().await;

    let rig = Rig::open(disk).unwrap();
    assert_eq!(rig.disk.folder.names(".spare"), ["0000000002.spare"]);
    assert_eq!(rig.append("3 1").await.unwrap(), Appended::Stored(WalSeq(3)));
    assert_eq!(
        rig.disk.folder.names(".log"),
        ["0000000003-00000000000000000003.log"],
        "the number goes on although no segment was left"
    );
    assert!(rig.disk.folder.names(".spare").is_empty());
    assert_eq!(rig.visible(), [1, 2, 3]);
    rig.end().await;
}

/// Scenario: the process dies at each step between a file's life as one segment and its first entry as the next.
/// Guarantees: no entry of the earlier life, no false alarm, and the log goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_step_of_using_a_file_again_is_harmless() {
    for (step, after) in (1..12).flat_map(|step| [(step, false), (step, true)]) {
        let mut rig = Rig::open(Disk::default()).unwrap();
        rig.append("1 2").await.unwrap();
        rig.commit_and_trim().await.unwrap();
        let fault = if after { Fault::CrashAfter(step) } else { Fault::CrashBefore(step) };
        rig.disk.folder.plant(fault);
        let answer = rig.append("3 1").await;
        let mut disk = rig.end().await;
        disk.folder = disk.folder.after_kill();
        let rig = Rig::open(disk).unwrap();
        assert_eq!((rig.lost, rig.quarantined.len()), (0, 0), "{fault:?}");
        let visible = rig.visible();
        assert!(visible == [1, 2, 3] || (answer.is_err() && visible == [1, 2]), "{fault:?}");
        rig.append("3 1").await.unwrap();
        assert_eq!(rig.visible(), [1, 2, 3], "{fault:?}");
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_full_disk_takes_the_spare_files_back_first() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 1").await.unwrap();
    rig.commit_and_trim().await.unwrap();
    rig.disk.folder.set_free_bytes(10);
    rig.append("2 1").await.unwrap_err();
    assert!(rig.disk.folder.names(".spare").is_empty());
    rig.disk.folder.set_free_bytes(1 << 30);
    rig.append("2 1").await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_failed_is_deleted_not_used_again() {
    let mut rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 1").await.unwrap();
    // The next step is the write of a group.
    rig.disk.folder.plant(Fault::FailOnce(1, std::io::ErrorKind::Other));
    rig.append("2 1").await.unwrap();
    rig.commit_and_trim().await.unwrap();
    assert_eq!(rig.disk.folder.names(".spare"), ["0000000002.spare"]);
    rig.end().await;
}
