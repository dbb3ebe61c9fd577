use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    StringArray, StringViewArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Int64Type, Schema};

use super::*;

/// The two rows of `column`, without their lengths; `None` is null.
fn cells(column: ArrayRef, format: i16) -> Vec<Option<Vec<u8>>> {
    let field = Field::new("c", column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let rows = column.len();
    let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
    let prepared = Rows::of(&batch, &[head(&field, format)]).unwrap();
    let one = |row| {
        let mut out = Vec::new();
        prepared.write(row, &mut out);
        assert_eq!(out[..2], [0, 1], "one column");
        let length = i32::from_be_bytes(out[2..6].try_into().unwrap());
        (length >= 0).then(|| {
            assert_eq!(out.len(), 6 + usize::try_from(length).unwrap());
            out[6..].to_vec()
        })
    };
    (0..rows).map(one).collect()
}

#[track_caller]
fn check(column: ArrayRef, text: &str, binary: &[u8]) {
    assert_eq!(String::from_utf8(cells(Arc::clone(&column), 0)[0].clone().unwrap()).unwrap(), text);
    assert_eq!(cells(column, 1)[0].as_deref().unwrap(), binary, "{text}");
}

#[test]
fn values_are_written_as_postgresql_writes_them() {
    check(Arc::new(BooleanArray::from(vec![true])), "t", &[1]);
    check(Arc::new(Int64Array::from(vec![-2])), "-2", &(-2_i64).to_be_bytes());
    check(Arc::new(Float64Array::from(vec![1.0])), "1", &1.0_f64.to_be_bytes());
    check(
        Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])),
        "-Infinity",
        &f64::NEG_INFINITY.to_be_bytes(),
    );
    check(Arc::new(StringViewArray::from(vec!["grüße"])), "grüße", "grüße".as_bytes());
    // 2000-01-02.
    check(Arc::new(Date32Array::from(vec![10_958])), "2000-01-02", &1_i32.to_be_bytes());
    let second = TimestampNanosecondArray::from(vec![946_684_801_000_001_999]);
    check(
        Arc::new(second.clone().with_timezone("UTC")),
        "2000-01-01 00:00:01.000001+00",
        &1_000_001_i64.to_be_bytes(),
    );
    check(Arc::new(second), "2000-01-01 00:00:01.000001", &1_000_001_i64.to_be_bytes());
}

#[test]
fn decimals_are_groups_of_four_digits() {
    let decimal = |value, scale| {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(20, scale).unwrap())
    };
    check(decimal(-123_450, 2), "-1234.50", &[0, 2, 0, 0, 0x40, 0, 0, 2, 4, 210, 19, 136]);
    check(decimal(5, 4), "0.0005", &[0, 2, 0, 0, 0, 0, 0, 4, 0, 0, 0, 5]);
    let largest: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert_eq!(cells(largest, 0)[0].as_deref().unwrap(), b"18446744073709551615");
}

#[test]
fn lists_are_arrays_and_nulls_have_no_bytes() {
    let numbers: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]));
    let text = cells(Arc::clone(&numbers), 0);
    assert_eq!(text, [Some(b"{1,NULL}".to_vec()), None, Some(b"{}".to_vec())]);
    let binary = cells(numbers, 1);
    let expected: Vec<u8> = [1, 1, 20, 2, 1, 8]
        .into_iter()
        .flat_map(|number: i32| number.to_be_bytes())
        .chain(1_i64.to_be_bytes())
        .chain((-1_i32).to_be_bytes())
        .collect();
    assert_eq!(binary[0].as_deref().unwrap(), expected);
    let words: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    assert_eq!(cells(words, 0), [Some(b"a".to_vec()), None]);
}

#[test]
fn json_and_structs_are_json() {
    let field = Field::new("a", DataType::Utf8, false)
        .with_metadata([("spanlake.json".to_owned(), "true".to_owned())].into());
    assert_eq!(head(&field, 0).oid, types::JSON);
    let pair = arrow::array::StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Int64, false)),
        Arc::new(Int64Array::from(vec![1])) as ArrayRef,
    )]);
    check(Arc::new(pair), r#"{"x":1}"#, br#"{"x":1}"#);
}
