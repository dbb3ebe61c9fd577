use super::*;
use crate::flush::tests::{DAY, TestSpan, batch, span};
use crate::schema::AttributeType;

#[track_caller]
fn check(rule: Rule, expected: [bool; 4]) {
    let resource = r#"{"service.name":"shop","tier":"gold"}"#;
    let spans = [
        span(1, 1, None, DAY),
        TestSpan { status: "ERROR", name: "GET /cart", ..span(1, 2, Some(1), DAY) },
        TestSpan {
            service: "cart",
            attributes: Some(r#"{"n":7,"t":true,"é":"a\"b"}"#),
            ..span(1, 3, Some(1), DAY)
        },
        TestSpan { resource, ..span(2, 4, None, DAY) },
    ];
    let spans = batch(&spans, Vec::new());
    let found: Vec<bool> = ranks(&spans, &AttributeColumns::from_start(), &[rule])
        .iter()
        .map(|rank| *rank == 0)
        .collect();
    assert_eq!(found, expected);
}

fn attribute(key: &str, value: &str) -> Rule {
    Rule { attributes: [(key.to_owned(), value.to_owned())].into(), ..Rule::default() }
}

#[test]
fn every_condition_of_a_rule_must_hold_on_one_span() {
    let text = |text: &str| Some(text.to_owned());
    check(Rule::default(), [true; 4]);
    check(Rule { service: text("cart"), ..Rule::default() }, [false, false, true, false]);
    check(Rule { name: text("GET /"), ..Rule::default() }, [true, false, true, true]);
    check(Rule { name: text("GET /c*"), ..Rule::default() }, [false, true, false, false]);
    check(Rule { error: Some(true), ..Rule::default() }, [false, true, false, false]);
    check(Rule { error: Some(false), ..Rule::default() }, [true, false, true, true]);
    check(Rule { error: Some(true), service: text("cart"), ..Rule::default() }, [false; 4]);
    check(Rule { root: true, ..Rule::default() }, [true, false, false, true]);
    check(Rule { slower_than_nano: Some(4), ..Rule::default() }, [true; 4]);
    check(Rule { slower_than_nano: Some(5), ..Rule::default() }, [false; 4]);
    check(attribute("n", "7"), [false, false, true, false]);
    check(attribute("t", "true"), [false, false, true, false]);
    check(attribute("é", "a\"b"), [false, false, true, false]);
    check(attribute("n", "8"), [false; 4]);
    let resource = [("tier".to_owned(), "gold".to_owned())].into();
    check(Rule { resource, ..Rule::default() }, [false, false, false, true]);
}

#[test]
fn an_attribute_in_a_column_of_its_own_is_found_by_its_type() {
    use arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch};
    use arrow::datatypes::Schema;
    let columns: Vec<(&str, AttributeType, ArrayRef)> = vec![
        ("i", AttributeType::Int, Arc::new(Int64Array::from(vec![Some(7), None]))),
        ("d", AttributeType::Double, Arc::new(Float64Array::from(vec![Some(0.5), None]))),
        ("b", AttributeType::Bool, Arc::new(BooleanArray::from(vec![Some(true), None]))),
    ];
    let mut known = AttributeColumns::default();
    let plain = batch(&[span(1, 1, None, DAY), span(1, 2, None, DAY)], Vec::new());
    let (mut fields, mut arrays) =
        (plain.records().schema().fields().to_vec(), plain.records().columns().to_vec());
    for (key, kind, array) in columns {
        assert!(known.add(AttributeScope::Span, key, kind));
        fields.push(Arc::new(known.find(AttributeScope::Span, key).unwrap().1.field()));
        arrays.push(array);
    }
    let records = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let spans = SpanBatch::new(records, Vec::new());
    for (key, value) in [("i", "7"), ("d", "0.5"), ("b", "true")] {
        assert_eq!(ranks(&spans, &known, &[attribute(key, value)]), [0, NONE], "{key}");
        assert_eq!(ranks(&spans, &known, &[attribute(key, "x")]), [NONE, NONE], "{key}");
    }
}

#[test]
fn of_several_rules_the_first_counts_and_memory_of_traces_is_bounded() {
    let rules = [
        Rule { name: Some("GET /*".into()), ..Rule::default() },
        Rule { service: Some("shop".into()), ..Rule::default() },
    ];
    let spans = [span(1, 1, None, DAY), TestSpan { name: "x", ..span(1, 2, None, DAY) }];
    let spans = batch(&spans, Vec::new());
    assert_eq!(ranks(&spans, &AttributeColumns::from_start(), &rules), [0, 1]);

    let mut recent = Recent::default();
    let id = |number: usize| (number as u128).to_be_bytes();
    assert_eq!(recent.settle(&id(0), 3), 3);
    assert_eq!(recent.settle(&id(0), NONE), 3, "a later fragment");
    assert_eq!(recent.settle(&id(0), 1), 1, "a better rule");
    assert_eq!(recent.settle(&id(0), 2), 1);
    assert_eq!(recent.settle(&id(1), NONE), NONE);
    for number in 10..10 + 3 * REMEMBERED {
        recent.settle(&id(number), 0);
    }
    assert!(recent.newer.len() + recent.older.len() <= 2 * REMEMBERED);
    assert_eq!(recent.settle(&id(0), NONE), NONE, "forgotten");
}
