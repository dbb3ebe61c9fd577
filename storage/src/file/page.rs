//! Headers of pages with checksums: Parquet's of the page's bytes, and one of the header itself, which Parquet lacks.
//!
//! A header is a struct of compact Thrift (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).
//! Ours ends with a field that Parquet does not know, and that other readers skip (docs/format.md#file).
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};

use super::chunk::EncodedChunk;

/// Types of fields.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

/// Parquet's checksum of a page: CRC-32 of its bytes as they are stored.
const PAGE_SUM_FIELD: i16 = 4;
/// Our field: CRC-32 of the header's bytes before it. A number, because not every reader can skip binary; far from
/// Parquet's own fields, the last of which (32767) is set apart for binary extensions.
const OWN_FIELD: i16 = 32766;
/// Structs within structs.
const DEPTH_MAX: usize = 8;

/// What a page is, beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Dictionary { values: usize },
    Data { rows: usize, nulls: usize, encoding: i32, level_bytes: usize, is_compressed: bool },
}

/// Appends a header and the page to `out`; returns the bytes of both.
pub(crate) fn write(out: &mut Vec<u8>, kind: Kind, uncompressed: usize, page: &[u8]) -> usize {
    let start = out.len();
    let (page_type, delta) = match kind {
        Kind::Dictionary { .. } => (2, 3),
        Kind::Data { .. } => (3, 4),
    };
    for number in [page_type, number(uncompressed), number(page.len()), sum(page)] {
        write_field(out, number);
    }
    out.push(delta << 4 | STRUCT);
    match kind {
        Kind::Dictionary { values } => {
            write_field(out, number(values));
            write_field(out, 0); // plain
            out.push(1 << 4 | FALSE); // not sorted
        }
        Kind::Data { rows, nulls, encoding, level_bytes, is_compressed } => {
            let levels = [number(level_bytes), 0];
            let counts = [number(rows), number(nulls), number(rows), encoding];
            counts.into_iter().chain(levels).for_each(|number| write_field(out, number));
            out.push(1 << 4 | if is_compressed { TRUE } else { FALSE });
        }
    }
    out.push(0);
    finish(out, start);
    out.extend_from_slice(page);
    out.len() - start
}

/// Ends the header that began at `start`.
fn finish(out: &mut Vec<u8>, start: usize) {
    let sum = sum(&out[start..]);
    out.push(I32);
    write_varint(out, zigzag(OWN_FIELD.into()));
    write_varint(out, zigzag(sum));
    out.push(0);
}

/// The chunk whose pages are `bytes`, as the stock writer made them, with checksums.
pub(crate) fn checked(bytes: &[u8], close: ColumnCloseResult) -> Result<EncodedChunk> {
    let (mut out, mut sizes) = (Vec::with_capacity(bytes.len() + bytes.len() / 16), Vec::new());
    let mut rest = bytes;
    while !rest.is_empty() {
        let start = out.len();
        rest = copy_checked(rest, &mut out).ok_or_else(|| damaged("a page just written"))?;
        sizes.push(out.len() - start);
    }
    relocated(out, bytes.len(), &sizes, close)
}

/// Copies the first page; returns what is behind it.
fn copy_checked<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let header = Header::parse(bytes)?;
    let (head, rest) = bytes.split_at_checked(header.bytes)?;
    let (page, rest) = rest.split_at_checked(header.page_bytes)?;
    let start = out.len();
    out.extend_from_slice(&head[..header.sum_at]);
    write_field(out, sum(page));
    // The field behind it counts from the new one.
    let (next, behind) = head[header.sum_at..header.bytes - 1].split_first()?;
    out.push(next.checked_sub(1 << 4).filter(|next| next >> 4 > 0)?);
    out.extend_from_slice(behind);
    finish(out, start);
    out.extend_from_slice(page);
    Some(rest)
}

/// The chunk with its pages at their new places.
fn relocated(
    bytes: Vec<u8>,
    bytes_before: usize,
    sizes: &[usize],
    close: ColumnCloseResult,
) -> Result<EncodedChunk> {
    let has_dictionary = close.metadata.dictionary_page_offset().is_some();
    let dictionary = if has_dictionary { sizes.first().copied().unwrap_or(0) } else { 0 };
    let offset_index = close.offset_index.map(|index| {
        let pages = index.page_locations();
        let rows = close.rows_written;
        let ends = pages.iter().skip(1).map(|page| page.first_row_index);
        let ends = ends.chain([i64::try_from(rows).unwrap_or(i64::MAX)]);
        let mut made = OffsetIndexBuilder::new();
        let mut at = dictionary;
        let sizes = sizes.iter().skip(usize::from(has_dictionary));
        for ((page, end), size) in pages.iter().zip(ends).zip(sizes) {
            made.append_row_count(end - page.first_row_index);
            made.append_offset_and_size(signed(at), number(*size));
            at += size;
        }
        made.build()
    });
    let more = signed(bytes.len()) - signed(bytes_before);
    let uncompressed = close.metadata.uncompressed_size() + more;
    let metadata = close.metadata.into_builder();
    let metadata: ColumnChunkMetaData = metadata
        .set_total_compressed_size(signed(bytes.len()))
        .set_total_uncompressed_size(uncompressed)
        .set_data_page_offset(signed(dictionary))
        .set_dictionary_page_offset(has_dictionary.then_some(0))
        .build()?;
    let bytes_written = bytes.len() as u64;
    let close = ColumnCloseResult { bytes_written, metadata, offset_index, ..close };
    Ok(EncodedChunk { bytes: bytes.into(), close })
}

