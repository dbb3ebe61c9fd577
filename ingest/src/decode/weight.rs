//! How many spans a sampled one stands for: 1 / sampling probability.

/// The weight that the W3C trace state names: OpenTelemetry's rejection threshold `ot=th:<hex>`
/// (<https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>). `None` where it names none.
pub(crate) fn from_trace_state(trace_state: &[u8]) -> Option<f64> {
    let members = trace_state.split(|&byte| byte == b',');
    let ours = members.map(<[u8]>::trim_ascii).find_map(|member| member.strip_prefix(b"ot="))?;
    let threshold = ours.split(|&byte| byte == b';').find_map(|part| part.strip_prefix(b"th:"))?;
    from_threshold(threshold)
}

/// Up to 14 hex digits, trailing zeros left out: the share of 2^56 that is *not* sampled.
#[expect(clippy::cast_precision_loss, reason = "a weight needs no more than a double's 53 bits")]
fn from_threshold(digits: &[u8]) -> Option<f64> {
    const DIGITS: usize = 14;
    const WHOLE: u64 = 1 << (4 * DIGITS);
    if digits.is_empty() || digits.len() > DIGITS {
        return None;
    }
    let mut threshold = 0u64;
    for &digit in digits {
        threshold = threshold << 4 | u64::from(char::from(digit).to_digit(16)?);
    }
    threshold <<= 4 * (DIGITS - digits.len());
    Some(WHOLE as f64 / (WHOLE - threshold) as f64)
}

/// The weight of Jaeger's probabilistic sampler; `None` for what is no probability.
pub(crate) fn from_probability(probability: f64) -> Option<f64> {
    (probability > 0.0 && probability <= 1.0).then(|| 1.0 / probability)
}
