//! The values of a group in little memory: four bytes each while they are whole numbers that fit, as nearly all durations do.
use super::Shape;

/// See the module.
#[derive(Debug, Default, Clone)]
pub(crate) struct Values {
    small: Vec<u32>,
    /// The others.
    large: Vec<i64>,
}

impl Values {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.small.len() + self.large.len()
    }

    /// Bytes that they occupy.
    pub(crate) fn bytes(&self) -> usize {
        self.small.capacity() * size_of::<u32>() + self.large.capacity() * size_of::<i64>()
    }

    /// Adds one.
    pub(crate) fn push(&mut self, value: i64) {
        match u32::try_from(value) {
            Ok(small) => {
                make_room(&mut self.small, 1);
                self.small.push(small);
            }
            Err(_) => self.large.push(value),
        }
    }

    /// Adds some.
    #[expect(clippy::cast_possible_truncation, reason = "no value has a higher bit")]
    pub(crate) fn extend(&mut self, values: &[i64]) {
        let bits = values.iter().fold(0, |bits, value| bits | value.cast_unsigned());
        if bits > u64::from(u32::MAX) {
            values.iter().for_each(|value| self.push(*value));
            return;
        }
        make_room(&mut self.small, values.len());
        self.small.extend(values.iter().map(|value| value.cast_unsigned() as u32));
    }

    /// Adds those of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        if self.len() == 0 {
            self.clone_from(other);
            return;
        }
        make_room(&mut self.small, other.small.len());
        self.small.extend_from_slice(&other.small);
        self.large.extend_from_slice(&other.large);
    }

    /// The quantiles that `shape` asks for; the values get another order.
    pub(super) fn select(&mut self, shape: &Shape) -> Vec<Option<i64>> {
        if self.large.is_empty() {
            return shape.select(&mut self.small);
        }
        shape.select(&mut self.all())
    }

    /// The value at `place` (from 0) of the sorted ones; the values get another order.
    pub(crate) fn nth(&mut self, place: usize) -> Option<i64> {
        if place >= self.len() {
            return None;
        }
        if self.large.is_empty() {
            return Some(i64::from(*self.small.select_nth_unstable(place).1));
        }
        Some(*self.all().select_nth_unstable(place).1)
    }

    fn all(&self) -> Vec<i64> {
        let small = self.small.iter().map(|value| i64::from(*value));
        small.chain(self.large.iter().copied()).collect()
    }

    /// As bytes: how many are small, these, the others. `None` where that is too much for one state.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let bytes = size_of::<u32>() * (self.small.len() + 1) + size_of::<i64>() * self.large.len();
        i32::try_from(bytes).ok()?;
        let mut all = Vec::with_capacity(bytes);
        all.extend(u32::try_from(self.small.len()).ok()?.to_ne_bytes());
        self.small.iter().for_each(|value| all.extend(value.to_ne_bytes()));
        self.large.iter().for_each(|value| all.extend(value.to_ne_bytes()));
        Some(all)
    }

    /// Adds those of which [`Self::to_bytes`] made `bytes`.
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        let Some((small, rest)) = bytes.split_first_chunk() else { return };
        let small = usize::try_from(u32::from_ne_bytes(*small)).unwrap_or(usize::MAX);
        let small = small.saturating_mul(size_of::<u32>()).min(rest.len());
        let (small, large) = rest.split_at(small);
        let (small, large) = (small.as_chunks().0, large.as_chunks().0);
        make_room(&mut self.small, small.len());
        self.small.extend(small.iter().map(|value| u32::from_ne_bytes(*value)));
        self.large.extend(large.iter().map(|value| i64::from_ne_bytes(*value)));
    }
}

/// Grows by a half, not to twice the size: memory is what a quantile of many values has too little of.
fn make_room(values: &mut Vec<u32>, more: usize) {
    let needed = values.len() + more;
    if needed > values.capacity() {
        values.reserve_exact(more.max(values.len() / 2));
    }
}

#[cfg(test)]
mod tests;