/// Compares the pages that `bytes` consists of, and their headers, with their checksums. What no checksum tells of (pages
/// of an older version) passes where it can be read at all.
///
/// # Errors
/// Something is not as it was written; says what.
pub fn check_pages(bytes: &[u8]) -> std::result::Result<(), &'static str> {
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = behind_checked(rest)?;
    }
    Ok(())
}

/// What is behind the first page.
fn behind_checked(bytes: &[u8]) -> std::result::Result<&[u8], &'static str> {
    const HEADER: &str = "the header of a page is damaged";
    let header = Header::parse(bytes).ok_or(HEADER)?;
    let is_whole = match header.own {
        // The last field: only the end of the struct is behind it.
        Some(own) => own.end + 1 == header.bytes && sum(&bytes[..own.begin]) == own.sum,
        None => header.page_sum.is_none(),
    };
    let end = header.bytes.checked_add(header.page_bytes).filter(|_| is_whole).ok_or(HEADER)?;
    let page = bytes.get(header.bytes..end).ok_or(HEADER)?;
    if header.page_sum.is_some_and(|expected| sum(page) != expected) {
        return Err("a page is damaged");
    }
    Ok(&bytes[end..])
}

/// What matters here of a header.
struct Header {
    bytes: usize,
    /// Of the page behind it.
    page_bytes: usize,
    /// Where the checksum of the page belongs.
    sum_at: usize,
    page_sum: Option<i32>,
    own: Option<Own>,
}

/// Our field.
struct Own {
    begin: usize,
    end: usize,
    sum: i32,
}

impl Header {
    /// `None` where the bytes begin with something else.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Compact { bytes, at: 0 };
        let mut header = Self { bytes: 0, page_bytes: 0, sum_at: 0, page_sum: None, own: None };
        let mut last = 0;
        loop {
            let start = reader.at;
            let Some((field, kind)) = reader.field(last)? else { break };
            match (field, kind) {
                (3, I32) => {
                    header.page_bytes = usize::try_from(reader.signed()?).ok()?;
                    header.sum_at = reader.at;
                }
                (PAGE_SUM_FIELD, I32) => {
                    header.page_sum = Some(i32::try_from(reader.signed()?).ok()?);
                }
                (OWN_FIELD, I32) => {
                    let sum = i32::try_from(reader.signed()?).ok()?;
                    header.own = Some(Own { begin: start, end: reader.at, sum });
                }
                _ => reader.skip(kind, DEPTH_MAX)?,
            }
            last = field;
        }
        header.bytes = reader.at;
        (header.sum_at > 0).then_some(header)
    }
}

/// Reads compact Thrift.
struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// The next field's number and type, after the field `last`; `Some(None)` at the end of a struct.
    fn field(&mut self, last: i16) -> Option<Option<(i16, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        let field = match byte >> 4 {
            0 => i16::try_from(self.signed()?).ok()?,
            delta => last.checked_add(delta.into())?,
        };
        Some(Some((field, byte & 0xf)))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            TRUE | FALSE => {}
            BYTE => drop(self.byte()?),
            I16 | I32 | I64 => drop(self.varint()?),
            DOUBLE => self.at = self.at.checked_add(8)?,
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.at = self.at.checked_add(length)?;
            }
            LIST | SET => self.skip_list(depth.checked_sub(1)?)?,
            STRUCT => {
                let mut last = 0;
                while let Some((field, kind)) = self.field(last)? {
                    self.skip(kind, depth.checked_sub(1)?)?;
                    last = field;
                }
            }
            _ => return None, // no header has maps
        }
        (self.at <= self.bytes.len()).then_some(())
    }

    fn skip_list(&mut self, depth: usize) -> Option<()> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => count.into(),
        };
        for _ in 0..count {
            match head & 0xf {
                TRUE | FALSE => drop(self.byte()?),
                kind => self.skip(kind, depth)?,
            }
        }
        Some(())
    }
}

/// A field behind the one before it.
fn write_field(out: &mut Vec<u8>, number: i32) {
    out.push(1 << 4 | I32);
    write_varint(out, zigzag(number));
}

fn write_varint(out: &mut Vec<u8>, mut number: u32) {
    while let [low, ..] = number.to_le_bytes()
        && number >= 0x80
    {
        out.push(low | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn zigzag(number: i32) -> u32 {
    (number << 1 ^ number >> 31).cast_unsigned()
}

fn sum(page: &[u8]) -> i32 {
    crc32fast::hash(page).cast_signed()
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} cannot be read"))
}

/// Pages are far below 2^31 bytes.
fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
