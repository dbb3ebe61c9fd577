//! Collects the pages of one column chunk, with the page index and the metadata of the chunk.
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::value::Value;
use super::{EncodedChunk, Layout, Run, write_numbers};

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
    sink: TrackedWrite<Vec<u8>>,
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
            sink: TrackedWrite::new(Vec::new()),
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
        let mut buffer = Vec::new();
        if self.layout.compressed {
            self.compress(plain, &mut buffer)?;
        } else {
            buffer.extend_from_slice(plain);
        }
        let page = Page::DictionaryPage {
            buf: Bytes::from(buffer),
            num_values: values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.dictionary_bytes = self.write(CompressedPage::new(page, plain.len()))?;
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
        let mut buffer = Vec::with_capacity(levels.len() + values.len() / 2);
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
        let page = Page::DataPageV2 {
            buf: Bytes::from(buffer),
            num_values: number(spans.rows),
            encoding,
            num_nulls: number(spans.nulls),
            num_rows: number(spans.rows),
            def_levels_byte_len: number(levels.len()),
            rep_levels_byte_len: 0,
            is_compressed,
            statistics: None,
        };
        let offset = self.sink.bytes_written();
        let bytes = self.write(CompressedPage::new(page, levels.len() + values.len()))?;
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
        let bytes = self.sink.into_inner()?;
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

    /// Returns the bytes with the header.
    fn write(&mut self, page: CompressedPage) -> Result<usize> {
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed += spec.uncompressed_size;
        Ok(spec.compressed_size)
    }
}

/// Rows and bytes of a page are far below 2^32.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
