//! What every decoder hands over, and the one decision which spans are kept.
use std::time::Duration;

use storage::time::TimeRange;

use super::cut::Cuts;

/// Value of an attribute, borrowed from the request. Texts may be invalid UTF-8: the receiver replaces what is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Empty,
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// An array or a map, already rendered.
    Json(&'a [u8]),
    /// The same, where something was left out of it.
    CutJson(&'a [u8]),
}

impl Value<'_> {
    /// Bytes that are stored where a text may have `bytes_max`.
    #[inline]
    pub(crate) fn bytes_kept(&self, bytes_max: usize) -> usize {
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) => bytes.len().min(bytes_max),
            Self::Json(json) | Self::CutJson(json) => json.len(),
            Self::Empty | Self::Bool(_) | Self::Int(_) | Self::Double(_) => size_of::<u64>(),
        }
    }

    /// Whether less than the whole value is stored where a text may have `bytes_max`.
    #[inline]
    pub(crate) fn is_cut(&self, bytes_max: usize) -> bool {
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) => bytes.len() > bytes_max,
            Self::CutJson(_) => true,
            _ => false,
        }
    }
}

/// What an attribute is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Resource,
    Scope,
    Span,
    Event,
    Link,
}

/// The single-valued fields of a span, as sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head<'a> {
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) parent_span_id: &'a [u8],
    pub(crate) trace_state: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) kind: i32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) status: i32,
    pub(crate) status_message: &'a [u8],
    pub(crate) flags: u32,
    pub(crate) dropped_attributes: u32,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
    /// What our limits, not the sender, have taken so far.
    pub(crate) cuts: Cuts,
}

/// An event without its attributes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Event<'a> {
    pub(crate) time: u64,
    pub(crate) name: &'a [u8],
    pub(crate) dropped_attributes: u32,
}

/// A link without its attributes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Link<'a> {
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) trace_state: &'a [u8],
    pub(crate) dropped_attributes: u32,
    pub(crate) flags: u32,
}

/// A span that is kept: what [`admit`] found out about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) parent_span_id: Option<[u8; 8]>,
    pub(crate) start: i64,
    pub(crate) duration: i64,
}

