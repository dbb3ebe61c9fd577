//! Text columns of many batches as keys into the strings that the batches share.
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::Int32Type;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::gather::{number, scatter};
use crate::batch::{Part, Reading, Strings, Values as Stored};
use crate::file::chunk::NULL;
use crate::file::chunk::value::Values;

/// What the keys of a text column name.
pub(crate) enum Texts<'a> {
    /// All batches share these.
    Shared(&'a Reading<'a>),
    /// The distinct texts of several sources.
    Merged(Vec<&'a [u8]>),
}

impl<'a> Values for Texts<'a> {
    type Value = &'a [u8];

    fn count(&self) -> usize {
        match self {
            Self::Shared(reading) => reading.count(),
            Self::Merged(texts) => texts.len(),
        }
    }

    #[inline]
    fn get(&self, key: u32) -> &'a [u8] {
        match self {
            Self::Shared(reading) => reading.get(key),
            Self::Merged(texts) => texts[key as usize],
        }
    }
}

/// Hands `read` the column as keys, which it puts into `keys`: at the places of the rows, or in the order of arrival.
/// Equal texts have equal keys.
pub(crate) fn with_texts<R>(
    parts: &[Part<'_>],
    places: Option<&[u32]>,
    keys: &mut Vec<u32>,
    read: impl FnOnce(&[u32], &Texts<'_>) -> R,
) -> R {
    let rows: usize = parts.iter().map(|part| part.rows).sum();
    keys.clear();
    keys.resize(rows, NULL);
    let in_order: Vec<u32>;
    let places = match places {
        Some(places) => places,
        None => {
            in_order = (0u32..).take(rows).collect();
            &in_order
        }
    };
    let sources = sources(parts);
    let readings: Vec<Reading<'_>> = sources.iter().map(|strings| strings.read()).collect();
    let arrays = parts.iter().any(|part| matches!(part.values, Some(Stored::Array(_))));
    let texts = match readings.as_slice() {
        [reading] if !arrays => {
            for (part, places) in with_places(parts, places) {
                if let Some(Stored::Text(spots)) = part.values {
                    scatter(spots, places, keys, |number| number);
                }
            }
            Texts::Shared(reading)
        }
        readings => {
            let mut merging = Merging::new(readings);
            for (part, places) in with_places(parts, places) {
                merging.add(part, places, &sources, keys);
            }
            Texts::Merged(merging.texts)
        }
    };
    read(keys, &texts)
}

fn with_places<'p, 'a>(
    parts: &'p [Part<'a>],
    places: &'p [u32],
) -> impl Iterator<Item = (&'p Part<'a>, &'p [u32])> {
    parts.iter().scan(places, |rest, part| {
        let (of_part, after) = rest.split_at(part.rows);
        *rest = after;
        Some((part, of_part))
    })
}

/// The strings of all parts, each once: a few at most, one for each group that is decoded at a time.
fn sources<'a>(parts: &[Part<'a>]) -> Vec<&'a Arc<Strings>> {
    let mut sources: Vec<&Arc<Strings>> = Vec::new();
    for part in parts {
        if matches!(part.values, Some(Stored::Text(_)))
            && !sources.iter().any(|source| Arc::ptr_eq(source, part.strings))
        {
            sources.push(part.strings);
        }
    }
    sources
}

/// Gives texts of several sources one numbering.
struct Merging<'a> {
    readings: &'a [Reading<'a>],
    /// By source, then number there.
    keys: Vec<Vec<u32>>,
    texts: Vec<&'a [u8]>,
    table: HashTable<(u64, u32)>,
    hasher: RandomState,
}

