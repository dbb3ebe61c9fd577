use super::*;

/// The rollup in `object`, with its slots at hand.
pub(crate) fn read_object(object: &[u8]) -> Rollup {
    let header = Header::from_bytes("object", object).unwrap();
    let range = header.whole_range();
    let whole = &object[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
    let mut rollup = Rollup::from_bytes("object", &header, whole).unwrap();
    rollup.object = object.to_vec();
    rollup
}

impl Rollup {
    /// The slots of a rollup from [`read_object`].
    pub(crate) fn slots_of_object(&self) -> RollupSlots {
        let range = self.slots_range();
        let bytes = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        self.slots_from_bytes("object", &self.object[bytes]).unwrap()
    }
}
