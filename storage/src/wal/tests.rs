mod crash;
mod damage;
mod recognise;
mod rig;

use proptest::prelude::*;

use super::layout::{self, Place, SegmentHeader};
use super::*;
use crate::testing::entry;
use crate::time::TimeRange;

proptest! {
    #[test]
    fn an_entry_reads_back_as_written(
        body in prop::collection::vec(any::<u8>(), 0..200),
        (format, deduplicate) in any::<(u8, bool)>(),
        (received, from, until) in any::<(i64, i64, i64)>(),
        (seq, index, previous, salt) in any::<(u64, u16, u32, u64)>(),
    ) {
        let written = Entry {
            format,
            received_unix_nano: received,
            accept: TimeRange { from, until },
            body: body.into(),
            deduplicate,
        };
        let place = Place { seq: WalSeq(seq), index, previous };
        let (header, checksum) = layout::encode_entry(&written, place, salt);
        let bytes = [&header, &written.body[..], layout::padding(written.body.len())].concat();
        prop_assert_eq!(bytes.len(), layout::entry_len(written.body.len()));

        let read = layout::decode_entry(&bytes.clone().into(), 0, salt).unwrap();
        prop_assert_eq!((read.place, read.checksum, read.end), (place, checksum, bytes.len()));
        prop_assert_eq!(&read.entry.body, &written.body);
        prop_assert_eq!(read.entry.accept, written.accept);
        prop_assert_eq!(read.entry.received_unix_nano, received);
        prop_assert_eq!((read.entry.format, read.entry.deduplicate), (format, deduplicate));
        prop_assert!(layout::decode_entry(&bytes.into(), 0, salt ^ 1).is_none());
    }
}

#[test]
fn an_entry_inside_a_body_is_no_entry_without_the_segments_salt() {
    let place = Place { seq: WalSeq(9), index: 0, previous: 0 };
    let inner = entry("7 1");
    let (header, _) = layout::encode_entry(&inner, place, 0);
    let mut forged = entry("");
    forged.body = [&header[..], &inner.body].concat().into();
    let (outer, _) = layout::encode_entry(&forged, place, 0xfeed);
    let bytes: bytes::Bytes = [&outer[..], &forged.body].concat().into();
    assert!(layout::decode_entry(&bytes, 0, 0xfeed).is_some());
    assert!(layout::decode_entry(&bytes, layout::ENTRY_HEADER_LEN, 0xfeed).is_none());
}

#[test]
fn either_copy_of_a_segment_header_is_enough() {
    let header =
        SegmentHeader { log: Uuid::new_v4(), base: WalSeq(7), salt: 3, created_unix_nano: -1 };
    let bytes = header.encode();
    assert_eq!(SegmentHeader::decode(&bytes), Some(header));
    for damaged in [0, layout::SEGMENT_HEADER_LEN - 1] {
        let mut bytes = bytes;
        bytes[damaged] ^= 1;
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
    }
    let mut bytes = bytes;
    bytes[20] ^= 1;
    bytes[84] ^= 1;
    assert_eq!(SegmentHeader::decode(&bytes), None);
}

#[test]
fn the_id_stays_and_is_found_again_in_a_segment() {
    let folder = crate::testing::MemoryFolder::default();
    let id = open_id(&folder).unwrap();
    assert_eq!(open_id(&folder).unwrap(), id);

    let name = segment::SegmentName { number: 1, base: WalSeq(1), quarantined: false };
    segment::Segment::create(&folder, id, name, 0, 0).unwrap();
    folder.remove(ID_FILE).unwrap();
    assert_eq!(open_id(&folder).unwrap(), id);

    folder.put(ID_FILE, b"nonsense");
    assert!(matches!(open_id(&folder), Err(Error::Corrupt { .. })));
}
