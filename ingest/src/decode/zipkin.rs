//! OTLP JSON.
use super::sink::Sink;
use super::wire::Malformed;
use crate::Config;
use storage::time::TimeRange;
pub(crate) fn walk<S: Sink>(
    _: &[u8],
    _: &Config,
    _: TimeRange,
    _: &mut S,
) -> Result<(), Malformed> {
    super::wire::malformed("soon")
}
