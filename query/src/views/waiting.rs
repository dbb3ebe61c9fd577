//! Traces that lists show from their spans, because no single file tells them.
use hashbrown::HashSet;

/// Traces that are read together.
pub(super) const TRACES_AT_ONCE: usize = 1_000;

/// Traces that are still to be shown so. Each comes once, however often it is asked for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// These, and those that were shown.
    known: HashSet<[u8; 16]>,
    next: Vec<[u8; 16]>,
}

impl Waiting {
    pub(super) fn add(&mut self, traces: impl IntoIterator<Item = [u8; 16]>) {
        let known = &mut self.known;
        self.next.extend(traces.into_iter().filter(|trace| known.insert(*trace)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Those that are to be read now.
    pub(super) fn take(&mut self) -> Vec<[u8; 16]> {
        let rest = self.next.len().saturating_sub(TRACES_AT_ONCE);
        self.next.split_off(rest)
    }
}
