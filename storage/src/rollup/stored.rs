//! A file's rollup as an object of its own, and what of it stays in memory.
//!
//! Layout (docs/format.md#rollup): a header, then three blocks, each compressed by itself: the *whole* block (names, open
//! and linked traces, the figures of the whole file), the *slots* block (figures by slot of time), which is only read
//! for a range that cuts through the file, and the *traces* block (a row for each), which is only read for a list of them. In memory the figures stay as bytes, which are added to a [`Sum`] as they are
//! read: a tenth of what they would take as rows.
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::builder::Slots;
use super::figures::{Calls, EdgeKey, Operation, OperationKey, RootKey, Traces};
use super::format::{PartReader, Streams, Visit};
use super::longest::{Bound, Bounds, Longest};
use super::sum::{Figures, Names, Sum};
use super::traces::{self, RollupTraces, TraceRow};
use super::varint::{Reader, put, put_signed};
use crate::error::{Error, Result};
use crate::id::TraceId;
use crate::time::TimeRange;

const MAGIC: &[u8; 8] = b"SPNLROLL";
const VERSION: u32 = 2;
/// Some span stands for more than itself.
const SAMPLED: u32 = 1;
pub(super) const HEADER_BYTES: usize = 120;
/// That of version 1, which has no block of traces.
const HEADER_BYTES_1: usize = 96;
const ZSTD_LEVEL: i32 = 3;
/// What a block may say that it becomes: no rollup that was ever written comes near.
const BLOCK_BYTES_MAX: u64 = 1 << 30;

/// What a flush found out about one file.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Spans in the file.
    pub(crate) spans: u64,
    pub(crate) slots: Slots,
    /// Sorted.
    pub(crate) open: Vec<TraceId>,
    /// Sorted.
    pub(crate) linked: Vec<TraceId>,
    pub(crate) sampled: bool,
    /// Those that are whole here, settled.
    pub(crate) traces: Vec<TraceRow>,
}

/// The rollup of one data file: what stays in memory.
#[derive(Debug)]
pub struct Rollup {
    open: Vec<TraceId>,
    linked: Vec<TraceId>,
    sampled: bool,
    slot_nano: i64,
    names: Arc<[Arc<str>]>,
    whole: Arc<Section>,
    longest: Longest,
    slots: Block,
    slots_range: Range<u64>,
    /// `None` where the object is of version 1.
    traces: Option<Block>,
    #[cfg(test)]
    object: Vec<u8>,
}

/// Figures of one file by slot of time.
#[derive(Debug)]
pub struct RollupSlots {
    slot_nano: i64,
    names: Arc<[Arc<str>]>,
    section: Arc<Section>,
}

/// Where a compressed block lies.
#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: u64,
    raw_bytes: u64,
    checksum: u64,
}

