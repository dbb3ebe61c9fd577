use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use proptest::prelude::*;

use super::*;

const LAYOUT: Layout = Layout {
    dictionary_bytes_max: 1 << 20,
    statistics: true,
    compressed: true,
    bloom: false,
    page_bytes: 1 << 12,
};
const PLAIN: Layout = Layout { dictionary_bytes_max: 0, page_bytes: 1 << 20, ..LAYOUT };

/// A file of the one column `x`.
fn file<V: Value>(field: Field, layout: Layout, keys: &[u32], values: &[V]) -> Bytes {
    let schema = Schema::new(vec![field]);
    let parquet = ArrowSchemaConverter::new().convert(&schema).unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer =
        SerializedFileWriter::new(Vec::new(), parquet.root_schema_ptr(), properties).unwrap();
    let mut encoder = Encoder::new().unwrap();
    // What a column before has left behind must not matter.
    encoder.encode(&parquet.column(0), layout, &keys[keys.len() / 2..], values).unwrap();
    let chunk = encoder.encode(&parquet.column(0), layout, keys, values).unwrap();
    let mut group = writer.next_row_group().unwrap();
    group.append_column(&chunk.bytes, chunk.close).unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap().into()
}

fn open(file: &Bytes) -> ArrowReaderMetadata {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ArrowReaderMetadata::load(file, options).unwrap()
}

fn read(file: &Bytes, selection: Option<RowSelection>) -> ArrayRef {
    let metadata = open(file);
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata)
        .with_batch_size(1 << 20);
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    let batches: Vec<ArrayRef> =
        builder.build().unwrap().map(|batch| Arc::clone(batch.unwrap().column(0))).collect();
    let parts: Vec<&dyn Array> = batches.iter().map(AsRef::as_ref).collect();
    if parts.is_empty() {
        return arrow::array::new_empty_array(&DataType::Utf8);
    }
    arrow::compute::concat(&parts).unwrap()
}

fn text(nullable: bool) -> Field {
    Field::new("x", DataType::Utf8, nullable)
}

fn bytes<'a>(values: &[&'a str]) -> Vec<&'a [u8]> {
    values.iter().map(|value| value.as_bytes()).collect()
}

fn expected<'a>(keys: &[u32], values: &[&'a str]) -> Vec<Option<&'a str>> {
    keys.iter().map(|key| (*key != NULL).then(|| values[*key as usize])).collect()
}

/// Every page's bounds and null count in the index cover what the page holds.
#[track_caller]
fn check_index(metadata: &ParquetMetaData, expected: &[Option<&str>]) {
    let ColumnIndexMetaData::BYTE_ARRAY(index) = &metadata.column_index().unwrap()[0][0] else {
        panic!("the index of a text column")
    };
    let pages = metadata.offset_index().unwrap()[0][0].page_locations();
    let mut rows = 0;
    for (page, location) in pages.iter().enumerate() {
        let start = usize::try_from(location.first_row_index).unwrap();
        let end = pages
            .get(page + 1)
            .map_or(expected.len(), |next| usize::try_from(next.first_row_index).unwrap());
        assert_eq!(start, rows, "pages follow each other");
        rows = end;
        let held: Vec<&str> = expected[start..end].iter().flatten().copied().collect();
        let nulls = i64::try_from(end - start - held.len()).unwrap();
        assert_eq!(index.null_count(page), Some(nulls));
        assert_eq!(index.is_null_page(page), held.is_empty());
        for value in held {
            assert!(index.min_value(page).unwrap() <= value.as_bytes());
            assert!(index.max_value(page).unwrap() >= value.as_bytes());
        }
    }
    assert_eq!(rows, expected.len());
    let statistics = metadata.row_group(0).column(0).statistics().unwrap();
    let nulls = expected.iter().filter(|value| value.is_none()).count() as u64;
    assert_eq!(statistics.null_count_opt(), Some(nulls));
    for value in expected.iter().flatten() {
        assert!(statistics.min_bytes_opt().unwrap() <= value.as_bytes());
        assert!(statistics.max_bytes_opt().unwrap() >= value.as_bytes());
    }
}

#[track_caller]
fn check_text(layout: Layout, keys: &[u32], values: &[&str]) {
    let nullable = keys.contains(&NULL);
    let file = file(text(nullable), layout, keys, &bytes(values));
    let array = read(&file, None);
    let expected = expected(keys, values);
    assert_eq!(array.as_string::<i32>().iter().collect::<Vec<_>>(), expected);
    check_index(open(&file).metadata(), &expected);
    check_selection(&file, &expected);
}

/// Single rows across the file, and the last one: found through the offset index.
#[track_caller]
fn check_selection(file: &Bytes, expected: &[Option<&str>]) {
    let mut selectors = Vec::new();
    let mut wanted = Vec::new();
    let step = expected.len() / 7 + 1;
    for start in (0..expected.len()).step_by(step) {
        let length = step.min(expected.len() - start);
        selectors.extend([RowSelector::skip(length - 1), RowSelector::select(1)]);
        wanted.push(expected[start + length - 1]);
    }
    let array = read(file, Some(RowSelection::from(selectors)));
    assert_eq!(array.as_string::<i32>().iter().collect::<Vec<_>>(), wanted);
}

