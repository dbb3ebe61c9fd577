use super::*;

#[test]
fn one_block_a_name_with_escaped_labels() {
    let metric =
        |name, labels, value| Metric { name, help: "Help.", shape: Shape::Counter, labels, value };
    let door = |door: &str| vec![("door", door.to_owned()), ("reason", "a\"b\\\n".to_owned())];
    let text = prometheus(&[
        metric("b_total", door("grpc"), 1.0),
        metric("a_total", Vec::new(), 2.5),
        metric("b_total", door("http"), 3.0),
    ]);
    expect_test::expect![[r#"
        # HELP a_total Help.
        # TYPE a_total counter
        a_total 2.5
        # HELP b_total Help.
        # TYPE b_total counter
        b_total{door="grpc",reason="a\"b\\\n"} 1
        b_total{door="http",reason="a\"b\\\n"} 3
    "#]]
    .assert_eq(&text);
}
