//! What was learnt of files as they were read. Files never change, so it stays true; it is bounded, and lost at a restart.
use super::chosen::Chosen;
use super::counts::learnt::Learnt;
use super::pick::dictionaries::Dictionaries;
use super::vocabulary::Vocabularies;
use crate::cache::Account;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Which texts a column has in a file.
    pub(super) vocabularies: Vocabularies,
    /// What dictionaries hold.
    pub(super) dictionaries: Dictionaries,
    /// Which rows conditions chose.
    pub(super) chosen: Chosen,
    /// How often texts occur.
    pub(super) counts: Learnt,
}

impl Known {
    /// By cache its share, and the memory that it holds.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&Account, usize)) {
        self.dictionaries.each(visit);
        visit(&self.vocabularies.account, self.vocabularies.bytes());
        visit(&self.chosen.account, self.chosen.bytes());
    }
}
