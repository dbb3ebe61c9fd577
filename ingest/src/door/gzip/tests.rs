use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;
use crate::door::flight::Flight;

fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// What came out, and the bytes held for it.
fn whole(body: &[u8], limit_bytes: usize) -> (Option<Vec<u8>>, usize) {
    let mut held = Flight::new(1 << 30, 1 << 30).hold().unwrap();
    let plain = inflate_whole(body, limit_bytes, &mut held).unwrap();
    (plain, held.bytes())
}

#[test]
fn one_member_comes_out_whole_and_anything_odd_is_left_to_the_stream() {
    let plain = b"span span span span".repeat(50);
    let one = gzip(&plain, 6);
    assert_eq!(whole(&one, plain.len()), (Some(plain.clone()), plain.len()));
    let odd = [
        ("over the limit", one.clone(), plain.len() - 1),
        ("two members, also equal ones", [one.clone(), one.clone()].concat(), usize::MAX),
        ("an empty member behind it", [one.clone(), gzip(b"", 6)].concat(), usize::MAX),
        ("cut off", one[..one.len() - 1].to_vec(), 1 << 20),
        ("garbage behind it", [one.as_slice(), b"0123\x10\x00\x00\x00"].concat(), 1 << 20),
        ("no gzip", vec![7; 100], usize::MAX),
        ("nothing", Vec::new(), usize::MAX),
    ];
    for (what, body, limit_bytes) in odd {
        assert_eq!(whole(&body, limit_bytes), (None, 0), "{what}");
    }
}

#[test]
fn a_busy_server_takes_no_more() {
    let mut held = Flight::new(10, 10).hold().unwrap();
    assert!(inflate_whole(&gzip(&[1; 11], 1), 100, &mut held).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_comes_out_is_what_the_stream_reads(
        plain in prop::collection::vec(0u8..6, 0..2_000),
        level in 0u32..10,
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut body = gzip(&plain, level);
        if let Some((at, byte)) = damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let mut streamed = Vec::new();
        let read = flate2::bufread::MultiGzDecoder::new(body.as_slice()).read_to_end(&mut streamed);
        match whole(&body, 1 << 20).0 {
            Some(found) => prop_assert!(read.is_ok() && found == streamed),
            // Left to the stream: it may find more members, or what is wrong.
            None => prop_assert!(read.is_err() || damage.is_some() || plain.windows(3).any(|w| w == MAGIC)),
        }
    }
}
