//! Spans of many traces, compact and grouped by trace, with each span's parent resolved.
//!
//! About 90 bytes a span. Everything here is independent of the order in which spans came, so that an answer is the
//! same before and after a flush.
use std::num::NonZeroU64;
use std::sync::Arc;

use hashbrown::HashMap;

pub(crate) use storage::rollup::SpanKind as Kind;

use super::attribute::{Peer, Sizes};

/// Texts, each once.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    ids: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl Texts {
    /// The id of a text.
    pub(crate) fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let shared: Arc<str> = text.into();
        self.bytes += 2 * size_of::<Arc<str>>() + 32 + text.len();
        self.ids.insert(Arc::clone(&shared), id);
        self.texts.push(shared);
        id
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The text of an id.
    pub(crate) fn text(&self, id: u32) -> &str {
        &self.texts[id as usize]
    }
}

/// One span. Ids are big-endian numbers; texts are ids of [`Forest::texts`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Index of its trace.
    pub(crate) trace: u32,
    /// Span id.
    pub(crate) id: u64,
    /// Parent span id.
    pub(crate) parent: Option<NonZeroU64>,
    /// Unix nanoseconds.
    pub(crate) start: i64,
    /// Nanoseconds.
    pub(crate) duration: i64,
    /// Service.
    pub(crate) service: u32,
    /// Operation.
    pub(crate) name: u32,
    /// Kind.
    pub(crate) kind: Kind,
    /// Status is ERROR.
    pub(crate) error: bool,
    /// Spans that it stands for.
    pub(crate) weight: f64,
}

impl Span {
    /// Unix nanoseconds.
    pub(crate) fn end(&self) -> i64 {
        self.start.saturating_add(self.duration)
    }
}

/// A link of the span at `span` to another span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Index of the span that has the link.
    pub(crate) span: u32,
    /// Id of the linked trace.
    pub(crate) trace: [u8; 16],
    /// Linked span id.
    pub(crate) id: u64,
}

/// What is known of a span's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// It names none.
    Root,
    /// The span at this position of its trace.
    Known(u32),
    /// It names one that is not here.
    Missing,
}

/// Bytes that one span carried there and back; -1 where it said nothing.
#[derive(Debug, Clone, Copy)]
struct Carried {
    request: i64,
    response: i64,
    message: i64,
}

/// A [`Peer`] in four bytes: the highest bit says that it is a database.
#[derive(Debug, Clone, Copy)]
struct PackedPeer(u32);

const NO_PEER: PackedPeer = PackedPeer(u32::MAX);
const DATABASE: u32 = 1 << 31;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    /// Services, operations, peers.
    pub(crate) texts: Texts,
    /// All spans as they came.
    pub(crate) spans: Vec<Span>,
    /// Parallel to `spans` where body sizes were asked for.
    sizes: Vec<Carried>,
    /// Parallel to `spans` where peers were asked for.
    peers: Vec<PackedPeer>,
    /// Links of CONSUMER spans, where asked for.
    pub(crate) links: Vec<Link>,
    trace_indexes: HashMap<[u8; 16], u32>,
    trace_ids: Vec<[u8; 16]>,
    /// Positions in `spans`, grouped by trace.
    order: Vec<u32>,
    /// Where each trace's group starts in `order`; one more at the end.
    starts: Vec<u32>,
    /// By trace: there is more to come, so it is not shown yet.
    held: Vec<bool>,
}

