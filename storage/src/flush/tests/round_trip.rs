//! What a flush writes is what was decoded, column by column, and the Delta log bounds it.
use arrow::array::{
    BooleanArray, Float64Array, ListArray, StructArray, new_empty_array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use serde_json::Value;

use super::*;
use crate::schema::{AttributeScope, AttributeType};

/// Rows with values of their own; the odd ones are null where a column allows it.
const ROWS: usize = 4;

fn all_columns() -> AttributeColumns {
    let mut columns = AttributeColumns::from_start();
    columns.add(AttributeScope::Span, "cart.total", AttributeType::Double);
    columns.add(AttributeScope::Span, "cart.gift", AttributeType::Bool);
    columns.add(AttributeScope::Resource, "shop.number", AttributeType::Int);
    columns
}

/// Different values in all rows, of whatever type; beyond ASCII where it is text.
fn values(field: &Field, rows: usize) -> ArrayRef {
    let some = |row: usize| !field.is_nullable() || row.is_multiple_of(2);
    let given = || (0..rows).map(move |row| some(row).then_some(row));
    let int = |row: usize| i64::try_from(row).unwrap();
    match field.data_type() {
        DataType::Int64 if field.name() == column::START => {
            Arc::new(given().map(|row| row.map(|row| DAY + int(row))).collect::<Int64Array>())
        }
        DataType::Int64 => {
            let value = |row| if row == 0 { i64::MIN } else { i64::MAX - int(row) };
            Arc::new(given().map(|row| row.map(value)).collect::<Int64Array>())
        }
        DataType::Int32 => {
            let value = |row: usize| i32::MIN + i32::try_from(row).unwrap();
            Arc::new(given().map(|row| row.map(value)).collect::<Int32Array>())
        }
        DataType::Float64 => {
            let value = |row: usize| if row == 0 { f64::INFINITY } else { 0.1 * int(row) as f64 };
            Arc::new(given().map(|row| row.map(value)).collect::<Float64Array>())
        }
        DataType::Boolean => Arc::new(
            given().map(|row| row.map(|row| row.is_multiple_of(4))).collect::<BooleanArray>(),
        ),
        DataType::FixedSizeBinary(width) => {
            let id = |row: usize| vec![u8::try_from(row + 1).unwrap(); *width as usize];
            let ids = given().map(|row| row.map(id));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, *width).unwrap())
        }
        DataType::Dictionary(_, _) => text(given().map(|row| row.map(|row| word(field, row)))),
        DataType::Utf8 => {
            let words = given().map(|row| row.map(|row| word(field, row)));
            Arc::new(words.collect::<StringArray>())
        }
        DataType::List(element) => Arc::new(lists(element, rows)),
        other => panic!("no test values of type {other}"),
    }
}

/// Row 2 has an empty text.
fn word(field: &Field, row: usize) -> String {
    if field.is_nullable() && row == 2 {
        String::new()
    } else {
        format!("{} ключ {row}", field.name())
    }
}

/// Three elements, null, none, null.
fn lists(element: &Arc<Field>, rows: usize) -> ListArray {
    assert_eq!(rows, ROWS);
    let DataType::Struct(fields) = element.data_type() else { panic!("a list of {element}") };
    let columns = fields.iter().map(|field| values(field, 3)).collect();
    let elements = StructArray::new(fields.clone(), columns, None);
    let offsets = OffsetBuffer::from_lengths([3, 0, 0, 0]);
    let nulls = NullBuffer::from(vec![true, false, true, false]);
    ListArray::new(Arc::clone(element), offsets, Arc::new(elements), Some(nulls))
}

fn full_batch(columns: &AttributeColumns) -> Arc<SpanBatch> {
    let is_derived = |name: &str| name.starts_with("caller_") || name.starts_with("root_");
    let schema = columns.schema();
    let arrays = schema.fields().iter().map(|field| {
        if is_derived(field.name()) {
            return new_null_array(field.data_type(), ROWS);
        }
        values(field, ROWS)
    });
    let records = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap();
    Arc::new(SpanBatch::new(records, Vec::new()))
}

