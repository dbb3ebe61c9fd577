//! Many small batches as one: a column at a time, repeated strings with one dictionary.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, NullBufferBuilder, StringArray,
    StringBuilder, new_null_array,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::error::ArrowError;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::batch::SpanBatch;

/// The column `field.name()` of all `batches`, one after the other; null where a batch does not have it.
pub(crate) fn merge(batches: &[Arc<SpanBatch>], field: &Field) -> Result<ArrayRef, ArrowError> {
    let parts: Vec<Part<'_>> = batches
        .iter()
        .map(|batch| Part {
            array: batch.records().column_by_name(field.name()),
            rows: batch.rows(),
        })
        .collect();
    match field.data_type() {
        DataType::Dictionary(_, _) => Ok(Arc::new(merge_dictionaries(&parts))),
        data_type => merge_plain(&parts, data_type),
    }
}

/// True where no batch has a value in the column.
pub(crate) fn is_all_null(batches: &[Arc<SpanBatch>], field: &Field) -> bool {
    batches.iter().all(|batch| {
        batch
            .records()
            .column_by_name(field.name())
            .is_none_or(|array| array.logical_null_count() == array.len())
    })
}

struct Part<'a> {
    array: Option<&'a ArrayRef>,
    rows: usize,
}

fn merge_plain(parts: &[Part<'_>], data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let missing = parts.iter().filter(|part| part.array.is_none()).map(|part| part.rows).max();
    let nulls = new_null_array(data_type, missing.unwrap_or(0));
    let arrays: Vec<ArrayRef> = parts
        .iter()
        .map(|part| part.array.map_or_else(|| nulls.slice(0, part.rows), Arc::clone))
        .collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    if arrays.is_empty() {
        return Ok(new_null_array(data_type, 0));
    }
    arrow::compute::concat(&arrays)
}

fn merge_dictionaries(parts: &[Part<'_>]) -> DictionaryArray<Int32Type> {
    let rows = parts.iter().map(|part| part.rows).sum();
    let mut merger = Merger {
        interner: Interner::default(),
        keys: Vec::with_capacity(rows),
        nulls: NullBufferBuilder::new(rows),
    };
    for part in parts {
        match part.array {
            Some(array) => merger.append(array.as_dictionary::<Int32Type>()),
            None => merger.append_nulls(part.rows),
        }
    }
    let keys = Int32Array::new(ScalarBuffer::from(merger.keys), merger.nulls.finish());
    DictionaryArray::new(keys, Arc::new(merger.interner.finish()))
}

struct Merger {
    interner: Interner,
    keys: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Merger {
    fn append_nulls(&mut self, rows: usize) {
        self.keys.resize(self.keys.len() + rows, 0);
        self.nulls.append_n_nulls(rows);
    }

    /// Only values that rows use are taken over, so that a dictionary shared by many batches does not grow the file.
    fn append(&mut self, dictionary: &DictionaryArray<Int32Type>) {
        const UNSEEN: i32 = -1;
        let values: &StringArray = dictionary.values().as_string::<i32>();
        let mut merged_keys = vec![UNSEEN; values.len()];
        for key in dictionary.keys() {
            let value =
                key.and_then(|key| usize::try_from(key).ok()).filter(|key| values.is_valid(*key));
            let Some(key) = value else {
                self.append_nulls(1);
                continue;
            };
            if merged_keys[key] == UNSEEN {
                merged_keys[key] = self.interner.intern(values.value(key));
            }
            self.keys.push(merged_keys[key]);
            self.nulls.append_non_null();
        }
    }
}

/// Distinct strings, numbered in the order of their first use.
#[derive(Default)]
pub(crate) struct Interner {
    values: StringBuilder,
    count: i32,
    table: HashTable<(u64, i32)>,
    hasher: foldhash::fast::RandomState,
}

impl Interner {
    /// The number of `value`.
    pub(crate) fn intern(&mut self, value: &str) -> i32 {
        use std::hash::BuildHasher;
        let hash = self.hasher.hash_one(value);
        let stored = StoredStrings {
            bytes: self.values.values_slice(),
            offsets: self.values.offsets_slice(),
        };
        let found = self.table.entry(
            hash,
            |(other, number)| *other == hash && stored.value(*number) == value.as_bytes(),
            |(other, _)| *other,
        );
        match found {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let number = self.count;
                entry.insert((hash, number));
                self.values.append_value(value);
                self.count += 1;
                number
            }
        }
    }

    /// The strings by number.
    pub(crate) fn finish(mut self) -> StringArray {
        self.values.finish()
    }
}

struct StoredStrings<'a> {
    bytes: &'a [u8],
    offsets: &'a [i32],
}

impl StoredStrings<'_> {
    #[expect(clippy::cast_sign_loss, reason = "numbers and offsets count up from 0")]
    fn value(&self, number: i32) -> &[u8] {
        let number = number as usize;
        &self.bytes[self.offsets[number] as usize..self.offsets[number + 1] as usize]
    }
}
