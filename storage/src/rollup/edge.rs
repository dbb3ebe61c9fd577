//! Edges: one call from a service to another service, a queue, a database or something outside.
use super::trace::{Caller, Span, SpanKind, Trace, places};

/// How the callee was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EdgeKind {
    /// A span and its parent in different services.
    Rpc,
    /// The same where the child is a CONSUMER.
    Messaging,
    /// A CONSUMER's link to a span of another service that is not its parent.
    Link,
    /// A CLIENT or PRODUCER span without a child in another service, that names a database.
    Database,
    /// The same, that names a queue or an address.
    External,
}

impl EdgeKind {
    /// All kinds, by number.
    pub const ALL: [Self; 5] =
        [Self::Rpc, Self::Messaging, Self::Link, Self::Database, Self::External];

    /// The word in the column.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::Messaging => "messaging",
            Self::Link => "link",
            Self::Database => "database",
            Self::External => "external",
        }
    }

    /// The callee sends spans: it is a service, not a peer.
    pub fn is_to_service(self) -> bool {
        matches!(self, Self::Rpc | Self::Messaging | Self::Link)
    }
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Key of the calling service.
    pub caller: u32,
    /// Key of the called service, or of the peer; `None` where a peer has no name: no edge then, only a count.
    pub callee: Option<u32>,
    /// How.
    pub kind: EdgeKind,
    /// Place of the span that tells start, status and weight: the callee's, or the caller's where the callee has none.
    pub span: u32,
    /// As the caller saw it, in nanoseconds.
    pub caller_nano: Option<i64>,
    /// As the callee saw it.
    pub callee_nano: Option<i64>,
    /// Bytes there.
    pub request: Option<i64>,
    /// Bytes back.
    pub response: Option<i64>,
}

/// The link of a CONSUMER to a stored span that is not its parent.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Place of the CONSUMER in its trace.
    pub span: u32,
    /// Key of the linked span's service.
    pub service: u32,
    /// The linked span's duration, where it is a CLIENT or PRODUCER.
    pub caller_nano: Option<i64>,
}

impl Link {
    /// The link from `linked` to the CONSUMER at `span`.
    pub fn new(span: u32, linked: &Span) -> Self {
        let caller_nano = linked.kind.calls().then_some(linked.duration);
        Self { span, service: linked.service, caller_nano }
    }
}

/// Bytes that edges moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Edges.
    pub calls: i64,
    /// Edges that carried a size.
    pub sized: i64,
    /// There.
    pub request: i128,
    /// Back.
    pub response: i128,
}

impl Moved {
    /// Adds one edge.
    pub fn add(&mut self, edge: &Edge) {
        self.calls += 1;
        self.sized += i64::from(edge.request.is_some() || edge.response.is_some());
        self.request += i128::from(edge.request.unwrap_or(0));
        self.response += i128::from(edge.response.unwrap_or(0));
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.sized += other.sized;
        self.request += other.request;
        self.response += other.response;
    }

    /// Takes those of another away.
    pub fn subtract(&mut self, other: &Self) {
        self.calls -= other.calls;
        self.sized -= other.sized;
        self.request -= other.request;
        self.response -= other.response;
    }
}

impl Trace<'_> {
    /// All edges except links. `answered` is memory used again.
    pub fn edges(&self, answered: &mut Vec<bool>, mut each: impl FnMut(Edge)) {
        answered.clear();
        answered.resize(self.spans.len(), false);
        for own in places(self.spans) {
            let Caller::Known(caller) = self.callers[own as usize] else { continue };
            let (from, to) = (&self.spans[caller as usize], &self.spans[own as usize]);
            if from.service != to.service {
                answered[caller as usize] = true;
                each(between(from, to, own));
            }
        }
        for own in places(self.spans) {
            let span = &self.spans[own as usize];
            if span.kind.calls() && !answered[own as usize] {
                each(outward(span, own));
            }
        }
    }

    /// The edge of a link; `None` within one service.
    pub fn link_edge(&self, link: &Link) -> Option<Edge> {
        let callee = &self.spans[link.span as usize];
        (link.service != callee.service).then_some(Edge {
            caller: link.service,
            callee: Some(callee.service),
            kind: EdgeKind::Link,
            span: link.span,
            caller_nano: link.caller_nano,
            callee_nano: Some(callee.duration),
            request: None,
            response: None,
        })
    }
}

/// The edge of a span and its parent in another service.
fn between(from: &Span, to: &Span, own: u32) -> Edge {
    let (request, response) = to.carried();
    // A parent that is no CLIENT or PRODUCER tells of its own request, not of this call.
    let calling = from.kind.calls();
    let other = if calling { from.carried() } else { (None, None) };
    Edge {
        caller: from.service,
        callee: Some(to.service),
        kind: if to.kind == SpanKind::Consumer { EdgeKind::Messaging } else { EdgeKind::Rpc },
        span: own,
        caller_nano: calling.then_some(from.duration),
        callee_nano: Some(to.duration),
        request: request.or(other.0),
        response: response.or(other.1),
    }
}

/// The edge of a CLIENT or PRODUCER to something that sent no spans.
fn outward(span: &Span, own: u32) -> Edge {
    let (request, response) = span.carried();
    Edge {
        caller: span.service,
        callee: span.peer.map(|peer| peer.name),
        kind: match span.peer {
            Some(peer) if peer.database => EdgeKind::Database,
            _ => EdgeKind::External,
        },
        span: own,
        caller_nano: Some(span.duration),
        callee_nano: None,
        request,
        response,
    }
}
