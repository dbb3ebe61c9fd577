//! Reads one segment as far as it can be read, and says what was wrong with it.
use bytes::Bytes;
use uuid::Uuid;

use super::layout::{self, ALIGN, SEGMENT_HEADER_LEN, SegmentHeader, Stored, Version};
use crate::id::WalSeq;

/// Everything intact in a segment.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Intact entries in ascending order of position.
    pub(crate) entries: Vec<Stored>,
    /// How many of them follow each other without a break from the header on.
    pub(crate) unbroken: usize,
    /// Offset where the unbroken entries end.
    pub(crate) unbroken_end: usize,
    /// What follows the unbroken entries, or precedes the first.
    pub(crate) rest: Rest,
}

/// What a segment holds besides its unbroken entries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing, reserved zeros, or what an earlier segment left in a file that was used again.
    #[default]
    Empty,
    /// Bytes that are no entry; intact entries may follow them.
    Damaged,
    /// Neither header can be read, and there is more than a header.
    NoHeader,
    /// It belongs to another log, or bears another segment's name.
    Foreign,
}

impl Content {
    /// Entries behind damaged bytes.
    pub(crate) fn behind_damage(&self) -> &[Stored] {
        &self.entries[self.unbroken..]
    }
}

/// Reads `segment`, which by its name belongs to `log` and starts at `base`.
pub(crate) fn read_segment(segment: &Bytes, log: Uuid, base: WalSeq) -> Content {
    let Some(header) = SegmentHeader::decode(segment) else {
        let body = segment.get(SEGMENT_HEADER_LEN..).unwrap_or_default();
        let rest = if is_zero(body) { Rest::Empty } else { Rest::NoHeader };
        return Content { rest, ..Content::default() };
    };
    if header.log != log || header.base != base {
        return Content { rest: Rest::Foreign, ..Content::default() };
    }
    let mut entries = read_unbroken(segment, &header);
    let unbroken = entries.len();
    let unbroken_end = entries.last().map_or(SEGMENT_HEADER_LEN, |entry| entry.end);
    let next = WalSeq(base.0 + unbroken as u64);
    let rest = &segment[unbroken_end..];
    if is_zero(rest) {
        return Content { entries, unbroken, unbroken_end, rest: Rest::Empty };
    }
    entries.extend(find_entries(segment, unbroken_end, &header, next));
    // Zeros end what was written; behind them a file of the second version holds what an earlier segment left in it.
    let ended = header.version == Version::Two
        && entries.len() == unbroken
        && is_zero(&rest[..ALIGN.min(rest.len())]);
    let rest = if ended { Rest::Empty } else { Rest::Damaged };
    Content { entries, unbroken, unbroken_end, rest }
}

fn read_unbroken(segment: &Bytes, header: &SegmentHeader) -> Vec<Stored> {
    let mut entries = Vec::new();
    let mut at = SEGMENT_HEADER_LEN;
    let mut chain = header.chain();
    let mut seq = header.base;
    while let Some(entry) = layout::decode_entry(segment, at, header) {
        if entry.place.seq != seq || entry.place.previous != chain {
            break;
        }
        at = entry.end;
        chain = entry.checksum;
        seq = WalSeq(seq.0 + 1);
        entries.push(entry);
    }
    entries
}

/// Looks at every possible offset for intact entries at `next` or later, in ascending order.
fn find_entries(
    segment: &Bytes,
    from: usize,
    header: &SegmentHeader,
    mut next: WalSeq,
) -> Vec<Stored> {
    let mut entries = Vec::new();
    let mut at = from.next_multiple_of(ALIGN);
    while at < segment.len() {
        match layout::decode_entry(segment, at, header) {
            Some(entry) if entry.place.seq >= next => {
                at = entry.end.next_multiple_of(ALIGN);
                next = WalSeq(entry.place.seq.0.saturating_add(1));
                entries.push(entry);
            }
            _ => at += ALIGN,
        }
    }
    entries
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
