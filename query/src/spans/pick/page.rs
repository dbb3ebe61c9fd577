//! One page of a column chunk: its header, and its values without compression.
//!
//! Pages of version 2 keep their levels outside of the compressed part: which rows have a value is known for nothing.
use std::cell::Cell;
use std::ops::Range;

use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};

use crate::spans::pages::runs::{self, Mark, Places};

/// How values are encoded (the numbers of Parquet's `Encoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::spans) enum Values {
    Plain,
    Keys,
    Deltas,
    /// Runs of truths.
    Runs,
}

/// What the header of a data page says.
#[derive(Debug, Clone, Copy)]
pub(in crate::spans) struct Data {
    pub(in crate::spans) entries: usize,
    pub(in crate::spans) nulls: usize,
    pub(in crate::spans) rows: usize,
    pub(in crate::spans) values: Values,
    /// Where the levels lie, then the values.
    repetitions: usize,
    definitions: usize,
    is_compressed: bool,
}

impl Data {
    /// True where the page has keys and nothing else.
    pub(super) fn is_of_keys(&self) -> bool {
        self.values == Values::Keys && self.repetitions == 0
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    pub(super) fn without_compression(self) -> Self {
        Self { is_compressed: false, ..self }
    }
}

/// A page as it lies in its file.
#[derive(Debug)]
pub(in crate::spans) struct Page<'a> {
    /// `None` of a dictionary.
    pub(in crate::spans) data: Option<Data>,
    /// Of the header and what it is about.
    pub(in crate::spans) bytes: usize,
    body: &'a [u8],
    raw_bytes: usize,
    pub(super) marks: Marks<'a>,
}

/// What makes it cheap to look for a row of a page.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks<'a> {
    pub(super) levels: &'a [Mark],
    /// Of keys.
    pub(super) values: &'a [Mark],
}

/// No page that was ever written comes near.
const PAGE_BYTES_MAX: usize = 1 << 28;

impl<'a> Page<'a> {
    /// The first page in `bytes`; `None` where it is of another version or encoding than those known here.
    pub(in crate::spans) fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut thrift = Thrift(bytes);
        let mut header = Header::default();
        thrift.each(|field, thrift| header.read(field, thrift))?;
        let size = |number: i64| usize::try_from(number).ok().filter(|n| *n <= PAGE_BYTES_MAX);
        let body = thrift.0.get(..size(header.bytes)?)?;
        let raw_bytes = size(header.raw_bytes)?;
        let data = match header.kind {
            DICTIONARY if header.encoding == PLAIN || header.encoding == PLAIN_DICTIONARY => None,
            DATA_V2 => {
                let [entries, nulls, rows, definitions, repetitions] = header.counts.map(size);
                let values = match header.encoding {
                    PLAIN => Values::Plain,
                    PLAIN_DICTIONARY | RLE_DICTIONARY => Values::Keys,
                    DELTA_BINARY_PACKED => Values::Deltas,
                    RLE => Values::Runs,
                    _ => return None,
                };
                Some(Data {
                    entries: entries?,
                    nulls: nulls?,
                    rows: rows?,
                    values,
                    repetitions: repetitions?,
                    definitions: definitions?,
                    is_compressed: header.is_compressed,
                })
            }
            _ => return None,
        };
        let header_bytes = bytes.len() - thrift.0.len();
        let marks = Marks::default();
        Some(Self { data, bytes: header_bytes + body.len(), body, raw_bytes, marks })
    }

    /// The page of `data` with `body`, of which `raw_bytes` are left without compression.
    pub(super) fn stored(
        data: Data,
        (body, raw_bytes): (&'a [u8], usize),
        marks: Marks<'a>,
    ) -> Self {
        Self { data: Some(data), bytes: 0, body, raw_bytes, marks }
    }

    /// What is behind the header, and how many bytes that has without compression.
    pub(super) fn body(&self) -> (&'a [u8], usize) {
        (self.body, self.raw_bytes)
    }

    /// All levels.
    pub(super) fn levels(&self) -> Option<&'a [u8]> {
        let data = self.data?;
        self.body.get(..data.repetitions.checked_add(data.definitions)?)
    }

    /// The runs of repetition levels.
    pub(super) fn repetitions(&self) -> Option<&'a [u8]> {
        self.body.get(..self.data?.repetitions)
    }

    /// The runs of definition levels.
    pub(super) fn definitions(&self) -> Option<&'a [u8]> {
        let data = self.data?;
        self.body.get(data.repetitions..data.repetitions.checked_add(data.definitions)?)
    }

    /// The values without levels and without compression.
    pub(in crate::spans) fn values<'b>(
        &self,
        compression: Compression,
        memory: &'b mut Memory,
    ) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        let levels = self.data.map_or(0, |data| data.repetitions + data.definitions);
        let packed = self.body.get(levels..).ok_or_else(|| damaged("a page"))?;
        let is_packed = self.data.is_none_or(|data| data.is_compressed);
        match compression {
            Compression::ZSTD(_) if is_packed && !packed.is_empty() => {
                memory.unpack(packed, self.raw_bytes.saturating_sub(levels))
            }
            _ => Ok(packed),
        }
    }
}

/// Memory and the decompressor, used again for one page after the other.
pub(in crate::spans) struct Memory {
    zstd: zstd::bulk::Decompressor<'static>,
    raw: Vec<u8>,
}

/// A larger page leaves nothing behind.
const KEPT_BYTES_MAX: usize = 4 << 20;

