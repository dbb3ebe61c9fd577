//! The door's walk: counts spans, stores nothing.
use storage::time::TimeRange;

use super::Format;
use super::sink::{Admitted, Event, Head, Link, Place, Refusal, Sink, Value};
use super::wire::Malformed;
use crate::Config;

/// What a request holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Spans that are as they must be.
    pub(crate) accepted: u64,
    /// Those of them that sampling leaves out.
    pub(crate) sampled_out: u64,
    /// Refused spans by reason: how many, and the position in the request of the first (from 1).
    refused: Vec<(Refusal, u64, u64)>,
    /// Trace and span of refused spans that have such ids; the first [`IDS_MAX`] of them.
    refused_ids: Vec<(Refusal, [u8; 16], [u8; 8])>,
}

/// Refused spans of one request that are known by their ids.
const IDS_MAX: usize = 10_000;

impl Census {
    /// Counts the spans of a request.
    pub(crate) fn take(
        format: Format,
        body: &[u8],
        config: &Config,
        accept: TimeRange,
    ) -> Result<Self, Malformed> {
        let mut census = Self::default();
        format.walk(body, config, accept, &mut census)?;
        Ok(census)
    }

    /// Spans that will be stored.
    pub(crate) fn stored(&self) -> u64 {
        self.accepted - self.sampled_out
    }

    /// Spans that are refused.
    pub(crate) fn rejected(&self) -> u64 {
        self.refused.iter().map(|(_, count, _)| count).sum()
    }

    /// Refused spans by reason.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> {
        self.refused.iter().map(|&(refusal, count, _)| (refusal, count))
    }

    /// Refused spans by their ids, as far as they have some.
    pub(crate) fn refused_ids(&self) -> impl Iterator<Item = (Refusal, ([u8; 16], [u8; 8]))> {
        self.refused_ids.iter().map(|&(refusal, trace, span)| (refusal, (trace, span)))
    }

    /// For the sender: `3 spans refused: trace id must be 16 bytes (first: span #5)`; empty where none was.
    pub(crate) fn message(&self) -> String {
        let sentence = |&(refusal, count, first): &(Refusal, u64, u64)| {
            let spans = if count == 1 { "span" } else { "spans" };
            format!("{count} {spans} refused: {} (first: span #{first})", refusal.words())
        };
        self.refused.iter().map(sentence).collect::<Vec<_>>().join("; ")
    }
}

impl Sink for Census {
    const ATTRIBUTES: bool = false;

    fn begin_resource(&mut self) {}
    fn end_resource_attributes(&mut self) {}
    fn begin_scope(&mut self, _name: &[u8], _version: &[u8]) {}
    fn end_scope_attributes(&mut self) {}
    fn begin_span(&mut self, _head: &Head<'_>, _admitted: &Admitted) {
        self.accepted += 1;
    }
    fn attribute(&mut self, _place: Place, _key: &[u8], _value: Value<'_>) {}
    fn begin_event(&mut self, _event: &Event<'_>) {}
    fn end_event(&mut self) {}
    fn begin_link(&mut self, _link: &Link<'_>, _trace_id: [u8; 16], _span_id: [u8; 8]) {}
    fn end_link(&mut self) {}
    fn end_span(&mut self, _head: &Head<'_>) {}
    fn end_scope(&mut self) {}
    fn end_resource(&mut self) {}

    fn refuse(&mut self, refusal: Refusal, head: &Head<'_>) {
        if let (Ok(trace), Ok(span)) = (head.trace_id.try_into(), head.span_id.try_into())
            && self.refused_ids.len() < IDS_MAX
        {
            self.refused_ids.push((refusal, trace, span));
        }
        let position = self.accepted + self.rejected() + 1;
        match self.refused.iter_mut().find(|(known, ..)| *known == refusal) {
            Some((_, count, _)) => *count += 1,
            None => self.refused.push((refusal, 1, position)),
        }
    }
}
