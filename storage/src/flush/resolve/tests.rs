use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

type Row = (u8, u8, Option<u8>, i64);

fn resolve_rows(rows: &[Row]) -> Resolved {
    let trace: Vec<[u8; 16]> = rows.iter().map(|row| [row.0; 16]).collect();
    let span: Vec<[u8; 8]> = rows.iter().map(|row| [row.1; 8]).collect();
    let parent: Vec<Option<[u8; 8]>> = rows.iter().map(|row| row.2.map(|id| [id; 8])).collect();
    let start: Vec<i64> = rows.iter().map(|row| row.3).collect();
    resolve(&Spans { trace: &trace, span: &span, parent: &parent, start: &start })
}

fn known(row: u32) -> Option<u32> {
    (row != NONE).then_some(row)
}

/// `(trace, span, parent, start)` by row -> parents and roots by row.
#[track_caller]
fn check(rows: &[Row], parents: &[Option<u32>], roots: &[Option<u32>]) {
    let resolved = resolve_rows(rows);
    assert_eq!(resolved.parent.iter().map(|row| known(*row)).collect::<Vec<_>>(), parents);
    let found: Vec<_> = (0..rows.len()).map(|row| known(resolved.root_of(row))).collect();
    assert_eq!(found, roots);
}

/// The rules of the module, by looking at every pair of spans.
fn parent_by_the_rules(rows: &[Row], row: usize) -> Option<u32> {
    let (trace, _, parent, _) = rows[row];
    let shares = |other: usize| rows[other].2 == Some(rows[other].1);
    (0..rows.len())
        .filter(|other| *other != row && rows[*other].0 == trace && Some(rows[*other].1) == parent)
        .min_by_key(|other| (!shares(*other), rows[*other].3, *other))
        .map(|other| u32::try_from(other).unwrap())
}

proptest! {
    #[test]
    fn parents_follow_the_rules(
        rows in prop::collection::vec((0u8..3, 0u8..12, prop::option::of(0u8..12), 0i64..5), 0..60),
    ) {
        let resolved = resolve_rows(&rows);
        let mut numbers = HashMap::new();
        for (row, (trace, ..)) in rows.iter().enumerate() {
            prop_assert_eq!(known(resolved.parent[row]), parent_by_the_rules(&rows, row), "row {}", row);
            let number = *numbers.entry(*trace).or_insert(resolved.trace[row]);
            prop_assert_eq!(number, resolved.trace[row]);
        }
        prop_assert_eq!(numbers.len(), resolved.traces());
    }
}

#[test]
fn parents_are_found_within_the_trace_only() {
    check(
        &[(1, 1, None, 5), (1, 2, Some(1), 6), (2, 3, Some(1), 7)],
        &[None, Some(0), None],
        &[Some(0), Some(0), None],
    );
}

#[test]
fn the_earliest_of_several_roots_counts() {
    check(&[(1, 1, None, 5), (1, 2, None, 4)], &[None, None], &[Some(1), Some(1)]);
}

#[test]
fn a_shared_id_is_a_client_above_a_server_whose_children_follow() {
    // Row 0: client half; row 1: server half with the same id; row 2: work inside the server.
    let parents = [None, Some(0), Some(1)];
    check(&[(1, 7, None, 0), (1, 7, Some(7), 1), (1, 8, Some(7), 2)], &parents, &[Some(0); 3]);
    // The same in another order of arrival.
    let parents = [Some(1), Some(2), None];
    check(&[(1, 8, Some(7), 2), (1, 7, Some(7), 1), (1, 7, None, 0)], &parents, &[Some(2); 3]);
}

#[test]
fn a_span_is_never_its_own_parent() {
    check(&[(1, 7, Some(7), 0)], &[None], &[None]);
}
