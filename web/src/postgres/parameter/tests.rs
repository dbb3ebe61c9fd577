use arrow::datatypes::TimeUnit;

use super::*;

#[track_caller]
fn check(bytes: &[u8], format: i16, oid: u32, expected: ScalarValue) {
    assert_eq!(read(Some(bytes), format, oid, &DataType::Utf8), Ok(expected));
}

#[test]
fn values_are_read_in_both_formats() {
    check(b"-7", 0, types::INT4, ScalarValue::Int64(Some(-7)));
    check(&(-7_i32).to_be_bytes(), 1, types::INT4, ScalarValue::Int64(Some(-7)));
    check(b"t", 0, types::BOOL, ScalarValue::Boolean(Some(true)));
    check(&[0], 1, types::BOOL, ScalarValue::Boolean(Some(false)));
    check(b"x", 0, types::UNKNOWN, ScalarValue::from("x"));
    check(b"\\xff00", 0, types::BYTEA, ScalarValue::Binary(Some(vec![255, 0])));
    check(b"12", 0, types::NUMERIC, ScalarValue::Int64(Some(12)));
    check(b"1.5", 0, types::NUMERIC, ScalarValue::Float64(Some(1.5)));
    // -1234.50 and 70000 as groups of four digits.
    let binary = [0, 2, 0, 0, 0x40, 0, 0, 2, 4, 210, 19, 136];
    check(&binary, 1, types::NUMERIC, ScalarValue::Float64(Some(-1234.5)));
    let binary = [0, 1, 0, 1, 0, 0, 0, 0, 0, 7];
    check(&binary, 1, types::NUMERIC, ScalarValue::Int64(Some(70_000)));
    check(&0_i32.to_be_bytes(), 1, types::DATE, ScalarValue::Date32(Some(10_957)));
}

#[test]
fn the_statement_says_what_an_untyped_text_means() {
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let read = |text: &str, wanted| read(Some(text.as_bytes()), 0, 0, wanted);
    assert_eq!(
        read("2000-01-01 00:00:01+00", &nanos).unwrap(),
        ScalarValue::TimestampNanosecond(Some(946_684_801_000_000_000), Some("UTC".into()))
    );
    assert_eq!(read("5", &DataType::Int64).unwrap(), ScalarValue::Int64(Some(5)));
    let refused = read("five", &DataType::Int64).unwrap_err();
    assert_eq!(refused.code, "22P02");
}

#[test]
fn arrays_have_one_dimension() {
    let list = |items: &[ScalarValue], kind| {
        ScalarValue::List(ScalarValue::new_list_nullable(items, &kind))
    };
    let texts = [ScalarValue::from("a"), ScalarValue::Utf8(None), ScalarValue::from("b\"c,")];
    check(br#"{a,NULL,"b\"c,"}"#, 0, types::TEXT_ARRAY, list(&texts, DataType::Utf8));
    check(b"{}", 0, types::INT8_ARRAY, list(&[], DataType::Int64));
    let numbers: Vec<u8> = [1, 1, 20, 2, 1, 8]
        .into_iter()
        .flat_map(|number: i32| number.to_be_bytes())
        .chain(1_i64.to_be_bytes())
        .chain((-1_i32).to_be_bytes())
        .collect();
    let items = [ScalarValue::Int64(Some(1)), ScalarValue::Int64(None)];
    check(&numbers, 1, types::INT8_ARRAY, list(&items, DataType::Int64));
}

#[test]
fn broken_values_are_refused() {
    for (bytes, format, oid) in [
        (&b"1"[..], 1, types::INT8),
        (b"", 1, types::BOOL),
        (b"\xff", 0, types::TEXT),
        (b"{{1}}", 0, types::INT8_ARRAY),
        (b"{\"a", 0, types::TEXT_ARRAY),
        (b"zz", 0, types::BYTEA),
        (b"1", 2, types::INT8),
        (&[0xff; 19], 1, types::INT8_ARRAY),
        (&[0, 9, 0, 0], 1, types::NUMERIC),
    ] {
        read(Some(bytes), format, oid, &DataType::Utf8).expect_err("broken");
    }
}
