use super::shape::{bounds, class};

#[test]
fn classes_grow_with_the_logarithm_and_leave_nothing_out() {
    assert_eq!(
        [1, 2, 3, 5, 6, 11, 12, 22, 23, 45, 46].map(class),
        [0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    );
    assert_eq!(class(7), class(8));
    for spans in 1..10_000 {
        let (low, high) = bounds(class(spans));
        assert!((low..=high).contains(&i64::from(spans)), "{spans} in {low}..={high}");
    }
    for number in 0..20 {
        assert_eq!(bounds(number).1 + 1, bounds(number + 1).0);
    }
    assert_eq!(class(u32::MAX), 32);
    assert!(bounds(32).1 >= bounds(31).0);
}