/// Rows as a user of the store would have them: runs of random lengths, nulls among them.
fn rows(values: u32) -> impl Strategy<Value = Vec<u32>> {
    let lengths = prop_oneof![4 => 1..3usize, 3 => 3..40usize, 1 => 40..3000usize];
    let key = prop_oneof![3 => 0..values, 1 => Just(NULL)];
    prop::collection::vec((key, lengths), 1..80).prop_map(|runs| {
        runs.into_iter().flat_map(|(key, length)| std::iter::repeat_n(key, length)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_by_the_stock_reader(
        values in prop::collection::hash_set("\\PC{0,12}|[a-c]{0,200}|ж{0,70}", 1..40),
        picks in rows(40),
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let count = u32::try_from(values.len()).unwrap();
        let keys: Vec<u32> =
            picks.iter().map(|key| if *key == NULL { NULL } else { key % count }).collect();
        check_text(LAYOUT, &keys, &values);
        check_text(PLAIN, &keys, &values);
    }

    #[test]
    fn every_width_of_dictionary_keys_is_read(width in 0u32..=17, seed in any::<u64>()) {
        let count = 1u64 << width;
        let mut state = seed;
        let keys: Vec<u32> = (0..30_000u64.max(count + 5))
            .map(|row| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                u32::try_from(if row < count { row } else { (state >> 33) % count }).unwrap()
            })
            .collect();
        let values: Vec<i64> = (0..i64::try_from(count).unwrap()).map(|n| n * 3 - 7).collect();
        let layout = Layout { dictionary_bytes_max: usize::MAX, ..LAYOUT };
        let file = file(Field::new("x", DataType::Int64, false), layout, &keys, &values);
        let array = read(&file, None);
        let expected: Vec<i64> = keys.iter().map(|key| values[*key as usize]).collect();
        prop_assert_eq!(array.as_primitive::<Int64Type>().values(), &expected);
    }

    #[test]
    fn the_hybrid_equals_its_runs(
        runs in prop::collection::vec((0u32..1 << 20, 1usize..600), 1..60),
        width in 0u32..=20,
    ) {
        let runs: Vec<(u32, usize)> =
            runs.into_iter().map(|(value, length)| (value & ((1 << width) - 1), length)).collect();
        let mut bytes = Vec::new();
        let mut hybrid = Hybrid::new(&mut bytes, width);
        runs.iter().for_each(|(value, length)| hybrid.push(*value, *length));
        hybrid.finish();
        let expected: Vec<u32> =
            runs.iter().flat_map(|(value, length)| std::iter::repeat_n(*value, *length)).collect();
        prop_assert_eq!(decode_hybrid(&bytes, width, expected.len()), expected);
    }
}

/// By the letter of the format's description, one bit at a time.
fn decode_hybrid(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
    let mut values = Vec::new();
    while values.len() < count {
        let (mut header, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[0];
            bytes = &bytes[1..];
            header |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let length = usize::try_from(header >> 1).unwrap();
        if header & 1 == 0 {
            let mut value = [0; 4];
            let size = width.div_ceil(8) as usize;
            value[..size].copy_from_slice(&bytes[..size]);
            bytes = &bytes[size..];
            values.extend(std::iter::repeat_n(u32::from_le_bytes(value), length));
        } else {
            for index in 0..length * 8 {
                let bit = |place: usize| u32::from(bytes[place / 8] >> (place % 8) & 1);
                let first = index * width as usize;
                values.push((0..width).map(|n| bit(first + n as usize) << n).sum());
            }
            bytes = &bytes[length * width as usize..];
        }
    }
    values.truncate(count);
    values
}

#[test]
fn columns_of_one_value_or_none_are_read() {
    check_text(LAYOUT, &[NULL; 5], &[]);
    check_text(PLAIN, &[NULL; 45_000], &[]);
    check_text(LAYOUT, &[0; 45_000], &["only"]);
    check_text(PLAIN, &[0; 45_000], &[""]);
    check_text(LAYOUT, &[0], &[""]);
}

#[test]
fn long_equal_rows_make_pages_of_bounded_size() {
    let long = "ab".repeat(100_000);
    let keys = [0; 30];
    let file = file(text(false), PLAIN, &keys, &[long.as_bytes()]);
    let metadata = open(&file);
    let pages = metadata.metadata().offset_index().unwrap()[0][0].page_locations().len();
    assert_eq!(pages, 5, "six of 200,000 bytes fill a page");
    assert_eq!(read(&file, None).len(), 30);
    check_text(PLAIN, &keys, &[long.as_str()]);
}

#[test]
fn a_dictionary_is_written_only_where_it_is_smaller() {
    let encoding = |layout, keys: &[u32], values: &[&str]| {
        let file = file(text(false), layout, keys, &bytes(values));
        open(&file).metadata().row_group(0).column(0).dictionary_page_offset().is_some()
    };
    let distinct: Vec<String> = (0..1000).map(|number| format!("value {number}")).collect();
    let distinct: Vec<&str> = distinct.iter().map(String::as_str).collect();
    let once: Vec<u32> = (0..1000).collect();
    let often: Vec<u32> = (0..20_000).map(|row| row % 1000).collect();
    assert!(!encoding(LAYOUT, &once, &distinct));
    assert!(encoding(LAYOUT, &often, &distinct));
    assert!(!encoding(Layout { dictionary_bytes_max: 5000, ..LAYOUT }, &often, &distinct));
}

#[test]
fn long_bounds_are_cut_and_still_cover() {
    let texts = [
        "a".repeat(100),
        "ж".repeat(60),
        format!("{}\u{7ff}", "\u{7f}".repeat(63)),
        "𐀀".repeat(40),
    ];
    for text in &texts {
        let (low, high) = (text.as_bytes().lower(), text.as_bytes().upper());
        assert!(
            low.bytes.as_slice() <= text.as_bytes() && high.bytes.as_slice() >= text.as_bytes()
        );
        assert!(low.bytes.len() <= 64 && !low.exact);
        assert!(std::str::from_utf8(&high.bytes).is_ok());
    }
    assert_eq!(
        "a".repeat(100).as_bytes().upper().bytes,
        format!("{}b", "a".repeat(63)).into_bytes()
    );
    let highest = char::MAX.to_string().repeat(30);
    assert!(highest.as_bytes().upper().exact, "nothing of that length lies above");
}

#[test]
fn numbers_and_ids_are_read_with_their_bounds() {
    let keys = [0, 1, NULL, 1, 2];
    let longs = file(Field::new("x", DataType::Int64, true), LAYOUT, &keys, &[-5i64, 9, i64::MIN]);
    let array = read(&longs, None);
    let values: Vec<_> = array.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(values, [Some(-5), Some(9), None, Some(9), Some(i64::MIN)]);
    let metadata = open(&longs);
    let ColumnIndexMetaData::INT64(index) = &metadata.metadata().column_index().unwrap()[0][0]
    else {
        panic!("the index of a number column")
    };
    assert_eq!((index.min_value(0), index.max_value(0)), (Some(&i64::MIN), Some(&9)));

    let ints = file(Field::new("x", DataType::Int32, true), PLAIN, &keys, &[1i32, 2, 3]);
    let array = read(&ints, None);
    assert_eq!(array.as_primitive::<Int32Type>().value(4), 3);

    let id = Field::new("x", DataType::FixedSizeBinary(16), true);
    let bloom = Layout { bloom: true, ..LAYOUT };
    let ids = file(id, bloom, &keys, &[[1u8; 16], [2; 16], [3; 16]]);
    let array = read(&ids, None);
    assert_eq!(array.as_fixed_size_binary().value(3), [2; 16]);
    assert!(open(&ids).metadata().row_group(0).column(0).bloom_filter_offset().is_some());
}

#[test]
fn bounds_of_doubles_leave_out_nan_and_cover_both_zeros() {
    let field = || Field::new("x", DataType::Float64, true);
    let values = [0.0, f64::NAN, 2.5];
    let some = file(field(), LAYOUT, &[0, 1, 2, NULL], &values);
    let array = read(&some, None);
    assert_eq!(array.as_primitive::<Float64Type>().value(2).to_bits(), 2.5f64.to_bits());
    let metadata = open(&some);
    let ColumnIndexMetaData::DOUBLE(index) = &metadata.metadata().column_index().unwrap()[0][0]
    else {
        panic!("the index of a double column")
    };
    assert!(index.min_value(0).unwrap().is_sign_negative());
    assert_eq!(index.max_value(0), Some(&2.5));
    let none = file(field(), LAYOUT, &[1, 1], &values);
    let metadata = ParquetRecordBatchReaderBuilder::try_new(none).unwrap();
    let statistics = metadata.metadata().row_group(0).column(0).statistics().unwrap();
    assert_eq!(statistics.min_bytes_opt(), None);
}

#[test]
fn pages_end_by_bytes_and_those_of_one_value_by_rows() {
    let words: Vec<String> = (0..500).map(|word| format!("word {word}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mixed: Vec<u32> =
        (0..150_000_u32).map(|row| row.wrapping_mul(2_654_435_761) % 500).collect();
    let pages = |keys: &[u32]| {
        let file = file(text(false), LAYOUT, keys, &bytes(&words));
        assert_eq!(
            read(&file, None).as_string::<i32>().iter().collect::<Vec<_>>(),
            expected(keys, &words)
        );
        open(&file).metadata().offset_index().unwrap()[0][0].page_locations().len()
    };
    let many = pages(&mixed);
    // Nine bits a row.
    assert!((30..60).contains(&many), "{many} pages of about 4 KiB");
    assert_eq!(pages(&[7; 150_000]), 3, "of 65,536 rows at most");
}
