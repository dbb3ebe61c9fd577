use std::sync::Arc;

use arrow::array::{
    Array, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, Int64Builder,
    ListBuilder, StringViewArray, UInt64Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::*;
use crate::spans::bare::{Bare, metadata};

/// One row of the test: what the columns are made of.
type Cell = (Option<u8>, i64, Option<Vec<i64>>);

fn batch(cells: &[Cell]) -> RecordBatch {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for (_, _, list) in cells {
        match list {
            Some(list) => lists.append_value(list.iter().copied().map(Some)),
            None => lists.append_null(),
        }
    }
    let text = |word: &u8| "word ".repeat(usize::from(*word)) + "end";
    let words = cells.iter().map(|(word, ..)| word.as_ref().map(text));
    let ids = cells.iter().map(|(word, number, _)| word.map(|_| number.to_be_bytes()));
    let numbers = cells.iter().map(|(_, number, _)| *number);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(words.clone().collect::<StringViewArray>()),
        Arc::new(words.map(|word| Some(word.unwrap_or_default())).collect::<StringViewArray>()),
        Arc::new(Int64Array::from_iter_values(numbers.clone())),
        Arc::new(Int64Array::from_iter(cells.iter().map(|(word, n, _)| word.map(|_| *n)))),
        Arc::new(Int32Array::from_iter(cells.iter().map(|(word, ..)| word.map(i32::from)))),
        Arc::new(Float64Array::from_iter(cells.iter().map(|(word, ..)| word.map(f64::from)))),
        Arc::new(BooleanArray::from_iter(cells.iter().map(|(word, ..)| word.map(|w| w % 3 == 0)))),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 8).unwrap()),
        Arc::new(lists.finish()),
    ];
    let fields = columns.iter().enumerate().map(|(place, column)| {
        Field::new(
            format!("column {place}"),
            column.data_type().clone(),
            column.is_nullable() || place != 2,
        )
    });
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
}

fn file(batch: &RecordBatch, (dictionary, zstd, page_rows): (bool, bool, usize)) -> Bytes {
    let compression =
        if zstd { Compression::ZSTD(ZstdLevel::default()) } else { Compression::UNCOMPRESSED };
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(compression)
        .set_dictionary_enabled(dictionary)
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(7);
    if !dictionary {
        // The stock writer's own choice for texts is another encoding.
        for place in [0, 1, 7] {
            let path = format!("column {place}").into();
            properties = properties.set_column_encoding(path, Encoding::PLAIN);
        }
    }
    let properties = Some(properties.build());
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), properties).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn picked(file: &Bytes, rows: &[usize], schema: &SchemaRef) -> Option<RecordBatch> {
    let metadata = Arc::new(metadata(file));
    let open = || -> Result<Reader> { Ok(Box::new(Bare::new(file))) };
    let dictionaries = Dictionaries::default();
    let (path, rows) = ("a.parquet".into(), rows.to_vec());
    let (metadata, dictionaries) = (&metadata, &dictionaries);
    let pick =
        Pick { open: &open, open_pages: &open, metadata, group: 0, rows, path, dictionaries };
    let first = futures::executor::block_on(pick.read(schema)).unwrap();
    let again = futures::executor::block_on(pick.read(schema)).unwrap();
    assert_eq!(first, again, "dictionaries are known by now");
    first
}

fn cells() -> impl Strategy<Value = Vec<Cell>> {
    let number = prop_oneof![any::<i64>(), -5_i64..5, 0_i64..1 << 40];
    let list = prop::option::of(prop::collection::vec(0_i64..9, 0..3));
    let cell = (prop::option::of(0_u8..20), number, list);
    let runs = prop::collection::vec((cell, 1_usize..20), 1..40);
    runs.prop_map(|runs| runs.into_iter().flat_map(|(cell, n)| vec![cell; n]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn picked_rows_are_those_of_the_stock_writer(
        cells in cells(),
        wanted in prop::collection::btree_set(0_usize..800, 1..12),
        layout in (any::<bool>(), any::<bool>(), 3_usize..90),
    ) {
        let batch = batch(&cells);
        let rows: Vec<usize> = wanted.into_iter().filter(|row| *row < cells.len()).collect();
        prop_assume!(!rows.is_empty());
        let places = UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64));
        let expected = take_record_batch(&batch, &places).unwrap();
        let picked = picked(&file(&batch, layout), &rows, &batch.schema()).unwrap();
        prop_assert_eq!(picked, expected);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_other_values_and_never_a_panic(
        cells in cells(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        layout in (any::<bool>(), any::<bool>(), 3_usize..90),
    ) {
        let batch = batch(&cells);
        let whole = file(&batch, layout);
        let metadata = Arc::new(metadata(&whole));
        let mut bytes = whole.to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let bytes = Bytes::from(bytes);
        let open = || -> Result<Reader> { Ok(Box::new(Bare::new(&bytes))) };
        let flat = Arc::new(batch.schema().project(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap());
        let rows = (0..cells.len()).step_by(3).collect();
        let (dictionaries, path) = (&Dictionaries::default(), "a.parquet".into());
        let pick = Pick { open: &open, open_pages: &open, metadata: &metadata, group: 0, rows, path, dictionaries };
        drop(futures::executor::block_on(pick.read(&flat)));
    }
}

#[test]
fn a_column_that_the_file_lacks_is_null() {
    let batch = batch(&[(Some(1), 2, None), (None, 3, Some(vec![4]))]);
    let file = file(&batch, (true, true, 10));
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("another", DataType::Utf8View, true)));
    let picked = picked(&file, &[1], &Arc::new(Schema::new(fields))).unwrap();
    assert_eq!(picked.column_by_name("another").unwrap().null_count(), 1);
}