/// The column of all batches, without dictionaries.
fn plain(batches: &[Arc<SpanBatch>], field: &Field) -> ArrayRef {
    let kind = match field.data_type() {
        DataType::Dictionary(_, text) => text.as_ref(),
        other => other,
    };
    let parts = batches.iter().map(|batch| match batch.records().column_by_name(field.name()) {
        Some(array) => arrow::compute::cast(array, kind).unwrap(),
        None => new_null_array(kind, batch.rows()),
    });
    let parts: Vec<ArrayRef> = parts.chain([new_empty_array(kind)]).collect();
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    arrow::compute::concat(&parts).unwrap()
}

#[tokio::test]
async fn every_column_is_read_as_it_was_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(DAY + NANOS_PER_DAY));
    let table = open(&Config::in_folder(folder.path()), &clock).await;
    let columns = all_columns();
    // The second one has no attribute columns, and null wherever that is allowed.
    let batches = [full_batch(&columns), batch(&[span(99, 99, None, DAY + 99)], Vec::new())];
    flush(&table, &batches, &columns, WalSeq(1)).await.unwrap();
    let written = read(&table, 0).await;
    let mut compared = 0;
    for field in columns.schema().fields() {
        if field.name().starts_with("caller_") || field.name().starts_with("root_") {
            continue; // made by the flush
        }
        let expected = plain(&batches, field);
        let found = written.column_by_name(field.name());
        let found = found.unwrap_or_else(|| panic!("{} is not in the file", field.name()));
        let found = arrow::compute::cast(found, expected.data_type()).unwrap();
        assert_eq!(&found, &expected, "{}", field.name());
        assert!(found.null_count() < ROWS + 1, "{} has values", field.name());
        compared += 1;
    }
    assert_eq!(compared, 24 + columns.as_slice().len());
    let columns_of_table = table.state().columns.as_slice().to_vec();
    assert_eq!(columns_of_table, columns.as_slice(), "the Delta schema has them, too");
}

/// The `stats` of the only file in version 1.
async fn stats_of(names: &[&'static str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(DAY + NANOS_PER_DAY));
    let table = open(&Config::in_folder(folder.path()), &clock).await;
    let spans: Vec<TestSpan> = names
        .iter()
        .zip(1..)
        .map(|(name, id)| TestSpan { name, ..span(1, id, (id > 1).then_some(1), DAY + 1_000) })
        .collect();
    let columns = AttributeColumns::from_start();
    flush(&table, &[batch(&spans, Vec::new())], &columns, WalSeq(1)).await.unwrap();
    let path = Path::from("_delta_log/00000000000000000001.json");
    let log = table.object_store().get(&path).await.unwrap().bytes().await.unwrap();
    let lines = std::str::from_utf8(&log).unwrap().lines();
    let actions = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let add = actions.into_iter().find(|action| action["add"].is_object()).unwrap();
    serde_json::from_str(add["add"]["stats"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_log_bounds_what_is_in_a_file() {
    let long = |text: &str, times| -> &'static str { text.repeat(times).leak() };
    // Characters of two bytes, of three next to the surrogates, and the largest there is.
    let edge: &'static str = format!("{}\u{d7ff}{}", "a".repeat(61), "b".repeat(9)).leak();
    let last: &'static str = format!("{}x{}", "a".repeat(63), '\u{10ffff}').leak();
    for names in [
        ["GET /", "POST /", "A"],
        [long("a", 70), long("é", 40), long("a", 63)],
        [edge, long("a", 64), "a"],
        [last, long("a", 65), "a"],
    ] {
        let stats = stats_of(&names).await;
        let bound = |side: &str| stats[side]["name"].as_str().unwrap().to_owned();
        let (low, high) = (bound("minValues"), bound("maxValues"));
        for name in names {
            assert!(low.as_str() <= name && name <= high.as_str(), "{low} <= {name} <= {high}");
        }
        assert!(low.len() <= 64 && high.len() <= 68, "cut: {low}, {high}");
        assert_eq!(
            (stats["numRecords"].as_u64(), stats["nullCount"]["name"].as_u64()),
            (Some(3), Some(0))
        );
        for side in ["minValues", "maxValues"] {
            assert_eq!(stats[side]["start_time_unix_nano"], DAY + 1_000);
            assert_eq!(stats[side]["service"], "shop");
        }
        assert_eq!(stats["nullCount"]["caller_service"], 1, "the root has no caller");
    }
    let endless = stats_of(&[long("\u{10ffff}", 40), "a"]).await;
    assert!(endless["maxValues"].get("name").is_none(), "nothing larger exists: {endless}");
}
