use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{binary, col, lit};
use parquet::basic::Type;
use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type as SchemaType};

use super::*;

fn chunk(start: i64) -> ColumnChunkMetaData {
    let kind = SchemaType::primitive_type_builder("key", Type::BYTE_ARRAY).build().unwrap();
    let column = ColumnDescriptor::new(Arc::new(kind), 1, 0, ColumnPath::from("key"));
    let chunk = ColumnChunkMetaData::builder(Arc::new(column)).set_data_page_offset(start);
    chunk.set_total_compressed_size(10).build().unwrap()
}

fn is(text: &str) -> Condition {
    let schema = Schema::new(vec![Field::new("key", DataType::Utf8View, true)]);
    let text = lit(ScalarValue::Utf8View(Some(text.to_owned())));
    let key = col("key", &schema).unwrap();
    Condition::of(&binary(key, Operator::Eq, text, &schema).unwrap(), &schema).unwrap()
}

#[test]
fn only_the_same_condition_on_the_same_column_of_the_same_file_is_known() {
    let chosen = Chosen::default();
    let rows = vec![3..5, 9..10];
    chosen.put(("a", &chunk(4)), &is("x"), &rows);
    assert_eq!(chosen.find(("a", &chunk(4)), &is("x")), Some(rows));
    assert_eq!(chosen.find(("a", &chunk(4)), &is("y")), None);
    assert_eq!(chosen.find(("a", &chunk(5)), &is("x")), None);
    assert_eq!(chosen.find(("b", &chunk(4)), &is("x")), None);
    chosen.put(("a", &chunk(4)), &is("none"), &[]);
    assert_eq!(chosen.find(("a", &chunk(4)), &is("none")), Some(vec![]));
}

#[test]
fn what_is_known_stays_within_the_bound() {
    let chosen = Chosen::default();
    let many: Vec<_> = (0..RUNS_MAX).map(|run| run * 2..run * 2 + 1).collect();
    for place in 0..100 {
        chosen.put(("a", &chunk(place)), &is("x"), &many);
        assert!(chosen.find(("a", &chunk(place)), &is("x")).is_some());
        let held = chosen.lock();
        let runs: usize = held.by_file.values().flat_map(HashMap::values).map(|it| it.len()).sum();
        assert!(runs * 8 <= held.bytes && held.bytes <= chosen.account.bytes_max());
    }
    let bytes = chosen.lock().bytes;
    chosen.put(("a", &chunk(99)), &is("x"), &many);
    assert_eq!(chosen.lock().bytes, bytes, "it counts once");
    let more: Vec<_> = (0..=RUNS_MAX).map(|run| run * 2..run * 2 + 1).collect();
    chosen.put(("b", &chunk(1)), &is("x"), &more);
    assert_eq!(chosen.find(("b", &chunk(1)), &is("x")), None);
}
