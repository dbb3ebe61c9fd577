//! What a read sees: one table version plus the hot batches that it does not contain, each span once.
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use chrono::NaiveDate;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::batch::SpanBatch;
use crate::error::{Error, Result};
use crate::file::footer::Footer;
use crate::file::sidecar::Sidecar;
use crate::id::{TableVersion, TraceId};
use crate::ledger::Ledger;
use crate::patch::Patches;
use crate::retain::{DEFAULT_CLASS, Receipt};
use crate::rollup::Rollups;
use crate::schema::{AttributeColumns, AttributeScope};
use crate::time::TimeRange;

/// One Parquet file of the table, as the Delta log describes it.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Path relative to [`Snapshot::object_store`]'s root: `date=2026-11-21/....parquet`.
    pub path: String,
    /// Size on disk.
    pub bytes: u64,
    /// XXH3-128 of its bytes, where the log says: other engines' files have none.
    pub checksum: Option<u128>,
    /// Length and checksum of its page index and footer, where the log says.
    pub footer: Option<Footer>,
    /// Number of spans.
    pub rows: u64,
    /// Partition.
    pub date: NaiveDate,
    /// Retention class; `None` for the default one.
    pub class: Option<Arc<str>>,
    /// Range of start times.
    pub start: TimeRange,
    /// When it was written, Unix milliseconds.
    pub modified_unix_milli: i64,
    /// Smallest and largest `service`, where the log says.
    pub services: Option<(String, String)>,
    /// Trace ids that may be inside, from the file's sidecar; `None` where it has none: then any may be.
    pub traces: Option<Arc<TraceFilter>>,
    /// Attributes that lie in the JSON of some span here ([`crate::batch::RestCount`], sorted): they had no column of
    /// their type when the file was written. `None` where the sidecar does not say: then any may.
    pub rest: Option<Arc<[(AttributeScope, String)]>>,
    /// The sidecar object, relative to the table's folder like `path`.
    pub sidecar: Option<String>,
    /// The rollup object, relative to the table's folder like `path`; `None` where the file has none. Ask
    /// [`Snapshot::rollups`] for it.
    pub rollup: Option<String>,
}

impl DataFile {
    /// Where the file lies in `folder`; `None` where its path has signs that a folder may spell in another way.
    pub fn in_folder(&self, folder: &std::path::Path) -> Option<PathBuf> {
        is_plain(&self.path).then(|| folder.join(&self.path))
    }

    /// Reads the whole file from [`Snapshot::object_store`] and compares it with what the log says: size and checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it is not as it was written; otherwise it could not be read.
    pub async fn read_checked(&self, store: &dyn ObjectStore) -> Result<Bytes> {
        let failed = |source| {
            let path = self.path.clone();
            Error::ObjectStore { step: "read data file", path, source }
        };
        let path = Path::parse(&self.path).map_err(|error| failed(error.into()))?;
        let bytes = store.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
        let corrupt = |detail| Error::Corrupt { path: self.path.clone(), detail };
        if bytes.len() as u64 != self.bytes {
            let (found, expected) = (bytes.len(), self.bytes);
            return Err(corrupt(format!("{found} bytes long where the table says {expected}")));
        }
        let found = xxhash_rust::xxh3::xxh3_128(&bytes);
        match self.checksum {
            Some(expected) if expected != found => {
                Err(corrupt(format!("checksum {found:032x} where the table says {expected:032x}")))
            }
            _ => Ok(bytes),
        }
    }

    /// Name of the retention class.
    pub fn class(&self) -> &str {
        self.class.as_deref().unwrap_or(DEFAULT_CLASS)
    }

    /// Reads the file's rollup to its last byte; `Ok` where it has none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it is damaged; otherwise it could not be read.
    pub async fn check_rollup(&self, store: &dyn ObjectStore) -> Result<()> {
        crate::rollup::check(store, self).await
    }

