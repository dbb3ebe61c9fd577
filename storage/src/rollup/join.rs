//! The rollup of a file that several files became: the sum of theirs, less what traces contributed whose parts lay in
//! several of them, and with what those contribute as a whole.
use super::builder::Slots;
use super::stored::{Content, Rollup, RollupSlots};
use super::sum::Figures;
use super::traces::{RollupTraces, TraceRow};
use crate::id::TraceId;

impl Slots {
    /// Adds others, whose slots are as long.
    pub(crate) fn add(&mut self, other: &Self) {
        let keys = self.keys_of(other);
        for (slot, figures) in &other.slots {
            self.slots.entry(*slot).or_default().merge_as(figures, |key| keys[key as usize]);
        }
    }

    /// Takes others away that were added before.
    pub(crate) fn subtract(&mut self, other: &Self) {
        let keys = self.keys_of(other);
        for (slot, figures) in &other.slots {
            self.slots.entry(*slot).or_default().subtract_as(figures, |key| keys[key as usize]);
        }
        self.slots.retain(|_, figures| !figures.is_empty());
    }

    /// False where something was taken away that had not been added.
    pub(crate) fn is_sound(&self) -> bool {
        self.slots.values().all(Figures::is_sound)
    }

    fn keys_of(&mut self, other: &Self) -> Vec<u32> {
        other.names.texts().iter().map(|text| self.names.key(text)).collect()
    }
}

impl Figures {
    fn is_sound(&self) -> bool {
        self.unnamed >= 0
            && self.operations.values().all(|row| row.spans > 0)
            && self.edges.values().all(|row| row.moved.calls > 0)
            && self.roots.values().all(|row| row.traces > 0)
    }
}

/// Joins rollups.
#[derive(Debug)]
pub(crate) struct Joining {
    content: Content,
}

impl Joining {
    /// In slots of this length, a multiple of those of all rollups.
    pub(crate) fn new(slot_nano: i64) -> Self {
        let slots = Slots { slot_nano, ..Slots::default() };
        Self { content: Content { slots, ..Content::default() } }
    }

    /// Adds the rollup of a file of `spans` spans; the traces that `is_split` names come with [`Self::mend`]. Without
    /// `traces`, those must be all.
    pub(crate) fn add(
        &mut self,
        spans: u64,
        (rollup, slots, traces): (&Rollup, &RollupSlots, Option<&RollupTraces>),
        is_split: &dyn Fn(&TraceId) -> bool,
    ) {
        let content = &mut self.content;
        content.spans += spans;
        content.sampled |= rollup.is_sampled();
        slots.add_all_to(&mut content.slots);
        content.open.extend(rollup.open().iter().filter(|trace| !is_split(trace)));
        content.linked.extend(rollup.linked().iter().filter(|trace| !is_split(trace)));
        let Some(traces) = traces else { return };
        let names = &mut content.slots.names;
        let keys: Vec<u32> = traces.names().iter().map(|name| names.key(name)).collect();
        let rows = traces.rows().iter().filter(|row| !is_split(&row.id));
        content.traces.extend(rows.map(|row| with_keys(*row, &keys)));
    }

    /// Takes `minus` away, and adds `plus`.
    pub(crate) fn mend(&mut self, plus: Content, minus: &Slots) {
        self.content.slots.add(&plus.slots);
        let keys = self.content.slots.keys_of(&plus.slots);
        self.content.traces.extend(plus.traces.into_iter().map(|row| with_keys(row, &keys)));
        self.content.slots.subtract(minus);
        self.content.open.extend(plus.open);
        self.content.linked.extend(plus.linked);
    }

    /// The rollup; `None` where what was taken away had not been in the others: then they were of other spans.
    pub(crate) fn finish(mut self) -> Option<Content> {
        for traces in [&mut self.content.open, &mut self.content.linked] {
            traces.sort_unstable();
            traces.dedup();
        }
        self.content.traces.sort_unstable_by_key(|row| (row.start, row.id));
        self.content.slots.is_sound().then_some(self.content)
    }
}

/// With the keys that `keys` has for its own.
fn with_keys(row: TraceRow, keys: &[u32]) -> TraceRow {
    TraceRow { service: keys[row.service as usize], name: keys[row.name as usize], ..row }
}
