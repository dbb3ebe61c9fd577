use proptest::prelude::*;

use super::*;

fn value() -> impl Strategy<Value = i64> {
    prop_oneof![
        0_i64..50,
        0..1_i64 << 33,
        Just(i64::from(u32::MAX)),
        Just(i64::from(u32::MAX) + 1),
        any::<i64>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// However they came, and by way of bytes.
    #[test]
    fn the_values_are_those_that_were_added(
        parts in prop::collection::vec(prop::collection::vec(value(), 0..20), 1..6),
        place in 0_usize..100,
    ) {
        let (mut own, mut other) = (Values::default(), Values::default());
        for (number, part) in parts.iter().enumerate() {
            match number % 3 {
                0 => own.extend(part),
                1 => part.iter().for_each(|value| own.push(*value)),
                _ => {
                    let mut more = Values::default();
                    more.extend(part);
                    other.append(&more);
                }
            }
        }
        let mut all = Values::default();
        all.add_bytes(&own.to_bytes().unwrap());
        all.append(&other);
        let mut sorted = parts.concat();
        sorted.sort_unstable();
        prop_assert_eq!(all.len(), sorted.len());
        prop_assert_eq!(all.nth(place), sorted.get(place).copied());
        let shape = Shape { ps: vec![0.9, 0.0, 0.5, 1.0], float: false, is_one: false };
        let truth: Vec<_> =
            shape.ps.iter().map(|p| super::super::nearest_rank(&sorted, *p)).collect();
        prop_assert_eq!(all.select(&shape), truth);
    }
}

#[test]
fn a_value_that_fits_takes_four_bytes() {
    let mut values = Values::default();
    values.extend(&vec![7; 1_000]);
    assert_eq!(values.bytes(), 4_000);
    values.extend(&[7]);
    assert_eq!(values.bytes(), 6_000);
    values.push(-1);
    assert!(values.bytes() > 6_000);
}
