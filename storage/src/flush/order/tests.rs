use proptest::prelude::*;

use super::*;
use crate::time::NANOS_PER_DAY;

proptest! {
    #[test]
    fn rows_are_sorted_by_date_service_name_start_and_arrival(
        rows in prop::collection::vec(
            (
                prop_oneof![any::<i64>(), 0..NANOS_PER_DAY * 3, Just(i64::MIN), Just(i64::MAX)],
                0u32..3000,
                0u32..5,
            ),
            0..200,
        ),
    ) {
        let starts: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let services: Vec<u32> = rows.iter().map(|row| row.1).collect();
        let names: Vec<u32> = rows.iter().map(|row| row.2).collect();
        let order = sort(&starts, &services, &names);
        let mut expected: Vec<usize> = (0..rows.len()).collect();
        expected.sort_by_key(|row| {
            (date_of(starts[*row]), services[*row], names[*row], starts[*row])
        });
        let sorted: Vec<usize> = order.rows.iter().map(|row| *row as usize).collect();
        prop_assert_eq!(&sorted, &expected);
        let mut next = 0;
        for (date, places) in &order.dates {
            prop_assert_eq!(places.start, next);
            prop_assert!(!places.is_empty());
            next = places.end;
            for row in &order.rows[places.clone()] {
                prop_assert_eq!(date_of(starts[*row as usize]), *date);
            }
        }
        prop_assert_eq!(next, rows.len());
        for (row, place) in order.places().iter().enumerate() {
            prop_assert_eq!(order.rows[*place as usize] as usize, row);
        }
    }
}

#[test]
fn ranks_follow_the_texts_and_nothing_ranks_first() {
    let texts = ["b", "unused", "a", "c"];
    let rank = ranks(&[3, 0, u32::MAX, 2, 0], |key| texts[key as usize]);
    assert_eq!(rank, [3, 2, 0, 1, 2]);
}
