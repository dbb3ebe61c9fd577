use proptest::prelude::*;

use super::*;

/// The table of the specification: 1 in N, thresholds with precision 3, 4 and 5, and their exact weights.
#[test]
fn thresholds_and_weights_are_those_of_the_specification() {
    let table = [
        (1.0, ["0", "0", "0"], [1.0, 1.0, 1.0]),
        (2.0, ["8", "8", "8"], [2.0, 2.0, 2.0]),
        (
            3.0,
            ["aab", "aaab", "aaaab"],
            [3.000_732_600_732_600_7, 3.000_045_777_065_69, 3.000_002_861_025_677_7],
        ),
        (4.0, ["c", "c", "c"], [4.0, 4.0, 4.0]),
        (
            5.0,
            ["ccd", "cccd", "ccccd"],
            [5.001_221_001_221_001, 5.000_076_295_109_483_5, 5.000_004_768_376_129_5],
        ),
        (8.0, ["e", "e", "e"], [8.0, 8.0, 8.0]),
        (
            10.0,
            ["e66", "e666", "e6666"],
            [9.990_243_902_439_024, 9.999_389_685_688_13, 9.999_961_853_172_863],
        ),
        (16.0, ["f", "f", "f"], [16.0, 16.0, 16.0]),
        (
            100.0,
            ["fd71", "fd70a", "fd70a4"],
            [100.054_961_832_061_07, 99.997_711_234_026_33, 100.000_095_367_522_59],
        ),
        (
            1_000.0,
            ["ffbe7", "ffbe77", "ffbe76d"],
            [999.595_805_529_075_3, 1_000.012_874_769_029, 1_000.001_698_735_261_8],
        ),
        (
            1_000_000.0,
            ["ffffef4", "ffffef39", "ffffef391"],
            [1_001_624.835_820_895_5, 999_992.385_564_61, 1_000_006.937_469_986_5],
        ),
    ];
    for (count, digits, weights) in table {
        for ((digits, weight), precision) in digits.into_iter().zip(weights).zip(3..) {
            let threshold = Threshold::with_precision(1.0 / count, precision);
            assert_eq!(threshold.digits(), digits, "1 in {count}");
            assert_eq!(Threshold::parse(digits.as_bytes()), Some(threshold));
            assert_eq!(threshold.weight(), weight, "1 in {count}");
        }
    }
}

#[test]
fn nonsense_is_no_threshold() {
    for digits in ["", "xyz", "0x8", "fffffffffffffff", "8 ", "é"] {
        assert_eq!(Threshold::parse(digits.as_bytes()), None, "{digits}");
    }
    assert_eq!(Threshold::parse(b"FD70A4"), Threshold::parse(b"fd70a40"));
    assert_eq!(Threshold::parse(b"ffffffffffffff").unwrap().weight(), WHOLE_DOUBLE);
}

#[test]
fn randomness_is_the_end_of_the_trace_id_or_fourteen_digits() {
    let id = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04\x05\x06\x07";
    assert_eq!(randomness(&id), 0x01_0203_0405_0607);
    assert_eq!(parse_randomness(b"6e6d1a75832a2f"), Some(0x6e_6d1a_7583_2a2f));
    assert_eq!(parse_randomness(b"6e6d1a75832a2"), None, "13 digits");
    assert!(Threshold::parse(b"fd70a4").unwrap().keeps(0xfd_70a4_0000_0000));
    assert!(!Threshold::parse(b"fd70a4").unwrap().keeps(0xfd_70a3_ffff_ffff));
}

proptest! {
    /// Consistency: what is kept at a probability is kept at every higher one.
    #[test]
    fn kept_at_a_rate_is_kept_at_any_higher_rate(id: [u8; 16], low in 1e-9..1.0f64, more in 0.0..1.0f64) {
        let high = low + (1.0 - low) * more;
        let (rare, often) = (Threshold::of_probability(low), Threshold::of_probability(high));
        prop_assert!(often <= rare);
        prop_assert!(!rare.keeps(randomness(&id)) || often.keeps(randomness(&id)));
    }

    #[test]
    fn a_threshold_keeps_what_was_asked_for(probability in 1e-9..1.0f64) {
        let threshold = Threshold::of_probability(probability);
        let ratio = threshold.weight() * probability;
        prop_assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
        prop_assert_eq!(Threshold::parse(threshold.digits().as_bytes()), Some(threshold));
    }
}
