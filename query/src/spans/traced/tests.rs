use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::*;
use crate::spans::bare::{Bare, metadata};

fn id(number: u32) -> TraceId {
    TraceId(u128::from(number).to_be_bytes())
}

fn file(traces: &[u32], dictionary_bytes: usize) -> Bytes {
    let ids = traces.iter().map(|trace| id(*trace).0);
    let column: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(ids).unwrap());
    let batch = RecordBatch::try_from_iter([(c::TRACE_ID, column)]).unwrap();
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_dictionary_page_size_limit(dictionary_bytes)
        .set_data_page_row_count_limit(300)
        .set_write_batch_size(100)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The rows, and how often something was read.
fn found(
    file: &Bytes,
    dictionaries: &Dictionaries,
    wanted: &[TraceId],
) -> (Option<Vec<usize>>, usize) {
    let reads = Arc::default();
    let mut reader: Reader = Box::new(Bare::counted(file, &reads));
    let known = (&Arc::from("a.parquet"), dictionaries);
    let metadata = metadata(file);
    let rows = rows(&mut reader, metadata.row_group(0), known, wanted);
    let rows = futures::executor::block_on(rows).unwrap();
    let reads = *reads.lock().unwrap();
    (rows, reads)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_are_those_of_the_traces(
        runs in prop::collection::vec((0_u32..900, 1_usize..12), 1..300),
        scattered in prop::collection::vec(0_u32..70_000, 0..1500),
        wanted in prop::collection::vec(0_u32..900, 1..4),
        dictionary_bytes in prop_oneof![Just(1 << 20), Just(2000_usize)],
    ) {
        let runs = runs.into_iter().flat_map(|(trace, rows)| std::iter::repeat_n(trace, rows));
        let traces: Vec<u32> = runs.chain(scattered).collect();
        let file = file(&traces, dictionary_bytes);
        let ids: Vec<TraceId> = wanted.iter().map(|trace| id(*trace)).collect();
        let dictionaries = Dictionaries::default();
        let truth = (0..traces.len()).filter(|row| wanted.contains(&traces[*row])).collect();
        for _ in 0..2 {
            let (rows, _) = found(&file, &dictionaries, &ids);
            // Keys cannot tell where the writer went on without its dictionary.
            prop_assert!(rows.as_ref() == Some(&truth) || (rows.is_none() && dictionary_bytes < 1 << 20));
        }
    }
}

#[test]
fn a_row_group_without_the_trace_costs_its_dictionary_once() {
    let file = file(&[3, 4, 4, 5], 1 << 20);
    let dictionaries = Dictionaries::default();
    assert_eq!(found(&file, &dictionaries, &[id(6)]), (Some(vec![]), 1));
    assert_eq!(found(&file, &dictionaries, &[id(6), id(7)]), (Some(vec![]), 0));
    assert_eq!(found(&file, &dictionaries, &[id(4)]), (Some(vec![1, 2]), 1));
    // The keys stay in memory, too.
    assert_eq!(found(&file, &dictionaries, &[id(3), id(5)]), (Some(vec![0, 3]), 0));
}
