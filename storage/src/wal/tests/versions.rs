//! Logs of earlier versions are read as they were meant.
use bytes::Bytes;
use uuid::Uuid;

use super::rig::replay;
use crate::id::WalSeq;
use crate::testing::MemoryFolder;
use crate::wal::Fingerprint;

const LOG: Uuid = Uuid::from_u128(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00);
const SALT: u64 = 0x0123_4567_89ab_cdef;
const NAME: &str = "0000000001-00000000000000000001.log";

fn salted(bytes: &[u8]) -> u32 {
    crc32fast::hash(&[&SALT.to_le_bytes(), bytes].concat())
}

/// The header of a segment, written out from docs/format.md.
fn header(version: u32) -> Vec<u8> {
    let mut copy = b"SPLKWAL\0".to_vec();
    copy.extend(version.to_le_bytes());
    copy.extend([0; 4]);
    copy.extend(LOG.as_bytes());
    copy.extend(1u64.to_le_bytes());
    copy.extend(SALT.to_le_bytes());
    copy.extend(77i64.to_le_bytes());
    copy.extend([0; 4]);
    copy.extend(crc32fast::hash(&copy).to_le_bytes());
    assert_eq!(copy.len(), 64);
    [copy.clone(), copy].concat()
}

/// What entries of both versions begin with, up to the checksum of the entry before.
fn first_fields(seq: u64, format: u8, stored: &[u8], previous: u32) -> Vec<u8> {
    let mut bytes = b"SPWE".to_vec();
    bytes.extend(u32::try_from(stored.len()).unwrap().to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend(100i64.to_le_bytes());
    bytes.extend(i64::MIN.to_le_bytes());
    bytes.extend(i64::MAX.to_le_bytes());
    bytes.extend([format, 1, 0, 0]);
    bytes.extend(previous.to_le_bytes());
    bytes
}

/// Appends checksums, body and padding; returns the entry's checksum.
fn finish(segment: &mut Vec<u8>, mut bytes: Vec<u8>, stored: &[u8]) -> u32 {
    let checksum = salted(&[&bytes, stored].concat());
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(salted(&bytes).to_le_bytes());
    segment.extend(bytes);
    segment.extend(stored);
    segment.resize(segment.len().next_multiple_of(8), 0);
    checksum
}

#[test]
fn a_log_of_version_1_is_replayed_and_its_requests_are_recognised() {
    let mut segment = header(1);
    let mut previous = crc32fast::hash(&segment[..60]);
    for (seq, body) in [(1, "1 2"), (2, "10 1 a=b")] {
        let bytes = first_fields(seq, 3, body.as_bytes(), previous);
        previous = finish(&mut segment, bytes, body.as_bytes());
    }
    segment.resize(4096, 0);
    let folder = MemoryFolder::default();
    folder.put(NAME, &segment);

    let (entries, mut recovery) = replay(&folder, LOG, 0).unwrap();
    let read: Vec<_> = entries.iter().map(|(seq, e)| (*seq, e.format, &e.body[..])).collect();
    assert_eq!(read, [(1, 3, &b"1 2"[..]), (2, 3, &b"10 1 a=b"[..])]);
    assert_eq!((recovery.next, recovery.lost, recovery.quarantined.len()), (WalSeq(3), 0, 0));
    assert!(recovery.recent.contains(Fingerprint::of(3, b"1 2"), 100));
}

#[test]
fn an_entry_of_version_2_lies_as_the_format_says() {
    let mut segment = header(2);
    let previous = crc32fast::hash(&segment[..60]);
    let (plain, stored) = (Bytes::from(format!("1 2{}", " ".repeat(300))), b"\x031 2");
    let fingerprint = Fingerprint::of(1, &plain);
    let mut bytes = first_fields(1, 2 << 6 | 1, stored, previous);
    bytes.extend(u32::try_from(plain.len()).unwrap().to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(fingerprint.0.to_le_bytes());
    finish(&mut segment, bytes, stored);
    segment.extend([0; 8]);
    // What follows the zeros is left from an earlier segment: it may be anything.
    segment.extend(b"SPWE, once upon a time");
    let folder = MemoryFolder::default();
    folder.put(NAME, &segment);

    let (entries, mut recovery) = replay(&folder, LOG, 0).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].1.format, &entries[0].1.body[..]), (1, &stored[..]));
    assert_eq!((recovery.next, recovery.lost, recovery.quarantined.len()), (WalSeq(2), 0, 0));
    assert_eq!(crate::wal::Folder::read(&folder, NAME).unwrap(), segment, "nothing to cut off");
    assert!(recovery.recent.contains(fingerprint, 100));
}

#[test]
fn a_segment_of_a_later_version_is_set_aside_not_guessed_at() {
    let mut segment = header(3);
    segment.extend([1; 64]);
    let folder = MemoryFolder::default();
    folder.put(NAME, &segment);
    let (entries, recovery) = replay(&folder, LOG, 0).unwrap();
    assert!(entries.is_empty());
    assert_eq!((recovery.lost, recovery.quarantined.len()), (1, 1));
}
