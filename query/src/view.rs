//! Views by name, with their range and filters.

/// A view: a SQL table function and an HTTP endpoint over the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// One row a trace.
    Traces,
    /// End-to-end latency by root operation.
    Latency,
    /// Its histogram.
    LatencyHistogram,
    /// Spans by service, operation and kind.
    Operations,
    /// Who calls whom.
    Dependencies,
    /// Bytes by service.
    Network,
    /// Bytes by the root operation that caused them.
    NetworkCaused,
}

/// A question to a view. Texts are as users type them: `-1h`, `now`, RFC 3339, Unix seconds.
#[derive(Debug, Clone)]
pub struct ViewRequest {
    /// Which view.
    pub view: View,
    /// Start of the range, inclusive; everything where absent.
    pub from: Option<String>,
    /// End of the range, exclusive; everything where absent.
    pub to: Option<String>,
    /// Conditions on the view's own columns as a SQL expression, already made of safe parts by the caller.
    pub filter: Option<String>,
    /// `ORDER BY` text over the view's columns.
    pub order: Option<String>,
    /// Row limit.
    pub limit: Option<usize>,
}
