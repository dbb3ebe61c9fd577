//! Dictionaries of files, their pages of keys, without compression, and the keys of trace ids, in bounded memory: each
//! trace that is looked up asks for the same dictionaries, and of most columns for the same few pages.
//!
//! What is here was compared with its checksum when it was read; files never change.
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use super::held::Held;
use super::page::{Data, Marks, Page};
use crate::cache::{self, Account};
use crate::spans::pages::runs::{self, Mark};
use crate::spans::traced::keys::RowKeys;

/// A larger dictionary would drive out too many others.
const DICTIONARY_BYTES_MAX: usize = 2 << 20;
/// Pages of keys are seldom larger.
const PAGE_BYTES_MAX: usize = 64 << 10;
/// What a key and a place in the map take.
const ENTRY_BYTES: usize = 160;

/// See the module.
#[derive(Debug)]
pub(crate) struct Dictionaries {
    values: Mutex<Held<Arc<Dictionary>>>,
    pages: Mutex<Held<Arc<HeldPage>>>,
    traces: Mutex<Held<Arc<RowKeys>>>,
}

impl Default for Dictionaries {
    fn default() -> Self {
        Self {
            values: Mutex::new(Held::new(Account::of("dictionaries", cache::DICTIONARIES))),
            pages: Mutex::new(Held::new(Account::of("pages", cache::PAGES))),
            traces: Mutex::new(Held::new(Account::of("trace_keys", cache::TRACE_KEYS))),
        }
    }
}

/// Of so many texts of a dictionary it is known where one begins.
pub(super) const TEXTS_A_START: usize = 16;

/// The values of a dictionary.
#[derive(Debug)]
pub(in crate::spans) struct Dictionary {
    values: Bytes,
    starts: Box<[u32]>,
}

impl Dictionary {
    /// One behind the other, texts after their lengths.
    pub(in crate::spans) fn values(&self) -> &Bytes {
        &self.values
    }

    /// Where every [`TEXTS_A_START`]th text begins; empty where that is not known.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }
}

/// Of `values`, as far as they are texts after their lengths.
fn starts(values: &[u8]) -> Box<[u32]> {
    let (mut rest, mut starts) = (values, Vec::new());
    for place in 0.. {
        let Ok(start) = u32::try_from(values.len() - rest.len()) else { break };
        let Some((length, behind)) = rest.split_first_chunk() else { break };
        if place % TEXTS_A_START == 0 {
            starts.push(start);
        }
        let Ok(length) = usize::try_from(u32::from_le_bytes(*length)) else { break };
        let Some(behind) = behind.get(length..) else { break };
        rest = behind;
    }
    starts.into()
}

/// A page of keys, without compression once somebody has looked at them.
#[derive(Debug)]
pub(super) struct HeldPage {
    data: Data,
    body: Box<[u8]>,
    raw_bytes: usize,
    /// Of levels and keys, once somebody asked for the page again.
    marks: OnceLock<[Box<[Mark]>; 2]>,
}

impl HeldPage {
    /// Of `page`, whose values without compression are `values`, `None` where only its levels were looked at. `None` where it
    /// has no keys, or is held already.
    pub(super) fn of(page: &Page<'_>, values: Option<&[u8]>, is_held: bool) -> Option<Self> {
        let data = page.data.filter(Data::is_of_keys)?;
        let (body, raw_bytes) = page.body();
        if raw_bytes > PAGE_BYTES_MAX || (is_held && (values.is_none() || !data.is_compressed())) {
            return None;
        }
        let marks = OnceLock::new();
        let Some(values) = values else {
            return Some(Self { data, body: body.into(), raw_bytes, marks });
        };
        let body = [page.levels()?, values].concat().into();
        Some(Self { data: data.without_compression(), body, raw_bytes, marks })
    }

    /// The page.
    pub(super) fn page(&self) -> Page<'_> {
        let body = (&*self.body, self.raw_bytes);
        let bare = || Page::stored(self.data, body, Marks::default());
        let [levels, values] = self.marks.get_or_init(|| marks(&bare()).unwrap_or_default());
        Page::stored(self.data, body, Marks { levels, values })
    }

    /// What it takes, marks included: at least five times as many bytes lie between two of them.
    fn bytes(&self) -> usize {
        self.body.len() + self.body.len() / 5 + ENTRY_BYTES
    }
}

fn marks(page: &Page<'_>) -> Option<[Box<[Mark]>; 2]> {
    let data = page.data?;
    let levels = match page.definitions()? {
        [] => Box::default(),
        levels => runs::marks(levels, 1, data.entries),
    };
    let values = page.body().0.get(page.levels()?.len()..)?.split_first();
    let values = match values.filter(|_| !data.is_compressed()) {
        Some((width, keys)) => runs::marks(keys, *width, data.entries.saturating_sub(data.nulls)),
        None => Box::default(),
    };
    Some([levels, values])
}

impl Dictionaries {
    /// The dictionary at `place` of the file at `path`.
    pub(in crate::spans) fn find(&self, path: &Arc<str>, place: u64) -> Option<Arc<Dictionary>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).find(path, place)
    }

    /// Keeps the dictionary at `place` of the file at `path`, which has `values`.
    pub(in crate::spans) fn put(
        &self,
        (path, place): (&Arc<str>, u64),
        values: Bytes,
        is_of_texts: bool,
    ) -> Arc<Dictionary> {
        if values.len() > DICTIONARY_BYTES_MAX {
            return Arc::new(Dictionary { values, starts: Box::default() });
        }
        let starts = if is_of_texts { starts(&values) } else { Box::default() };
        let bytes = values.len() + size_of_val(&*starts) + ENTRY_BYTES;
        let dictionary = Arc::new(Dictionary { values, starts });
        let mut held = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes <= held.account.bytes_max() / 4 {
            held.put((path, place), (Arc::clone(&dictionary), bytes));
        }
        dictionary
    }

    /// The pages of keys at `places` of the file at `path`.
    pub(super) fn find_pages(
        &self,
        path: &Arc<str>,
        places: impl Iterator<Item = u64>,
    ) -> Vec<Option<Arc<HeldPage>>> {
        let mut held = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        places.map(|place| held.find(path, place)).collect()
    }

    /// Keeps the page of keys at `place` of the file at `path`.
    pub(super) fn put_page(&self, path: &Arc<str>, place: u64, page: HeldPage) {
        let bytes = page.bytes();
        let mut held = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        held.put((path, place), (Arc::new(page), bytes));
    }

    /// The keys of trace ids at `place` of the file at `path`.
    pub(in crate::spans) fn find_traces(
        &self,
        path: &Arc<str>,
        place: u64,
    ) -> Option<Arc<RowKeys>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner).find(path, place)
    }

    /// Keeps the keys of trace ids at `place` of the file at `path`.
    pub(in crate::spans) fn put_traces(&self, path: &Arc<str>, place: u64, keys: &Arc<RowKeys>) {
        let bytes = keys.bytes() + ENTRY_BYTES;
        let mut held = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes <= held.account.bytes_max() / 4 {
            held.put((path, place), (Arc::clone(keys), bytes));
        }
    }

    /// By cache its share, and the memory that it holds.
    pub(in crate::spans) fn each(&self, visit: &mut dyn FnMut(&Account, usize)) {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        visit(&values.account, values.bytes());
        drop(values);
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        visit(&pages.account, pages.bytes());
        drop(pages);
        let traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        visit(&traces.account, traces.bytes());
    }
}

#[cfg(test)]
mod tests;
