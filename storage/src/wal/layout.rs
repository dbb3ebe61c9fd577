//! The bytes of a segment: its header, and one entry after the other. Described in docs/format.md#wal.
//!
//! Frozen: a change is a new [`Version`]; every version is read, the newest is written. Every checksum starts from the segment's random salt, so that bytes inside a
//! request body can never pass for an entry.
use bytes::Bytes;
use crc32fast::Hasher;
use uuid::Uuid;

use super::recent::Fingerprint;
use crate::entry::{Codec, Compressed, Entry, FORMAT_MAX};
use crate::id::WalSeq;
use crate::time::TimeRange;

const SEGMENT_MAGIC: [u8; 8] = *b"SPLKWAL\0";
const ENTRY_MAGIC: [u8; 4] = *b"SPWE";
const FLAG_DEDUPLICATE: u8 = 1;

const HEADER_COPY_LEN: usize = 64;
/// Bytes before the first entry: the header, twice, because without its salt no entry can be checked.
pub(crate) const SEGMENT_HEADER_LEN: usize = 2 * HEADER_COPY_LEN;
/// Bytes before a body, in the version that is written.
pub(crate) const ENTRY_HEADER_LEN: usize = Version::Two.entry_header_len();
/// Two checksums end the header of an entry.
const CHECKSUM_LEN: usize = 4;
/// Entries begin at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// Entries of one group; their place in it is a `u16`.
pub(crate) const GROUP_ENTRIES_MAX: usize = u16::MAX as usize;

/// A layout of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Bodies are uncompressed; what follows the last entry was never written before.
    One,
    /// Bodies may be compressed; what follows the last entry may be left from an earlier segment in the same file.
    Two,
}

impl Version {
    fn number(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        [Self::One, Self::Two].into_iter().find(|version| version.number() == number)
    }

    const fn entry_header_len(self) -> usize {
        match self {
            Self::One => 56,
            Self::Two => 80,
        }
    }
}

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The layout of its entries.
    pub(crate) version: Version,
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
    /// Of a new segment.
    pub(crate) fn new(log: Uuid, base: WalSeq, created_unix_nano: i64) -> Self {
        let salt = Uuid::new_v4().as_u64_pair().1;
        Self { version: Version::Two, log, base, salt, created_unix_nano }
    }

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
        bytes[8..12].copy_from_slice(&self.version.number().to_le_bytes());
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
        let intact =
            bytes[0..8] == SEGMENT_MAGIC && u32_at(bytes, 60) == crc32fast::hash(&bytes[..60]);
        if !intact {
            return None;
        }
        Some(Self {
            version: Version::from_number(u32_at(bytes, 8))?,
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

/// One request as it goes into the log.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    /// The request, its body uncompressed.
    pub(crate) entry: Entry,
    /// The body as it was sent, where it was compressed.
    pub(crate) sent: Option<Compressed>,
    /// Where a retry is to be recognised.
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Logged {
    /// The bytes that are stored.
    pub(crate) fn stored(&self) -> &Bytes {
        self.sent.as_ref().map_or(&self.entry.body, |sent| &sent.body)
    }

    /// Bytes that it takes in a segment.
    pub(crate) fn len(&self) -> usize {
        ENTRY_HEADER_LEN + self.stored().len().next_multiple_of(ALIGN)
    }

    fn format(&self) -> u8 {
        assert!(self.entry.format <= FORMAT_MAX, "formats have six bits");
        self.entry.format | self.sent.as_ref().map_or(0, |sent| sent.codec.code() << CODEC_SHIFT)
    }
}

/// The codec's bits are the two highest of the format.
const CODEC_SHIFT: u32 = FORMAT_MAX.trailing_ones();

/// The header of `logged` at `place`, and the entry's checksum. The stored body and [`padding`] follow it.
pub(crate) fn encode_entry(
    logged: &Logged,
    place: Place,
    salt: u64,
) -> ([u8; ENTRY_HEADER_LEN], u32) {
    let (entry, stored) = (&logged.entry, logged.stored());
    let mut bytes = [0; ENTRY_HEADER_LEN];
    bytes[0..4].copy_from_slice(&ENTRY_MAGIC);
    bytes[4..8].copy_from_slice(&length(stored).to_le_bytes());
    bytes[8..16].copy_from_slice(&place.seq.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&entry.received_unix_nano.to_le_bytes());
    bytes[24..32].copy_from_slice(&entry.accept.from.to_le_bytes());
    bytes[32..40].copy_from_slice(&entry.accept.until.to_le_bytes());
    bytes[40] = logged.format();
    bytes[41] = if logged.fingerprint.is_some() { FLAG_DEDUPLICATE } else { 0 };
    bytes[42..44].copy_from_slice(&place.index.to_le_bytes());
    bytes[44..48].copy_from_slice(&place.previous.to_le_bytes());
    bytes[48..52].copy_from_slice(&length(&entry.body).to_le_bytes());
    let fingerprint = logged.fingerprint.map_or(0, |fingerprint| fingerprint.0);
    bytes[56..72].copy_from_slice(&fingerprint.to_le_bytes());
    let checksum = salted(salt, &[&bytes[..72], stored]);
    bytes[72..76].copy_from_slice(&checksum.to_le_bytes());
    let header_checksum = salted(salt, &[&bytes[..76]]);
    bytes[76..80].copy_from_slice(&header_checksum.to_le_bytes());
    (bytes, checksum)
}

fn length(body: &Bytes) -> u32 {
    u32::try_from(body.len()).expect("a body has at most BODY_BYTES_MAX bytes")
}

/// Zeros that bring a body of this length to the next multiple of [`ALIGN`].
pub(crate) fn padding(body_len: usize) -> &'static [u8] {
    &[0; ALIGN][..body_len.next_multiple_of(ALIGN) - body_len]
}

/// One intact entry found in a segment.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Where it says it stands.
    pub(crate) place: Place,
    /// Its own checksum.
    pub(crate) checksum: u32,
    /// What was appended; the body is a slice of the segment, compressed where `codec` says so.
    pub(crate) entry: Entry,
    /// How the body is compressed.
    pub(crate) codec: Option<Codec>,
    /// Length of the body without compression.
    pub(crate) plain_len: usize,
    /// Where a retry is to be recognised.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Offset behind it (its padding may be cut off by the end of the file).
    pub(crate) end: usize,
}

