use super::*;

/// `(trace, span, parent, start)` by row -> parents and roots by row.
#[track_caller]
fn check(spans: &[(u8, u8, Option<u8>, i64)], parents: &[Option<u32>], roots: &[Option<u32>]) {
    let ids = |ids: Vec<Option<[u8; 8]>>| {
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids.into_iter(), 8).unwrap()
    };
    let traces = spans.iter().map(|span| [span.0; 16]);
    let trace = FixedSizeBinaryArray::try_from_iter(traces).unwrap();
    let resolved = resolve(&Spans {
        trace: &trace,
        span: &ids(spans.iter().map(|span| Some([span.1; 8])).collect()),
        parent: &ids(spans.iter().map(|span| span.2.map(|id| [id; 8])).collect()),
        start: &spans.iter().map(|span| Some(span.3)).collect(),
    });
    assert_eq!(resolved.parent, parents);
    let found: Vec<_> = (0..spans.len()).map(|row| resolved.root_of(row)).collect();
    assert_eq!(found, roots);
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