/// Figures of some slots.
#[derive(Debug, Default)]
struct Section {
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

/// Where the streams of one slot lie in its section: they begin, and the last one ends.
#[derive(Debug, Clone, Copy)]
struct Part {
    slot: i64,
    /// Beginning and end of rows, buckets, counts.
    streams: [(usize, usize); 3],
}

impl Content {
    /// The bytes of the object.
    pub(crate) fn to_bytes(&self) -> Result<Bytes> {
        let Slots { names, slots, slot_nano } = &self.slots;
        let (texts, keys) = sorted(names);
        let mut figures = Figures::default();
        slots.values().for_each(|slot| figures.merge(slot));
        let mut whole = Vec::new();
        put(&mut whole, texts.len() as u64);
        for text in texts {
            put(&mut whole, text.len() as u64);
            whole.extend_from_slice(text.as_bytes());
        }
        for listed in [&self.open, &self.linked] {
            put(&mut whole, listed.len() as u64);
            listed.iter().for_each(|trace| whole.extend_from_slice(&trace.0));
        }
        write_section(&mut whole, &[(0, Streams::write(&figures, &keys))]);
        let mut by_slot = Vec::new();
        // One slot is the whole.
        if slots.len() > 1 {
            let parts: Vec<(i64, Streams)> =
                slots.iter().map(|(slot, of)| (*slot, Streams::write(of, &keys))).collect();
            write_section(&mut by_slot, &parts);
        }
        let (whole, slots) = (Compressed::of(&whole)?, Compressed::of(&by_slot)?);
        let traces = Compressed::of(&traces::write(&self.traces, &keys))?;
        let blocks = [&whole, &slots, &traces];
        let length: usize = blocks.iter().map(|block| block.bytes.len()).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(if self.sampled { SAMPLED } else { 0 }).to_le_bytes());
        bytes.extend_from_slice(&self.spans.to_le_bytes());
        bytes.extend_from_slice(&slot_nano.to_le_bytes());
        let first_slot = self.slots.slots.keys().next().copied().unwrap_or(0);
        bytes.extend_from_slice(&first_slot.to_le_bytes());
        for block in blocks {
            bytes.extend_from_slice(&(block.bytes.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&block.raw_bytes.to_le_bytes());
            bytes.extend_from_slice(&xxh3_64(&block.bytes).to_le_bytes());
        }
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        blocks.iter().for_each(|block| bytes.extend_from_slice(&block.bytes));
        Ok(bytes.into())
    }
}

/// A block as it is stored.
struct Compressed {
    bytes: Vec<u8>,
    raw_bytes: u64,
}

impl Compressed {
    fn of(raw: &[u8]) -> Result<Self> {
        let raw_bytes = raw.len() as u64;
        if raw.is_empty() {
            return Ok(Self { bytes: Vec::new(), raw_bytes });
        }
        let bytes = zstd::bulk::compress(raw, ZSTD_LEVEL);
        let failed = |source: std::io::Error| Error::Table {
            step: "compress a rollup",
            source: source.into(),
        };
        Ok(Self { bytes: bytes.map_err(failed)?, raw_bytes })
    }
}

/// The texts in order, and by key the place of its text.
fn sorted(names: &Names) -> (Vec<&str>, Vec<u32>) {
    let mut order: Vec<(&str, u32)> =
        (0u32..).zip(names.texts()).map(|(key, text)| (&**text, key)).collect();
    order.sort_unstable();
    let mut keys = vec![0; order.len()];
    for (place, (_, key)) in (0u32..).zip(&order) {
        keys[*key as usize] = place;
    }
    (order.into_iter().map(|(text, _)| text).collect(), keys)
}

fn write_section(bytes: &mut Vec<u8>, parts: &[(i64, Streams)]) {
    put(bytes, parts.len() as u64);
    for (slot, streams) in parts {
        put_signed(bytes, *slot);
        for stream in [&streams.rows, &streams.buckets, &streams.counts] {
            put(bytes, stream.len() as u64);
        }
    }
    parts.iter().for_each(|(_, streams)| bytes.extend_from_slice(&streams.rows));
    parts.iter().for_each(|(_, streams)| bytes.extend_from_slice(&streams.buckets));
    parts.iter().for_each(|(_, streams)| bytes.extend_from_slice(&streams.counts));
}

/// The lengths of an object's blocks, from its header.
pub(super) struct Header {
    sampled: bool,
    spans: u64,
    slot_nano: i64,
    first_slot: i64,
    whole: Block,
    slots: Block,
    traces: Option<Block>,
    bytes: usize,
}

impl Header {
    /// Spans in the data file.
    pub(super) fn spans(&self) -> u64 {
        self.spans
    }

    /// Reads the beginning of the object `path`.
    pub(super) fn from_bytes(path: &str, bytes: &[u8]) -> Result<Self> {
        let parsed = parse_header(bytes);
        parsed.map_err(|detail| Error::Corrupt { path: path.into(), detail: detail.into() })
    }

    /// Where the whole block lies in the object.
    pub(super) fn whole_range(&self) -> Range<u64> {
        let begin = self.bytes as u64;
        begin..begin.saturating_add(self.whole.bytes)
    }