/// The intact entry that begins at `at`, or `None`.
pub(crate) fn decode_entry(segment: &Bytes, at: usize, header: &SegmentHeader) -> Option<Stored> {
    let (salt, header_len) = (header.salt, header.version.entry_header_len());
    let bytes = segment.get(at..at.checked_add(header_len)?)?;
    let header_checksum_at = header_len - CHECKSUM_LEN;
    if bytes[0..4] != ENTRY_MAGIC
        || u32_at(bytes, header_checksum_at) != salted(salt, &[&bytes[..header_checksum_at]])
    {
        return None;
    }
    let length = usize::try_from(u32_at(bytes, 4)).ok()?;
    let start = at + header_len;
    let body = segment.get(start..start.checked_add(length)?)?;
    let checksum_at = header_checksum_at - CHECKSUM_LEN;
    let checksum = u32_at(bytes, checksum_at);
    if checksum != salted(salt, &[&bytes[..checksum_at], body]) {
        return None;
    }
    let entry = Entry {
        format: bytes[40] & FORMAT_MAX,
        received_unix_nano: i64_at(bytes, 16),
        accept: TimeRange { from: i64_at(bytes, 24), until: i64_at(bytes, 32) },
        body: segment.slice(start..start + length),
        deduplicate: bytes[41] & FLAG_DEDUPLICATE != 0,
    };
    let (plain_len, fingerprint) = match header.version {
        Version::One => (length, Fingerprint::of(entry.format, body)),
        Version::Two => (
            usize::try_from(u32_at(bytes, 48)).ok()?,
            Fingerprint(u128::from_le_bytes(array_at(bytes, 56))),
        ),
    };
    Some(Stored {
        place: Place {
            seq: WalSeq(u64_at(bytes, 8)),
            index: u16::from_le_bytes(array_at(bytes, 42)),
            previous: u32_at(bytes, 44),
        },
        checksum,
        codec: Codec::from_code(bytes[40] >> CODEC_SHIFT),
        plain_len,
        fingerprint: entry.deduplicate.then_some(fingerprint),
        entry,
        end: (start + length.next_multiple_of(ALIGN)).min(segment.len()),
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
