//! How many spans a sampled one stands for: 1 / sampling probability, as far as the span says.
use super::sink::Value;
use crate::sample::state::TraceState;

/// The largest weight that is believed: OpenTelemetry's thresholds end there.
const WEIGHT_MAX: f64 = (1u64 << 56) as f64;

/// An attribute that tells a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// `spanlake.weight`: the weight itself.
    Weight,
    /// Jaeger's `sampler.type`.
    SamplerType,
    /// Jaeger's `sampler.param`.
    SamplerParam,
}

impl Hint {
    /// The hint in the span attribute `key`.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        match key {
            b"spanlake.weight" => Some(Self::Weight),
            b"sampler.type" => Some(Self::SamplerType),
            b"sampler.param" => Some(Self::SamplerParam),
            _ => None,
        }
    }
}

/// All that one span says about its weight.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hints {
    /// By the trace state; 0 where it names none.
    state: f64,
    /// By `spanlake.weight`; 0 without.
    attribute: f64,
    probabilistic: bool,
    probability: f64,
    invalid: bool,
    /// Attributes seen, a bit for each [`Hint`].
    seen: u8,
}

impl Hints {
    /// Begins with the trace state: OpenTelemetry's rejection threshold `ot=th:<hex>`.
    #[inline]
    pub(crate) fn of_trace_state(trace_state: &[u8]) -> Self {
        let mut hints = Self::default();
        if !trace_state.is_empty() {
            let read = TraceState::read(trace_state);
            hints.state = read.threshold.map_or(0.0, |threshold| threshold.weight());
            hints.invalid = read.invalid;
        }
        hints
    }

    /// Adds an attribute; the first of equal keys wins.
    pub(crate) fn add(&mut self, hint: Hint, value: Value<'_>) {
        let bit = 1 << hint as u8;
        if self.seen & bit != 0 {
            return;
        }
        self.seen |= bit;
        match hint {
            Hint::Weight => match number(value) {
                Some(weight) if (1.0..=WEIGHT_MAX).contains(&weight) => self.attribute = weight,
                _ => self.invalid = true,
            },
            Hint::SamplerType => self.probabilistic = value == Value::Text(b"probabilistic"),
            Hint::SamplerParam => self.probability = number(value).unwrap_or(0.0),
        }
    }

    /// The weight: the trace state's, else Jaeger's, else 1; `spanlake.weight` can only raise it, because a later stage
    /// of sampling can only lower the probability.
    pub(crate) fn weight(&self) -> f64 {
        let by_sampler = match () {
            () if self.state > 0.0 => self.state,
            () if self.jaeger_is_valid() => 1.0 / self.probability,
            () => 1.0,
        };
        by_sampler.max(self.attribute)
    }

    /// True where something was said that is no weight; it counts as not said.
    pub(crate) fn are_invalid(&self) -> bool {
        self.invalid || (self.probabilistic && !self.jaeger_is_valid())
    }

    fn jaeger_is_valid(&self) -> bool {
        self.probabilistic && (1.0 / WEIGHT_MAX..=1.0).contains(&self.probability)
    }
}

fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(number),
        #[expect(clippy::cast_precision_loss, reason = "a weight needs no more than 53 bits")]
        Value::Int(number) => Some(number as f64),
        Value::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}
