//! What lasted longest in a file: bounds by which a list of the slowest traces leaves files out. They are found out as the
//! rollup is read; nothing is stored for them.
use super::figures::{Calls, EdgeKey, Operation, OperationKey, RootKey, Traces};
use super::format::Visit;

/// Durations in nanoseconds that nothing in a file exceeds; `i64::MIN` where there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Of the traces that the file has whole: how long their roots lasted.
    pub trace_nano: i64,
    /// Of all spans.
    pub span_nano: i64,
}

impl Default for Longest {
    fn default() -> Self {
        Self { trace_nano: i64::MIN, span_nano: i64::MIN }
    }
}

impl Visit for Longest {
    fn operation(&mut self, _key: OperationKey, row: &Operation, _durations: &[(u16, i64)]) {
        self.span_nano = self.span_nano.max(row.longest_nano);
    }

    fn edge(&mut self, _key: EdgeKey, _row: &Calls, _both: [&[(u16, i64)]; 2]) {}

    fn root(&mut self, _key: RootKey, row: &Traces, _durations: &[(u16, i64)]) {
        self.trace_nano = self.trace_nano.max(row.longest_nano);
    }

    fn unnamed(&mut self, _calls: i64) {}
}

/// What a file has of one operation: the traces that it has whole and that begin with it, or its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// Service.
    pub service: &'a str,
    /// Operation.
    pub name: &'a str,
    /// Of traces, not of spans.
    pub of_traces: bool,
    /// How many there are.
    pub count: i64,
    /// Those of them that failed.
    pub errors: i64,
    /// None of them lasted longer, in nanoseconds.
    pub longest_nano: i64,
}

/// Hands out each operation.
pub(super) struct Bounds<'a, 'v> {
    pub(super) names: &'a [std::sync::Arc<str>],
    pub(super) visit: &'v mut dyn FnMut(Bound<'a>),
}

impl Visit for Bounds<'_, '_> {
    fn operation(&mut self, key: OperationKey, row: &Operation, _durations: &[(u16, i64)]) {
        (self.visit)(Bound {
            service: &self.names[key.service as usize],
            name: &self.names[key.name as usize],
            of_traces: false,
            count: row.spans,
            errors: row.errors,
            longest_nano: row.longest_nano,
        });
    }

    fn edge(&mut self, _key: EdgeKey, _row: &Calls, _both: [&[(u16, i64)]; 2]) {}

    fn root(&mut self, key: RootKey, row: &Traces, _durations: &[(u16, i64)]) {
        (self.visit)(Bound {
            service: &self.names[key.service as usize],
            name: &self.names[key.name as usize],
            of_traces: true,
            count: row.traces,
            errors: row.errors,
            longest_nano: row.longest_nano,
        });
    }

    fn unnamed(&mut self, _calls: i64) {}
}
