//! Values of some rows, kept as they came; one value a row only where a column is asked for.
use std::sync::Arc;

use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Values and which rows have them.
#[derive(Debug, Clone)]
pub enum Spots<T> {
    /// One for each row.
    Every(Arc<[T]>),
    /// Ascending rows, and a value for each.
    Rows(Arc<[u32]>, Arc<[T]>),
    /// Ascending ranges of rows, `from..until`, which share a value.
    Runs(Arc<[(u32, u32, T)]>),
}

impl<T: Copy> Spots<T> {
    /// True where no row has a value.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Every(values) => values.is_empty(),
            Self::Rows(rows, _) => rows.is_empty(),
            Self::Runs(runs) => runs.is_empty(),
        }
    }

    /// Every row that has a value, ascending.
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, T)) {
        match self {
            Self::Every(values) => {
                values.iter().enumerate().for_each(|(row, value)| each(row, *value));
            }
            Self::Rows(rows, values) => {
                for (row, value) in rows.iter().zip(values.iter()) {
                    each(*row as usize, *value);
                }
            }
            Self::Runs(runs) => {
                for &(from, until, value) in runs.iter() {
                    (from..until).for_each(|row| each(row as usize, value));
                }
            }
        }
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Every(values) => size_of_val(&**values),
            Self::Rows(rows, values) => size_of_val(&**rows) + size_of_val(&**values),
            Self::Runs(runs) => size_of_val(&**runs),
        }
    }
}

/// A column under construction: a value for each row, and which rows have one.
#[derive(Debug)]
pub(crate) struct Dense<T> {
    values: Vec<T>,
    valid: Vec<u8>,
    count: usize,
}

impl<T: Copy + Default> Dense<T> {
    /// `rows` rows without values.
    pub(crate) fn new(rows: usize) -> Self {
        Self { values: vec![T::default(); rows], valid: vec![0; rows.div_ceil(8)], count: 0 }
    }

    /// Gives row `row` a value; it had none.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, value: T) {
        self.values[row] = value;
        self.valid[row / 8] |= 1 << (row % 8);
        self.count += 1;
    }

    /// Gives the rows from `first` on the values of `spots`, as `value_of` has them.
    pub(crate) fn write<S: Copy>(
        &mut self,
        first: usize,
        spots: &Spots<S>,
        mut value_of: impl FnMut(S) -> T,
    ) {
        match spots {
            Spots::Every(values) => {
                let rows = first..first + values.len();
                for (slot, value) in self.values[rows.clone()].iter_mut().zip(values.iter()) {
                    *slot = value_of(*value);
                }
                self.mark(rows.start, rows.end);
            }
            Spots::Rows(rows, values) => {
                for (row, value) in rows.iter().zip(values.iter()) {
                    self.set(first + *row as usize, value_of(*value));
                }
            }
            Spots::Runs(runs) => {
                for &(from, until, value) in runs.iter() {
                    let (from, until) = (first + from as usize, first + until as usize);
                    self.values[from..until].fill(value_of(value));
                    self.mark(from, until);
                }
            }
        }
    }

    /// Says that the rows have values.
    fn mark(&mut self, from: usize, until: usize) {
        self.count += until - from;
        let (mut row, whole) = (from, until / 8 * 8);
        while row < until {
            if row % 8 == 0 && row < whole {
                self.valid[row / 8..whole / 8].fill(0xff);
                row = whole;
            } else {
                self.valid[row / 8] |= 1 << (row % 8);
                row += 1;
            }
        }
    }

    /// The values, and which rows have one; no null buffer where all do.
    pub(crate) fn finish(self) -> (Vec<T>, Option<NullBuffer>) {
        let rows = self.values.len();
        let valid = || BooleanBuffer::new(Buffer::from_vec(self.valid), 0, rows);
        let nulls = (self.count < rows).then(|| NullBuffer::new(valid()));
        (self.values, nulls)
    }
}

#[cfg(test)]
mod tests;