impl<'a> Merging<'a> {
    fn new(readings: &'a [Reading<'a>]) -> Self {
        Self {
            readings,
            keys: readings.iter().map(|reading| vec![NULL; reading.count()]).collect(),
            texts: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::default(),
        }
    }

    fn add(
        &mut self,
        part: &Part<'a>,
        places: &[u32],
        sources: &[&Arc<Strings>],
        keys: &mut [u32],
    ) {
        match part.values {
            Some(Stored::Text(spots)) => {
                let is_of = |source: &&Arc<Strings>| Arc::ptr_eq(source, part.strings);
                let Some(source) = sources.iter().position(is_of) else { return };
                scatter(spots, places, keys, |number| self.key_of(source, number));
            }
            Some(Stored::Array(array)) => {
                let array = array.as_dictionary::<Int32Type>();
                let values: &StringArray = array.values().as_string::<i32>();
                let mut known = vec![NULL; values.len()];
                for (place, key) in places.iter().zip(array.keys()) {
                    let key = key.and_then(|key| usize::try_from(key).ok());
                    let Some(key) = key.filter(|key| values.is_valid(*key)) else { continue };
                    if known[key] == NULL {
                        known[key] = self.intern(values.value(key).as_bytes());
                    }
                    keys[*place as usize] = known[key];
                }
            }
            _ => {}
        }
    }

    fn key_of(&mut self, source: usize, number: u32) -> u32 {
        let known = self.keys[source][number as usize];
        if known != NULL {
            return known;
        }
        let readings = self.readings;
        let key = self.intern(readings[source].get(number));
        self.keys[source][number as usize] = key;
        key
    }

    fn intern(&mut self, text: &'a [u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        let texts = &mut self.texts;
        let same = |(other, key): &(u64, u32)| *other == hash && texts[*key as usize] == text;
        match self.table.entry(hash, same, |(other, _)| *other) {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let key = number(texts.len());
                entry.insert((hash, key));
                texts.push(text);
                key
            }
        }
    }
}

/// A text column in the order of arrival, with texts of its own.
pub(crate) struct Words {
    /// By row; [`NULL`] where it has no text.
    pub(crate) keys: Vec<u32>,
    texts: Vec<Box<[u8]>>,
}

impl Words {
    /// Copies the column and the texts in use.
    pub(crate) fn of(parts: &[Part<'_>]) -> Self {
        let mut keys = Vec::new();
        let texts = with_texts(parts, None, &mut keys, |keys, texts| {
            distinct(keys, texts.count()).map(|key| (key, texts.get(key).into())).collect()
        });
        let texts: Vec<(u32, Box<[u8]>)> = texts;
        let largest = texts.iter().map(|(key, _)| *key as usize + 1).max().unwrap_or(0);
        let mut own = vec![NULL; largest];
        for (place, (key, _)) in (0u32..).zip(&texts) {
            own[*key as usize] = place;
        }
        for key in &mut keys {
            *key = own.get(*key as usize).copied().unwrap_or(NULL);
        }
        Self { keys, texts: texts.into_iter().map(|(_, text)| text).collect() }
    }

    /// The key of a row; none where there is no such row.
    pub(crate) fn key(&self, row: u32) -> u32 {
        self.keys.get(row as usize).copied().unwrap_or(NULL)
    }

    /// The text of a key; empty where there is no such key.
    pub(crate) fn text(&self, key: u32) -> &str {
        let text = self.texts.get(key as usize).map_or(&[][..], |text| text);
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Makes room for the texts of `other`, whose keys it returns as keys here.
    pub(crate) fn absorb(&mut self, other: Self) -> Vec<u32> {
        let mut places: HashMap<Box<[u8]>, u32> = self.texts.iter().cloned().zip(0..).collect();
        let mut own = Vec::with_capacity(other.texts.len());
        for text in other.texts {
            let next = number(self.texts.len());
            let place = *places.entry(text.clone()).or_insert(next);
            if place == next {
                self.texts.push(text);
            }
            own.push(place);
        }
        let keys = other.keys.into_iter();
        keys.map(|key| own.get(key as usize).copied().unwrap_or(NULL)).collect()
    }
}

impl<'a> Values for &'a Words {
    type Value = &'a [u8];

    fn count(&self) -> usize {
        self.texts.len()
    }

    fn get(&self, key: u32) -> &'a [u8] {
        &self.texts[key as usize]
    }
}

/// Each key once, in the order of first use.
pub(crate) fn distinct(keys: &[u32], count: usize) -> impl Iterator<Item = u32> {
    let mut seen = vec![false; count];
    keys.iter().copied().filter(move |key| {
        seen.get_mut(*key as usize).is_some_and(|seen| !std::mem::replace(seen, true))
    })
}

#[cfg(test)]
mod tests;
