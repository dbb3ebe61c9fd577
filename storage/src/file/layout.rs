//! How each column of a file is written.
//!
//! These settings measured smallest and fastest for files sorted by service, name and start; each has its figure in
//! docs/format.md#file.
use arrow::datatypes::{DataType, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::chunk::{Layout, PAGE_ROWS};
use super::writer::ROW_GROUP_ROWS;
use crate::schema::column;

/// Trace ids of a million spans fit, so that all pages use the dictionary (10.3 -> 2.0 bytes a span).
const TRACE_DICTIONARY_BYTES: usize = 8 << 20;
/// A reader has to decompress the whole dictionary for a single row.
const DICTIONARY_BYTES: usize = 1 << 20;
/// A reader has to decompress a whole page for a single row. With half of it, headers and page index cost 0.5 bytes a span
/// more.
const PAGE_BYTES: usize = 16 << 10;
/// These are read one after the other, to find the rows of a trace.
const TRACE_PAGE_BYTES: usize = 64 << 10;
/// Parents repeat themselves over some distance (6.3 bytes a span; 6.9 with pages of 16 KiB).
const PARENT_PAGE_BYTES: usize = 128 << 10;
/// What is left of attributes, too, and a page of as many rows as others have would be 300 KiB (1.39 -> 1.50 bytes a span).
const ATTRIBUTES_PAGE_BYTES: usize = 32 << 10;
/// Lists are read by the stock reader, and few spans have any.
const LIST_PAGE_BYTES: usize = 1 << 20;

/// How the column `name` is written, where its rows come as keys.
pub(crate) fn layout(name: &str) -> Layout {
    let usual = Layout {
        dictionary_bytes_max: DICTIONARY_BYTES,
        statistics: true,
        compressed: true,
        bloom: false,
        page_bytes: PAGE_BYTES,
    };
    let plain = Layout { dictionary_bytes_max: 0, statistics: false, ..usual };
    match name {
        column::TRACE_ID => {
            let (dictionary_bytes_max, page_bytes) = (TRACE_DICTIONARY_BYTES, TRACE_PAGE_BYTES);
            Layout { dictionary_bytes_max, page_bytes, bloom: true, ..usual }
        }
        column::SPAN_ID => Layout { compressed: false, ..plain },
        column::PARENT_SPAN_ID => Layout { page_bytes: PARENT_PAGE_BYTES, ..plain },
        column::ATTRIBUTES => Layout { page_bytes: ATTRIBUTES_PAGE_BYTES, ..plain },
        column::RESOURCE => Layout { statistics: false, ..usual },
        _ => usual,
    }
}

/// Settings of files with `schema`, for the columns that the stock writer makes, and for the footer.
pub(crate) fn properties(schema: &Schema) -> WriterProperties {
    let path = |name: &str| ColumnPath::from(name);
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(concat!("spanlake ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_size_limit(LIST_PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns(Some(sorting_columns(schema)));
    for name in [column::START, column::DURATION] {
        // Packed differences are nearly random bits: zstd takes 1 to 7 % off them, and a sixth of the time of a count in a range.
        builder = builder
            .set_column_compression(path(name), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED)
            .set_column_data_page_size_limit(path(name), PAGE_BYTES)
            .set_column_statistics_enabled(path(name), EnabledStatistics::Page);
    }
    builder.build()
}

/// Service, name, start: what every file is sorted by.
fn sorting_columns(schema: &Schema) -> Vec<SortingColumn> {
    let mut leaf = 0;
    let mut sorting = Vec::new();
    for field in schema.fields() {
        if [column::SERVICE, column::NAME, column::START].contains(&field.name().as_str()) {
            let place = i32::try_from(leaf).unwrap_or(i32::MAX);
            sorting.push((field.name().clone(), place));
        }
        leaf += leaves(field.data_type());
    }
    // The start lies before service and name among the columns, but sorts after them.
    sorting.sort_by_key(|(name, place)| (name == column::START, *place));
    sorting
        .into_iter()
        .map(|(_, column_idx)| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect()
}

/// Parquet columns of one Arrow column.
pub(crate) fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(element) => leaves(element.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        _ => 1,
    }
}
