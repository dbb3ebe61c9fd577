use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn ranges_rise_with_values_and_become_one_value(a in any::<i64>(), b in any::<i64>()) {
        let (a, b) = (a.min(b), a.max(b));
        for digits in (FIRST_DIGITS..ALL_DIGITS).step_by(7) {
            prop_assert!(coarse(a, digits) <= coarse(b, digits));
            let finer = coarse(a, digits + MORE_DIGITS);
            prop_assert_eq!(coarse(finer, digits), coarse(a, digits));
        }
        prop_assert_eq!(coarse(a, ALL_DIGITS), a);
    }
}

#[test]
fn a_place_is_found_in_its_range() {
    let ranges = [(1, 3), (4, 0), (8, 2)];
    let found = |place| target_at(ranges.into_iter(), place).map(|it| (it.range, it.place));
    assert_eq!(found(2), Some((1, 2)));
    assert_eq!(found(3), Some((8, 0)));
    assert_eq!(found(4), Some((8, 1)));
    assert_eq!(found(5), None);
}
