//! Sampling: which traces are kept, at the door and at the source, and what a kept one stands for.
//!
//! ```text
//! door:    request -> one rate for all, by the trace's randomness -> body without the rest, `ot=th:` written -> WAL
//! source:  stored roots -> rate of each service and operation -> probabilities -> :5778 -> SDKs decide at the root
//! ```
//! Why the two differ, and what each promises: docs/decisions/0010-sampling.md.
mod adaptive;
mod decide;
mod json;
mod protobuf;
mod rule;
mod sampler;
mod serve;
pub(crate) mod state;
mod strategy;
mod threshold;

use std::time::Duration;

use bytes::Bytes;
use storage::time::TimeRange;

use self::decide::{Verdict, Verdicts};
pub use self::rule::{Goal, Rule};
pub use self::sampler::{Sampler, Watched};
pub(crate) use self::threshold::Threshold;
use crate::decode::Format;
use crate::decode::census::Census;
use crate::decode::wire::Malformed;

/// Which share of the traces is kept: by the doors, and by services that ask.
#[derive(Debug, Clone)]
pub struct Config {
    /// Share of all traces that the doors keep, more than 0, at most 1. Default 1.
    pub rate: f64,
    /// Share that services are told where neither a rule nor a target says one, more than 0, at most 1. Default 1.
    pub source_rate: f64,
    /// Traces a second of each operation that shares aim at where no rule says otherwise; 0: none. Default 0.
    pub target_traces_per_second: f64,
    /// The smallest share that a target leads to, more than 0. Default 0.0001.
    pub rate_min: f64,
    /// Where there is a target: traces a second that each process keeps of each operation in any case. Default 1/60.
    pub lower_bound_traces_per_second: f64,
    /// A window of observation: shares are computed anew after each. Default 30 seconds.
    pub interval: Duration,
    /// What services are told, by service and operation; the first that fits counts.
    pub rules: Vec<Rule>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rate: 1.0,
            source_rate: 1.0,
            target_traces_per_second: 0.0,
            rate_min: 0.0001,
            lower_bound_traces_per_second: 1.0 / 60.0,
            interval: Duration::from_secs(30),
            rules: Vec::new(),
        }
    }
}

/// The threshold that keeps this share; `None` where it is all.
pub(crate) fn threshold(rate: f64) -> Option<Threshold> {
    (rate < 1.0).then(|| Threshold::of_probability(rate))
}

/// What a request holds, and the body that is to be stored: without the spans of the traces that `threshold` leaves
/// out; `None` where everything stays as it is. The decision is in the body, so replay finds the same spans and weights
/// as the door did.
pub(crate) fn body(
    (format, body): (Format, &[u8]),
    config: &crate::Config,
    accept: TimeRange,
    threshold: Threshold,
) -> Result<(Census, Option<Bytes>), Malformed> {
    let Verdicts { census, verdicts, .. } =
        Verdicts::on((format, body), config, accept, threshold)?;
    if verdicts.iter().all(|verdict| *verdict == Verdict::Keep) {
        return Ok((census, None));
    }
    let mut verdicts = verdicts.into_iter();
    let spliced = match format {
        Format::OtlpProtobuf => protobuf::Splice::of(body, verdicts)?,
        Format::OtlpJson => json::otlp(body, &mut verdicts)?,
        Format::ZipkinJson => json::zipkin(body, &mut verdicts)?,
        Format::ZipkinProtobuf => protobuf::Splice::of_zipkin(body, verdicts)?,
    };
    Ok((census, Some(spliced.into())))
}

#[cfg(test)]
mod tests;
