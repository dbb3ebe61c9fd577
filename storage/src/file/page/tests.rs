use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{Field, FieldRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::file::writer::{self, Plan};

/// A file of one column, by the stock writer and with our checksums.
fn file(array: &ArrayRef) -> Bytes {
    let field: FieldRef = Field::new("x", array.data_type().clone(), true).into();
    let chunks = writer::encode_array(&field, array).unwrap();
    let mut file = Plan::new(vec![field], &[]).unwrap().open(Vec::new()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for chunk in chunks {
        group.append_column(&chunk.bytes, chunk.close).unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap().into()
}

fn read(file: &Bytes) -> Result<Vec<ArrayRef>> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(file, options)?;
    let reader =
        ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata).build()?;
    let columns = reader.map(|batch| Ok(Arc::clone(batch?.column(0))));
    columns.collect::<std::result::Result<_, arrow::error::ArrowError>>().map_err(Into::into)
}

/// The pages of the file's columns, one after the other.
fn pages(file: &Bytes) -> Bytes {
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let group = reader.metadata().row_group(0);
    let ranges = group.columns().iter().map(|column| column.byte_range());
    let place = |place: u64| usize::try_from(place).unwrap();
    let bytes =
        ranges.flat_map(|(start, length)| file[place(start)..place(start + length)].to_vec());
    bytes.collect()
}

fn arrays() -> Vec<ArrayRef> {
    let rows = 0..45_000_i64;
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows.clone() {
        if row % 3 != 0 {
            lists.values().append_value(format!("value {}", row % 700));
        }
        lists.append(row % 5 != 0);
    }
    vec![
        Arc::new(Int64Array::from_iter(
            rows.clone().map(|row| (row % 7 != 0).then_some(row * row)),
        )),
        Arc::new(BooleanArray::from_iter(rows.map(|row| (row % 2 == 0).then_some(row % 3 == 0)))),
        Arc::new(lists.finish()),
        arrow::array::new_null_array(&arrow::datatypes::DataType::Utf8, 30_000),
    ]
}

#[test]
fn pages_of_the_stock_writer_get_checksums_and_are_read_as_before() {
    for array in arrays() {
        let file = file(&array);
        check_pages(&pages(&file)).unwrap();
        let read = read(&file).unwrap();
        let read: Vec<&dyn Array> = read.iter().map(AsRef::as_ref).collect();
        let read = arrow::compute::concat(&read).unwrap();
        assert_eq!(read.to_data(), array.to_data(), "{:?}", array.data_type());
    }
}

#[test]
fn a_page_without_checksums_passes_and_keeps_its_bytes() {
    let mut with = Vec::new();
    let kind = Kind::Data { rows: 3, nulls: 1, encoding: 8, level_bytes: 2, is_compressed: false };
    let length = write(&mut with, kind, 5, b"ab345");
    assert_eq!(length, with.len());
    check_pages(&with).unwrap();
    // As the stock writer has it: without both.
    let header = Header::parse(&with).unwrap();
    let at = header.own.as_ref().unwrap().begin;
    let mut without = with[..header.sum_at].to_vec();
    let behind = with[header.sum_at..at].iter().position(|byte| *byte == 4 << 4 | STRUCT).unwrap();
    without.push(5 << 4 | STRUCT);
    without.extend_from_slice(&with[header.sum_at + behind + 1..at]);
    without.push(0);
    without.extend_from_slice(b"ab345");
    check_pages(&without).unwrap();
    let mut again = Vec::new();
    assert!(copy_checked(&without, &mut again).unwrap().is_empty());
    assert_eq!(again, with);
}

#[test]
fn every_bit_that_flips_in_a_page_or_its_header_is_noticed() {
    let mut bytes = Vec::new();
    write(&mut bytes, Kind::Dictionary { values: 2 }, 8, b"\x02\x00\x00\x00ab\x00\x00");
    let data = Kind::Data { rows: 300, nulls: 7, encoding: 8, level_bytes: 2, is_compressed: true };
    write(&mut bytes, data, 700, b"some bytes of a page");
    check_pages(&bytes).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(check_pages(&flipped).is_err(), "bit {bit}");
    }
    for end in 1..bytes.len() {
        let is_whole = Header::parse(&bytes).unwrap();
        let is_whole = end == is_whole.bytes + is_whole.page_bytes;
        assert_eq!(check_pages(&bytes[..end]).is_ok(), is_whole, "{end}");
    }
}

#[test]
fn every_bit_that_flips_in_the_pages_of_a_file_is_noticed() {
    let texts = ["a", "b", "a", "c"].map(Some);
    let array: ArrayRef = Arc::new(arrow::array::StringArray::from(texts.to_vec()));
    let whole = file(&array);
    let first = 4;
    let last = first + pages(&whole).len();
    for bit in first * 8..last * 8 {
        let mut flipped = whole.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(check_pages(&flipped[first..last]).is_err(), "bit {bit}");
    }
}
