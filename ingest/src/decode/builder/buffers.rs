//! Buffers that columns grow in, used for one group after the other: a batch gets copies of exactly its size.
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use storage::batch::{Interning, Lately, Spots, Values};

/// Values of some rows: single ones, or runs of rows that share a value. A column uses one of the two.
#[derive(Debug)]
pub(super) struct Sparse<T> {
    rows: Vec<u32>,
    values: Vec<T>,
    runs: Vec<(u32, u32, T)>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), values: Vec::new(), runs: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Sparse<T> {
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.values.clear();
        self.runs.clear();
    }

    /// Gives `row` the value; rows come in ascending order.
    #[inline]
    pub(super) fn push(&mut self, row: u32, value: T) {
        self.rows.push(row);
        self.values.push(value);
    }

    /// Gives rows `from..until` the value; ranges come in ascending order and never overlap.
    #[inline]
    pub(super) fn push_run(&mut self, from: u32, until: u32, value: T) {
        match self.runs.last_mut() {
            Some((_, end, last)) if *end == from && *last == value => *end = until,
            _ => self.runs.push((from, until, value)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.runs.is_empty()
    }

    /// The values of a batch of `rows` rows.
    pub(super) fn spots(&self, rows: u32) -> Spots<T> {
        debug_assert!(self.rows.is_empty() || self.runs.is_empty(), "single rows or runs");
        if self.rows.is_empty() {
            Spots::Runs(self.runs.as_slice().into())
        } else if self.rows.len() == rows as usize {
            Spots::Every(self.values.as_slice().into())
        } else {
            Spots::Rows(self.rows.as_slice().into(), self.values.as_slice().into())
        }
    }
}

/// A column of strings.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) spots: Sparse<u32>,
    lately: Lately,
}

impl Text {
    /// The number of `text`.
    #[inline]
    pub(super) fn intern(&mut self, strings: &mut Interning<'_>, text: &[u8]) -> u32 {
        strings.intern_again(&mut self.lately, text)
    }

    #[inline]
    pub(super) fn push(&mut self, strings: &mut Interning<'_>, row: u32, text: &[u8]) {
        let number = self.intern(strings, text);
        self.spots.push(row, number);
    }

    pub(super) fn values(&self, rows: u32) -> Values {
        Values::Text(self.spots.spots(rows))
    }
}

/// JSON objects, one a row or null, in one buffer.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) json: Vec<u8>,
    ends: Vec<i32>,
    valid: Vec<bool>,
    start: usize,
}

impl Objects {
    pub(super) fn clear(&mut self) {
        self.json.clear();
        self.ends.clear();
        self.valid.clear();
        self.start = 0;
    }

    /// The buffer, after the separator that the next key needs.
    #[inline]
    pub(super) fn separated(&mut self) -> &mut Vec<u8> {
        let first = self.json.len() == self.start;
        self.json.push(if first { b'{' } else { b',' });
        &mut self.json
    }

    /// Ends the row: an object where keys were written, null otherwise.
    #[inline]
    pub(super) fn end(&mut self) {
        let written = self.json.len() > self.start;
        if written {
            self.json.push(b'}');
        }
        self.valid.push(written);
        self.start = self.json.len();
        self.ends.push(length(self.start));
    }

    /// The objects; `None` where there is none.
    pub(super) fn array(&self) -> Option<ArrayRef> {
        if self.json.is_empty() {
            return None;
        }
        let nulls = NullBuffer::from(self.valid.as_slice());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        Some(Arc::new(strings(&self.json, &self.ends, nulls)))
    }
}

/// A length as an Arrow offset. The builder keeps every buffer below [`super::BUFFER_BYTES_MAX`].
#[inline]
pub(super) fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// Texts in one buffer, each up to its end. Where some are no UTF-8, those are mended.
pub(super) fn strings(bytes: &[u8], ends: &[i32], nulls: Option<NullBuffer>) -> StringArray {
    let offsets = offsets(ends);
    let buffer = Buffer::from_slice_ref(bytes);
    match StringArray::try_new(offsets.clone(), buffer, nulls.clone()) {
        Ok(array) => array,
        Err(_) => mended(bytes, &offsets, nulls),
    }
}

/// Ends with the first start before them.
pub(super) fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}

#[cold]
#[expect(clippy::cast_sign_loss, reason = "offsets count upwards from 0")]
fn mended(bytes: &[u8], offsets: &OffsetBuffer<i32>, nulls: Option<NullBuffer>) -> StringArray {
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    let mut ends = Vec::with_capacity(offsets.len());
    for pair in offsets.windows(2) {
        let broken = &bytes[pair[0] as usize..pair[1] as usize];
        text.extend_from_slice(String::from_utf8_lossy(broken).as_bytes());
        ends.push(length(text.len()));
    }
    StringArray::new(self::offsets(&ends), text.into(), nulls)
}

/// A column of ids.
pub(super) fn fixed(size: i32, bytes: &[u8], nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::new(size, Buffer::from_slice_ref(bytes), nulls))
}

/// A column of times.
pub(super) fn times(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::new(ScalarBuffer::from(values.to_vec()), None))
}
