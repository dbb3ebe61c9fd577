//! Which requests were stored lately: a client that missed our answer sends the same bytes again.
//!
//! Owns `*.recent`. The window lives in memory; after a crash it is rebuilt from the entries of the log, and for entries
//! that were trimmed from small files, each written whole before the trim.
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::folder::{Folder, UNFINISHED, write_whole};
use crate::id::WalSeq;

const MAGIC: [u8; 8] = *b"SPLKREC\x01";
const EXTENSION: &str = ".recent";
const REQUEST_LEN: usize = 32;
/// Requests remembered at most: about 80 MB. At more than 1,700 requests a second the default window gets shorter.
const REQUESTS_MAX: usize = 1 << 20;

/// Recognises a request: 128 bits over its format and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(pub(crate) u128);

impl Fingerprint {
    /// Of a request body as received.
    pub(crate) fn of(format: u8, body: &[u8]) -> Self {
        Self(xxh3_128_with_seed(body, u64::from(format)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Request {
    fingerprint: Fingerprint,
    received_unix_nano: i64,
    seq: WalSeq,
}

/// The window.
#[derive(Debug)]
pub(crate) struct Recent {
    window_nano: i64,
    known: HashSet<Fingerprint>,
    /// Ascending by position.
    order: VecDeque<Request>,
    /// Every request up to here is in a file, or needs none.
    saved: WalSeq,
    /// Names of the files, and when the newest request in them was received.
    files: Vec<(String, i64)>,
}

impl Recent {
    /// Reads what was saved. A damaged file is left out with a warning: a request might then be stored twice.
    pub(crate) fn load(folder: &dyn Folder, window: Duration) -> io::Result<Self> {
        let window_nano = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        let mut recent = Self {
            window_nano,
            known: HashSet::new(),
            order: VecDeque::new(),
            saved: WalSeq(0),
            files: Vec::new(),
        };
        let mut names = folder.list()?;
        for unfinished in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
            folder.remove(unfinished)?;
        }
        names.retain(|name| name.ends_with(EXTENSION));
        names.sort_unstable();
        for name in names {
            match decode(&folder.read(&name)?) {
                Some(requests) => recent.take_file(name, requests),
                None => tracing::warn!(file = name, "file of recent requests is damaged, ignored"),
            }
        }
        Ok(recent)
    }

    /// Every request up to here was in a file once, as far as the window reaches back.
    pub(super) fn saved(&self) -> WalSeq {
        self.saved
    }

    fn take_file(&mut self, name: String, requests: Vec<Request>) {
        let newest = requests.iter().map(|request| request.received_unix_nano).max();
        self.files.push((name, newest.unwrap_or(i64::MIN)));
        for request in requests {
            self.saved = self.saved.max(request.seq);
            self.insert(request.fingerprint, request.received_unix_nano, request.seq);
        }
    }

    /// Whether this request was stored within the window before `now`.
    pub(crate) fn contains(&mut self, fingerprint: Fingerprint, now_unix_nano: i64) -> bool {
        self.forget_old(now_unix_nano);
        self.known.contains(&fingerprint)
    }

    /// Remembers a request at `seq`, the largest so far.
    pub(crate) fn insert(
        &mut self,
        fingerprint: Fingerprint,
        received_unix_nano: i64,
        seq: WalSeq,
    ) {
        if self.known.insert(fingerprint) {
            self.order.push_back(Request { fingerprint, received_unix_nano, seq });
        }
        if self.order.len() > REQUESTS_MAX {
            self.forget_first();
        }
    }

    /// Forgets requests at `first` and later: they were not stored after all.
    pub(crate) fn forget_from(&mut self, first: WalSeq) {
        while let Some(request) = self.order.pop_back_if(|request| request.seq >= first) {
            self.known.remove(&request.fingerprint);
        }
    }

    /// Saves the requests up to `through`, so that their entries may be trimmed; deletes files that are too old to matter.
    pub(crate) fn save(
        &mut self,
        folder: &dyn Folder,
        through: WalSeq,
        now_unix_nano: i64,
    ) -> io::Result<()> {
        self.forget_old(now_unix_nano);
        let unsaved: Vec<Request> = self
            .order
            .iter()
            .copied()
            .filter(|request| request.seq > self.saved && request.seq <= through)
            .collect();
        if !unsaved.is_empty() {
            let name = format!("{:020}{EXTENSION}", through.0);
            write_whole(folder, &name, &encode(&unsaved))?;
            let newest = unsaved.iter().map(|request| request.received_unix_nano).max();
            self.files.push((name, newest.unwrap_or(i64::MIN)));
        }
        self.saved = self.saved.max(through);
        self.delete_old_files(folder, now_unix_nano)
    }

    fn delete_old_files(&mut self, folder: &dyn Folder, now_unix_nano: i64) -> io::Result<()> {
        let oldest = now_unix_nano.saturating_sub(self.window_nano);
        let (old, live) = self.files.drain(..).partition(|(_, newest)| *newest < oldest);
        self.files = live;
        let old: Vec<(String, i64)> = old;
        old.iter().try_for_each(|(name, _)| folder.remove(name))
    }

    fn forget_old(&mut self, now_unix_nano: i64) {
        let oldest = now_unix_nano.saturating_sub(self.window_nano);
        while self.order.front().is_some_and(|request| request.received_unix_nano < oldest) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(request) = self.order.pop_front() {
            self.known.remove(&request.fingerprint);
        }
    }
}

fn encode(requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + requests.len() * REQUEST_LEN + 4);
    bytes.extend_from_slice(&MAGIC);
    for request in requests {
        bytes.extend_from_slice(&request.fingerprint.0.to_le_bytes());
        bytes.extend_from_slice(&request.received_unix_nano.to_le_bytes());
        bytes.extend_from_slice(&request.seq.0.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<Request>> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    let requests = content.strip_prefix(&MAGIC)?;
    if u32::from_le_bytes(*checksum) != crc32fast::hash(content)
        || requests.len() % REQUEST_LEN != 0
    {
        return None;
    }
    requests.chunks_exact(REQUEST_LEN).map(decode_request).collect()
}

fn decode_request(bytes: &[u8]) -> Option<Request> {
    let (fingerprint, rest) = bytes.split_first_chunk::<16>()?;
    let (received, rest) = rest.split_first_chunk::<8>()?;
    let (seq, _) = rest.split_first_chunk::<8>()?;
    Some(Request {
        fingerprint: Fingerprint(u128::from_le_bytes(*fingerprint)),
        received_unix_nano: i64::from_le_bytes(*received),
        seq: WalSeq(u64::from_le_bytes(*seq)),
    })
}
