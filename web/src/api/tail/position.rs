//! Where a reader stands: the `id` of an event, and `Last-Event-ID` when it comes back.
use std::fmt;

use crate::{Error, Result};

/// Everything before span number `next` has been dealt with. Printed as `RUN-POSITION-NEXT`.
///
/// Numbers count from 0 at each start of the server, so `run` says which start was meant. The log position holds
/// beyond that: after a restart the reader goes on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// When the server was started, Unix milliseconds.
    pub(super) run: u64,
    /// Position in the write-ahead log of the group that the last span before came with.
    pub(super) through: u64,
    /// Number of the next span.
    pub(super) next: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}-{}", self.run, self.through, self.next)
    }
}

impl std::str::FromStr for Position {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().unwrap_or_default();
        let run = u64::from_str_radix(part(), 16);
        match (run, part().parse(), part().parse()) {
            (Ok(run), Ok(through), Ok(next)) => Ok(Self { run, through, next }),
            _ => Err(Error::Invalid(format!(
                "Last-Event-ID is the id of an event of this stream, not {text:?}"
            ))),
        }
    }
}
