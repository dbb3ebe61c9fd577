//! Collects the pages of one column chunk, with the page index and the metadata of the chunk.
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::schema::types::ColumnDescPtr;

use super::value::Value;
use super::{EncodedChunk, Layout, Run, write_numbers};
use crate::file::page::{self, Kind};

/// Smaller pages are not compressed: the frame around them would be larger than what it saves.
const COMPRESSED_BYTES_MIN: usize = 24;

/// What a data page holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSpans<V> {
    pub(super) rows: usize,
    pub(super) nulls: usize,
    /// Smallest and largest value; `None` where there is none, or statistics are off.
    pub(super) bounds: Option<(V, V)>,
}

/// The pages so far.
pub(super) struct Pages<'a, V> {
    sink: Vec<u8>,
    /// Used again for each page.
    page: Vec<u8>,
    descr: ColumnDescPtr,
    layout: Layout,
    compressor: &'a mut zstd::bulk::Compressor<'static>,
    offsets: OffsetIndexBuilder,
    /// `None` without statistics.
    index: Option<ColumnIndexBuilder>,
    bounds: Option<(V, V)>,
    last_page: Option<(V, V)>,
    ascending: bool,
    descending: bool,
    rows: usize,
    nulls: usize,
    data_pages: i32,
    dictionary_bytes: usize,
    uncompressed: usize,
}

impl<'a, V: Value> Pages<'a, V> {
    pub(super) fn new(
        descr: &ColumnDescPtr,
        layout: Layout,
        compressor: &'a mut zstd::bulk::Compressor<'static>,
    ) -> Self {
        let index = layout.statistics.then(|| ColumnIndexBuilder::new(descr.physical_type()));
        Self {
            sink: Vec::new(),
            page: Vec::new(),
            descr: ColumnDescPtr::clone(descr),
            layout,
            compressor,
            offsets: OffsetIndexBuilder::new(),
            index,
            bounds: None,
            last_page: None,
            ascending: true,
            descending: true,
            rows: 0,
            nulls: 0,
            data_pages: 0,
            dictionary_bytes: 0,
            uncompressed: 0,
        }
    }

    pub(super) fn descr(&self) -> &ColumnDescPtr {
        &self.descr
    }

