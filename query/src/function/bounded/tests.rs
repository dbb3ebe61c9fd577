use datafusion::common::ScalarValue;

use super::*;

#[track_caller]
fn check(growth: Growth, args: &[ScalarValue], rows: usize, expected: usize) {
    let args: Vec<_> = args.iter().map(|value| ColumnarValue::Scalar(value.clone())).collect();
    assert_eq!(result_bytes(growth, &args, rows).unwrap(), expected);
}

#[test]
fn sizes_are_known_before_the_call() {
    let text = |text: &str| ScalarValue::Utf8View(Some(text.into()));
    let int = |int| ScalarValue::Int64(Some(int));
    check(Growth::Sum, &[text("ab"), text("cde")], 10, 50);
    check(Growth::Times, &[text("ab"), int(2_000_000_000)], 1, 4_000_000_000);
    check(Growth::Times, &[text("ab"), int(-1)], 1, 0);
    check(Growth::Length, &[text("ab"), int(100), text("x")], 8, 800);
    check(Growth::Replacement, &[text("aaaa"), text("a"), text("bbb")], 1, 15);
    check(Growth::Times, &[text("x"), ScalarValue::Utf8(None)], 1, usize::MAX);
}
