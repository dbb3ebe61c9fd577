//! Edges: one call from a service to another service, a queue, a database or something outside.
use std::num::NonZeroU64;

pub(crate) use storage::rollup::EdgeKind;

use super::forest::{Caller, Forest, Kind, Link, Span, Trace};
use super::rows;

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge<'a> {
    /// Calling service.
    pub(crate) caller: u32,
    /// Called service or external node; `None` where an external node has no name: no edge then, only a count.
    pub(crate) callee: Option<u32>,
    /// How.
    pub(crate) kind: EdgeKind,
    /// The span that tells start, status and weight: the callee's, or the caller's where the callee has none.
    pub(crate) span: &'a Span,
    /// As the caller saw it, in nanoseconds.
    pub(crate) caller_nano: Option<i64>,
    /// As the callee saw it.
    pub(crate) callee_nano: Option<i64>,
    /// Bytes there.
    pub(crate) request: Option<i64>,
    /// Bytes back.
    pub(crate) response: Option<i64>,
}

/// Bytes that edges moved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moved {
    /// Edges.
    pub(crate) calls: i64,
    /// Edges that carried a size.
    pub(crate) sized: i64,
    /// There.
    pub(crate) request: i64,
    /// Back.
    pub(crate) response: i64,
}

impl Moved {
    /// Adds one edge.
    pub(crate) fn add(&mut self, edge: &Edge<'_>) {
        self.calls += 1;
        self.sized += i64::from(edge.request.is_some() || edge.response.is_some());
        self.request = self.request.saturating_add(edge.request.unwrap_or(0));
        self.response = self.response.saturating_add(edge.response.unwrap_or(0));
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.sized += other.sized;
        self.request = self.request.saturating_add(other.request);
        self.response = self.response.saturating_add(other.response);
    }

    /// The same of a rollup.
    pub(crate) fn of(moved: &storage::rollup::Moved) -> Self {
        let (request, response) = (rows::bytes(moved.request), rows::bytes(moved.response));
        Self { calls: moved.calls, sized: moved.sized, request, response }
    }

    /// There and back.
    pub(crate) fn bytes(&self) -> i64 {
        self.request.saturating_add(self.response)
    }
}

/// What the edges of one trace carried, links not among them: a message is counted where it was sent.
pub(crate) fn moved(forest: &Forest, trace: &Trace<'_>) -> Moved {
    let mut moved = Moved::default();
    within(forest, trace, |_, edge| {
        if edge.callee.is_some() {
            moved.add(&edge);
        }
    });
    moved
}

/// All edges of one trace except links, each with the calling span's place in it.
pub(crate) fn within<'a>(
    forest: &'a Forest,
    trace: &Trace<'a>,
    mut each: impl FnMut(u32, Edge<'a>),
) {
    let mut answered = vec![false; trace.len() as usize];
    for own in 0..trace.len() {
        let Caller::Known(caller) = trace.caller(own) else { continue };
        if trace.span(caller).service != trace.span(own).service {
            answered[caller as usize] = true;
            each(caller, between(forest, trace, caller, own));
        }
    }
    for own in 0..trace.len() {
        if trace.span(own).kind.calls() && !answered[own as usize] {
            each(own, outward(forest, trace, own));
        }
    }
}

/// The edge of a link of `callee` to `caller`; none within a service and none to its parent.
pub(crate) fn linked<'a>(callee: &'a Span, caller: &Span, to_parent: bool) -> Option<Edge<'a>> {
    (caller.service != callee.service && !to_parent).then(|| Edge {
        caller: caller.service,
        callee: Some(callee.service),
        kind: EdgeKind::Link,
        span: callee,
        caller_nano: caller.kind.calls().then_some(caller.duration),
        callee_nano: Some(callee.duration),
        request: None,
        response: None,
    })
}

/// True where `link` names the parent of `callee`.
pub(crate) fn is_to_parent(forest: &Forest, link: &Link, callee: &Span) -> bool {
    link.trace == forest.trace_id(callee.trace)
        && callee.parent.map(NonZeroU64::get) == Some(link.id)
}

/// The edge of a span and its parent in another service.
fn between<'a>(forest: &Forest, trace: &Trace<'a>, caller: u32, callee: u32) -> Edge<'a> {
    let (from, to) = (trace.span(caller), trace.span(callee));
    let (request, response) = forest.sizes(trace.position(callee));
    // A parent that is no CLIENT or PRODUCER tells of its own request, not of this call.
    let calling = from.kind.calls();
    let other = if calling { forest.sizes(trace.position(caller)) } else { (None, None) };
    Edge {
        caller: from.service,
        callee: Some(to.service),
        kind: if to.kind == Kind::Consumer { EdgeKind::Messaging } else { EdgeKind::Rpc },
        span: to,
        caller_nano: calling.then_some(from.duration),
        callee_nano: Some(to.duration),
        request: request.or(other.0),
        response: response.or(other.1),
    }
}

/// The edge of a CLIENT or PRODUCER to something that sent no spans.
fn outward<'a>(forest: &Forest, trace: &Trace<'a>, own: u32) -> Edge<'a> {
    let span = trace.span(own);
    let peer = forest.peer(trace.position(own));
    let (request, response) = forest.sizes(trace.position(own));
    Edge {
        caller: span.service,
        callee: peer.map(|peer| peer.name),
        kind: match peer {
            Some(peer) if peer.database => EdgeKind::Database,
            _ => EdgeKind::External,
        },
        span,
        caller_nano: Some(span.duration),
        callee_nano: None,
        request,
        response,
    }
}
