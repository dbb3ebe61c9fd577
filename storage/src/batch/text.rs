//! Text columns of many batches as one dictionary: strings that batches share are looked at once.
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, AsArray, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Int32Type;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};

use super::spots::Dense;
use super::strings::{Reading, Strings};
use super::values::{Part, Values};

/// The parts, one after the other; keys count the strings in the order of their first use, and only used ones are there.
pub(crate) fn merge(parts: &[Part<'_>]) -> DictionaryArray<Int32Type> {
    let rows = parts.iter().map(|part| part.rows).sum();
    let mut sources = sources(parts, rows);
    let arrays = parts.iter().filter(|part| matches!(part.values, Some(Values::Array(_)))).count();
    let mut words = Words::new(sources.len() + arrays > 1);
    let mut dense = Dense::<i32>::new(rows);
    let mut first = 0;
    for part in parts {
        match part.values {
            Some(Values::Text(spots)) => {
                if let Some(source) = sources.iter_mut().find(|source| source.is_of(part.strings)) {
                    dense.write(first, spots, |number| source.key(number, &mut words));
                }
            }
            Some(Values::Array(array)) => {
                write_array(first, array.as_dictionary::<Int32Type>(), &mut words, &mut dense);
            }
            _ => {}
        }
        first += part.rows;
    }
    let (keys, nulls) = dense.finish();
    let keys = Int32Array::new(ScalarBuffer::from(keys), nulls);
    DictionaryArray::new(keys, Arc::new(words.finish()))
}

/// The strings of all parts, each once: a few at most, one for each group that is decoded at a time.
fn sources<'a>(parts: &[Part<'a>], rows: usize) -> Vec<Source<'a>> {
    let mut sources: Vec<Source<'_>> = Vec::new();
    for part in parts.iter().filter(|part| matches!(part.values, Some(Values::Text(_)))) {
        if !sources.iter().any(|source| source.is_of(part.strings)) {
            sources.push(Source::new(part.strings, rows));
        }
    }
    sources
}

fn write_array(
    first: usize,
    array: &DictionaryArray<Int32Type>,
    words: &mut Words,
    dense: &mut Dense<i32>,
) {
    let values: &StringArray = array.values().as_string::<i32>();
    let mut keys = vec![UNSEEN; values.len()];
    for (row, key) in array.keys().iter().enumerate() {
        let key = key.and_then(|key| usize::try_from(key).ok());
        if let Some(key) = key.filter(|key| values.is_valid(*key)) {
            if keys[key] == UNSEEN {
                keys[key] = words.add(values.value(key).as_bytes());
            }
            dense.set(first + row, keys[key]);
        }
    }
}

const UNSEEN: i32 = -1;

/// Strings that batches name, and the keys that their numbers have been given.
struct Source<'a> {
    strings: &'a Arc<Strings>,
    reading: Reading<'a>,
    keys: Keys,
}

enum Keys {
    /// For as many rows as there are strings, about.
    All(Vec<i32>),
    /// For few rows.
    Seen(HashMap<u32, i32, foldhash::fast::RandomState>),
}

impl<'a> Source<'a> {
    fn new(strings: &'a Arc<Strings>, rows: usize) -> Self {
        let reading = strings.read();
        let keys = if reading.count() / 8 <= rows {
            Keys::All(vec![UNSEEN; reading.count()])
        } else {
            Keys::Seen(HashMap::default())
        };
        Self { strings, reading, keys }
    }

    fn is_of(&self, strings: &Arc<Strings>) -> bool {
        Arc::ptr_eq(self.strings, strings)
    }

    #[inline]
    fn key(&mut self, number: u32, words: &mut Words) -> i32 {
        match &mut self.keys {
            Keys::All(keys) => {
                let key = &mut keys[number as usize];
                if *key == UNSEEN {
                    *key = words.add(self.reading.get(number));
                }
                *key
            }
            Keys::Seen(keys) => {
                *keys.entry(number).or_insert_with(|| words.add(self.reading.get(number)))
            }
        }
    }
}

/// A dictionary under construction.
struct Words {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    /// Only where equal strings may come twice.
    known: Option<Known>,
}

#[derive(Default)]
struct Known {
    table: HashTable<(u64, i32)>,
    hasher: foldhash::fast::RandomState,
}

impl Words {
    fn new(several: bool) -> Self {
        Self { bytes: Vec::new(), ends: vec![0], known: several.then(Known::default) }
    }

    /// The key of `word`.
    fn add(&mut self, word: &[u8]) -> i32 {
        let key = length(self.ends.len() - 1);
        if let Some(known) = &mut self.known {
            let hash = known.hasher.hash_one(word);
            let (bytes, ends) = (&self.bytes, &self.ends);
            let found = known.table.entry(
                hash,
                |(other, key)| *other == hash && stored(bytes, ends, *key) == word,
                |(other, _)| *other,
            );
            match found {
                Entry::Occupied(entry) => return entry.get().1,
                Entry::Vacant(entry) => entry.insert((hash, key)),
            };
        }
        self.bytes.extend_from_slice(word);
        self.ends.push(length(self.bytes.len()));
        key
    }

    fn finish(self) -> StringArray {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        StringArray::new(ends, Buffer::from_vec(self.bytes), None)
    }
}

#[expect(clippy::cast_sign_loss, reason = "keys and offsets count up from 0")]
fn stored<'a>(bytes: &'a [u8], ends: &[i32], key: i32) -> &'a [u8] {
    let key = key as usize;
    &bytes[ends[key] as usize..ends[key + 1] as usize]
}

/// The hot buffer is smaller than 2 GiB, so its strings are, too.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
