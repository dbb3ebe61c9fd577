//! The `ot` entry of a W3C trace state: where the threshold and the randomness of a trace travel.
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>
use super::threshold::{Threshold, parse_randomness};

const ENTRY: &[u8] = b"ot=";
const THRESHOLD: &[u8] = b"th:";
const RANDOMNESS: &[u8] = b"rv:";

/// What a trace state says about sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TraceState {
    /// `th`, where it is one.
    pub(crate) threshold: Option<Threshold>,
    /// `rv`, where it is one.
    pub(crate) randomness: Option<u64>,
    /// There is a `th` that is none.
    pub(crate) invalid: bool,
}

impl TraceState {
    /// Reads a trace state; texts that are none say nothing.
    pub(crate) fn read(trace_state: &[u8]) -> Self {
        let mut read = Self::default();
        let Some(entry) = members(trace_state).find_map(|member| member.strip_prefix(ENTRY)) else {
            return read;
        };
        for part in parts(entry) {
            if let Some(digits) = part.strip_prefix(THRESHOLD) {
                read.threshold = Threshold::parse(digits);
                read.invalid = read.threshold.is_none();
            } else if let Some(digits) = part.strip_prefix(RANDOMNESS) {
                read.randomness = parse_randomness(digits);
            }
        }
        read
    }
}

/// `trace_state` with this threshold in its `ot` entry, which comes first (W3C: what changed is moved to the front);
/// all else stays.
pub(crate) fn with_threshold(trace_state: &[u8], threshold: Threshold) -> Vec<u8> {
    let mut state = ENTRY.to_vec();
    let entry = members(trace_state).find_map(|member| member.strip_prefix(ENTRY));
    for part in parts(entry.unwrap_or_default()) {
        if !part.starts_with(THRESHOLD) {
            state.extend_from_slice(part);
            state.push(b';');
        }
    }
    state.extend_from_slice(THRESHOLD);
    state.extend_from_slice(threshold.digits().as_bytes());
    for member in members(trace_state).filter(|member| !member.starts_with(ENTRY)) {
        state.push(b',');
        state.extend_from_slice(member);
    }
    state
}

fn members(trace_state: &[u8]) -> impl Iterator<Item = &[u8]> {
    trace_state.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

fn parts(entry: &[u8]) -> impl Iterator<Item = &[u8]> {
    entry.split(|&byte| byte == b';').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests;