thread_local! {
    /// Of this thread: what is made anew is zeroed by the system page by page, which costs as much as to decompress.
    static MEMORY: Cell<Option<Memory>> = const { Cell::new(None) };
}

/// Lends `work` the memory of this thread.
///
/// # Errors
/// Those of `work`; or there is no memory for a decompressor.
pub(in crate::spans) fn with_memory<T, E: From<ParquetError>>(
    work: impl FnOnce(&mut Memory) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let kept = MEMORY.take();
    let mut memory = kept.map_or_else(Memory::new, Ok)?;
    let done = work(&mut memory);
    if memory.raw.capacity() <= KEPT_BYTES_MAX {
        MEMORY.set(Some(memory));
    }
    done
}

impl Memory {
    fn new() -> Result<Self> {
        Ok(Self { zstd: zstd::bulk::Decompressor::new()?, raw: Vec::new() })
    }

    fn unpack(&mut self, packed: &[u8], raw_bytes: usize) -> Result<&[u8]> {
        self.raw.clear();
        self.raw.reserve(raw_bytes);
        self.zstd.decompress_to_buffer(packed, &mut self.raw)?;
        if self.raw.len() != raw_bytes {
            return Err(damaged("a compressed page"));
        }
        Ok(&self.raw)
    }
}

/// The message for bytes that are not what they should be.
pub(in crate::spans) fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} is damaged"))
}

/// Of the entries at `wanted`, which rise: the place of its value among all values, `None` where it has none.
/// `None` of all where the levels are no runs of one bit.
pub(super) fn places(page: &Page<'_>, nullable: bool, wanted: &[usize]) -> Option<Places> {
    let data = page.data?;
    if !nullable || data.nulls == 0 {
        return Some(wanted.iter().map(|at| Some(*at)).collect());
    }
    if data.nulls == data.entries {
        return Some(vec![None; wanted.len()]);
    }
    runs::places(page.definitions()?, data.entries, (wanted, page.marks.levels))
}

const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const DELTA_BINARY_PACKED: i64 = 5;
const RLE_DICTIONARY: i64 = 8;

/// Parquet's `PageHeader`, as far as it is needed.
#[derive(Debug)]
struct Header {
    kind: i64,
    raw_bytes: i64,
    bytes: i64,
    encoding: i64,
    /// Entries, nulls, rows, bytes of definition levels, bytes of repetition levels.
    counts: [i64; 5],
    is_compressed: bool,
}

impl Default for Header {
    fn default() -> Self {
        let (kind, raw_bytes, bytes, encoding) = (-1, -1, -1, -1);
        Self { kind, raw_bytes, bytes, encoding, counts: [-1; 5], is_compressed: true }
    }
}

impl Header {
    fn read(&mut self, field: Field, thrift: &mut Thrift<'_>) -> Option<()> {
        match field.id {
            1 => self.kind = thrift.signed()?,
            2 => self.raw_bytes = thrift.signed()?,
            3 => self.bytes = thrift.signed()?,
            7 => thrift.each(|field, thrift| match field.id {
                2 => thrift.signed().map(|encoding| self.encoding = encoding),
                _ => thrift.skip(field.kind, NESTING),
            })?,
            8 => thrift.each(|field, thrift| match field.id {
                1..=3 => self.count(usize::from(field.id) - 1, thrift),
                4 => thrift.signed().map(|encoding| self.encoding = encoding),
                5 | 6 => self.count(usize::from(field.id) - 2, thrift),
                7 => {
                    self.is_compressed = field.kind == TRUE;
                    Some(())
                }
                _ => thrift.skip(field.kind, NESTING),
            })?,
            _ => thrift.skip(field.kind, NESTING)?,
        }
        Some(())
    }

    fn count(&mut self, place: usize, thrift: &mut Thrift<'_>) -> Option<()> {
        self.counts[place] = thrift.signed()?;
        Some(())
    }
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
/// Structures within structures, at most.
const NESTING: u8 = 8;

#[derive(Debug, Clone, Copy)]
struct Field {
    id: u16,
    kind: u8,
}

/// Thrift's compact protocol.
struct Thrift<'a>(&'a [u8]);

impl Thrift<'_> {
    /// Hands the fields of a structure to `read`, which reads or skips each.
    fn each(&mut self, mut read: impl FnMut(Field, &mut Self) -> Option<()>) -> Option<()> {
        let mut id = 0u16;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Some(());
            }
            let (more, kind) = (byte >> 4, byte & 15);
            id = match more {
                0 => u16::try_from(self.signed()?).ok()?,
                more => id.checked_add(u16::from(more))?,
            };
            read(Field { id, kind }, self)?;
        }
    }

    fn skip(&mut self, kind: u8, nesting: u8) -> Option<()> {
        let nesting = nesting.checked_sub(1)?;
        match kind {
            TRUE | FALSE => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.number().map(drop),
            7 => self.take(0..8),
            8 => {
                let length = usize::try_from(self.number()?).ok()?;
                self.take(0..length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                // Truths in a list have a byte each.
                let kind = if matches!(head & 15, TRUE | FALSE) { 3 } else { head & 15 };
                (0..count).try_for_each(|_| self.skip(kind, nesting))
            }
            12 => self.each(|field, thrift| thrift.skip(field.kind, nesting)),
            _ => None,
        }
    }

    fn take(&mut self, range: Range<usize>) -> Option<()> {
        self.0 = self.0.get(range.end..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}