/// Receives the parts of a request in the order resource, its scopes, their spans. Attributes follow what they belong to.
pub(crate) trait Sink {
    /// False where attributes of spans need not be handed over, only checked.
    const ATTRIBUTES: bool = true;
    /// True where the sink knows what this message (one format's encoding of a whole resource) holds and has begun the
    /// resource with all its attributes.
    fn recall_resource(&mut self, _message: &[u8]) -> bool {
        false
    }
    /// The resource whose attributes are complete was this message; [`Self::recall_resource`] did not know it.
    fn remember_resource(&mut self, _message: &[u8]) {}
    /// A resource begins; its attributes follow.
    fn begin_resource(&mut self);
    /// All attributes of the resource are known.
    fn end_resource_attributes(&mut self);
    /// A scope of the resource begins; its attributes follow. Once more before its end where more of it was found behind its
    /// spans: then what comes last holds for all of them.
    fn begin_scope(&mut self, name: &[u8], version: &[u8]);
    /// All attributes of the scope are known.
    fn end_scope_attributes(&mut self);
    /// A span that is kept begins.
    fn begin_span(&mut self, head: &Head<'_>, admitted: &Admitted);
    /// An attribute of what began last.
    fn attribute(&mut self, place: Place, key: &[u8], value: Value<'_>);
    /// An event of the span.
    fn begin_event(&mut self, event: &Event<'_>);
    /// The event's attributes are complete.
    fn end_event(&mut self);
    /// A link of the span, to the ids given.
    fn begin_link(&mut self, link: &Link<'_>, trace_id: [u8; 16], span_id: [u8; 8]);
    /// The link's attributes are complete.
    fn end_link(&mut self);
    /// The span is complete.
    fn end_span(&mut self, head: &Head<'_>);
    /// No further span of this scope follows.
    fn end_scope(&mut self);
    /// No further span of this resource follows.
    fn end_resource(&mut self);
    /// A span was not kept; its ids may be none.
    fn refuse(&mut self, refusal: Refusal, head: &Head<'_>);
}

/// Why a span is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    TraceIdLength,
    TraceIdZero,
    SpanIdLength,
    SpanIdZero,
    ParentIdLength,
    TimeOverflow,
    TooOld,
    TooNew,
}

impl Refusal {
    pub(crate) const ALL: [Self; 8] = [
        Self::TraceIdLength,
        Self::TraceIdZero,
        Self::SpanIdLength,
        Self::SpanIdZero,
        Self::ParentIdLength,
        Self::TimeOverflow,
        Self::TooOld,
        Self::TooNew,
    ];

    /// Label value in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::TraceIdLength => "trace_id_length",
            Self::TraceIdZero => "trace_id_zero",
            Self::SpanIdLength => "span_id_length",
            Self::SpanIdZero => "span_id_zero",
            Self::ParentIdLength => "parent_id_length",
            Self::TimeOverflow => "time_overflow",
            Self::TooOld => "too_old",
            Self::TooNew => "in_the_future",
        }
    }

    /// What is wrong, for the sender.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::TraceIdLength => "trace id must be 16 bytes",
            Self::TraceIdZero => "trace id must not be all zero",
            Self::SpanIdLength => "span id must be 8 bytes",
            Self::SpanIdZero => "span id must not be all zero",
            Self::ParentIdLength => "parent span id must be 8 bytes or empty",
            Self::TimeOverflow => "start and end must be Unix nanoseconds below 2^63",
            Self::TooOld => "start time is older than this server accepts (import takes history)",
            Self::TooNew => "start time is too far in the future",
        }
    }
}

/// Decides whether a span is kept. The only place that does: the door counts with it, decoding obeys it.
#[inline]
pub(crate) fn admit(head: &Head<'_>, accept: TimeRange) -> Result<Admitted, Refusal> {
    let trace_id: [u8; 16] = head.trace_id.try_into().map_err(|_| Refusal::TraceIdLength)?;
    let span_id: [u8; 8] = head.span_id.try_into().map_err(|_| Refusal::SpanIdLength)?;
    if trace_id == [0; 16] {
        return Err(Refusal::TraceIdZero);
    }
    if span_id == [0; 8] {
        return Err(Refusal::SpanIdZero);
    }
    let parent_span_id = match head.parent_span_id {
        [] => None,
        bytes => {
            let parent: [u8; 8] = bytes.try_into().map_err(|_| Refusal::ParentIdLength)?;
            // Some senders write eight zero bytes where there is no parent.
            (parent != [0; 8]).then_some(parent)
        }
    };
    let start = i64::try_from(head.start).map_err(|_| Refusal::TimeOverflow)?;
    let end = i64::try_from(head.end).map_err(|_| Refusal::TimeOverflow)?;
    if start < accept.from {
        return Err(Refusal::TooOld);
    }
    if start >= accept.until {
        return Err(Refusal::TooNew);
    }
    Ok(Admitted { trace_id, span_id, parent_span_id, start, duration: (end - start).max(0) })
}

/// The ids that a link points to; `None` where they are no ids: such a link is dropped and counted.
pub(crate) fn link_target(link: &Link<'_>) -> Option<([u8; 16], [u8; 8])> {
    Some((link.trace_id.try_into().ok()?, link.span_id.try_into().ok()?))
}

/// The time window of a live door: `now - age_max` to `now + future_max`.
pub(crate) fn window(now: i64, age_max: Option<Duration>, future_max: Duration) -> TimeRange {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    TimeRange {
        from: age_max.map_or(i64::MIN, |age| now.saturating_sub(nanos(age))),
        until: now.saturating_add(nanos(future_max)),
    }
}
