//! Which traces of files that are written anew have spans in other files, where the fragments alone do not tell.
//!
//! A trace that was open in none of the inputs keeps what its rollup said. One that was open may be whole now: it is
//! taken for whole where no other live file from within an hour may hold it, which the filters say (wrongly about once in
//! a hundred files; then it stays open, which is never wrong).
use std::collections::HashSet;
use std::sync::Arc;

use crate::id::TraceId;
use crate::snapshot::{DataFile, TraceFilter};
use crate::table::Table;
use crate::time::{NANOS_PER_SECOND, TimeRange};

/// Parts of a trace that start further apart than this count as traces of their own where each has a root.
pub(crate) const HORIZON_NANO: i64 = 3_600 * NANOS_PER_SECOND;

/// See the module.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    /// Open in some input; `None` where an input has no rollup that would say.
    open: Option<HashSet<TraceId>>,
    /// The filters of other files from about the same time; of a file without one, none.
    others: Vec<Option<Arc<TraceFilter>>>,
}

impl Elsewhere {
    pub(crate) async fn of(table: &Table, inputs: &[Arc<DataFile>]) -> Self {
        let mut open = Some(HashSet::new());
        for file in inputs {
            match (table.rollups().whole(file).await, &mut open) {
                (Some(rollup), Some(open)) => open.extend(rollup.open().iter().copied()),
                _ => open = None,
            }
        }
        let paths: HashSet<&str> = inputs.iter().map(|file| file.path.as_str()).collect();
        let state = table.state();
        let near = inputs.iter().map(|file| file.start).reduce(|a, b| a.union(&b));
        let near = near.map_or(TimeRange::ALL, |range| TimeRange {
            from: range.from.saturating_sub(HORIZON_NANO),
            until: range.until.saturating_add(HORIZON_NANO),
        });
        let others = state
            .files
            .iter()
            .filter(|file| file.start.overlaps(&near) && !paths.contains(file.path.as_str()));
        Self { open, others: others.map(|file| file.traces.clone()).collect() }
    }

    pub(crate) fn may_hold(&self, trace: &TraceId) -> bool {
        let was_open = self.open.as_ref().is_none_or(|open| open.contains(trace));
        let may_hold = |filter: &Option<Arc<TraceFilter>>| {
            filter.as_ref().is_none_or(|f| f.may_contain(trace))
        };
        was_open && self.others.iter().any(may_hold)
    }
}
