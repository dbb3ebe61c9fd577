//! Strings that many batches share: each stored once and numbered, from one flush to the next.
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Distinct strings by number. Only ever grows, so a number keeps its meaning as long as the value lives.
#[derive(Debug, Default)]
pub struct Strings {
    stored: RwLock<Stored>,
}

impl Strings {
    /// What is known now, for reading many.
    pub(crate) fn read(&self) -> Reading<'_> {
        // A writer that panics leaves texts without an end at most: nobody can name them.
        Reading { stored: self.stored.read().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// Access to [`Strings`]; writers wait while it lives.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    stored: RwLockReadGuard<'a, Stored>,
}

impl Reading<'_> {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.stored.count()
    }

    /// The string with this number, valid UTF-8.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        self.stored.get(number as usize)
    }
}

#[derive(Debug, Default)]
struct Stored {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Stored {
    fn count(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start as usize..self.ends[index] as usize]
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(offset(self.bytes.len()));
    }
}

/// Strings are given up long before this ([`Interner::bytes`]); one group of requests adds half a GiB at the very most.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The one writer of some [`Strings`].
///
/// New strings stay private until [`Self::publish`], so that readers and this writer hardly ever wait for each other.
#[derive(Debug, Default)]
pub struct Interner {
    strings: Arc<Strings>,
    table: HashTable<Place>,
    hasher: RandomState,
    fresh: Stored,
}

/// Where a string is. Its hash tells it from nearly all others without a look at their bytes, which lie all over memory.
#[derive(Debug, Clone, Copy)]
struct Place {
    hash: u32,
    number: u32,
    /// Among the bytes of the known strings, with the fresh ones behind them.
    start: u32,
    length: u32,
}

/// A hash of 32 bits as the table wants it.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(SPREAD)
}

/// Odd, about half of its bits set.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a string costs beside its bytes: its end, its place in the hash table with the room that the table keeps free.
const BYTES_PER_STRING: usize = 28;

impl Interner {
    /// The strings, for the batches that name them.
    pub fn strings(&self) -> &Arc<Strings> {
        &self.strings
    }

    /// For interning many.
    pub fn open(&mut self) -> Interning<'_> {
        let known = self.strings.read();
        let base = known.count();
        let Self { table, hasher, fresh, .. } = self;
        Interning { known, base, table, hasher, fresh }
    }

    /// Lets readers see what was interned since the last time. Returns by how many bytes that makes the strings larger.
    pub fn publish(&mut self) -> usize {
        let fresh = &mut self.fresh;
        let added = fresh.bytes.len() + fresh.count() * BYTES_PER_STRING;
        if fresh.count() > 0 {
            let mut stored = self.strings.stored.write().unwrap_or_else(PoisonError::into_inner);
            let before = stored.bytes.len();
            stored.bytes.extend_from_slice(&fresh.bytes);
            stored.ends.extend(fresh.ends.iter().map(|end| offset(before + *end as usize)));
        }
        fresh.bytes.clear();
        fresh.ends.clear();
        added
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        let known = self.strings.read();
        known.stored.bytes.len() + known.count() * BYTES_PER_STRING + self.fresh.bytes.capacity()
    }
}

/// Strings that one column had lately: most that come again are found here, without a look at the large hash table. Good
/// for one [`Interner`] only.
#[derive(Debug)]
pub struct Lately {
    places: Box<[Place; LATELY]>,
}

/// A column of few different strings finds nearly all of them.
const LATELY: usize = 64;

impl Default for Lately {
    fn default() -> Self {
        // No string is so long.
        let none = Place { hash: 0, number: 0, start: 0, length: u32::MAX };
        Self { places: Box::new([none; LATELY]) }
    }
}

impl Lately {
    /// Where `text` would be.
    #[inline]
    fn place(&mut self, text: &[u8]) -> &mut Place {
        let (head, tail) = match (text.first_chunk(), text.last_chunk()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => match (text.first_chunk(), text.last_chunk()) {
                (Some(head), Some(tail)) => {
                    (u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into())
                }
                _ => (text.first().map_or(0, |byte| u64::from(*byte)), 0),
            },
        };
        let mixed = (head ^ tail.rotate_left(29) ^ text.len() as u64).wrapping_mul(SPREAD);
        let [.., high] = mixed.to_le_bytes();
        &mut self.places[usize::from(high) % LATELY]
    }
}

/// As `==`, without a call for the short texts that are compared by the dozen for each span.
#[inline(always)]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    /// Texts of `N` to `2 * N` bytes.
    #[inline(always)]
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
    }
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        8..=16 => ends::<8>(a, b),
        17..=32 => ends::<16>(a, b),
        4..=7 => ends::<4>(a, b),
        33..=64 => ends::<32>(a, b),
        2..=3 => ends::<2>(a, b),
        0..=1 => a.first() == b.first(),
        _ => a == b,
    }
}

/// See [`Interner::open`].
#[derive(Debug)]
pub struct Interning<'a> {
    known: Reading<'a>,
    base: usize,
    table: &'a mut HashTable<Place>,
    hasher: &'a RandomState,
    fresh: &'a mut Stored,
}

impl Interning<'_> {
    /// The number of `text`; what is no UTF-8 in it is replaced by U+FFFD.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> u32 {
        self.place(text).number
    }

    /// The same for a column that had these strings lately.
    #[inline]
    pub fn intern_again(&mut self, lately: &mut Lately, text: &[u8]) -> u32 {
        let place = lately.place(text);
        if place.length as usize != text.len() || !equal(self.all().at(*place), text) {
            *place = self.place(text);
        }
        place.number
    }

    fn all(&self) -> All<'_> {
        All { known: &self.known.stored, fresh: self.fresh }
    }

    fn place(&mut self, text: &[u8]) -> Place {
        let [a, b, c, d, ..] = self.hasher.hash_one(text).to_be_bytes();
        let hash = u32::from_be_bytes([a, b, c, d]);
        let all = self.all();
        let same = |place: &Place| place.hash == hash && equal(all.at(*place), text);
        match self.table.find(spread(hash), same) {
            Some(place) => *place,
            None => self.insert(hash, text),
        }
    }

    #[cold]
    fn insert(&mut self, hash: u32, text: &[u8]) -> Place {
        if std::str::from_utf8(text).is_err() {
            return self.place(String::from_utf8_lossy(text).as_bytes());
        }
        let number = offset(self.base + self.fresh.count());
        let start = offset(self.known.stored.bytes.len() + self.fresh.bytes.len());
        self.fresh.push(text);
        let place = Place { hash, number, start, length: offset(text.len()) };
        self.table.insert_unique(spread(hash), place, |place| spread(place.hash));
        place
    }
}

/// Known strings, and behind them the fresh ones.
#[derive(Clone, Copy)]
struct All<'a> {
    known: &'a Stored,
    fresh: &'a Stored,
}

impl<'a> All<'a> {
    #[inline]
    fn at(self, place: Place) -> &'a [u8] {
        let (start, length) = (place.start as usize, place.length as usize);
        match start.checked_sub(self.known.bytes.len()) {
            None => &self.known.bytes[start..start + length],
            Some(start) => &self.fresh.bytes[start..start + length],
        }
    }
}

#[cfg(test)]
mod tests;
