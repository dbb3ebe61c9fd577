//! What Delta does not carry about a data file: a bloom filter of its trace ids, and which attributes lie in its JSON.
//! One object per file, kept in memory.
//!
//! Layout (docs/format.md#sidecar), little endian: magic `SPNLSIDE`, version u32 = 1, hashes u32, rows u64, distinct
//! traces u64, number of words u64, number of attributes u64, the words (u64 each), the attributes (scope u8: 0 span,
//! 1 resource; length u32; key), XXH3-64 of everything before.
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::schema::AttributeScope;
use crate::snapshot::{DataFile, TraceFilter};

const MAGIC: &[u8; 8] = b"SPNLSIDE";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;
const CHECKSUM_BYTES: usize = 8;

/// The contents of a sidecar object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sidecar {
    /// Spans in the data file.
    pub(crate) rows: u64,
    /// Distinct traces in the data file.
    pub(crate) traces: u64,
    pub(crate) filter: TraceFilter,
    /// Attributes that lie in the JSON of some span, sorted.
    pub(crate) rest: Vec<(AttributeScope, String)>,
}

/// The part of a sidecar that stays in memory with its file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) traces: Option<Arc<TraceFilter>>,
    pub(crate) rest: Option<Arc<[(AttributeScope, String)]>>,
}

impl From<Sidecar> for Known {
    fn from(sidecar: Sidecar) -> Self {
        Self { traces: Some(Arc::new(sidecar.filter)), rest: Some(sidecar.rest.into()) }
    }
}

impl Known {
    /// Puts it into `file`.
    pub(crate) fn fill(&self, file: &mut DataFile) {
        file.traces.clone_from(&self.traces);
        file.rest.clone_from(&self.rest);
    }
}

impl Sidecar {
    /// The bytes of the object.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let words = self.filter.words();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + words.len() * 8 + CHECKSUM_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.filter.hashes().to_le_bytes());
        for number in [self.rows, self.traces, words.len() as u64, self.rest.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        for (scope, key) in &self.rest {
            bytes.push(u8::from(*scope == AttributeScope::Resource));
            bytes.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(key.as_bytes());
        }
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        bytes.into()
    }

    /// Reads the object `path`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the bytes are not a sidecar of a version known here, or damaged.
    pub(crate) fn from_bytes(path: &str, bytes: &[u8]) -> Result<Self> {
        parse(bytes).map_err(|detail| Error::Corrupt { path: path.into(), detail: detail.into() })
    }
}

fn parse(bytes: &[u8]) -> std::result::Result<Sidecar, &'static str> {
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || &bytes[..8] != MAGIC {
        return Err("not a sidecar");
    }
    let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if u64_at(checksum, 0) != xxh3_64(body) {
        return Err("checksum differs");
    }
    if u32_at(body, 8) != VERSION {
        return Err("written by a newer version");
    }
    let (words, rest) = usize::try_from(u64_at(body, 32))
        .ok()
        .and_then(|words| body[HEADER_BYTES..].split_at_checked(words.checked_mul(8)?))
        .ok_or("length differs")?;
    let words = words.chunks_exact(8).map(|word| u64_at(word, 0)).collect();
    let filter = TraceFilter::from_parts(words, u32_at(body, 12)).ok_or("not a filter")?;
    let rest = attributes(rest, u64_at(body, 40)).ok_or("attributes unreadable")?;
    Ok(Sidecar { rows: u64_at(body, 16), traces: u64_at(body, 24), filter, rest })
}

fn attributes(mut bytes: &[u8], count: u64) -> Option<Vec<(AttributeScope, String)>> {
    let mut attributes = Vec::new();
    for _ in 0..count {
        let (head, after) = bytes.split_at_checked(5)?;
        let (key, after) = after.split_at_checked(usize::try_from(u32_at(head, 1)).ok()?)?;
        let scope = if head[0] == 1 { AttributeScope::Resource } else { AttributeScope::Span };
        attributes.push((scope, std::str::from_utf8(key).ok()?.to_owned()));
        bytes = after;
    }
    bytes.is_empty().then_some(attributes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(number)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(number)
}
