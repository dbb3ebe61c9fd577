use super::stored::{decode, encode};
use super::*;
use crate::wal::Disk;

const NOW: i64 = 1_795_219_200 * NANOS_PER_SECOND;
const HOUR: i64 = 3_600 * NANOS_PER_SECOND;
const TRACE: [u8; 16] = [0x0f; 16];

/// A parent of a span that ended an hour ago.
fn missing(span: u64) -> Missing {
    Missing { trace: TRACE, span, child_end_nano: NOW - HOUR, mixed_weights: false }
}

#[test]
fn a_refused_span_is_why_its_child_lacks_a_parent() {
    let ledger = Ledger::default();
    ledger.refuse(Refused::Late, (TRACE, 1u64.to_be_bytes()), NOW);
    ledger.refuse(Refused::Dropped, (TRACE, 2u64.to_be_bytes()), NOW);
    let all = [missing(1), missing(2), missing(3)];
    assert_eq!(
        ledger.explain_all(all.iter(), NOW),
        [Absence::Late, Absence::Dropped, Absence::NeverSent]
    );
    let other = Missing { trace: [1; 16], ..missing(1) };
    assert_eq!(ledger.explain(&other, NOW), Absence::NeverSent);
}

#[test]
fn a_parent_may_still_come_for_a_while() {
    let ledger = Ledger::default();
    let young = Missing { child_end_nano: NOW - NANOS_PER_SECOND, ..missing(1) };
    assert_eq!(ledger.explain(&young, NOW), Absence::Late);
    assert_eq!(ledger.explain(&young, NOW + LATE_NANO), Absence::NeverSent);
}

#[test]
fn sampling_is_told_by_the_rates_and_by_the_weights() {
    let ledger = Ledger::default();
    let half = 1 << 55;
    // The trace's randomness is 0x0f0f...: below half, so it goes; another one stays.
    ledger.sample(half, NOW - 2 * HOUR);
    assert_eq!(ledger.explain(&missing(1), NOW), Absence::SampledOut);
    let stays = Missing { trace: [0xf0; 16], ..missing(1) };
    assert_eq!(ledger.explain(&stays, NOW), Absence::NeverSent);
    let mixed = Missing { mixed_weights: true, ..stays };
    assert_eq!(ledger.explain(&mixed, NOW), Absence::SampledOut);
    // A rate counts while it was in force.
    let ledger = Ledger::default();
    ledger.sample(half, NOW - 3 * HOUR);
    ledger.sample(0, NOW - 2 * HOUR);
    assert_eq!(ledger.explain(&missing(1), NOW), Absence::NeverSent);
}

#[test]
fn what_lies_before_or_beside_what_is_known_is_unknown() {
    let ledger = Ledger::since(Some(NOW - HOUR / 2));
    assert_eq!(ledger.knows_since(), Some(NOW - HOUR / 2));
    assert_eq!(ledger.explain(&missing(1), NOW), Absence::Unknown);
    let ledger = Ledger::default();
    assert_eq!(ledger.knows_since(), None);
    ledger.lose(NOW - HOUR + NANOS_PER_SECOND);
    assert_eq!(ledger.explain(&missing(1), NOW), Absence::Unknown);
    let earlier = Missing { child_end_nano: NOW - 2 * HOUR, ..missing(1) };
    assert_eq!(ledger.explain(&earlier, NOW), Absence::NeverSent);
}

#[test]
fn it_is_bounded_and_says_since_when_it_knows() {
    let ledger = Ledger::default();
    for span in 0..SPANS_MAX as u64 + 10 {
        let at = NOW + i64::try_from(span).unwrap();
        ledger.refuse(Refused::Dropped, (TRACE, span.to_be_bytes()), at);
    }
    assert_eq!(ledger.entries().spans.len(), SPANS_MAX);
    assert_eq!(ledger.knows_since(), Some(NOW + 9));
    for minute in 0..2 * MARKS_MAX as i64 {
        ledger.lose(NOW + minute * MINUTE_NANO);
        ledger.sample(minute.unsigned_abs() + 1, NOW + minute);
    }
    let entries = ledger.entries();
    assert_eq!((entries.unread.len(), entries.thresholds.len()), (MARKS_MAX, MARKS_MAX));
    assert_eq!(entries.since_nano, NOW + MARKS_MAX as i64 * MINUTE_NANO);
}

#[test]
fn it_survives_an_orderly_end_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), false);
    let open = |is_new, now| {
        let ledger = Ledger::default();
        ledger.load(&disk, is_new, now);
        ledger
    };
    let ledger = open(true, NOW);
    assert_eq!(ledger.knows_since(), None);
    ledger.refuse(Refused::Dropped, (TRACE, 2u64.to_be_bytes()), NOW);
    ledger.sample(7, NOW);
    ledger.lose(NOW);
    ledger.save(&disk);
    let again = open(false, NOW + 1);
    assert_eq!(*again.entries(), *ledger.entries());
    // Not saved a second time.
    assert_eq!(open(false, NOW + 2).knows_since(), Some(NOW + 2));
}

#[test]
fn a_damaged_file_is_no_ledger() {
    let ledger = Ledger::since(Some(5));
    ledger.refuse(Refused::Late, (TRACE, [1; 8]), NOW);
    ledger.sample(7, NOW);
    let bytes = encode(&ledger.entries());
    assert_eq!(decode(&bytes).unwrap(), *ledger.entries());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(decode(&damaged).is_none(), "byte {at}");
        assert!(decode(&bytes[..at]).is_none(), "cut at {at}");
    }
}