    /// Where the slots block lies in the object.
    fn slots_range(&self) -> Range<u64> {
        let begin = self.whole_range().end;
        begin..begin.saturating_add(self.slots.bytes)
    }
}

fn parse_header(bytes: &[u8]) -> std::result::Result<Header, &'static str> {
    if bytes.len() < HEADER_BYTES_1 || &bytes[..8] != MAGIC {
        return Err("not a rollup");
    }
    let length = match bytes[8..12] {
        [1, 0, 0, 0] => HEADER_BYTES_1,
        _ => HEADER_BYTES,
    };
    if bytes.len() < length {
        return Err("too short");
    }
    let u64_at = |offset: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[offset..offset + 8]);
        u64::from_le_bytes(number)
    };
    let end = length - 8;
    if u64_at(end) != xxh3_64(&bytes[..end]) {
        return Err("checksum of the header differs");
    }
    let version_and_flags = u64_at(8).to_le_bytes();
    let [a, b, c, d, flags, ..] = version_and_flags;
    if !(1..=VERSION).contains(&u32::from_le_bytes([a, b, c, d])) {
        return Err("written by a newer version");
    }
    let block = |at: usize| Block {
        bytes: u64_at(at),
        raw_bytes: u64_at(at + 8),
        checksum: u64_at(at + 16),
    };
    Ok(Header {
        sampled: u32::from(flags) & SAMPLED != 0,
        spans: u64_at(16),
        slot_nano: u64_at(24).cast_signed(),
        first_slot: u64_at(32).cast_signed(),
        whole: block(40),
        slots: block(64),
        traces: (length == HEADER_BYTES).then(|| block(88)),
        bytes: length,
    })
}

impl Block {
    fn open(&self, bytes: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
        if bytes.len() as u64 != self.bytes || xxh3_64(bytes) != self.checksum {
            return Err("checksum differs");
        }
        if self.raw_bytes > BLOCK_BYTES_MAX {
            return Err("too large");
        }
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let raw_bytes = usize::try_from(self.raw_bytes).map_err(|_| "too large")?;
        zstd::bulk::decompress(bytes, raw_bytes).map_err(|_| "cannot be decompressed")
    }
}

impl Rollup {
    /// Reads the whole block of the object `path`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the bytes are damaged, or not a rollup.
    pub(super) fn from_bytes(path: &str, header: &Header, whole: &[u8]) -> Result<Self> {
        let parsed = parse_whole(header, whole);
        parsed.map_err(|detail| Error::Corrupt { path: path.into(), detail: detail.into() })
    }

    /// Reads the slots block of the object `path`.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub(super) fn slots_from_bytes(&self, path: &str, slots: &[u8]) -> Result<RollupSlots> {
        let read = || {
            if !self.has_slots() {
                return Ok(Arc::clone(&self.whole));
            }
            let raw = self.slots.open(slots)?;
            let names = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
            Section::parse(&raw, names, &mut Longest::default())
                .map(Arc::new)
                .ok_or("slots unreadable")
        };
        let section = read()
            .map_err(|detail: &str| Error::Corrupt { path: path.into(), detail: detail.into() })?;
        let names = Arc::clone(&self.names);
        Ok(RollupSlots { slot_nano: self.slot_nano, names, section })
    }

    /// Where the slots block lies in the object.
    pub(super) fn slots_range(&self) -> Range<u64> {
        self.slots_range.clone()
    }

    /// False where an older version wrote it, without a row for each trace.
    pub fn has_traces(&self) -> bool {
        self.traces.is_some()
    }

    /// Where the traces block lies in the object; `None` where there is none, because version 1 wrote it.
    pub(super) fn traces_range(&self) -> Option<Range<u64>> {
        let begin = self.slots_range.end;
        self.traces.map(|block| begin..begin.saturating_add(block.bytes))
    }

    /// Reads the traces block of the object `path`.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub(super) fn traces_from_bytes(&self, path: &str, traces: &[u8]) -> Result<RollupTraces> {
        let read = || {
            let raw = self.traces.ok_or("there is no block of traces")?.open(traces)?;
            RollupTraces::parse(&raw, &self.names).ok_or("traces unreadable")
        };
        read().map_err(|detail: &str| Error::Corrupt { path: path.into(), detail: detail.into() })
    }

    /// False where the whole file is one slot: then there is no slots block.
    fn has_slots(&self) -> bool {
        self.slots.bytes > 0
    }

    /// Traces whose edges, roots and variances are not in here, because their fragment in this file does not tell them:
    /// a parent or the root is missing, or other spans of the trace are in other files. Sorted.
    pub fn open(&self) -> &[TraceId] {
        &self.open
    }

    /// True where the trace is among [`Self::open`].
    pub fn is_open(&self, trace: &TraceId) -> bool {
        self.open.binary_search(trace).is_ok()
    }

    /// Traces that are not open, with a CONSUMER's link to a span that is not in this file: that link's edge is not in
    /// here, everything else of the trace is. Sorted.
    pub fn linked(&self) -> &[TraceId] {
        &self.linked
    }

    /// Some span of the file stands for more than itself. Where that is so in no file, the variances of all operations
    /// are 0, and [`Operation`]s need no correction at all.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Adds the whole file.
    pub fn add_to(&self, sum: &mut Sum) {
        self.whole.add_to(&self.names, sum, |_| true);
    }

    /// What nothing in the file exceeds.
    pub fn longest(&self) -> Longest {
        self.longest
    }

    /// Hands every operation of the file to `visit`: as the beginning of traces that are whole here, and as spans.
    pub fn bounds<'a>(&'a self, visit: &mut dyn FnMut(Bound<'a>)) {
        let names = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let mut bounds = Bounds { names: &self.names, visit };
        for part in &self.whole.parts {
            let read = self.whole.reader(part, names).read(&mut bounds);
            debug_assert!(read.is_some(), "was read before");
        }
    }

    /// Memory held, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let traces = (self.open.len() + self.linked.len()) * size_of::<TraceId>();
        let names = self.names.iter().map(|name| name.len() + 2 * size_of::<Arc<str>>());
        self.whole.memory_bytes() + traces + names.sum::<usize>() + size_of::<Self>()
    }
}

