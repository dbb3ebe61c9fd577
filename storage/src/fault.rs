//! Named points between any two steps of what changes a table, at which a test ends the process
//! (docs/reliability.md#kill-points). In release builds nothing is there.

/// Every point.
pub const POINTS: [&str; 40] = [
    "log: segment made",
    "log: group written",
    "log: group synced",
    "log: recent requests saved",
    "log: segment given up",
    "log: trimmed",
    "log: purged",
    "flush: begun",
    "flush: encoded",
    "flush: data file written",
    "flush: sidecar written",
    "flush: rollup written",
    "flush: all files written",
    "flush: committed",
    "flush: visible",
    "commit: decided",
    "commit: written",
    "commit: applied",
    "checkpoint: due",
    "checkpoint: written",
    "checkpoint: log cleaned",
    "delete: data file deleted",
    "delete: all of a file deleted",
    "delete: orphans found",
    "merge: files read",
    "merge: encoded",
    "merge: files written",
    "compaction: committed",
    "join: data file written",
    "join: all files written",
    "removal: copies written",
    "removal: figures written",
    "removal: committed",
    "removal: receipt written",
    "pin: written",
    "deletion: files rewritten",
    "deletion: patches forgotten",
    "deletion: committed",
    "patch: written",
    "policy: set",
];

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The point, and how often it is still passed alive.
    static ARMED: OnceLock<(&'static str, AtomicU64)> = OnceLock::new();

    pub(super) fn arm(point: &'static str, times: u64) -> Result<(), String> {
        // Whoever armed first has it: a process dies once.
        let _ = ARMED.set((point, AtomicU64::new(times)));
        Ok(())
    }

    pub(super) fn pass(point: &'static str) {
        if let Some((armed, left)) = ARMED.get()
            && *armed == point
            && left.fetch_sub(1, Ordering::AcqRel) == 0
        {
            // As `kill -9`: nothing is written, nobody is asked.
            std::process::abort();
        }
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    pub(super) fn arm(point: &'static str, _times: u64) -> Result<(), String> {
        Err(format!("{point:?} is in debug builds only"))
    }

    #[inline]
    pub(super) fn pass(_point: &'static str) {}
}

/// Ends the process where `name` is passed after `times` passes; in debug builds only.
///
/// # Errors
/// There is no such point, or this is a release build; says which.
pub fn arm(name: &str, times: u64) -> Result<(), String> {
    let Some(point) = POINTS.into_iter().find(|point| *point == name) else {
        return Err(format!("there is no point {name:?}"));
    };
    armed::arm(point, times)
}

/// Passes one of [`POINTS`].
#[inline]
pub(crate) fn point(name: &'static str) {
    armed::pass(name);
}

#[cfg(test)]
mod tests;
