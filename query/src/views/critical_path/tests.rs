use proptest::prelude::*;

use super::*;
use crate::views::tree::tests::forest;

/// The path of one trace as (span id, from, until).
fn path_of(spans: &[(u64, u64, i64, i64)]) -> Vec<(u64, i64, i64)> {
    let forest = forest(spans);
    let trace = forest.traces().next().unwrap();
    let pieces = path(&trace, &Tree::of(&trace));
    pieces.iter().map(|piece| (trace.span(piece.own).id, piece.from, piece.until)).collect()
}

#[test]
fn the_last_to_finish_is_on_the_way() {
    // 2 and 3 run side by side; 4 follows 3, its child 5 ends with it.
    assert_eq!(
        path_of(&[(1, 0, 0, 100), (2, 1, 10, 40), (3, 1, 10, 50), (4, 1, 55, 90), (5, 4, 60, 90)]),
        [(1, 0, 10), (3, 10, 50), (1, 50, 55), (4, 55, 60), (5, 60, 90), (1, 90, 100)]
    );
}

#[test]
fn what_goes_on_after_its_parent_is_cut_there() {
    // 2 is asynchronous: nobody waited for what comes after 100. Its child 3 starts only then.
    assert_eq!(
        path_of(&[(1, 0, 0, 100), (2, 1, 80, 500), (3, 2, 200, 400), (4, 1, 20, 70)]),
        [(1, 0, 20), (4, 20, 70), (1, 70, 80), (2, 80, 100)]
    );
    // A child whose clock is behind starts before its parent.
    assert_eq!(path_of(&[(1, 0, 50, 100), (2, 1, 10, 60)]), [(2, 50, 60), (1, 60, 100)]);
}

#[test]
fn a_chain_as_long_as_the_trace_is_walked_without_recursion() {
    let chain: Vec<_> = (1..=50_000i64)
        .map(|at| (at.unsigned_abs(), at.unsigned_abs() - 1, at, 200_000 - at))
        .collect();
    let pieces = path_of(&chain);
    assert_eq!(pieces.iter().map(|(_, from, until)| until - from).sum::<i64>(), 199_998);
}

proptest! {
    #[test]
    fn the_pieces_are_the_root_without_a_gap(
        spans in prop::collection::vec((0u64..12, -20i64..120, 0i64..90), 1..12),
        root in 1i64..100,
    ) {
        let mut all = vec![(1, 0, 0, root)];
        for (id, (parent, start, length)) in (2u64..).zip(&spans) {
            all.push((id, *parent + 1, *start, start + length));
        }
        let pieces = path_of(&all);
        let mut at = 0;
        for (id, from, until) in pieces {
            let (_, _, start, end) = all[usize::try_from(id).unwrap() - 1];
            prop_assert_eq!(from, at);
            prop_assert!(from < until && start <= from && until <= end, "{} in {:?}", id, all);
            at = until;
        }
        prop_assert_eq!(at, root);
    }
}
