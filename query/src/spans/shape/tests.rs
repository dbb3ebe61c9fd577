use proptest::prelude::*;

use super::*;

fn shape(spans: &[(u32, u64, u64)]) -> Shape {
    let traces = spans.iter().map(|span| span.0).max().map_or(0, |last| last + 1);
    Shape::of(Ids {
        traces: spans.iter().map(|span| span.0).collect(),
        ids: (0..traces).map(|trace| u128::from(trace).to_be_bytes()).collect(),
        spans: spans.iter().map(|span| span.1).collect(),
        parents: spans.iter().map(|span| span.2).collect(),
    })
}

#[test]
fn the_nearest_above_comes_first() {
    let shape = shape(&[(0, 3, 2), (1, 3, 0), (0, 1, 0), (0, 2, 1), (1, 4, 3)]);
    assert_eq!(shape.above(0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(shape.above(4).collect::<Vec<_>>(), [1]);
    assert_eq!(shape.above(2).count(), 0);
    assert!((0..5).all(|row| shape.is_told(row)));
    assert_eq!(shape.trace(4), Some(&1u128.to_be_bytes()));
}

#[test]
fn missing_parents_shared_ids_and_circles_are_not_told() {
    let missing = [(0, 1, 9)];
    let shared = [(0, 1, 0), (0, 1, 1)];
    let circle = [(0, 1, 0), (0, 2, 3), (0, 3, 2)];
    let itself = [(0, 1, 1)];
    for odd in [&missing[..], &shared, &circle, &itself] {
        let shape = shape(&[odd, &[(1, 5, 0)]].concat());
        assert!((0..odd.len()).all(|row| !shape.is_told(row) && shape.above(row).count() == 0));
        assert!(shape.is_told(odd.len()));
    }
}

proptest! {
    #[test]
    fn ways_up_end_and_are_those_of_the_parents(
        spans in prop::collection::vec((0_u32..4, 1_u64..30, 0_u64..30), 0..60),
    ) {
        let shape = shape(&spans);
        for (row, (trace, _, parent)) in spans.iter().enumerate() {
            prop_assert!(shape.above(row).count() < spans.len());
            let family = || spans.iter().filter(|span| span.0 == *trace);
            let same = |id: u64| family().filter(|span| span.1 == id).count();
            if !shape.is_told(row) {
                continue;
            }
            prop_assert!(family().all(|span| same(span.1) == 1 && (span.2 == 0 || same(span.2) == 1)));
            let above = shape.above(row).next().map(|above| spans[above]);
            match above {
                Some(above) => prop_assert_eq!((above.0, above.1), (*trace, *parent)),
                None => prop_assert_eq!(*parent, 0),
            }
        }
    }
}
