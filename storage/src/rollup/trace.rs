//! The spans of one trace, or of its fragment in one file, and who called whom among them.
//!
//! Nothing here depends on the order of the spans, so that an answer is the same however they were stored.
use std::cmp::Ordering;
use std::num::NonZeroU64;

/// OTLP's span kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified,
    /// Within a service.
    Internal,
    /// Handles a call.
    Server,
    /// Makes a call.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

impl SpanKind {
    /// All kinds, by number.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::Internal,
        Self::Server,
        Self::Client,
        Self::Producer,
        Self::Consumer,
    ];

    /// From the word in the column.
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or_default()
    }

    /// The word in the column.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Internal => "INTERNAL",
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
        }
    }

    /// CLIENT or PRODUCER: the calling side of a call.
    pub fn calls(self) -> bool {
        matches!(self, Self::Client | Self::Producer)
    }

    /// SERVER or CONSUMER: the called side.
    pub fn is_called(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }
}

/// A span's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Not said.
    #[default]
    Unset,
    /// Said to be well.
    Ok,
    /// Failed.
    Error,
}

impl Status {
    /// From the word in the column.
    pub fn of(word: &str) -> Self {
        match word {
            "ERROR" => Self::Error,
            "OK" => Self::Ok,
            _ => Self::Unset,
        }
    }
}

/// Bytes that one span carried; [`Sizes::NONE`] in a field where it said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of the request (HTTP, RPC).
    pub request: i64,
    /// Of the response (HTTP, RPC).
    pub response: i64,
    /// Of the message.
    pub message: i64,
}

impl Sizes {
    /// Not said.
    pub const NONE: i64 = -1;
}

impl Default for Sizes {
    fn default() -> Self {
        Self { request: Self::NONE, response: Self::NONE, message: Self::NONE }
    }
}

/// Bytes, unless they are [`Sizes::NONE`].
pub(super) fn known(bytes: i64) -> Option<i64> {
    (bytes >= 0).then_some(bytes)
}

/// What a CLIENT or PRODUCER called that is no span itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Key of its name, see [`Words::peer`].
    pub name: u32,
    /// Whether it is a database.
    pub database: bool,
}

/// One span. Ids are big-endian numbers; texts are keys that [`Words`] knows.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Span id.
    pub id: u64,
    /// Parent span id.
    pub parent: Option<NonZeroU64>,
    /// Unix nanoseconds.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    /// Spans that it stands for.
    pub weight: f64,
    /// Service.
    pub service: u32,
    /// Operation.
    pub name: u32,
    /// Kind.
    pub kind: SpanKind,
    /// Status.
    pub status: Status,
    /// Bytes.
    pub sizes: Sizes,
    /// What it called, where nothing answered.
    pub peer: Option<Peer>,
}

impl Span {
    /// Status is ERROR.
    pub fn is_error(&self) -> bool {
        self.status == Status::Error
    }

    /// Bytes there and back, as a call counts them: a message's body is its request.
    pub(super) fn carried(&self) -> (Option<i64>, Option<i64>) {
        let Sizes { request, response, message } = self.sizes;
        (known(request).or(known(message)), known(response))
    }
}

/// The texts of the keys in [`Span`]s.
pub trait Words {
    /// The text of a service.
    fn service(&self, key: u32) -> &str;
    /// The text of an operation.
    fn name(&self, key: u32) -> &str;
    /// The text of a peer.
    fn peer(&self, key: u32) -> &str;
}

/// What is known of a span's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// It names none.
    Root,
    /// The span at this place.
    Known(u32),
    /// It names one that is not here.
    Missing,
}

/// Spans of one trace with each one's caller.
#[derive(Debug, Clone, Copy)]
pub struct Trace<'a> {
    /// The spans.
    pub spans: &'a [Span],
    /// By span, who called it: the CLIENT or PRODUCER that shares its id (Zipkin), otherwise its parent.
    pub callers: &'a [Caller],
}

