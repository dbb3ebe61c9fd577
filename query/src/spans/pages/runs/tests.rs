use proptest::prelude::*;

use super::*;

/// A run as it is written: equal numbers, or groups of eight.
#[derive(Debug, Clone)]
enum Written {
    Equal(u32, usize),
    Packed(Vec<[u32; 8]>),
}

fn written(width: u8) -> impl Strategy<Value = Vec<Written>> {
    let number = 0..=u32::try_from((1_u64 << width) - 1).unwrap();
    let group = prop::array::uniform8(number.clone());
    let run = prop_oneof![
        3 => (number, 1_usize..40).prop_map(|(number, times)| Written::Equal(number, times)),
        1 => prop::collection::vec(group, 1..4).prop_map(Written::Packed),
    ];
    prop::collection::vec(run, 1..400)
}

fn numbers_of(runs: &[Written]) -> Vec<u32> {
    let of = |run: &Written| match run {
        Written::Equal(number, times) => vec![*number; *times],
        Written::Packed(groups) => groups.concat(),
    };
    runs.iter().flat_map(of).collect()
}

fn bytes_of(runs: &[Written], width: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = |mut number: usize, bytes: &mut Vec<u8>| {
        while number > 127 {
            bytes.push(u8::try_from(number & 127).unwrap() | 128);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
    };
    for run in runs {
        match run {
            Written::Equal(number, times) => {
                header(times << 1, &mut bytes);
                bytes.extend(&number.to_le_bytes()[..usize::from(width).div_ceil(8)]);
            }
            Written::Packed(groups) => {
                header(groups.len() << 1 | 1, &mut bytes);
                for group in groups {
                    let mut packed = vec![0_u8; usize::from(width)];
                    for bit in 0..usize::from(width) * 8 {
                        let number = group[bit / usize::from(width)];
                        let is_set = number >> (bit % usize::from(width)) & 1 == 1;
                        packed[bit / 8] |= u8::from(is_set) << (bit % 8);
                    }
                    bytes.extend(packed);
                }
            }
        }
    }
    bytes
}

/// A width, runs of it, and some places.
fn cases() -> impl Strategy<Value = (u8, Vec<Written>, Vec<prop::sample::Index>)> {
    let places = || prop::collection::vec(any::<prop::sample::Index>(), 0..30);
    (0_u8..=20).prop_flat_map(move |width| (Just(width), written(width), places()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_number_is_the_same_by_marks_and_by_going_through_all(
        (width, runs, places) in cases(),
        cut in 0_usize..8,
    ) {
        let (all, bytes) = (numbers_of(&runs), bytes_of(&runs, width));
        let count = (all.len() - cut.min(all.len() - 1)).max(1);
        let marks = marks(&bytes, width, count);
        let mut wanted: Vec<usize> = places.iter().map(|place| place.index(count)).collect();
        wanted.sort_unstable();
        let truth: Vec<u32> = wanted.iter().map(|at| all[*at]).collect();
        for marks in [&*marks, &[]] {
            prop_assert_eq!(numbers(&bytes, (width, count), (&wanted, marks)), Some(truth.clone()));
            prop_assert_eq!(numbers(&bytes, (width, count), (&[count], marks)), None);
        }
        prop_assert!(width == 0 || size_of_val(&*marks) * 5 <= bytes.len(), "marks are small");
    }

    #[test]
    fn the_place_of_a_value_is_how_many_lie_before_it(
        runs in written(1),
        places_of in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let (all, bytes) = (numbers_of(&runs), bytes_of(&runs, 1));
        let marks = marks(&bytes, 1, all.len());
        let mut wanted: Vec<usize> = places_of.iter().map(|place| place.index(all.len())).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let before = |at: usize| all[..at].iter().filter(|level| **level == 1).count();
        let truth: Places = wanted.iter().map(|at| (all[*at] == 1).then(|| before(*at))).collect();
        for marks in [&*marks, &[]] {
            prop_assert_eq!(places(&bytes, all.len(), (&wanted, marks)), Some(truth.clone()));
        }
    }

    #[test]
    fn marks_of_damaged_runs_lead_nowhere(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        (width, count) in (0_u8..40, 1_usize..4000),
        wanted in prop::collection::btree_set(0_usize..4000, 1..20),
    ) {
        let marks = marks(&bytes, width, count);
        let wanted: Vec<usize> = wanted.into_iter().collect();
        let plain = numbers(&bytes, (width, count), (&wanted, &[]));
        let marked = numbers(&bytes, (width, count), (&wanted, &marks));
        prop_assert!(marks.is_empty() || marked == plain);
    }
}
