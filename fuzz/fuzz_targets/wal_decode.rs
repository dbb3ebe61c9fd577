//! A segment of the log, damaged: what is read was written, in order, and without damage it is everything.
#![no_main]
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use storage::micro::{read_log_segment, write_log_segment};

/// Bodies; bytes that are changed, where and how; where the file ends early.
type Input = (Vec<Vec<u8>>, Vec<(u16, u8)>, Option<u16>);

fuzz_target!(|input: Input| {
    let (bodies, damage, end) = input;
    let bodies: Vec<Bytes> = bodies.into_iter().map(Bytes::from).collect();
    let mut segment = write_log_segment(&bodies);
    let whole = segment.clone();
    for (at, change) in damage {
        let at = usize::from(at) % segment.len();
        segment[at] ^= change;
    }
    segment.truncate(end.map_or(segment.len(), usize::from));
    let is_whole = segment == whole;
    let found = read_log_segment(&segment.into());
    for (seq, body) in &found {
        let index = usize::try_from(*seq).expect("small") - 1;
        assert_eq!(bodies.get(index), Some(body), "an entry that nobody wrote");
    }
    assert!(found.is_sorted_by(|(one, _), (other, _)| one < other), "out of order, or twice");
    assert!(!is_whole || found.len() == bodies.len(), "{} of {}", found.len(), bodies.len());
});
