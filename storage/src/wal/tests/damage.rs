//! Bytes that changed on the disk: detected or harmless, and what is intact is still read.
use uuid::Uuid;

use super::rig::replay;
use crate::entry::Entry;
use crate::id::WalSeq;
use crate::testing::{MemoryFolder, entry};
use crate::wal::layout::SegmentHeader;
use crate::wal::segment::{Segment, SegmentName};
use crate::wal::{Fingerprint, Folder, Logged};

const LOG: Uuid = Uuid::from_u128(1);

fn bodies(from: u64, count: u64) -> Vec<Entry> {
    (from..from + count)
        .map(|id| entry(&format!("{id} 1 padding={}", "x".repeat(usize::try_from(id).unwrap()))))
        .collect()
}

fn logged(entry: Entry) -> Logged {
    let fingerprint = Some(Fingerprint::of(entry.format, &entry.body));
    Logged { entry, sent: None, fingerprint }
}

/// Writes groups of these sizes into one segment; returns its file name.
fn write(folder: &MemoryFolder, number: u64, base: u64, groups: &[u64]) -> String {
    let name = SegmentName { number, base: WalSeq(base), quarantined: false };
    let file = name.file();
    let header = SegmentHeader::new(LOG, name.base, 0);
    let mut segment = Segment::create(folder, name, header, 640).unwrap();
    let mut seq = base;
    for count in groups {
        let group: Vec<Logged> = bodies(seq, *count).into_iter().map(logged).collect();
        segment.append(WalSeq(seq), &group).unwrap();
        segment.sync().unwrap();
        seq += count;
    }
    file
}

fn texts(entries: &[(u64, Entry)]) -> Vec<Vec<u8>> {
    entries.iter().map(|(_, entry)| entry.body.to_vec()).collect()
}

fn expected(from: u64, count: u64) -> Vec<Vec<u8>> {
    bodies(from, count).iter().map(|entry| entry.body.to_vec()).collect()
}

/// A folder whose file `name` has other bytes.
fn with(folder: &MemoryFolder, name: &str, bytes: &[u8]) -> MemoryFolder {
    let copy = folder.after_kill();
    copy.put(name, bytes);
    copy
}

#[test]
fn replay_reads_all_segments_in_order_and_skips_what_is_committed() {
    let folder = MemoryFolder::default();
    write(&folder, 1, 1, &[1, 2]);
    write(&folder, 2, 4, &[3]);
    let (entries, recovery) = replay(&folder, LOG, 0).unwrap();
    assert_eq!(texts(&entries), expected(1, 6));
    assert_eq!((recovery.next, recovery.next_number, recovery.lost), (WalSeq(7), 3, 0));

    let (entries, recovery) = replay(&folder, LOG, 5).unwrap();
    assert_eq!(texts(&entries), expected(6, 1));
    assert_eq!((recovery.next, recovery.lost), (WalSeq(7), 0));

    let (entries, recovery) = replay(&folder, LOG, 9).unwrap();
    assert!(entries.is_empty());
    assert_eq!(recovery.next, WalSeq(10));
}

#[test]
fn every_truncation_of_the_last_segment_keeps_the_entries_before_it() {
    let folder = MemoryFolder::default();
    let name = write(&folder, 1, 1, &[1, 1, 1, 1]);
    let bytes = folder.read(&name).unwrap();
    let mut counts = Vec::new();
    for length in 0..=bytes.len() {
        let cut = with(&folder, &name, &bytes[..length]);
        let (entries, recovery) = replay(&cut, LOG, 0).unwrap();
        let count = entries.len() as u64;
        assert_eq!(texts(&entries), expected(1, count), "cut at {length}");
        assert_eq!(recovery.next, WalSeq(count + 1));
        assert!(recovery.quarantined.is_empty() && recovery.lost == 0, "cut at {length}");
        // The unfinished end is gone, so that it can never look like damage later.
        let (again, _) = replay(&cut, LOG, 0).unwrap();
        assert_eq!(texts(&again), texts(&entries));
        counts.push(count);
    }
    assert!(counts.is_sorted() && counts.first() == Some(&0) && counts.last() == Some(&4));
}

