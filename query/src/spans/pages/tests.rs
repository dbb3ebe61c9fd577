use arrow::array::{Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;

use super::*;

/// A file of one text column; pages of at most 50 rows.
fn file(texts: &[Option<&str>], version: WriterVersion) -> Bytes {
    let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let batch = RecordBatch::try_from_iter_with_nullable([("text", column, true)]).unwrap();
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_data_page_row_count_limit(50)
        .set_write_batch_size(25)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The rows that hold one of `wanted`, by keys.
fn found(file: &Bytes, wanted: &[Option<&str>]) -> Option<Vec<Range<usize>>> {
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let group = reader.metadata().row_group(0);
    let (start, length) = group.column(0).byte_range();
    let from = usize::try_from(start).unwrap();
    let bytes = file.slice(from..from + usize::try_from(length).unwrap());
    let decide = |values: &ArrayRef| {
        let values = values.as_any().downcast_ref::<StringViewArray>().unwrap();
        let by_key = values.iter().map(|value| wanted.contains(&value)).collect();
        Ok(Wanted { by_key, null: wanted.contains(&None) })
    };
    rows(bytes, group.column(0), usize::try_from(group.num_rows()).unwrap(), decide).unwrap()
}

/// The values with their counts, by keys.
fn counted(file: &Bytes) -> Vec<(Option<String>, i64)> {
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let group = reader.metadata().row_group(0);
    let (start, length) = group.column(0).byte_range();
    let from = usize::try_from(start).unwrap();
    let bytes = file.slice(from..from + usize::try_from(length).unwrap());
    let rows = usize::try_from(group.num_rows()).unwrap();
    let counts = counts(bytes, group.column(0), rows).unwrap().unwrap();
    let values = counts.values.as_any().downcast_ref::<StringViewArray>().unwrap();
    let texts = values.iter().map(|text| text.map(str::to_owned));
    texts.zip(counts.by_key).chain([(None, counts.nulls)]).collect()
}

const WORDS: [Option<&str>; 5] = [None, Some("a"), Some("b"), Some("c"), Some("only here")];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn keys_tell_the_same_rows_as_values(
        runs in prop::collection::vec((0_usize..4, 1_usize..40), 1..40),
        wanted in prop::collection::vec(0_usize..5, 0..3),
        is_new in any::<bool>(),
    ) {
        let texts: Vec<Option<&str>> =
            runs.iter().flat_map(|(word, times)| std::iter::repeat_n(WORDS[*word], *times)).collect();
        let wanted: Vec<Option<&str>> = wanted.into_iter().map(|word| WORDS[word]).collect();
        let version = if is_new { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        if texts.iter().any(Option::is_some) {
            let ranges = found(&file(&texts, version), &wanted).unwrap();
            let rows: Vec<usize> = ranges.into_iter().flatten().collect();
            let truth = (0..texts.len()).filter(|row| wanted.contains(&texts[*row]));
            prop_assert_eq!(rows, truth.collect::<Vec<_>>());
            for (word, count) in counted(&file(&texts, version)) {
                let truth = texts.iter().filter(|text| text.map(str::to_owned) == word).count();
                prop_assert_eq!(count, i64::try_from(truth).unwrap());
            }
        }
    }

    #[test]
    fn damaged_runs_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), width in 0_u8..40) {
        let mut seen = 0;
        let read = each_run(&bytes, width, 200, |_, rows| {
            seen += rows;
            Some(())
        });
        prop_assert!(seen <= 200);
        prop_assert_eq!(read.is_some(), seen == 200);
    }
}

#[test]
fn values_beside_a_dictionary_that_grew_too_large_are_not_overlooked() {
    let texts: Vec<String> = (0..400).map(|row| format!("text {row}")).collect();
    let column: ArrayRef = Arc::new(StringArray::from(texts));
    let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_dictionary_page_size_limit(500)
        .set_data_page_row_count_limit(50)
        .set_write_batch_size(25)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let file: Bytes = writer.into_inner().unwrap().into();
    assert_eq!(found(&file, &[Some("text 399")]), None, "keys do not tell it");
}
