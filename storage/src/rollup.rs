//! Rollups: what a data file's spans add up to, so that a view need not read them.
//!
//! A view's figures are sums over traces, and a trace may lie in several files. So a file's rollup counts the trace's
//! *fragment* in that file where the fragment tells everything (it is **plain**), and lists the trace as **open** where
//! it does not. A reader adds up rollups, takes away what plain fragments of traces contributed that are open in another
//! file or have spans in the hot buffer, and adds those traces whole, from their spans. All figures are whole numbers, so
//! nothing is lost on the way.
//!
//! ```text
//! spans of one trace -> trace::Trace (who called whom) -> edge, root -> Builder -> Sum
//! ```
//! What each figure covers:
//!
//! | table | of | needs whole traces |
//! |---|---|---|
//! | [`Operation`]: counts, bytes, durations | every span, also of open traces | no |
//! | [`Operation`]: variance of its weights | plain fragments | yes, where anything is sampled |
//! | [`Calls`] (edges), [`Traces`] (roots), calls without a name | plain fragments | yes |
//! | [`TraceRow`]: what a list of traces shows of one | plain fragments | yes |
//!
//! Knows no Arrow: `flush::fragments` makes the spans of a file's traces, `format` and `stored` the bytes, `cache` reads them.
//! Decision: docs/decisions/0011-rollups.md; bytes: docs/format.md#rollup.
pub mod attribute;
mod builder;
mod cache;
mod edge;
mod figures;
mod format;
mod histogram;
mod join;
mod longest;
mod seen;
mod stored;
mod sum;
mod trace;
mod traces;
mod varint;
mod weight;

#[cfg(test)]
mod tests;

pub use builder::{Builder, Head, Slots};
pub use cache::Rollups;
pub(crate) use cache::{check, read};
pub use edge::{Edge, EdgeKind, Link, Moved};
pub use figures::{Calls, EdgeKey, Operation, OperationKey, RootKey, Traces};
pub use histogram::{Histogram, bounds, bucket};
pub(crate) use join::Joining;
pub use longest::{Bound, Longest};
pub(crate) use seen::Seen;
pub(crate) use stored::Content;
#[cfg(test)]
pub(crate) use stored::tests::read_object;
pub use stored::{Rollup, RollupSlots};
pub use sum::{Figures, Names, Sum};
pub(crate) use trace::compare_parents;
pub use trace::{Caller, Peer, Sizes, Span, SpanKind, Status, Trace, Words};
pub(crate) use traces::settle;
pub use traces::{RollupTraces, TraceRow, longest_way};
pub use weight::{Cluster, Weight};
