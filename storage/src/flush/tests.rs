mod round_trip;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int32Array, Int64Array, StringArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use super::*;
use crate::TraceId;
use crate::batch::RestCount;
use crate::config::Config;
use crate::schema::fixed_fields;
use crate::table::place::Place;
use crate::time::{ManualClock, NANOS_PER_DAY, NANOS_PER_SECOND};

/// 2026-11-21T00:00:00Z.
pub(crate) const DAY: i64 = 1_795_219_200 * NANOS_PER_SECOND;

/// One span; what is not given here is null, empty or zero.
#[derive(Debug, Clone)]
pub(crate) struct TestSpan {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) start: i64,
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    pub(crate) status: &'static str,
    pub(crate) attributes: Option<&'static str>,
    pub(crate) resource: &'static str,
}

pub(crate) fn span(trace: u128, span: u64, parent: Option<u64>, start: i64) -> TestSpan {
    TestSpan {
        trace,
        span,
        parent,
        start,
        service: "shop",
        name: "GET /",
        status: "UNSET",
        attributes: None,
        resource: r#"{"service.name":"shop"}"#,
    }
}

fn text(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    let plain: StringArray = values.collect();
    arrow::compute::cast(&plain, &crate::schema::dictionary_type()).unwrap()
}

/// The spans as a batch without attribute columns.
pub(crate) fn batch(spans: &[TestSpan], rest: Vec<RestCount>) -> Arc<SpanBatch> {
    let fields = fixed_fields();
    let id8 = |ids: Vec<Option<u64>>| -> ArrayRef {
        let ids = ids.into_iter().map(|id| id.map(u64::to_be_bytes));
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 8).unwrap())
    };
    let columns = fields.iter().map(|field| -> ArrayRef {
        let constant = |value: &str| text(spans.iter().map(|_| Some(value.to_owned())));
        match field.name().as_str() {
            column::TRACE_ID => {
                let ids = spans.iter().map(|span| span.trace.to_be_bytes());
                Arc::new(FixedSizeBinaryArray::try_from_iter(ids).unwrap())
            }
            column::SPAN_ID => id8(spans.iter().map(|span| Some(span.span)).collect()),
            column::PARENT_SPAN_ID => id8(spans.iter().map(|span| span.parent).collect()),
            column::START => {
                Arc::new(spans.iter().map(|span| Some(span.start)).collect::<Int64Array>())
            }
            column::SERVICE => text(spans.iter().map(|span| Some(span.service.to_owned()))),
            column::NAME => text(spans.iter().map(|span| Some(span.name.to_owned()))),
            column::KIND => constant("SERVER"),
            column::STATUS => text(spans.iter().map(|span| Some(span.status.to_owned()))),
            column::ATTRIBUTES => {
                Arc::new(spans.iter().map(|span| span.attributes).collect::<StringArray>())
            }
            column::RESOURCE => text(spans.iter().map(|span| Some(span.resource.to_owned()))),
            column::FLAGS => Arc::new(Int32Array::from(vec![1; spans.len()])),
            column::WEIGHT => Arc::new(arrow::array::Float64Array::from(vec![1.0; spans.len()])),
            _ if *field.data_type() == DataType::Int64 => {
                Arc::new(Int64Array::from(vec![5; spans.len()]))
            }
            _ => new_null_array(field.data_type(), spans.len()),
        }
    });
    let columns = columns.collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.clone()));
    Arc::new(SpanBatch::new(RecordBatch::try_new(schema, columns).unwrap(), rest))
}

pub(crate) async fn open(config: &Config, clock: &Arc<ManualClock>) -> Table {
    let place = Place::open(config).unwrap();
    Table::open(place, config, Uuid::nil(), Arc::clone(clock) as _).await.unwrap()
}

/// All rows of a live file, as text by column.
async fn read(table: &Table, index: usize) -> RecordBatch {
    let path = Path::from(table.state().files[index].path.as_str());
    let bytes = table.object_store().get(&path).await.unwrap().bytes().await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn strings(records: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = records.column_by_name(name).unwrap();
    let column = arrow::compute::cast(column, &DataType::Utf8).unwrap();
    column.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_flush_writes_one_sorted_file_a_date_and_a_reopen_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::in_folder(folder.path());
    let clock = Arc::new(ManualClock::at(DAY + NANOS_PER_DAY));
    let table = open(&config, &clock).await;
    let late = TestSpan { service: "a", ..span(1, 3, Some(1), DAY + 7) };
    let batches = [
        batch(&[span(1, 1, None, DAY + 5), span(1, 2, Some(1), DAY + 4)], Vec::new()),
        batch(&[late, span(2, 9, None, DAY + NANOS_PER_DAY)], Vec::new()),
    ];
    flush(&table, &batches, &AttributeColumns::from_start(), WalSeq(4)).await.unwrap();

    let state = table.state();
    assert_eq!(state.wal_through, WalSeq(4));
    assert_eq!(state.files.iter().map(|file| file.rows).collect::<Vec<_>>(), [3, 1]);
    let first = read(&table, 0).await;
    assert_eq!(strings(&first, column::SERVICE), ["a", "shop", "shop"].map(|s| Some(s.into())));
    let starts = first.column_by_name(column::START).unwrap();
    assert_eq!(starts.as_primitive::<Int64Type>().values(), &[DAY + 7, DAY + 4, DAY + 5]);
    let shop = || Some("shop".to_owned());
    assert_eq!(strings(&first, column::CALLER_SERVICE), [shop(), shop(), None]);
    assert_eq!(strings(&first, column::ROOT_SERVICE), [shop(), shop(), shop()]);
    assert!(first.column_by_name(column::EVENTS).is_none(), "columns without values are left out");

    let again = open(&config, &clock).await.state();
    assert_eq!((again.version, again.wal_through), (state.version, WalSeq(4)));
    for (before, after) in state.files.iter().zip(again.files.iter()) {
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        assert!(after.traces.is_some() && after.rest.is_some());
    }
    assert_eq!(again.files[0].start, crate::TimeRange { from: DAY + 4, until: DAY + 8 });
    assert_eq!(again.files[0].services, Some(("a".into(), "shop".into())));
    assert!(again.files[0].may_hold_trace(&TraceId(1u128.to_be_bytes())));
    assert!(!again.files[0].may_hold_trace(&TraceId(2u128.to_be_bytes())));
}
