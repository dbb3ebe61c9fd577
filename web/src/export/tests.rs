use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringViewArray};
use expect_test::{Expect, expect};

use super::{Drawing, Edge, draw, edges};

fn edge(caller: &str, callee: &str, kind: &str, calls: i64, errors: i64) -> Edge {
    Edge {
        caller: caller.into(),
        callee: callee.into(),
        kind: kind.into(),
        calls,
        errors,
        weighted_calls: 1.5,
        ..Edge::default()
    }
}

fn shop() -> Vec<Edge> {
    let mut busy = edge("front", "cart", "rpc", 12, 2);
    busy.caller_p50_nano = Some(1_000);
    busy.request_bytes = 77;
    vec![busy, edge("cart", "kafka/x", "external", 1, 0), edge("cart", "cart", "database", 3, 1)]
}

/// Names that mean something in one of the formats.
fn hostile() -> Vec<Edge> {
    vec![
        edge("a\"b\\N\nc", "</script><b>&amp;#x;`|[x]{y}", "rpc", 1, 0),
        edge("=cmd()", "x,y\u{1}", "messaging", 1, 0),
    ]
}

#[track_caller]
fn check(drawing: &str, edges: &[Edge], expected: Expect) {
    expected.assert_eq(&draw(drawing.parse().unwrap(), edges));
}

#[test]
fn dot_gives_a_node_to_each_thing_and_an_arrow_to_each_edge() {
    check(
        "dot",
        &shop(),
        expect![[r#"
        digraph dependencies {
          rankdir=LR;
          node [shape=box];
          n0 [label="cart", shape=box];
          n1 [label="cart", shape=cylinder];
          n2 [label="front", shape=box];
          n3 [label="kafka/x", shape=ellipse];
          n2 -> n0 [label="12 calls, 2 errors", style=solid, color=red];
          n0 -> n3 [label="1 call", style=solid];
          n0 -> n1 [label="3 calls, 1 error", style=solid, color=red];
        }
    "#]],
    );
}

#[test]
fn dot_quotes_what_would_end_a_label() {
    check(
        "dot",
        &hostile(),
        expect![[r#"
        digraph dependencies {
          rankdir=LR;
          node [shape=box];
          n0 [label="</script><b>&amp;amp;#x;`|[x]{y}", shape=box];
          n1 [label="=cmd()", shape=box];
          n2 [label="a\"b\\N\nc", shape=box];
          n3 [label="x,y ", shape=box];
          n2 -> n0 [label="1 call", style=solid];
          n1 -> n3 [label="1 call", style=dashed];
        }
    "#]],
    );
}

#[test]
fn mermaid_shapes_and_escapes() {
    check(
        "mermaid",
        &shop(),
        expect![[r#"
        flowchart LR
          n0["cart"]
          n1[("cart")]
          n2["front"]
          n3(["kafka/x"])
          n2 -->|"12 calls, 2 errors"| n0
          n0 -->|"1 call"| n3
          n0 -->|"3 calls, 1 error"| n1
    "#]],
    );
    check(
        "mermaid",
        &hostile(),
        expect![[r##"
        flowchart LR
          n0["#60;/script#62;#60;b#62;#38;amp#59;#35;x#59;#96;#124;#91;x#93;#123;y#125;"]
          n1["=cmd()"]
          n2["a#34;b#92;N c"]
          n3["x,y "]
          n2 -->|"1 call"| n0
          n1 -.->|"1 call"| n3
    "##]],
    );
}

#[test]
fn graphml_is_well_formed_whatever_the_names() {
    let xml = draw(Drawing::GraphMl, &hostile());
    assert!(
        xml.contains("<data key=\"name\">&lt;/script&gt;&lt;b&gt;&amp;amp;#x;`|[x]{y}</data>"),
        "{xml}"
    );
    assert!(xml.contains("<data key=\"name\">a&quot;b\\N&#10;c</data>"), "{xml}");
    assert!(xml.contains("<data key=\"name\">x,y\u{fffd}</data>"), "{xml}");
    let xml = draw(Drawing::GraphMl, &shop());
    assert!(xml.contains("<data key=\"calls\">12</data><data key=\"errors\">2</data>"), "{xml}");
    assert!(xml.contains("<data key=\"caller_p50_nano\">1000</data></edge>"), "{xml}");
    assert_eq!(xml.matches("<node ").count(), 4);
    assert_eq!(xml.matches("<edge ").count(), 3);
}

#[test]
fn csv_quotes_and_disarms() {
    let csv = draw(Drawing::Csv, &hostile());
    assert!(csv.contains("\"a\"\"b\\N\nc\",</script>"), "{csv}");
    assert!(csv.contains("\n'=cmd(),\"x,y\u{1}\",messaging,1,0,0,0,,,,,1.5\n"), "{csv}");
    let csv = draw(Drawing::Csv, &shop());
    assert!(csv.starts_with("caller,callee,kind,calls,errors,request_bytes,"), "{csv}");
    assert!(csv.contains("\nfront,cart,rpc,12,2,77,0,1000,,,,1.5\n"), "{csv}");
}

#[test]
fn json_reads_back_as_it_was() {
    let rows: serde_json::Value = serde_json::from_str(&draw(Drawing::Json, &hostile())).unwrap();
    assert_eq!(rows[0]["caller"], "a\"b\\N\nc");
    assert_eq!(rows[0]["caller_p50_nano"], serde_json::Value::Null);
    assert_eq!(rows[1]["calls"], 1);
}

#[test]
fn jaeger_sums_the_kinds_between_services() {
    let edges = [
        edge("a", "b", "rpc", 2, 0),
        edge("a", "b", "messaging", 3, 0),
        edge("a", "postgresql/x", "database", 9, 0),
    ];
    check(
        "jaeger",
        &edges,
        expect![[r#"
        {"data":[{"parent":"a","child":"b","callCount":5}]}
    "#]],
    );
}

#[test]
fn no_edges_make_an_empty_drawing() {
    check("mermaid", &[], expect![["flowchart LR\n"]]);
    check("json", &[], expect![["[]\n"]]);
    check("jaeger", &[], expect![["{\"data\":[]}\n"]]);
    assert!("svgz".parse::<Drawing>().is_err());
}

#[test]
fn rows_of_the_view_become_edges() {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("caller", Arc::new(StringViewArray::from(vec!["a"])) as _, false),
        ("callee", Arc::new(StringViewArray::from(vec!["b"])) as _, false),
        ("kind", Arc::new(StringViewArray::from(vec!["rpc"])) as _, false),
        ("calls", Arc::new(Int64Array::from(vec![7])) as _, false),
        ("errors", Arc::new(Int64Array::from(vec![1])) as _, false),
        ("caller_p50_nano", Arc::new(Int64Array::from(vec![None])) as _, true),
        ("callee_p50_nano", Arc::new(Int64Array::from(vec![Some(5)])) as _, true),
        ("weighted_calls", Arc::new(Float64Array::from(vec![7.5])) as _, false),
    ])
    .unwrap();
    let mut expected = edge("a", "b", "rpc", 7, 1);
    expected.callee_p50_nano = Some(5);
    expected.weighted_calls = 7.5;
    assert_eq!(edges(&[batch]), [expected]);
}