    /// Reads its sidecar to the last byte; `Ok` where it has none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it is damaged, or another file's; otherwise it could not be read.
    pub async fn check_sidecar(&self, store: &dyn ObjectStore) -> Result<()> {
        let Some(path) = self.sidecar.as_deref() else { return Ok(()) };
        let failed = |source| Error::ObjectStore { step: "read", path: path.into(), source };
        let object = store.get(&Path::from(path)).await.map_err(failed)?;
        let sidecar = Sidecar::from_bytes(path, &object.bytes().await.map_err(failed)?)?;
        if sidecar.rows == self.rows {
            return Ok(());
        }
        let detail = format!("of {} spans where the file has {}", sidecar.rows, self.rows);
        Err(Error::Corrupt { path: path.into(), detail })
    }

    /// The objects that belong to the file.
    pub(crate) fn beside(&self) -> Vec<String> {
        [&self.sidecar, &self.rollup].into_iter().flatten().cloned().collect()
    }

    /// False only where the file certainly holds no span of this trace.
    pub fn may_hold_trace(&self, trace: &TraceId) -> bool {
        self.traces.as_ref().is_none_or(|filter| filter.may_contain(trace))
    }

    /// False only where the file certainly has no value of this attribute outside the attribute's column.
    pub fn may_hold_rest(&self, scope: AttributeScope, key: &str) -> bool {
        self.rest.as_ref().is_none_or(|keys| {
            keys.binary_search_by(|(at, name)| (*at, name.as_str()).cmp(&(scope, key))).is_ok()
        })
    }
}

/// Bloom filter over trace ids, kept in memory for each live file. About one false answer in a hundred.
///
/// Layout and hashing are persisted (docs/format.md#sidecar): bit `i` of a trace is
/// `(low + i * high) mod bits`, where `low` and `high` are the halves of XXH3-64 of its 16 bytes, `high` made odd.
///
/// Of a file that this process wrote it is sharper, one false answer in 100,000 or fewer: who looks for thousands of traces
/// in hundreds of files would otherwise read nearly all of them for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceFilter {
    words: Vec<u64>,
    hashes: u32,
    /// The upper halves of all hashes, sorted; in memory only.
    prefixes: Option<Box<[u32]>>,
}

/// A file has prefixes where it has so many spans for each trace at least: they take a byte a span at most.
const SPANS_PER_PREFIX: usize = 4;

/// Bits for each trace: `-ln(0.01) / ln(2)^2`, rounded up.
const FILTER_BITS_PER_TRACE: usize = 10;
/// `ln(2)` times the bits for each trace.
const FILTER_HASHES: u32 = 7;

impl TraceFilter {
    /// An empty filter with room for `traces` distinct ids.
    pub fn with_capacity(traces: usize) -> Self {
        let words = (traces * FILTER_BITS_PER_TRACE).div_ceil(64).max(1);
        Self { words: vec![0; words], hashes: FILTER_HASHES, prefixes: None }
    }

    /// A filter from its stored parts; `None` where they cannot be one.
    pub(crate) fn from_parts(words: Vec<u64>, hashes: u32) -> Option<Self> {
        let is_one = !words.is_empty() && (1..=32).contains(&hashes);
        is_one.then_some(Self { words, hashes, prefixes: None })
    }

    /// The bits, lowest first.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Bits set for each trace.
    pub(crate) fn hashes(&self) -> u32 {
        self.hashes
    }

    /// Adds `trace`.
    pub fn insert(&mut self, trace: &TraceId) {
        self.prefixes = None;
        for (word, bit) in Self::bits(trace, self.hashes, self.words.len()) {
            self.words[word] |= bit;
        }
    }

    /// The filter of the traces of `spans` spans whose XXH3-64 are `hashes`.
    pub(crate) fn of_hashes(hashes: &[u64], spans: usize) -> Self {
        let mut filter = Self::with_capacity(hashes.len());
        if hashes.len().saturating_mul(SPANS_PER_PREFIX) <= spans {
            let mut prefixes: Vec<u32> = hashes.iter().map(|hash| prefix(*hash)).collect();
            prefixes.sort_unstable();
            filter.prefixes = Some(prefixes.into());
        }
        for hash in hashes {
            for (word, bit) in Self::bits_of(*hash, filter.hashes, filter.words.len()) {
                filter.words[word] |= bit;
            }
        }
        filter
    }

