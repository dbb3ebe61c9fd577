use super::*;

#[test]
fn quotes_are_doubled_and_nothing_else_is_special() {
    assert_eq!(text("cart"), "'cart'");
    assert_eq!(text("o'brien"), "'o''brien'");
    assert_eq!(text("' OR 1=1; DROP TABLE spans --"), "''' OR 1=1; DROP TABLE spans --'");
    assert_eq!(text("back\\slash\0"), "'back\\slash\0'");
    assert_eq!(column("a\"b"), "\"a\"\"b\"");
}

#[test]
fn times_keep_every_nanosecond() {
    assert_eq!(time(1_795_255_200_123_456_789), "TIMESTAMP '2026-11-21T10:00:00.123456789Z'");
    assert_eq!(time(-1), "TIMESTAMP '1969-12-31T23:59:59.999999999Z'");
}
