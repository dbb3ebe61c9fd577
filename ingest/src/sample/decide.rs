//! Which spans the door keeps, and at which threshold: an equalizing sampler in OpenTelemetry's words.
use storage::time::TimeRange;

use super::state::{TraceState, with_threshold};
use super::threshold::{Threshold, randomness};
use crate::Config;
use crate::decode::Format;
use crate::decode::census::Census;
use crate::decode::sink::{Admitted, Event, Head, Link, Place, Refusal, Sink, Value};
use crate::decode::weight::{Hint, Hints};
use crate::decode::wire::Malformed;

/// What becomes of one span of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is left out.
    Drop,
    /// It stays as it is.
    Keep,
    /// It stays, with this trace state.
    Rewrite(Vec<u8>),
}

/// What a request holds, and the verdict on each of its spans in the order of the request.
#[derive(Debug)]
pub(crate) struct Verdicts {
    threshold: Threshold,
    /// As without sampling: spans left out count as accepted.
    pub(crate) census: Census,
    pub(crate) verdicts: Vec<Verdict>,
    trace_id: [u8; 16],
    trace_state: Vec<u8>,
    hints: Hints,
}

impl Verdicts {
    /// Judges the spans of a request by `threshold`.
    pub(crate) fn on(
        (format, body): (Format, &[u8]),
        config: &Config,
        accept: TimeRange,
        threshold: Threshold,
    ) -> Result<Self, Malformed> {
        let mut verdicts = Self {
            threshold,
            census: Census::default(),
            verdicts: Vec::new(),
            trace_id: [0; 16],
            trace_state: Vec::new(),
            hints: Hints::default(),
        };
        format.walk(body, config, accept, &mut verdicts)?;
        Ok(verdicts)
    }

    /// The verdict on the span that is complete now.
    fn verdict(&self) -> Verdict {
        match decide(self.threshold, &self.trace_id, &self.trace_state, self.hints.weight()) {
            None => Verdict::Drop,
            Some(None) => Verdict::Keep,
            Some(Some(threshold)) => Verdict::Rewrite(with_threshold(&self.trace_state, threshold)),
        }
    }
}

/// `None`: the span goes. Otherwise the threshold that it gets, where that changes.
///
/// `weight` is what the span stands for so far. Where its own threshold says so, the two decisions have one randomness
/// in common and the greater threshold is that of both. Where anything else says so, they are taken for independent,
/// and the probabilities multiply.
fn decide(
    ours: Threshold,
    trace_id: &[u8; 16],
    trace_state: &[u8],
    weight: f64,
) -> Option<Option<Threshold>> {
    let state = TraceState::read(trace_state);
    let theirs = state.threshold;
    if theirs.is_some_and(|theirs| theirs >= ours) {
        return Some(None); // sampled more strictly before: a later stage cannot make it fewer
    }
    if !ours.keeps(state.randomness.unwrap_or_else(|| randomness(trace_id))) {
        return None;
    }
    let by_threshold = theirs.map_or(1.0, Threshold::weight);
    if weight <= by_threshold {
        return Some(Some(ours));
    }
    Some(Some(Threshold::of_probability(by_threshold / (weight * ours.weight()))))
}

impl Sink for Verdicts {
    fn begin_resource(&mut self) {}
    fn end_resource_attributes(&mut self) {}
    fn begin_scope(&mut self, _name: &[u8], _version: &[u8]) {}
    fn end_scope_attributes(&mut self) {}

    fn begin_span(&mut self, head: &Head<'_>, admitted: &Admitted) {
        self.census.begin_span(head, admitted);
        self.trace_id = admitted.trace_id;
        self.trace_state.clear();
        self.trace_state.extend_from_slice(head.trace_state);
        self.hints = Hints::of_trace_state(head.trace_state);
    }

    fn attribute(&mut self, place: Place, key: &[u8], value: Value<'_>) {
        if place == Place::Span
            && let Some(hint) = Hint::of_key(key)
        {
            self.hints.add(hint, value);
        }
    }

    fn begin_event(&mut self, _event: &Event<'_>) {}
    fn end_event(&mut self) {}
    fn begin_link(&mut self, _link: &Link<'_>, _trace_id: [u8; 16], _span_id: [u8; 8]) {}
    fn end_link(&mut self) {}

    fn end_span(&mut self, _head: &Head<'_>) {
        let verdict = self.verdict();
        self.census.sampled_out += u64::from(verdict == Verdict::Drop);
        self.verdicts.push(verdict);
    }

    fn end_scope(&mut self) {}
    fn end_resource(&mut self) {}

    fn refuse(&mut self, refusal: Refusal, head: &Head<'_>) {
        self.census.refuse(refusal, head);
        self.verdicts.push(Verdict::Drop);
    }
}