    /// The dictionary page: before any data page.
    pub(super) fn push_dictionary(&mut self, plain: &[u8], values: u32) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.page);
        buffer.clear();
        if self.layout.compressed {
            self.compress(plain, &mut buffer)?;
        } else {
            buffer.extend_from_slice(plain);
        }
        self.page = buffer;
        let kind = Kind::Dictionary { values: values as usize };
        self.dictionary_bytes = self.write(kind, plain.len());
        Ok(())
    }

    /// True where dictionary keys compress better as whole bytes, in which repetition shows, than bit by bit. Each page
    /// names its width, so any that is wide enough will do.
    pub(super) fn prefers_whole_bytes(
        &mut self,
        runs: &[Run],
        width: u32,
        scratch: &mut Vec<u8>,
    ) -> Result<bool> {
        let mut compressed = Vec::new();
        write_numbers(runs, width, scratch);
        self.compress(scratch, &mut compressed)?;
        let narrow = compressed.len();
        write_numbers(runs, width.next_multiple_of(8), scratch);
        self.compress(scratch, &mut compressed)?;
        Ok(compressed.len() - narrow < narrow)
    }

    /// A data page of `levels` (empty where no value may be null) and `values`.
    pub(super) fn push(
        &mut self,
        levels: &[u8],
        values: &[u8],
        spans: PageSpans<V>,
        encoding: Encoding,
    ) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.page);
        buffer.clear();
        buffer.extend_from_slice(levels);
        let mut is_compressed = false;
        if self.layout.compressed && values.len() >= COMPRESSED_BYTES_MIN {
            self.compress(values, &mut buffer)?;
            is_compressed = buffer.len() < levels.len() + values.len();
        }
        if !is_compressed {
            buffer.truncate(levels.len());
            buffer.extend_from_slice(values);
        }
        self.page = buffer;
        let kind = Kind::Data {
            rows: spans.rows,
            nulls: spans.nulls,
            encoding: number_of(encoding)?,
            level_bytes: levels.len(),
            is_compressed,
        };
        let offset = self.sink.len();
        let bytes = self.write(kind, levels.len() + values.len());
        self.offsets.append_row_count(signed(spans.rows));
        self.offsets
            .append_offset_and_size(signed(offset), i32::try_from(bytes).unwrap_or(i32::MAX));
        self.data_pages += 1;
        self.rows += spans.rows;
        self.nulls += spans.nulls;
        self.push_index(&spans);
        Ok(())
    }

    fn push_index(&mut self, spans: &PageSpans<V>) {
        let Some(index) = &mut self.index else { return };
        let nulls = signed(spans.nulls);
        if spans.nulls == spans.rows {
            index.append(true, Vec::new(), Vec::new(), nulls);
            return;
        }
        let Some((low, high)) = spans.bounds else {
            self.index = None; // values without order only
            return;
        };
        index.append(false, low.lower().bytes, high.upper().bytes, nulls);
        if let Some((last_low, last_high)) = self.last_page {
            self.ascending &= !low.is_less(last_low) && !high.is_less(last_high);
            self.descending &= !last_low.is_less(low) && !last_high.is_less(high);
        }
        self.last_page = spans.bounds;
        let (all_low, all_high) = self.bounds.unwrap_or((low, high));
        let low = if low.is_less(all_low) { low } else { all_low };
        let high = if all_high.is_less(high) { high } else { all_high };
        self.bounds = Some((low, high));
    }

    /// The chunk, whose pages are in `encoding`.
    pub(super) fn finish(self, encoding: Encoding) -> Result<EncodedChunk> {
        let mut encodings = vec![Encoding::RLE, encoding];
        let mut stats = Vec::new();
        if self.dictionary_bytes > 0 {
            encodings.push(Encoding::PLAIN);
            stats.push(PageEncodingStats {
                page_type: PageType::DICTIONARY_PAGE,
                encoding: Encoding::PLAIN,
                count: 1,
            });
        }
        stats.push(PageEncodingStats {
            page_type: PageType::DATA_PAGE_V2,
            encoding,
            count: self.data_pages,
        });
        let bytes = self.sink;
        let compression = match self.layout.compressed {
            true => Compression::ZSTD(ZstdLevel::default()),
            false => Compression::UNCOMPRESSED,
        };
        let mut metadata = ColumnChunkMetaData::builder(self.descr)
            .set_compression(compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(stats)
            .set_total_compressed_size(signed(bytes.len()))
            .set_total_uncompressed_size(signed(self.uncompressed))
            .set_num_values(signed(self.rows))
            .set_data_page_offset(signed(self.dictionary_bytes))
            .set_dictionary_page_offset((self.dictionary_bytes > 0).then_some(0));
        if self.layout.statistics {
            let bounds = self.bounds.map(|(low, high)| (low.lower(), high.upper()));
            metadata = metadata.set_statistics(V::statistics(bounds, self.nulls as u64));
        }
        let order = match (self.ascending, self.descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        };
        let index = self.index.map(|mut index| {
            index.set_boundary_order(order);
            index.build()
        });
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: index.transpose()?,
            offset_index: Some(self.offsets.build()),
        };
        Ok(EncodedChunk { bytes: bytes.into(), close })
    }

    /// Appends the compressed `plain` to `buffer`.
    fn compress(&mut self, plain: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
        let start = buffer.len();
        buffer.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let mut cursor = std::io::Cursor::new(buffer);
        cursor.set_position(start as u64);
        self.compressor.compress_to_buffer(plain, &mut cursor)?;
        Ok(())
    }

    /// Writes `self.page`; returns the bytes with the header.
    fn write(&mut self, kind: Kind, uncompressed: usize) -> usize {
        let written = page::write(&mut self.sink, kind, uncompressed, &self.page);
        self.uncompressed += written - self.page.len() + uncompressed;
        written
    }
}

/// How the format names an encoding.
fn number_of(encoding: Encoding) -> Result<i32> {
    match encoding {
        Encoding::PLAIN => Ok(0),
        Encoding::RLE_DICTIONARY => Ok(8),
        other => Err(ParquetError::General(format!("pages are not written as {other}"))),
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
