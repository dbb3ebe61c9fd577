//! The bytes of a segment: its header, and one entry after the other. Described in docs/format.md#wal.
//!
//! Frozen: a change is a new [`VERSION`]. Every checksum starts from the segment's random salt, so that bytes inside a
//! request body can never pass for an entry.
use bytes::Bytes;
use crc32fast::Hasher;
use uuid::Uuid;

use crate::entry::Entry;
use crate::id::WalSeq;
use crate::time::TimeRange;

const SEGMENT_MAGIC: [u8; 8] = *b"SPLKWAL\0";
const ENTRY_MAGIC: [u8; 4] = *b"SPWE";
const VERSION: u32 = 1;
const FLAG_DEDUPLICATE: u8 = 1;

const HEADER_COPY_LEN: usize = 64;
/// Bytes before the first entry: the header, twice, because without its salt no entry can be checked.
pub(crate) const SEGMENT_HEADER_LEN: usize = 2 * HEADER_COPY_LEN;
/// Bytes before a body.
pub(crate) const ENTRY_HEADER_LEN: usize = 56;
/// Entries begin at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// Entries of one group; their place in it is a `u16`.
pub(crate) const GROUP_ENTRIES_MAX: usize = u16::MAX as usize;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The log it belongs to.
    pub(crate) log: Uuid,
    /// Position of its first entry.
    pub(crate) base: WalSeq,
    /// Random; every checksum in the segment starts from it.
    pub(crate) salt: u64,
    /// When it was made, Unix nanoseconds.
    pub(crate) created_unix_nano: i64,
}

impl SegmentHeader {
    /// Its bytes.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let copy = self.encode_copy();
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        bytes[..HEADER_COPY_LEN].copy_from_slice(&copy);
        bytes[HEADER_COPY_LEN..].copy_from_slice(&copy);
        bytes
    }

    fn encode_copy(&self) -> [u8; HEADER_COPY_LEN] {
        let mut bytes = [0; HEADER_COPY_LEN];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(self.log.as_bytes());
        bytes[32..40].copy_from_slice(&self.base.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.created_unix_nano.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `segment`; `None` where both copies are damaged, or of another version.
    pub(crate) fn decode(segment: &[u8]) -> Option<Self> {
        let copies = segment.get(..SEGMENT_HEADER_LEN)?.chunks_exact(HEADER_COPY_LEN);
        copies.into_iter().find_map(Self::decode_copy)
    }

    fn decode_copy(bytes: &[u8]) -> Option<Self> {
        let intact = bytes[0..8] == SEGMENT_MAGIC
            && u32_at(bytes, 8) == VERSION
            && u32_at(bytes, 60) == crc32fast::hash(&bytes[..60]);
        intact.then(|| Self {
            log: Uuid::from_bytes(array_at(bytes, 16)),
            base: WalSeq(u64_at(bytes, 32)),
            salt: u64_at(bytes, 40),
            created_unix_nano: i64_at(bytes, 48),
        })
    }

    /// The checksum that the first entry names as its predecessor's.
    pub(crate) fn chain(&self) -> u32 {
        u32_at(&self.encode_copy(), 60)
    }
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its position.
    pub(crate) seq: WalSeq,
    /// How many entries of the same group commit come before it.
    pub(crate) index: u16,
    /// Checksum of the entry before it.
    pub(crate) previous: u32,
}

/// The header of `entry` at `place`, and the entry's checksum. Its body and [`padding`] follow it.
pub(crate) fn encode_entry(
    entry: &Entry,
    place: Place,
    salt: u64,
) -> ([u8; ENTRY_HEADER_LEN], u32) {
    let length = u32::try_from(entry.body.len()).expect("a body has at most BODY_BYTES_MAX bytes");
    let mut bytes = [0; ENTRY_HEADER_LEN];
    bytes[0..4].copy_from_slice(&ENTRY_MAGIC);
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..16].copy_from_slice(&place.seq.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&entry.received_unix_nano.to_le_bytes());
    bytes[24..32].copy_from_slice(&entry.accept.from.to_le_bytes());
    bytes[32..40].copy_from_slice(&entry.accept.until.to_le_bytes());
    bytes[40] = entry.format;
    bytes[41] = if entry.deduplicate { FLAG_DEDUPLICATE } else { 0 };
    bytes[42..44].copy_from_slice(&place.index.to_le_bytes());
    bytes[44..48].copy_from_slice(&place.previous.to_le_bytes());
    let checksum = salted(salt, &[&bytes[..48], &entry.body]);
    bytes[48..52].copy_from_slice(&checksum.to_le_bytes());
    let header_checksum = salted(salt, &[&bytes[..52]]);
    bytes[52..56].copy_from_slice(&header_checksum.to_le_bytes());
    (bytes, checksum)
}

/// Zeros that bring a body of this length to the next multiple of [`ALIGN`].
pub(crate) fn padding(body_len: usize) -> &'static [u8] {
    &[0; ALIGN][..body_len.next_multiple_of(ALIGN) - body_len]
}

/// Bytes that an entry takes in a segment.
pub(crate) fn entry_len(body_len: usize) -> usize {
    ENTRY_HEADER_LEN + body_len.next_multiple_of(ALIGN)
}

/// One intact entry found in a segment.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Where it says it stands.
    pub(crate) place: Place,
    /// Its own checksum.
    pub(crate) checksum: u32,
    /// What was appended; the body is a slice of the segment.
    pub(crate) entry: Entry,
    /// Offset behind it (its padding may be cut off by the end of the file).
    pub(crate) end: usize,
}

/// The intact entry that begins at `at`, or `None`.
pub(crate) fn decode_entry(segment: &Bytes, at: usize, salt: u64) -> Option<Stored> {
    let bytes = segment.get(at..at.checked_add(ENTRY_HEADER_LEN)?)?;
    if bytes[0..4] != ENTRY_MAGIC || u32_at(bytes, 52) != salted(salt, &[&bytes[..52]]) {
        return None;
    }
    let length = usize::try_from(u32_at(bytes, 4)).ok()?;
    let start = at + ENTRY_HEADER_LEN;
    let body = segment.get(start..start.checked_add(length)?)?;
    let checksum = u32_at(bytes, 48);
    if checksum != salted(salt, &[&bytes[..48], body]) {
        return None;
    }
    Some(Stored {
        place: Place {
            seq: WalSeq(u64_at(bytes, 8)),
            index: u16::from_le_bytes(array_at(bytes, 42)),
            previous: u32_at(bytes, 44),
        },
        checksum,
        entry: Entry {
            format: bytes[40],
            received_unix_nano: i64_at(bytes, 16),
            accept: TimeRange { from: i64_at(bytes, 24), until: i64_at(bytes, 32) },
            body: segment.slice(start..start + length),
            deduplicate: bytes[41] & FLAG_DEDUPLICATE != 0,
        },
        end: (at + entry_len(length)).min(segment.len()),
    })
}

fn salted(salt: u64, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes are N bytes")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(array_at(bytes, at))
}
