mod crash;
mod damage;
mod recognise;
mod recycle;
mod rig;
mod versions;

use proptest::prelude::*;

use super::layout::{self, Place, SegmentHeader};
use super::*;
use crate::entry::Codec;
use crate::testing::entry;
use crate::time::TimeRange;

fn header(salt: u64) -> SegmentHeader {
    SegmentHeader { salt, ..SegmentHeader::new(Uuid::nil(), WalSeq(1), 0) }
}

proptest! {
    #[test]
    fn an_entry_reads_back_as_written(
        body in prop::collection::vec(any::<u8>(), 0..200),
        sent in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        (format, deduplicate) in (0u8..=FORMAT_MAX, any::<bool>()),
        (received, from, until) in any::<(i64, i64, i64)>(),
        (seq, index, previous, salt) in any::<(u64, u16, u32, u64)>(),
    ) {
        let entry = Entry {
            format,
            received_unix_nano: received,
            accept: TimeRange { from, until },
            body: body.into(),
            deduplicate,
        };
        let sent = sent.map(|body| Compressed { codec: Codec::Deflate, body: body.into() });
        let fingerprint = deduplicate.then(|| Fingerprint::of(format, &entry.body));
        let written = Logged { entry, sent, fingerprint };
        let place = Place { seq: WalSeq(seq), index, previous };
        let (bytes, checksum) = layout::encode_entry(&written, place, salt);
        let stored = written.stored();
        let bytes = [&bytes, &stored[..], layout::padding(stored.len())].concat();
        prop_assert_eq!(bytes.len(), written.len());

        let read = layout::decode_entry(&bytes.clone().into(), 0, &header(salt)).unwrap();
        prop_assert_eq!((read.place, read.checksum, read.end), (place, checksum, bytes.len()));
        prop_assert_eq!(&read.entry.body, stored);
        prop_assert_eq!(read.codec, written.sent.as_ref().map(|sent| sent.codec));
        prop_assert_eq!(read.plain_len, written.entry.body.len());
        prop_assert_eq!(read.fingerprint, fingerprint);
        prop_assert_eq!(read.entry.accept, written.entry.accept);
        prop_assert_eq!(read.entry.received_unix_nano, received);
        prop_assert_eq!((read.entry.format, read.entry.deduplicate), (format, deduplicate));
        prop_assert!(layout::decode_entry(&bytes.into(), 0, &header(salt ^ 1)).is_none());
    }
}

#[test]
fn an_entry_inside_a_body_is_no_entry_without_the_segments_salt() {
    let place = Place { seq: WalSeq(9), index: 0, previous: 0 };
    let logged = |entry| Logged { entry, sent: None, fingerprint: None };
    let inner = logged(entry("7 1"));
    let (bytes, _) = layout::encode_entry(&inner, place, 0);
    let mut forged = entry("");
    forged.body = [&bytes[..], inner.stored()].concat().into();
    let forged = logged(forged);
    let (outer, _) = layout::encode_entry(&forged, place, 0xfeed);
    let bytes: bytes::Bytes = [&outer[..], forged.stored()].concat().into();
    assert!(layout::decode_entry(&bytes, 0, &header(0xfeed)).is_some());
    assert!(layout::decode_entry(&bytes, layout::ENTRY_HEADER_LEN, &header(0xfeed)).is_none());
    assert!(layout::decode_entry(&bytes, layout::ENTRY_HEADER_LEN, &header(0)).is_some());
}

#[test]
fn either_copy_of_a_segment_header_is_enough() {
    let header = SegmentHeader::new(Uuid::new_v4(), WalSeq(7), -1);
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
    let header = SegmentHeader::new(id, name.base, 0);
    segment::Segment::create(&folder, name, header, 0).unwrap();
    folder.remove(ID_FILE).unwrap();
    assert_eq!(open_id(&folder).unwrap(), id);

    folder.put(ID_FILE, b"nonsense");
    assert!(matches!(open_id(&folder), Err(Error::Corrupt { .. })));
}