impl<'a> Trace<'a> {
    /// Finds the callers of `spans`, which it leaves in `callers`.
    pub fn resolve(spans: &'a [Span], callers: &'a mut Vec<Caller>, words: &dyn Words) -> Self {
        let mut by_id: Vec<(u64, u32)> =
            places(spans).map(|at| (spans[at as usize].id, at)).collect();
        by_id.sort_unstable();
        callers.clear();
        callers.extend(places(spans).map(|at| caller(spans, at, &by_id, words)));
        Self { spans, callers }
    }

    /// Everything is here: a root, and every parent.
    pub fn is_whole(&self) -> bool {
        self.callers.contains(&Caller::Root) && !self.callers.contains(&Caller::Missing)
    }

    /// The root: the earliest span that names no parent. Without one, the earliest span stands in (`false`).
    pub fn root(&self, words: &dyn Words) -> (u32, bool) {
        let mut roots = places(self.spans).filter(|at| self.callers[*at as usize] == Caller::Root);
        let first = roots.next();
        let older = |a: u32, b: u32| {
            let (x, y) = (&self.spans[a as usize], &self.spans[b as usize]);
            if compare_age(y, x, words) == Ordering::Less { b } else { a }
        };
        match first {
            Some(first) => (roots.fold(first, older), true),
            None => (places(self.spans).reduce(older).unwrap_or(0), false),
        }
    }
}

/// All places of `spans`.
pub(super) fn places(spans: &[Span]) -> impl Iterator<Item = u32> + use<> {
    0..u32::try_from(spans.len()).unwrap_or(u32::MAX)
}

fn caller(spans: &[Span], at: u32, by_id: &[(u64, u32)], words: &dyn Words) -> Caller {
    let span = &spans[at as usize];
    if span.kind.is_called() {
        let twin = |other: u32| other != at && spans[other as usize].kind.calls();
        if let Some(twin) = best(spans, span.id, span, (by_id, words, &twin)) {
            return Caller::Known(twin);
        }
    }
    let Some(parent) = span.parent else { return Caller::Root };
    let found = best(spans, parent.get(), span, (by_id, words, &|_| true));
    found.map_or(Caller::Missing, Caller::Known)
}

type Search<'a> = (&'a [(u64, u32)], &'a dyn Words, &'a dyn Fn(u32) -> bool);

/// Of the spans with this id that are let in, the one to take as parent of `child`.
fn best(spans: &[Span], id: u64, child: &Span, (by_id, words, admit): Search<'_>) -> Option<u32> {
    let first = by_id.partition_point(|(other, _)| *other < id);
    let same = by_id[first..].iter().take_while(|(other, _)| *other == id).map(|(_, at)| *at);
    same.filter(|at| admit(*at)).min_by(|a, b| {
        let (a, b) = (&spans[*a as usize], &spans[*b as usize]);
        compare_parents(a, b, Some(child.service), words)
    })
}

/// Which of two spans with one id is rather the parent of a span of `service`: one of the same service, then the called
/// side (a child that runs elsewhere was started by whoever handled the call), then the earlier one.
pub(crate) fn compare_parents(
    a: &Span,
    b: &Span,
    service: Option<u32>,
    words: &dyn Words,
) -> Ordering {
    let rank =
        |span: &Span| (Some(span.service) != service, span.kind.calls(), span.start, span.duration);
    rank(a).cmp(&rank(b)).then_with(|| texts(a, words).cmp(&texts(b, words)))
}

/// Earlier first; of spans that start together, the longest first.
fn compare_age(a: &Span, b: &Span, words: &dyn Words) -> Ordering {
    let rank = |span: &Span| {
        (span.start, std::cmp::Reverse(span.duration), span.id, span.kind.is_called())
    };
    // Complete ties occur; any rule will do that does not depend on the order of arrival.
    rank(a).cmp(&rank(b)).then_with(|| texts(b, words).cmp(&texts(a, words)))
}

fn texts<'w>(span: &Span, words: &'w dyn Words) -> (&'w str, &'w str) {
    (words.service(span.service), words.name(span.name))
}
