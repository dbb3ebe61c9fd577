use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::Encoding;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;

/// A file in memory.
struct File(Bytes);

impl AsyncFileReader for File {
    fn get_bytes(
        &mut self,
        range: Range<u64>,
    ) -> futures::future::BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        Box::pin(async move { Ok(self.0.slice(range)) })
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a parquet::arrow::arrow_reader::ArrowReaderOptions>,
    ) -> futures::future::BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        unreachable!("the test has read it already")
    }
}

/// A file of one column, in pages of 50 numbers.
fn file(numbers: &[i64], has_index: bool) -> (Reader, ParquetMetaData) {
    let column: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    let batch = RecordBatch::try_from_iter_with_nullable([("number", column, false)]).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_offset_index_disabled(!has_index)
        .set_data_page_row_count_limit(50)
        .set_write_batch_size(25)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let bytes: Bytes = writer.into_inner().unwrap().into();
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = reader.parse_and_finish(&bytes).unwrap();
    (Box::new(File(bytes)), metadata)
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
        rows in prop::collection::btree_set(0_usize..3_000, 1..40),
        has_index in any::<bool>(),
    ) {
        let rows: std::collections::BTreeSet<usize> =
            rows.into_iter().map(|row| row % numbers.len()).collect();
        let (mut reader, metadata) = file(&numbers, has_index);
        let ranges = ranges(&rows);
        let read = read(&mut reader, &metadata, (0, 0), &ranges);
        let read = futures::executor::block_on(read).unwrap().unwrap();
        let truth: Vec<i64> = rows.iter().map(|row| numbers[*row]).collect();
        prop_assert_eq!(read, truth);
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
    let (_, metadata) = file(&numbers, true);
    let chunk = metadata.row_group(0).column(0);
    let all = places(&metadata, (0, 0)).unwrap();
    assert_eq!(all.len(), 20);
    let (bytes, places) = needed(all, chunk, &[520..521, 530..531, 640..660]).unwrap();
    let offset = |page: usize| u64::try_from(all[page].offset).unwrap();
    assert_eq!(bytes, offset(10)..offset(14));
    let firsts: Vec<i64> = places.iter().map(|place| place.first_row_index).collect();
    assert_eq!(firsts, [0, 500, 550, 600, 650, 700]);
    assert!(needed(all, chunk, &[]).is_none());
}
