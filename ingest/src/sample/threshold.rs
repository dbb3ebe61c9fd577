//! OpenTelemetry's rejection threshold: how much of the 56 bits of randomness is *not* kept.
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>

/// Hex digits of a threshold or a randomness value.
const DIGITS: usize = 14;
/// Number of distinct randomness values.
const WHOLE: u64 = 1 << (4 * DIGITS);
/// Significant digits of thresholds that are made here, as the specification recommends.
const PRECISION: usize = 4;
/// Fraction digits that a double holds.
const DOUBLE_DIGITS: usize = 13;

/// A rejection threshold: a trace is kept where its randomness is at least this. Greater means fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Threshold(u64);

impl Threshold {
    /// Reads up to 14 hex digits, trailing zeros left out: the value of `th:`.
    pub(crate) fn parse(digits: &[u8]) -> Option<Self> {
        parse(digits).map(Self)
    }

    /// The threshold that keeps about `probability` (more than 0, at most 1) of all traces.
    pub(crate) fn of_probability(probability: f64) -> Self {
        Self::with_precision(probability, PRECISION)
    }

    /// As [`Self::of_probability`], with `precision` significant digits: the specification's algorithm.
    fn with_precision(probability: f64, precision: usize) -> Self {
        if probability >= 1.0 {
            return Self(0);
        }
        let probability = probability.max(1.0 / WHOLE_DOUBLE);
        // Leading `f` digits say only how small the probability is; they are not among the significant ones.
        let leading = usize::try_from(-exponent(probability)).unwrap_or(0) / 4;
        let precision = (precision + leading).clamp(1, DOUBLE_DIGITS - 1);
        let kept_bits = 4 * precision;
        let half = (-4.0 * precision as f64 - 1.0).exp2();
        let rejected = 2.0 - probability + half;
        let fraction = if rejected >= 2.0 { u64::MAX } else { rejected.to_bits() };
        let fraction = fraction & ((1 << (4 * DOUBLE_DIGITS)) - 1);
        let digits = fraction >> (4 * DOUBLE_DIGITS - kept_bits);
        Self(digits << (4 * DIGITS - kept_bits))
    }

    /// The least randomness that is kept.
    pub(crate) fn least(self) -> u64 {
        self.0
    }

    /// True for a trace with this randomness.
    pub(crate) fn keeps(self, randomness: u64) -> bool {
        randomness >= self.0
    }

    /// Traces that a kept one stands for: 1 / probability.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a weight needs no more than a double's 53 bits"
    )]
    pub(crate) fn weight(self) -> f64 {
        WHOLE_DOUBLE / (WHOLE - self.0) as f64
    }

    /// The value of `th:`.
    pub(crate) fn digits(self) -> String {
        let digits = format!("{:014x}", self.0);
        match digits.trim_end_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }
}

/// [`WHOLE`] as a double.
const WHOLE_DOUBLE: f64 = (1u64 << (4 * DIGITS)) as f64;

/// The exponent of `math.frexp`: `value` is between 0.5 and 1 times two to this.
fn exponent(value: f64) -> i32 {
    let biased = (value.to_bits() >> 52) & 0x7ff;
    i32::try_from(biased).unwrap_or(0) - 1_022
}

/// The randomness of a trace that names none: the last seven bytes of its id.
pub(crate) fn randomness(trace_id: &[u8; 16]) -> u64 {
    trace_id[9..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Reads the value of `rv:`: exactly 14 hex digits.
pub(crate) fn parse_randomness(digits: &[u8]) -> Option<u64> {
    (digits.len() == DIGITS).then(|| parse(digits)).flatten()
}

fn parse(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > DIGITS {
        return None;
    }
    let mut value = 0u64;
    for &digit in digits {
        value = value << 4 | u64::from(char::from(digit).to_digit(16)?);
    }
    Some(value << (4 * (DIGITS - digits.len())))
}

#[cfg(test)]
mod tests;
