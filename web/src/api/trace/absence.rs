//! Why parents of a trace's spans are not there.
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use serde_json::{Map, Value};
use storage::ledger::{Ledger, Missing};
use storage::{SpanId, TraceId};

use super::spans::Spans;

/// Whom to ask, when, about which trace.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) ledger: Arc<Ledger>,
    pub(super) now: i64,
    pub(super) trace: Option<TraceId>,
}

/// `{"00000000000000a1": "late"}`: the parents in `missing`, which no span is, each with why.
pub(super) fn reasons(spans: &Spans, missing: &[String]) -> Map<String, Value> {
    let Asked { ledger, now, trace } = &spans.asked;
    let Some(trace) = trace.filter(|_| !missing.is_empty()) else { return Map::new() };
    let mixed_weights = has_mixed_weights(spans);
    let reason = |id: &String| {
        let children = (0..spans.len()).filter(|row| spans.parent.get(*row) == id);
        let child_end_nano = children.map(|row| spans.end(row)).max().unwrap_or(0);
        let span = u64::from_be_bytes(id.parse::<SpanId>().ok()?.0);
        let one = Missing { trace: trace.0, span, child_end_nano, mixed_weights };
        Some((id.clone(), ledger.explain(&one, *now).word().into()))
    };
    missing.iter().take(EXPLAINED_MAX).filter_map(reason).collect()
}

/// So many parents are explained: each looks for its children among all spans.
const EXPLAINED_MAX: usize = 100;

fn has_mixed_weights(spans: &Spans) -> bool {
    let weights = spans.batch.column_by_name("weight");
    let Some(weights) = weights.and_then(|weights| weights.as_primitive_opt::<Float64Type>())
    else {
        return false;
    };
    !weights.is_empty() && weights.values().iter().any(|weight| *weight != weights.value(0))
}
