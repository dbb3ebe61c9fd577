use super::*;
use crate::views::forest::{Forest, Kind, Span};

/// A forest with one trace: id, parent (0: none), start and end of each span.
pub(crate) fn forest(spans: &[(u64, u64, i64, i64)]) -> Forest {
    let mut forest = Forest::default();
    let trace = forest.trace_index([7; 16]);
    for (id, parent, start, end) in spans {
        let name = forest.texts.id(&format!("{id}"));
        forest.spans.push(Span {
            trace,
            id: *id,
            parent: std::num::NonZeroU64::new(*parent),
            start: *start,
            duration: end - start,
            service: name,
            name,
            kind: Kind::Internal,
            error: false,
            weight: 1.0,
        });
    }
    forest.group();
    forest
}

#[track_caller]
fn check(spans: &[(u64, u64, i64, i64)], expected: &[(u64, i64, i64, i64)]) {
    let forest = forest(spans);
    let trace = forest.traces().next().unwrap();
    let tree = Tree::of(&trace);
    let extents = tree.extents();
    let found: Vec<_> = tree
        .order()
        .iter()
        .map(|own| {
            let (left, right) = extents[*own as usize].nested();
            (trace.span(*own).id, left, right, tree.self_nano(&trace, *own))
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn siblings_go_by_start_and_numbers_nest() {
    check(
        &[(4, 1, 60, 90), (1, 0, 0, 100), (2, 1, 10, 40), (3, 2, 20, 30)],
        &[(1, 1, 8, 40), (2, 2, 5, 20), (3, 3, 4, 10), (4, 6, 7, 30)],
    );
}

#[test]
fn self_time_is_what_no_child_covers() {
    // Children that overlap, that start before and end after their parent, that take no time.
    check(
        &[(1, 0, 100, 200), (2, 1, 90, 120), (3, 1, 110, 130), (4, 1, 190, 400), (5, 1, 150, 150)],
        &[(1, 1, 10, 60), (2, 2, 3, 30), (3, 4, 5, 20), (5, 6, 7, 0), (4, 8, 9, 210)],
    );
}

#[test]
fn every_span_has_one_place_whatever_its_parent() {
    // A missing parent, one's own parent, a circle of three with something below it.
    check(
        &[
            (1, 0, 0, 10),
            (2, 99, 1, 2),
            (3, 3, 2, 3),
            (5, 4, 4, 5),
            (6, 5, 5, 6),
            (4, 6, 6, 7),
            (7, 6, 8, 9),
        ],
        &[
            (1, 1, 2, 10),
            (2, 3, 4, 1),
            (3, 5, 6, 1),
            (5, 7, 14, 1),
            (6, 8, 13, 1),
            (4, 9, 10, 1),
            (7, 11, 12, 1),
        ],
    );
}
