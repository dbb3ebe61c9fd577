//! Sampling: which traces are kept, at the door and at the source, and what a kept one stands for.
//!
//! ```text
//! door:    request -> one rate for all, by the trace's randomness -> body without the rest, `ot=th:` written -> WAL
//! source:  stored roots -> rate of each service and operation -> probabilities -> :5778 -> SDKs decide at the root
//! ```
//! Why the two differ, and what each promises: docs/decisions/0010-sampling.md.
mod decide;
mod json;
mod protobuf;
pub(crate) mod state;
mod threshold;

use bytes::Bytes;
use storage::time::TimeRange;

use self::decide::Verdicts;
pub(crate) use self::threshold::Threshold;
use crate::decode::Format;
use crate::decode::census::Census;
use crate::decode::wire::Malformed;

/// Which share of the spans is kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// Share of all traces that the doors keep, more than 0, at most 1. Default 1.
    pub rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { rate: 1.0 }
    }
}

/// The threshold that keeps this share; `None` where it is all.
pub(crate) fn threshold(rate: f64) -> Option<Threshold> {
    (rate < 1.0).then(|| Threshold::of_probability(rate))
}

/// What a request holds, and the body that is to be stored: without the spans of the traces that `threshold` leaves
/// out. The decision is in the body, so replay finds the same spans and weights as the door did.
pub(crate) fn body(
    (format, body): (Format, Bytes),
    config: &crate::Config,
    accept: TimeRange,
    threshold: Threshold,
) -> Result<(Census, Bytes), Malformed> {
    let Verdicts { census, verdicts, .. } =
        Verdicts::on((format, &body), config, accept, threshold)?;
    let mut verdicts = verdicts.into_iter();
    let spliced = match format {
        Format::OtlpProtobuf => protobuf::Splice::of(&body, verdicts)?,
        Format::OtlpJson => json::otlp(&body, &mut verdicts)?,
        Format::ZipkinJson => json::zipkin(&body, &mut verdicts)?,
    };
    Ok((census, spliced.into()))
}

#[cfg(test)]
mod tests;
