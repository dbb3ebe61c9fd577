//! What was learnt of files as they were read. Files never change, so it stays true; it is bounded, and lost at a restart.
use super::chosen::Chosen;
use super::counts::learnt::Learnt;
use super::pick::dictionaries::Dictionaries;
use super::vocabulary::Vocabularies;

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