#[test]
fn every_truncation_of_an_earlier_segment_is_counted() {
    let folder = MemoryFolder::default();
    let name = write(&folder, 1, 1, &[1, 1, 1, 1]);
    write(&folder, 2, 5, &[1]);
    let bytes = folder.read(&name).unwrap();
    for length in 0..=bytes.len() {
        let cut = with(&folder, &name, &bytes[..length]);
        let (entries, recovery) = replay(&cut, LOG, 0).unwrap();
        let count = entries.len() as u64;
        assert_eq!(count + recovery.lost, 5, "cut at {length}");
        assert_eq!(recovery.quarantined.len(), usize::from(recovery.lost > 0));
        assert_eq!(texts(&entries).last(), expected(5, 1).last());
    }
}

/// Flips each bit of the first segment; `check` gets the offset, what was read and how many are missing.
fn flip_every_bit(
    groups: &[u64],
    second: bool,
    check: impl Fn(usize, &[(u64, Entry)], u64, usize),
) {
    let folder = MemoryFolder::default();
    let name = write(&folder, 1, 1, groups);
    let total: u64 = groups.iter().sum();
    if second {
        write(&folder, 2, total + 1, &[1]);
    }
    let bytes = folder.read(&name).unwrap();
    let all = expected(1, total + 1);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let damaged = with(&folder, &name, &flipped);
        let (entries, recovery) = replay(&damaged, LOG, 0).unwrap();
        let texts = texts(&entries);
        assert!(texts.iter().all(|text| all.contains(text)), "an entry was invented at bit {bit}");
        assert!(
            texts.windows(2).all(|pair| pair[0] != pair[1]),
            "an entry came twice at bit {bit}"
        );
        check(bit / 8, &entries, recovery.lost, recovery.quarantined.len());
    }
}

#[test]
fn every_flipped_bit_of_an_earlier_segment_costs_one_entry_at_most_and_is_counted() {
    flip_every_bit(&[1, 2, 1, 2], true, |at, entries, lost, quarantined| {
        assert_eq!(entries.len() as u64 + lost, 7, "flip in byte {at}");
        assert!(lost <= 1, "flip in byte {at}");
        assert_eq!(quarantined as u64, lost, "flip in byte {at}");
    });
}

#[test]
fn every_flipped_bit_of_the_last_segment_is_counted_or_in_the_last_group() {
    flip_every_bit(&[1, 2, 1, 2], false, |at, entries, lost, quarantined| {
        let missing = 6 - entries.len() as u64;
        // Two entries were written last, together: they may be taken for a write that was never finished.
        let torn = lost == 0 && missing <= 2;
        assert!(torn || (missing == 1 && lost == 1 && quarantined == 1), "flip in byte {at}");
    });
}

#[test]
fn a_quarantined_segment_is_read_again_until_its_entries_are_in_files() {
    let folder = MemoryFolder::default();
    let name = write(&folder, 1, 1, &[1, 1, 1]);
    write(&folder, 2, 4, &[1]);
    let mut bytes = folder.read(&name).unwrap();
    bytes[crate::wal::layout::SEGMENT_HEADER_LEN + 80] ^= 0x10;
    folder.put(&name, &bytes);

    let (first, recovery) = replay(&folder, LOG, 0).unwrap();
    assert_eq!((first.len(), recovery.lost), (3, 1));
    assert_eq!(folder.names(".quarantined").len(), 1);
    let (second, recovery) = replay(&folder, LOG, 0).unwrap();
    assert_eq!((texts(&second), recovery.lost), (texts(&first), 1));
    let (third, recovery) = replay(&folder, LOG, 4).unwrap();
    assert_eq!((third.len(), recovery.lost, recovery.quarantined.len()), (0, 0, 0));
    assert_eq!(folder.names(".quarantined").len(), 1, "the damaged file is kept");
}

#[test]
fn a_segment_of_another_log_is_set_aside_and_not_read() {
    let folder = MemoryFolder::default();
    write(&folder, 1, 1, &[2]);
    let (entries, recovery) = replay(&folder, Uuid::from_u128(2), 0).unwrap();
    assert!(entries.is_empty());
    assert_eq!(recovery.quarantined.len(), 1);
}

#[test]
fn a_later_segment_outranks_what_a_failed_one_holds() {
    let folder = MemoryFolder::default();
    write(&folder, 1, 1, &[1, 3]);
    write(&folder, 2, 2, &[1]);
    let (entries, recovery) = replay(&folder, LOG, 0).unwrap();
    assert_eq!(texts(&entries), expected(1, 2));
    assert_eq!((recovery.next, recovery.lost), (WalSeq(3), 0));
    assert!(recovery.quarantined.is_empty());
}