impl Forest {
    /// Makes room for `more` spans, a quarter more than there are at least. (Doubling could take twice the memory.)
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.spans.capacity() - self.spans.len() < more {
            self.spans.reserve_exact(more.max(self.spans.len() / 4));
        }
    }

    /// Adds the body sizes of the span that was added last.
    pub(crate) fn push_sizes(&mut self, sizes: Sizes) {
        self.sizes.reserve_exact(self.spans.capacity() - self.sizes.len());
        let [request, response, message] =
            [sizes.request, sizes.response, sizes.message].map(|bytes| bytes.unwrap_or(-1));
        self.sizes.push(Carried { request, response, message });
    }

    /// Adds the peer of the span that was added last.
    pub(crate) fn push_peer(&mut self, peer: Option<Peer>) {
        self.peers.reserve_exact(self.spans.capacity() - self.peers.len());
        let packed = |peer: Peer| PackedPeer(peer.name | if peer.database { DATABASE } else { 0 });
        self.peers.push(peer.map_or(NO_PEER, packed));
    }

    /// True where body sizes were asked for.
    pub(crate) fn is_sized(&self) -> bool {
        !self.sizes.is_empty()
    }

    /// Bytes that the span at `position` carried there and back. A message's body is its request.
    pub(crate) fn sizes(&self, position: u32) -> (Option<i64>, Option<i64>) {
        let Sizes { request, response, message } = self.all_sizes(position);
        (request.or(message), response)
    }

    /// Body sizes of the span at `position`.
    pub(crate) fn all_sizes(&self, position: u32) -> Sizes {
        let known = |bytes: i64| (bytes >= 0).then_some(bytes);
        self.sizes.get(position as usize).map_or_else(Sizes::default, |carried| Sizes {
            request: known(carried.request),
            response: known(carried.response),
            message: known(carried.message),
        })
    }

    /// What the span at `position` called that is no span.
    pub(crate) fn peer(&self, position: u32) -> Option<Peer> {
        let packed = *self.peers.get(position as usize).filter(|packed| packed.0 != NO_PEER.0)?;
        Some(Peer { name: packed.0 & !DATABASE, database: packed.0 & DATABASE != 0 })
    }

    /// The index of a trace, new or known.
    pub(crate) fn trace_index(&mut self, id: [u8; 16]) -> u32 {
        let next = u32::try_from(self.trace_ids.len()).unwrap_or(u32::MAX);
        let index = *self.trace_indexes.entry(id).or_insert(next);
        if index == next {
            self.trace_ids.push(id);
        }
        index
    }

    /// The index of a known trace.
    pub(crate) fn known_trace(&self, id: &[u8; 16]) -> Option<u32> {
        self.trace_indexes.get(id).copied()
    }

    /// How many traces there are.
    pub(crate) fn trace_count(&self) -> usize {
        self.trace_ids.len()
    }

    /// The id of a trace as a number.
    pub(crate) fn trace_key(&self, trace: u32) -> u128 {
        u128::from_be_bytes(self.trace_id(trace))
    }

    /// The id of a trace.
    pub(crate) fn trace_id(&self, trace: u32) -> [u8; 16] {
        self.trace_ids[trace as usize]
    }

    /// Groups the spans by trace. Called when all are in.
    pub(crate) fn group(&mut self) {
        let mut starts = vec![0u32; self.trace_ids.len() + 1];
        for span in &self.spans {
            starts[span.trace as usize + 1] += 1;
        }
        for trace in 1..starts.len() {
            starts[trace] += starts[trace - 1];
        }
        let mut next = starts.clone();
        self.order = vec![0; self.spans.len()];
        for (position, span) in (0u32..).zip(&self.spans) {
            let slot = &mut next[span.trace as usize];
            self.order[*slot as usize] = position;
            *slot += 1;
        }
        self.starts = starts;
        self.held = vec![false; self.trace_ids.len()];
    }

    /// All traces that have spans and are not held back.
    pub(crate) fn traces(&self) -> impl Iterator<Item = Trace<'_>> {
        let shown = (0u32..).zip(&self.held).filter(|(_, held)| !**held);
        shown.filter_map(|(trace, _)| self.trace(trace))
    }

    /// One trace, unless it has no spans.
    pub(crate) fn trace(&self, trace: u32) -> Option<Trace<'_>> {
        let members = self.members(trace)?;
        (!members.is_empty()).then(|| Trace::new(self, members))
    }

    /// Links of the spans of all traces that are not held back.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| !self.held[self.spans[link.span as usize].trace as usize])
    }

    /// The positions of a trace's spans.
    pub(crate) fn members(&self, trace: u32) -> Option<&[u32]> {
        let trace = trace as usize;
        self.order.get(*self.starts.get(trace)? as usize..*self.starts.get(trace + 1)? as usize)
    }

    /// Holds back those of all traces that `held` says: they are not shown by [`Self::traces`].
    pub(crate) fn hold_back(&mut self, held: impl Fn(&Self, u32) -> bool) {
        let traces = 0..u32::try_from(self.trace_ids.len()).unwrap_or(u32::MAX);
        self.held = traces.map(|trace| held(self, trace)).collect();
    }

    /// Forgets all traces but those that are held back. Texts stay.
    pub(crate) fn forget_shown(&mut self) {
        let mut rest = Self::with_texts(std::mem::take(&mut self.texts));
        let held = (0u32..).zip(&self.held).filter(|(_, held)| **held);
        let kept = held.map(|(trace, _)| self.members(trace).map_or(0, <[u32]>::len)).sum();
        rest.spans.reserve_exact(kept);
        let mut links = self.links.iter().peekable();
        for (position, span) in (0u32..).zip(&self.spans) {
            let held = self.held[span.trace as usize];
            let own = u32::try_from(rest.spans.len()).unwrap_or(u32::MAX);
            // Links are in the order of their spans.
            while let Some(link) = links.next_if(|link| link.span <= position) {
                rest.links.extend(held.then_some(Link { span: own, ..*link }));
            }
            if !held {
                continue;
            }
            let trace = rest.trace_index(self.trace_ids[span.trace as usize]);
            rest.spans.push(Span { trace, ..*span });
            rest.sizes.extend(self.sizes.get(position as usize));
            rest.peers.extend(self.peers.get(position as usize));
        }
        *self = rest;
    }

    /// No spans yet; texts are added to `texts`.
    pub(crate) fn with_texts(texts: Texts) -> Self {
        Self { texts, ..Self::default() }
    }

    /// Forgets all traces. Texts stay.
    pub(crate) fn forget_all(&mut self) {
        *self = Self::with_texts(std::mem::take(&mut self.texts));
    }

    /// The span with this id; of several, the one that [`Trace`] would take as parent of a stranger.
    pub(crate) fn find(&self, trace: &[u8; 16], id: u64) -> Option<u32> {
        self.find_where(trace, id, |_| true)
    }

    /// The same among the spans at the positions that `admit` lets in.
    pub(crate) fn find_where(
        &self,
        trace: &[u8; 16],
        id: u64,
        admit: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let members = self.members(self.known_trace(trace)?)?.iter().copied();
        let same = members.filter(|at| self.spans[*at as usize].id == id && admit(*at));
        same.min_by(|a, b| self.compare_parents(*a, *b, None))
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.spans.capacity() * (size_of::<Span>() + 2 * size_of::<u32>())
            + self.sizes.capacity() * size_of::<Carried>()
            + self.peers.capacity() * size_of::<PackedPeer>()
            + self.links.capacity() * size_of::<Link>()
            + self.trace_indexes.capacity() * 24
            + self.trace_ids.capacity() * (16 + 1)
            + self.texts.bytes
    }

    /// Which of two spans with one id is rather the parent of a span of `service`: one of the same service, then the
    /// called side (a child that runs elsewhere was started by whoever handled the call), then the earlier one.
    fn compare_parents(&self, a: u32, b: u32, service: Option<u32>) -> std::cmp::Ordering {
        let rank = |position: u32| {
            let span = &self.spans[position as usize];
            (Some(span.service) != service, span.kind.calls(), span.start, span.duration)
        };
        let words = |position: u32| {
            let span = &self.spans[position as usize];
            (self.texts.text(span.service), self.texts.text(span.name))
        };
        rank(a).cmp(&rank(b)).then_with(|| words(a).cmp(&words(b)))
    }
}

