use super::sidecar::Sidecar;
use super::*;
use crate::TraceId;
use crate::error::Kind;
use crate::flush::tests::DAY;
use crate::schema::AttributeScope;
use crate::snapshot::TraceFilter;

#[test]
fn dates_and_starts_are_each_others_inverse() {
    for (nanos, date) in [(0, "1970-01-01"), (-1, "1969-12-31"), (DAY, "2026-11-21")] {
        assert_eq!(date_of(nanos).to_string(), date);
        let start = start_of(date_of(nanos));
        assert!(start <= nanos && nanos - start < NANOS_PER_DAY);
    }
    assert_eq!(date_of(i64::MAX).to_string(), "2262-04-11");
    assert_eq!(date_of(i64::MIN).to_string(), "1677-09-21");
}

#[test]
fn a_sidecar_survives_the_round_trip_and_damage_is_noticed() {
    let mut filter = TraceFilter::with_capacity(3);
    filter.insert(&TraceId([7; 16]));
    let rest = vec![(AttributeScope::Span, "a".into()), (AttributeScope::Resource, "ключ".into())];
    let sidecar = Sidecar { rows: 5, traces: 1, filter, rest };
    let bytes = sidecar.to_bytes();
    assert_eq!(Sidecar::from_bytes("x", &bytes).unwrap(), sidecar);
    for place in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[place] ^= 1;
        let error = Sidecar::from_bytes("x", &damaged).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{place}");
        assert!(Sidecar::from_bytes("x", &bytes[..place]).is_err(), "{place}");
    }
}
