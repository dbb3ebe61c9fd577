use super::*;

#[test]
fn patterns_are_those_of_like() {
    for (pattern, text, expected) in [
        ("%", "", true),
        ("spans", "spans", true),
        ("spans", "span", false),
        ("s_an%", "spans", true),
        ("%a%s", "spans", true),
        ("%x%", "spans", false),
        ("_", "", false),
        ("", "a", false),
    ] {
        assert_eq!(like(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }
    let long = "a".repeat(20_000);
    assert!(!like(format!("{}b", "%a".repeat(500)).as_bytes(), long.as_bytes()));
}

#[test]
fn abilities_are_one_union_in_the_order_of_the_specification() {
    let all = sql_info_rows("1.2.3", &[]).unwrap();
    assert_eq!(all.num_rows(), infos("1.2.3").len());
    let one = sql_info_rows("1.2.3", &[1]).unwrap();
    let value = one.column(1).as_any().downcast_ref::<UnionArray>().unwrap().value(0);
    assert_eq!(value.as_string::<i32>().value(0), "1.2.3");
}