/// The spans of one trace.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    forest: &'a Forest,
    members: &'a [u32],
    callers: Vec<Caller>,
}

impl<'a> Trace<'a> {
    fn new(forest: &'a Forest, members: &'a [u32]) -> Self {
        let mut by_id: Vec<(u64, u32)> =
            (0u32..).zip(members).map(|(own, at)| (forest.spans[*at as usize].id, own)).collect();
        by_id.sort_unstable();
        let mut trace = Self { forest, members, callers: Vec::with_capacity(members.len()) };
        for own in 0..trace.len() {
            let caller = trace.resolve(own, &by_id);
            trace.callers.push(caller);
        }
        trace
    }

    /// Its index.
    pub(crate) fn index(&self) -> u32 {
        self.span(0).trace
    }

    /// Number of spans.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// The span at `own`.
    pub(crate) fn span(&self, own: u32) -> &'a Span {
        &self.forest.spans[self.position(own) as usize]
    }

    /// Its position in [`Forest::spans`].
    pub(crate) fn position(&self, own: u32) -> u32 {
        self.members[own as usize]
    }

    /// All spans.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &'a Span> {
        let forest = self.forest;
        self.members.iter().map(move |position| &forest.spans[*position as usize])
    }

    /// Who called the span at `own`: the CLIENT or PRODUCER that shares its id (Zipkin), otherwise its parent.
    pub(crate) fn caller(&self, own: u32) -> Caller {
        self.callers[own as usize]
    }

    /// Spans whose parent is not here.
    pub(crate) fn missing(&self) -> u32 {
        let missing = self.callers.iter().filter(|caller| **caller == Caller::Missing).count();
        u32::try_from(missing).unwrap_or(u32::MAX)
    }

    /// The root: the earliest span that names no parent. Without one, the earliest span stands in (`false`).
    pub(crate) fn root(&self) -> (u32, bool) {
        let roots = (0..self.len()).filter(|own| self.caller(*own) == Caller::Root);
        match roots.min_by(|a, b| self.compare_age(*a, *b)) {
            Some(root) => (root, true),
            None => ((0..self.len()).min_by(|a, b| self.compare_age(*a, *b)).unwrap_or(0), false),
        }
    }

    /// Spans on the longest way down, the first included.
    pub(crate) fn depth(&self) -> u32 {
        storage::rollup::longest_way(self.len(), |place| match self.caller(place) {
            Caller::Known(above) => Some(above),
            Caller::Root | Caller::Missing => None,
        })
    }

    fn resolve(&self, own: u32, by_id: &[(u64, u32)]) -> Caller {
        let span = self.span(own);
        if span.kind.is_called() {
            let twin = |other: &u32| *other != own && self.span(*other).kind.calls();
            if let Some(twin) = self.best(span.id, span.service, by_id, &twin) {
                return Caller::Known(twin);
            }
        }
        let Some(parent) = span.parent else { return Caller::Root };
        self.best(parent.get(), span.service, by_id, &|_| true)
            .map_or(Caller::Missing, Caller::Known)
    }

    /// Of the spans with this id that `admit` lets in, the one to take as parent of a span of `service`.
    fn best(
        &self,
        id: u64,
        service: u32,
        by_id: &[(u64, u32)],
        admit: &dyn Fn(&u32) -> bool,
    ) -> Option<u32> {
        let first = by_id.partition_point(|(other, _)| *other < id);
        let same = by_id[first..].iter().take_while(|(other, _)| *other == id).map(|(_, own)| *own);
        same.filter(admit).min_by(|a, b| {
            self.forest.compare_parents(self.position(*a), self.position(*b), Some(service))
        })
    }

    /// Earlier first; of spans that start together, the longest first.
    pub(crate) fn compare_age(&self, a: u32, b: u32) -> std::cmp::Ordering {
        let rank = |own: u32| {
            let span = self.span(own);
            (span.start, std::cmp::Reverse(span.duration), span.id, span.kind.is_called())
        };
        let words = |own: u32| {
            let span = self.span(own);
            (self.forest.texts.text(span.service), self.forest.texts.text(span.name))
        };
        // Complete ties occur; any rule will do that does not depend on the order of arrival.
        rank(a).cmp(&rank(b)).then_with(|| words(b).cmp(&words(a)))
    }
}
