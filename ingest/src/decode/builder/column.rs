//! Column buffers: each string is stored once, each value once, nothing for absent ones.
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, PrimitiveArray, StringArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, ArrowPrimitiveType, Int32Type};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// A dictionary under construction: equal bytes get the same key.
#[derive(Debug)]
pub(super) struct Interner {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    table: HashTable<i32>,
    hasher: RandomState,
    last: i32,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            ends: vec![0],
            table: HashTable::new(),
            hasher: RandomState::default(),
            last: -1,
        }
    }
}

impl Interner {
    /// The key of `text`; invalid UTF-8 is replaced, as everywhere, by U+FFFD.
    #[inline]
    pub(super) fn intern(&mut self, text: &[u8]) -> i32 {
        if self.last >= 0 && entry(&self.bytes, &self.ends, self.last) == text {
            return self.last;
        }
        let hash = self.hasher.hash_one(text);
        let (bytes, ends) = (&self.bytes, &self.ends);
        self.last = match self.table.find(hash, |&key| entry(bytes, ends, key) == text) {
            Some(&key) => key,
            None => self.insert(hash, text),
        };
        self.last
    }

    #[cold]
    fn insert(&mut self, hash: u64, text: &[u8]) -> i32 {
        if simdutf8::basic::from_utf8(text).is_err() {
            return self.intern(String::from_utf8_lossy(text).as_bytes());
        }
        let key = length(self.ends.len() - 1);
        self.bytes.extend_from_slice(text);
        self.ends.push(length(self.bytes.len()));
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.table.insert_unique(hash, key, |&key| hasher.hash_one(entry(bytes, ends, key)));
        key
    }

    fn finish(self) -> StringArray {
        strings(self.bytes, self.ends, None)
    }

    /// The dictionary array with these keys.
    pub(super) fn into_array(self, keys: Vec<i32>, nulls: Option<NullBuffer>) -> ArrayRef {
        let keys = Int32Array::new(ScalarBuffer::from(keys), nulls);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(self.finish())))
    }
}

#[inline]
#[expect(clippy::cast_sign_loss, reason = "keys and offsets count upwards from 0")]
fn entry<'a>(bytes: &'a [u8], ends: &[i32], key: i32) -> &'a [u8] {
    let key = key as usize;
    &bytes[ends[key] as usize..ends[key + 1] as usize]
}

/// A length as an Arrow offset. The builder keeps every buffer below [`super::BUFFER_BYTES_MAX`].
#[inline]
pub(super) fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// Texts in one buffer, `ends[i]..ends[i + 1]` each. Where some are no UTF-8, those are mended.
pub(super) fn strings(bytes: Vec<u8>, ends: Vec<i32>, nulls: Option<NullBuffer>) -> StringArray {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
    let bytes = Buffer::from_vec(bytes);
    match StringArray::try_new(offsets.clone(), bytes.clone(), nulls.clone()) {
        Ok(array) => array,
        Err(_) => mended(bytes.as_slice(), &offsets, nulls),
    }
}

#[cold]
fn mended(bytes: &[u8], offsets: &OffsetBuffer<i32>, nulls: Option<NullBuffer>) -> StringArray {
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    let mut ends = vec![0];
    for index in 0..offsets.len() - 1 {
        text.extend_from_slice(
            String::from_utf8_lossy(entry(bytes, offsets, length(index))).as_bytes(),
        );
        ends.push(length(text.len()));
    }
    StringArray::new(OffsetBuffer::new(ScalarBuffer::from(ends)), text.into(), nulls)
}

/// Values of some rows: each with the half-open range of rows that have it.
#[derive(Debug)]
pub(super) struct Sparse<T> {
    spots: Vec<(u32, u32, T)>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { spots: Vec::new() }
    }
}

impl<T: Copy + Default> Sparse<T> {
    /// Gives rows `from..until` the value; ranges come in ascending order and never overlap.
    #[inline]
    pub(super) fn push(&mut self, from: u32, until: u32, value: T) {
        self.spots.push((from, until, value));
    }

    /// One value a row and which rows have one; no null buffer where all do.
    pub(super) fn dense(&self, rows: usize) -> (Vec<T>, Option<NullBuffer>) {
        let mut values = vec![T::default(); rows];
        let mut bits = MutableBuffer::from_len_zeroed(rows.div_ceil(8));
        let set = bits.as_slice_mut();
        let mut count = 0;
        for &(from, until, value) in &self.spots {
            values[from as usize..until as usize].fill(value);
            for row in from..until {
                set[row as usize / 8] |= 1 << (row % 8);
            }
            count += (until - from) as usize;
        }
        let nulls =
            (count < rows).then(|| NullBuffer::new(BooleanBuffer::new(bits.into(), 0, rows)));
        (values, nulls)
    }
}

impl<T: ArrowNativeType> Sparse<T> {
    pub(super) fn into_primitive<P: ArrowPrimitiveType<Native = T>>(self, rows: usize) -> ArrayRef {
        let (values, nulls) = self.dense(rows);
        Arc::new(PrimitiveArray::<P>::new(ScalarBuffer::from(values), nulls))
    }
}

impl Sparse<bool> {
    pub(super) fn into_boolean(self, rows: usize) -> ArrayRef {
        let (values, nulls) = self.dense(rows);
        Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
    }
}

/// A dictionary column in which some rows have no value.
#[derive(Debug, Default)]
pub(super) struct SparseText {
    pub(super) interner: Interner,
    pub(super) keys: Sparse<i32>,
}

impl SparseText {
    #[inline]
    pub(super) fn push(&mut self, from: u32, until: u32, text: &[u8]) {
        let key = self.interner.intern(text);
        self.keys.push(from, until, key);
    }

    pub(super) fn into_array(self, rows: usize) -> ArrayRef {
        let (keys, nulls) = self.keys.dense(rows);
        self.interner.into_array(keys, nulls)
    }
}

/// JSON objects, one a row or null, in one buffer.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) json: Vec<u8>,
    ends: Vec<i32>,
    valid: Vec<bool>,
    start: usize,
}

impl Default for Objects {
    fn default() -> Self {
        Self { json: Vec::new(), ends: vec![0], valid: Vec::new(), start: 0 }
    }
}

impl Objects {
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

    pub(super) fn finish(self) -> StringArray {
        let nulls = NullBuffer::from(self.valid);
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        strings(self.json, self.ends, nulls)
    }
}
