use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::*;
use crate::spans::bare::{Bare, metadata};

const DELTAS: Encoding = Encoding::DELTA_BINARY_PACKED;

/// A file of one column, in pages of 50 numbers; `None` makes keys of a dictionary.
fn file(numbers: &[i64], encoding: Option<Encoding>) -> (Reader, ParquetMetaData) {
    let column: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    let batch = RecordBatch::try_from_iter_with_nullable([("number", column, false)]).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(encoding.is_none())
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_encoding(encoding.unwrap_or(Encoding::PLAIN))
        .set_data_page_row_count_limit(50)
        .set_write_batch_size(25)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let bytes: Bytes = writer.into_inner().unwrap().into();
    (Box::new(Bare::new(&bytes)), metadata(&bytes))
}

/// Ranges of these rows, of which some follow one another.
fn ranges(rows: &std::collections::BTreeSet<usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == *row && row % 3 > 0 => last.end += 1,
            _ => ranges.push(*row..row + 1),
        }
    }
    ranges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_are_read_at_the_rows_that_are_wanted(
        numbers in prop::collection::vec(any::<i64>(), 1..3_000),
        shift in 0_u32..64,
        rows in prop::collection::btree_set(0_usize..3_000, 1..200),
        encoding in prop::sample::select(vec![None, Some(Encoding::PLAIN), Some(DELTAS)]),
    ) {
        let numbers: Vec<i64> = numbers.into_iter().map(|number| number >> shift).collect();
        let rows: std::collections::BTreeSet<usize> =
            rows.into_iter().map(|row| row % numbers.len()).collect();
        let (mut reader, metadata) = file(&numbers, encoding);
        let whole = 0..numbers.len();
        let all = read(&mut reader, &metadata, (0, 0), std::slice::from_ref(&whole));
        prop_assert_eq!(futures::executor::block_on(all).unwrap().unwrap(), &numbers[..]);
        let ranges = ranges(&rows);
        let read = read_all(&mut reader, &metadata, (0, &[0, 0]), &ranges);
        let read = futures::executor::block_on(read).unwrap().unwrap();
        let truth: Vec<i64> = rows.iter().map(|row| numbers[*row]).collect();
        prop_assert_eq!(&read, &[truth.clone(), truth.clone()]);
        let within = truth[0].min(truth[truth.len() / 2])..=truth[0].max(truth[truth.len() / 2]);
        let counted = count(&mut reader, &metadata, (0, 0), (&ranges, &within));
        let counted = futures::executor::block_on(counted).unwrap().unwrap();
        prop_assert_eq!(counted, truth.iter().filter(|number| within.contains(number)).count());
        for page in pages(&metadata, (0, 0)).into_iter().flatten() {
            let own = &numbers[page.rows.clone()];
            prop_assert_eq!(own.iter().min(), Some(&page.low));
            prop_assert_eq!(own.iter().max(), Some(&page.high));
        }
    }
}

#[test]
fn pages_without_wanted_rows_are_not_fetched() {
    let numbers: Vec<i64> = (0..1_000).collect();
    let (_, metadata) = file(&numbers, Some(DELTAS));
    let all = places(&metadata, (0, 0)).unwrap();
    assert_eq!(all.len(), 20);
    let ranges = [520..521, 530..531, 640..660];
    let needed = Needed::of(&metadata, (0, 0), &ranges).unwrap();
    let offset = |page: usize| u64::try_from(all[page].offset).unwrap();
    assert_eq!(needed.bytes, offset(10)..offset(14));
    let rows: Vec<Range<usize>> = needed.pages.into_iter().map(|(_, rows)| rows).collect();
    assert_eq!(rows, [500..550, 600..650, 650..700]);
    assert!(Needed::of(&metadata, (0, 0), &[]).unwrap().pages.is_empty());
}

#[test]
fn a_page_that_ends_too_early_is_noticed() {
    let mut read = Vec::new();
    // A header that promises more than there is.
    let mut page = vec![128, 1, 4, 50, 2];
    assert_eq!(deltas::first(&page, 50, &mut read), None);
    page.extend([0, 64, 64, 64, 64, 1, 2, 3]);
    assert_eq!(deltas::first(&page, 50, &mut read), None);
    assert_eq!(deltas::first(&[128, 1, 0, 50, 2], 50, &mut read), None);
    assert_eq!(deltas::first(&page, 51, &mut read), None);
}
