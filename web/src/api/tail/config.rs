//! Limits of the live tail.
use std::time::Duration;

/// Limits of the live tail. A process serves one tenant, so that its limit on readers is the tenant's.
#[derive(Debug, Clone)]
pub struct Config {
    /// Readers at once. One costs a connection and a task; the spans are shared by all with the same filter.
    pub readers_max: usize,
    /// Readers at once with one token (or, where none is needed, without any): 1,000, because a team's page or a wall
    /// of screens shares one. Many more from one address also need `http.connections_per_address_max`.
    pub readers_per_token_max: usize,
    /// Distinct filters at once: each is compared with every span.
    pub filters_max: usize,
    /// Spans that wait for their readers, all filters together, as JSON.
    pub waiting_bytes_max: usize,
    /// Bytes of events handed out in a second, all readers together. A reader that wants little gets it whole, the others
    /// share the rest alike and are told how many spans they did not get.
    pub bytes_per_second_max: usize,
    /// A sign of life is sent after this much silence.
    pub heartbeat: Duration,
    /// A reader that takes nothing for this long (and two heartbeats) loses its connection.
    pub stalled_max: Duration,
    /// A stream ends after this; clients come back by themselves.
    pub age_max: Duration,
    /// Spans that a returning reader gets from memory at most; further ones it is told as skipped.
    pub resume_spans_max: usize,
    /// For this long after the last reader left, what is flushed is kept in memory, for its return.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            readers_max: 10_000,
            readers_per_token_max: 1_000,
            filters_max: 256,
            waiting_bytes_max: 128 << 20,
            bytes_per_second_max: 32 << 20,
            heartbeat: Duration::from_secs(15),
            stalled_max: Duration::from_secs(30),
            age_max: Duration::from_secs(24 * 3_600),
            resume_spans_max: 20_000,
            linger: Duration::from_secs(60),
        }
    }
}