impl RollupSlots {
    /// Length of a slot.
    pub fn slot_nano(&self) -> i64 {
        self.slot_nano
    }

    /// The slots that lie entirely within `range`, as one range of time (empty where there is none): what
    /// [`Self::add_to`] adds. All other spans of the file in `range` must be read.
    pub fn covered(&self, range: TimeRange) -> TimeRange {
        let slot = self.slot_nano.max(1);
        let up = |nano: i64| {
            let slots = nano.div_euclid(slot) + i64::from(nano.rem_euclid(slot) != 0);
            slots.saturating_mul(slot)
        };
        let from = if range.from == i64::MIN { i64::MIN } else { up(range.from) };
        let until =
            if range.until == i64::MAX { i64::MAX } else { range.until.div_euclid(slot) * slot };
        TimeRange { from, until: until.max(from) }
    }

    /// Adds the slots that lie entirely within `range`.
    pub fn add_to(&self, sum: &mut Sum, range: TimeRange) {
        let covered = self.covered(range);
        self.section.add_to(&self.names, sum, |slot| {
            let from = slot.saturating_mul(self.slot_nano);
            covered.from <= from && from < covered.until
        });
    }

    /// Adds every slot to `slots`, whose own are as long or a multiple of that.
    pub(super) fn add_all_to(&self, slots: &mut Slots) {
        let times = (slots.slot_nano / self.slot_nano.max(1)).max(1);
        let keys: Vec<u32> = self.names.iter().map(|name| slots.names.key(name)).collect();
        let count = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        for part in &self.section.parts {
            let figures = slots.slots.entry(part.slot.div_euclid(times)).or_default();
            let mut adding = Adding { keys: &keys, figures };
            let read = self.section.reader(part, count).read(&mut adding);
            debug_assert!(read.is_some(), "was read before");
        }
    }

    /// Memory held, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.section.memory_bytes() + size_of::<Self>()
    }
}

fn parse_whole(header: &Header, whole: &[u8]) -> std::result::Result<Rollup, &'static str> {
    let raw = header.whole.open(whole)?;
    let mut reader = Reader::new(&raw);
    let names = names(&mut reader).ok_or("names unreadable")?;
    let open = trace_ids(&mut reader).ok_or("open traces unreadable")?;
    let linked = trace_ids(&mut reader).ok_or("linked traces unreadable")?;
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let rest = &raw[raw.len() - reader.rest()..];
    let mut longest = Longest::default();
    let mut section = Section::parse(rest, count, &mut longest).ok_or("figures unreadable")?;
    if let [part] = section.parts.as_mut_slice() {
        part.slot = header.first_slot;
    }
    Ok(Rollup {
        open,
        linked,
        sampled: header.sampled,
        slot_nano: header.slot_nano,
        names: names.into(),
        whole: Arc::new(section),
        longest,
        slots: header.slots,
        slots_range: header.slots_range(),
        traces: header.traces,
        #[cfg(test)]
        object: Vec::new(),
    })
}

