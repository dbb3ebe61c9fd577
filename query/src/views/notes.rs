//! Where views leave their notes once they have read everything.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Notes;

/// The notes of an answer, and those of one of its views.
#[derive(Debug, Clone, Default)]
pub(crate) struct NoteBoard {
    answer: Arc<Mutex<Notes>>,
    view: Arc<Mutex<Notes>>,
}

impl NoteBoard {
    /// That of another view of the same answer.
    pub(crate) fn of_view(&self) -> Self {
        Self { answer: Arc::clone(&self.answer), view: Arc::default() }
    }

    /// Leaves `notes`.
    pub(crate) fn put(&self, notes: Notes) {
        lock(&self.view).clone_from(&notes);
        *lock(&self.answer) = notes;
    }

    /// Takes those of the answer.
    pub(crate) fn take(&self) -> Notes {
        std::mem::take(&mut *lock(&self.answer))
    }

    /// Those of the view, as words; nothing before it has read everything.
    pub(crate) fn words(&self) -> Option<String> {
        let notes = lock(&self.view);
        let words = notes.iter().map(|(name, value)| format!("{name}: {value}"));
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    // Notes are replaced whole.
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}
