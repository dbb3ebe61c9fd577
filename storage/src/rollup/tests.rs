use std::num::NonZeroU64;

use super::*;
use crate::time::TimeRange;

const ALWAYS: TimeRange = TimeRange { from: i64::MIN, until: i64::MAX };

/// Keys are places in these texts.
struct Texts;

const TEXTS: [&str; 6] = ["shop", "cart", "stock", "GET /", "query", "postgresql/stock"];

impl Words for Texts {
    fn service(&self, key: u32) -> &str {
        TEXTS[key as usize]
    }

    fn name(&self, key: u32) -> &str {
        TEXTS[key as usize]
    }

    fn peer(&self, key: u32) -> &str {
        TEXTS[key as usize]
    }
}

fn span(id: u64, parent: u64, service: u32, kind: SpanKind) -> Span {
    Span {
        id,
        parent: NonZeroU64::new(parent),
        start: 1_000 + i64::try_from(id).unwrap(),
        duration: 10_000 - i64::try_from(id).unwrap(),
        weight: 1.0,
        service,
        name: 3,
        kind,
        status: Status::Unset,
        sizes: Sizes::default(),
        peer: None,
    }
}

/// The sum of whole traces.
fn whole(traces: &[&[Span]]) -> Sum {
    let mut builder = Builder::new(&Texts, ALWAYS);
    for spans in traces {
        let mut callers = Vec::new();
        let trace = Trace::resolve(spans, &mut callers, &Texts);
        builder.add_spans(&trace);
        builder.add_trace(&trace, &[]);
    }
    builder.sum()
}

#[test]
fn a_call_is_an_edge_and_an_unanswered_one_names_its_peer() {
    let mut query = span(4, 3, 1, SpanKind::Client);
    query.peer = Some(Peer { name: 5, database: true });
    query.status = Status::Error;
    let mut call = span(2, 1, 0, SpanKind::Client);
    call.sizes.request = 70;
    let trace = [
        span(1, 0, 0, SpanKind::Server),
        call,
        span(3, 2, 1, SpanKind::Server),
        query,
        span(5, 3, 1, SpanKind::Producer),
    ];
    let sum = whole(&[&trace]);
    let name = |key| sum.names.text(key);
    let mut edges: Vec<_> = sum
        .figures
        .edges
        .iter()
        .map(|(key, calls)| {
            let moved = calls.moved;
            (
                key.kind.word(),
                name(key.caller),
                name(key.callee),
                moved.calls,
                moved.request,
                calls.errors,
            )
        })
        .collect();
    edges.sort_unstable();
    assert_eq!(
        edges,
        [("database", "cart", "postgresql/stock", 1, 0, 1), ("rpc", "shop", "cart", 1, 70, 0)]
    );
    assert_eq!(sum.figures.unnamed, 1);
    let (root, traces) = sum.figures.roots.iter().next().unwrap();
    assert_eq!((name(root.service), name(root.name), traces.traces), ("shop", "GET /", 1));
    assert_eq!((traces.caused.calls, traces.caused.sized), (2, 1));
    let spans: i64 = sum.figures.operations.values().map(|operation| operation.spans).sum();
    assert_eq!(spans, 5);
}

#[test]
fn a_sum_without_what_was_taken_away_is_the_rest() {
    let first = [span(1, 0, 0, SpanKind::Server), span(2, 1, 1, SpanKind::Server)];
    let mut second = [span(7, 0, 1, SpanKind::Server), span(8, 7, 2, SpanKind::Consumer)];
    second[0].weight = 10.0;
    second[1].weight = 2.5;
    let mut both = whole(&[&first, &second]);
    both.subtract(&whole(&[&second]));
    let rest = whole(&[&first]);
    let keys = both.keys_of(&rest.names);
    let moved = |key: u32| keys[key as usize];
    assert_eq!(both.figures.roots.len(), 1);
    assert_eq!(both.figures.edges.len(), 1);
    for (key, calls) in &rest.figures.edges {
        let left = &both.figures.edges[&key.with(moved)];
        assert_eq!(
            (left.moved, left.weight, &left.callee),
            (calls.moved, calls.weight, &calls.callee)
        );
    }
    for (key, traces) in &rest.figures.roots {
        let left = &both.figures.roots[&key.with(moved)];
        assert_eq!((left.traces, left.weight), (traces.traces, traces.weight));
        assert!(left.excess.is_empty());
    }
}
