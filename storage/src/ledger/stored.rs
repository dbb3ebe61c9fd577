//! The ledger as a file.
use std::collections::VecDeque;
use std::io;

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::{Entries, MARKS_MAX, Refused, SPANS_MAX};
use crate::wal::{Folder, write_whole};

/// Its name.
pub(super) const NAME: &str = "ledger";
const MAGIC: [u8; 8] = *b"SPLKLED\x01";
const SPAN_BYTES: usize = 17;
const THRESHOLD_BYTES: usize = 16;
const MINUTE_BYTES: usize = 8;

/// Reads and removes the file. `None` where it is not there, or damaged: that is warned of.
pub(super) fn take(folder: &dyn Folder) -> Option<Entries> {
    let bytes = folder.read(NAME).ok()?;
    if folder.remove(NAME).is_err() {
        // It would be taken for the state of an orderly end next time, too.
        return None;
    }
    let entries = decode(&bytes);
    if entries.is_none() {
        tracing::warn!("the ledger of refusals is damaged: it begins anew");
    }
    entries
}

/// Writes the file, whole or not at all.
pub(super) fn save(folder: &dyn Folder, entries: &Entries) -> io::Result<()> {
    write_whole(folder, NAME, &encode(entries))
}

pub(super) fn encode(entries: &Entries) -> Vec<u8> {
    let Entries { since_nano, order, spans, thresholds, unread } = entries;
    let mut bytes = Vec::with_capacity(64 + order.len() * SPAN_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&since_nano.to_le_bytes());
    for count in [order.len(), thresholds.len(), unread.len()] {
        bytes.extend_from_slice(&(count as u64).to_le_bytes());
    }
    for (key, at) in order {
        bytes.extend_from_slice(&key.to_le_bytes());
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.push(u8::from(spans.get(key) == Some(&Refused::Dropped)));
    }
    for (from, threshold) in thresholds {
        bytes.extend_from_slice(&from.to_le_bytes());
        bytes.extend_from_slice(&threshold.to_le_bytes());
    }
    for minute in unread {
        bytes.extend_from_slice(&minute.to_le_bytes());
    }
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Entries> {
    let (content, checksum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(content) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let mut rest = content.strip_prefix(&MAGIC)?;
    let since_nano = i64::from_le_bytes(number(&mut rest)?);
    let mut count = |max: usize| {
        let count = usize::try_from(u64::from_le_bytes(number(&mut rest)?)).ok()?;
        (count <= max).then_some(count)
    };
    let (spans, thresholds, unread) = (count(SPANS_MAX)?, count(MARKS_MAX)?, count(MARKS_MAX)?);
    let bytes = spans * SPAN_BYTES + thresholds * THRESHOLD_BYTES + unread * MINUTE_BYTES;
    if rest.len() != bytes {
        return None;
    }
    let mut entries = Entries { since_nano, ..Entries::default() };
    (entries.order, entries.spans) = read_spans(&mut rest, spans)?;
    for _ in 0..thresholds {
        let from = i64::from_le_bytes(number(&mut rest)?);
        entries.thresholds.push_back((from, u64::from_le_bytes(number(&mut rest)?)));
    }
    for _ in 0..unread {
        entries.unread.push_back(i64::from_le_bytes(number(&mut rest)?));
    }
    Some(entries)
}

type Spans = (VecDeque<(u64, i64)>, HashMap<u64, Refused>);

fn read_spans(rest: &mut &[u8], count: usize) -> Option<Spans> {
    let (mut order, mut spans) = (VecDeque::with_capacity(count), HashMap::with_capacity(count));
    for _ in 0..count {
        let key = u64::from_le_bytes(number(rest)?);
        order.push_back((key, i64::from_le_bytes(number(rest)?)));
        let (why, after) = rest.split_first()?;
        *rest = after;
        spans.insert(key, if *why == 0 { Refused::Late } else { Refused::Dropped });
    }
    Some((order, spans))
}

fn number(rest: &mut &[u8]) -> Option<[u8; 8]> {
    let (number, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(*number)
}