    /// How many traces there was room for.
    pub(crate) fn traces_about(&self) -> u64 {
        (self.words.len() * 64 / FILTER_BITS_PER_TRACE) as u64
    }

    /// False only where `trace` was never added.
    pub fn may_contain(&self, trace: &TraceId) -> bool {
        let hash = xxhash_rust::xxh3::xxh3_64(&trace.0);
        let may = Self::bits_of(hash, self.hashes, self.words.len())
            .all(|(word, bit)| self.words[word] & bit != 0);
        let is_known = |known: &[u32]| known.binary_search(&prefix(hash)).is_ok();
        may && self.prefixes.as_deref().is_none_or(is_known)
    }

    fn bits(trace: &TraceId, hashes: u32, words: usize) -> impl Iterator<Item = (usize, u64)> {
        Self::bits_of(xxhash_rust::xxh3::xxh3_64(&trace.0), hashes, words)
    }

    fn bits_of(hash: u64, hashes: u32, words: usize) -> impl Iterator<Item = (usize, u64)> {
        let (low, high) = (hash & 0xffff_ffff, (hash >> 32) | 1);
        let bits = words as u64 * 64;
        (0..u64::from(hashes)).map(move |i| {
            let bit = (low + i * high) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }
}

/// The half of a hash that [`TraceFilter`] keeps.
fn prefix(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(u32::MAX)
}

/// Files that took the place of others and hold exactly their spans, by path: a step of compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rearrangement {
    /// The files that went.
    pub inputs: Vec<String>,
    /// The files that came.
    pub outputs: Vec<String>,
}

/// True where every store spells the path as it is, and it leads below the folder it is relative to.
fn is_plain(path: &str) -> bool {
    let is_known = |sign: u8| sign.is_ascii_alphanumeric() || b"=-_./".contains(&sign);
    path.bytes().all(is_known) && !path.starts_with('/') && !path.contains("..")
}

/// So many of the last rearrangements are remembered.
pub(crate) const REARRANGEMENTS_MAX: usize = 64;

/// One consistent state of the table, made anew at each change; holds what it names for as long as it lives.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The Delta version.
    pub version: TableVersion,
    /// Live files.
    pub files: Arc<[Arc<DataFile>]>,
    /// Batches that no file holds yet.
    pub hot: Arc<[Arc<SpanBatch>]>,
    /// Attributes that have columns in any file or hot batch.
    pub columns: Arc<AttributeColumns>,
    /// `columns.schema()`, with the types that files and hot batches have in memory (see [`crate::schema::read_type`]).
    pub schema: SchemaRef,
    /// The store that [`DataFile::path`] is relative to.
    pub object_store: Arc<dyn ObjectStore>,
    /// The folder that [`DataFile::path`] is relative to, where the files lie in one of this machine.
    pub folder: Option<Arc<std::path::Path>>,
    /// Receipts of all that was removed, oldest first.
    pub receipts: Arc<[Receipt]>,
    /// The last steps of compaction, oldest first: who added up the spans of the files before need not do it again.
    pub rearranged: Arc<[Arc<Rearrangement>]>,
    /// Rollups of the files, as far as they were asked for.
    pub rollups: Arc<Rollups>,
    /// What people added to spans afterwards; `files` and `hot` are without it.
    pub patches: Arc<Patches>,
    /// What was refused. Not of this state alone: it grows while the snapshot lives.
    pub ledger: Arc<Ledger>,
}

impl Snapshot {
    /// Spans in files and hot batches.
    pub fn rows(&self) -> u64 {
        let hot: usize = self.hot.iter().map(|batch| batch.rows()).sum();
        self.files.iter().map(|file| file.rows).sum::<u64>() + hot as u64
    }
}

#[cfg(test)]
mod tests;
