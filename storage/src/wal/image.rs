//! A whole segment as bytes, for whoever tries what damage does to one.
use bytes::Bytes;
use uuid::Uuid;

use super::layout::{self, Logged, Place, SegmentHeader};
use super::read::read_segment;
use crate::entry::Entry;
use crate::id::WalSeq;
use crate::time::TimeRange;

/// The segment that holds `bodies`, of the first position on; the same bytes at every call.
pub(crate) fn write(bodies: &[Bytes]) -> Vec<u8> {
    let header = SegmentHeader { salt: 42, ..SegmentHeader::new(Uuid::nil(), WalSeq(1), 0) };
    let mut segment = header.encode().to_vec();
    let mut previous = header.chain();
    for (body, seq) in bodies.iter().zip(1..) {
        let accept = TimeRange::ALL;
        let body = body.clone();
        let entry = Entry { format: 1, received_unix_nano: 0, accept, body, deduplicate: false };
        let logged = Logged { entry, sent: None, fingerprint: None };
        let place = Place { seq: WalSeq(seq), index: 0, previous };
        let (head, checksum) = layout::encode_entry(&logged, place, header.salt);
        segment.extend_from_slice(&head);
        segment.extend_from_slice(logged.stored());
        segment.extend_from_slice(layout::padding(logged.stored().len()));
        previous = checksum;
    }
    segment
}

/// Position and body of every intact entry of such a segment.
pub(crate) fn read(segment: &Bytes) -> Vec<(u64, Bytes)> {
    let content = read_segment(segment, Uuid::nil(), WalSeq(1));
    content.entries.into_iter().map(|stored| (stored.place.seq.0, stored.entry.body)).collect()
}