fn names(reader: &mut Reader<'_>) -> Option<Vec<Arc<str>>> {
    let mut names = Vec::new();
    for _ in 0..reader.count()? {
        let length = reader.count()?;
        names.push(std::str::from_utf8(reader.take(length)?).ok()?.into());
    }
    Some(names)
}

fn trace_ids(reader: &mut Reader<'_>) -> Option<Vec<TraceId>> {
    let count = reader.count()?;
    let bytes = reader.take(count.checked_mul(TraceId::LEN)?)?;
    let traces: Vec<TraceId> =
        bytes.chunks_exact(TraceId::LEN).filter_map(TraceId::from_slice).collect();
    traces.is_sorted().then_some(traces)
}

impl Section {
    /// Reads a section to its last row, so that [`Self::add_to`] cannot fail; `look` sees all rows.
    fn parse(bytes: &[u8], names: u32, look: &mut dyn Visit) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let mut reader = Reader::new(bytes);
        let count = reader.count()?;
        let mut lengths = Vec::new();
        for _ in 0..count {
            let slot = reader.signed()?;
            lengths.push((slot, [reader.count()?, reader.count()?, reader.count()?]));
        }
        let mut at = bytes.len() - reader.rest();
        let mut parts: Vec<Part> =
            lengths.iter().map(|(slot, _)| Part { slot: *slot, streams: [(0, 0); 3] }).collect();
        for stream in 0..3 {
            for (part, (_, lengths)) in parts.iter_mut().zip(&lengths) {
                let end = at.checked_add(lengths[stream]).filter(|end| *end <= bytes.len())?;
                part.streams[stream] = (at, end);
                at = end;
            }
        }
        let section = Self { bytes: bytes.to_vec(), parts };
        let readable =
            section.parts.iter().all(|part| section.reader(part, names).read(look).is_some());
        (at == bytes.len() && readable).then_some(section)
    }

    fn reader(&self, part: &Part, names: u32) -> PartReader<'_> {
        let [rows, buckets, counts] =
            part.streams.map(|(begin, end)| Reader::new(&self.bytes[begin..end]));
        PartReader { rows, buckets, counts, names }
    }

    fn add_to(&self, names: &[Arc<str>], sum: &mut Sum, wanted: impl Fn(i64) -> bool) {
        let keys: Vec<u32> = names.iter().map(|name| sum.names.key(name)).collect();
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let mut adding = Adding { keys: &keys, figures: &mut sum.figures };
        for part in self.parts.iter().filter(|part| wanted(part.slot)) {
            let read = self.reader(part, count).read(&mut adding);
            debug_assert!(read.is_some(), "was read before");
        }
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.parts.capacity() * size_of::<Part>()
    }
}

/// Adds rows to figures that have other keys.
struct Adding<'a> {
    keys: &'a [u32],
    figures: &'a mut Figures,
}

impl Visit for Adding<'_> {
    fn operation(&mut self, key: OperationKey, row: &Operation, durations: &[(u16, i64)]) {
        let key = key.with(|key| self.keys[key as usize]);
        let own = self.figures.operations.entry(key).or_default();
        own.merge(row);
        own.durations.add_counts(durations);
    }

    fn edge(&mut self, key: EdgeKey, row: &Calls, [caller, callee]: [&[(u16, i64)]; 2]) {
        let own = self.figures.edges.entry(key.with(|key| self.keys[key as usize])).or_default();
        own.merge(row);
        own.caller.add_counts(caller);
        own.callee.add_counts(callee);
    }

    fn root(&mut self, key: RootKey, row: &Traces, durations: &[(u16, i64)]) {
        let own = self.figures.roots.entry(key.with(|key| self.keys[key as usize])).or_default();
        own.merge(row);
        own.durations.add_counts(durations);
    }

    fn unnamed(&mut self, calls: i64) {
        self.figures.unnamed += calls;
    }
}

#[cfg(test)]
pub(crate) mod tests;
