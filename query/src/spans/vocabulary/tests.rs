use arrow::array::StringViewArray;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_expr::expressions::{binary, col, in_list, lit};

use super::*;

fn text(text: &str) -> Arc<dyn PhysicalExpr> {
    lit(ScalarValue::Utf8View(Some(text.to_owned())))
}

#[test]
fn conditions_name_the_texts_that_they_need() {
    let schema = Schema::new(vec![Field::new("key", DataType::Utf8View, true)]);
    let key = || col("key", &schema).unwrap();
    let is = |value: &str| binary(key(), Operator::Eq, text(value), &schema).unwrap();
    let check = |condition: Arc<dyn PhysicalExpr>, expected: Option<&[&str]>| {
        let found = texts_of(&condition);
        let found = found.as_ref().map(|texts| texts.iter().map(String::as_str).collect());
        assert_eq!(found, expected.map(<[&str]>::to_vec), "{condition}");
    };
    check(is("a"), Some(&["a"]));
    check(binary(text("a"), Operator::Eq, key(), &schema).unwrap(), Some(&["a"]));
    check(binary(is("a"), Operator::Or, is("b"), &schema).unwrap(), Some(&["a", "b"]));
    check(in_list(key(), vec![text("a"), text("b")], &false, &schema).unwrap(), Some(&["a", "b"]));
    check(in_list(key(), vec![text("a")], &true, &schema).unwrap(), None);
    check(binary(key(), Operator::NotEq, text("a"), &schema).unwrap(), None);
    let other = binary(key(), Operator::Lt, text("a"), &schema).unwrap();
    check(binary(is("a"), Operator::Or, other, &schema).unwrap(), None);
}

#[test]
fn only_what_was_learnt_is_known_to_be_absent() {
    let known = Vocabularies::default();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert!(!known.lacks("file", "key", &texts(&["a"])));
    let values: ArrayRef = Arc::new(StringViewArray::from(vec!["b", "a"]));
    let mut hashes = Vec::new();
    add(&values, &mut hashes).unwrap();
    known.put("file", "key", hashes);
    assert!(!known.lacks("file", "key", &texts(&["c", "a"])));
    assert!(known.lacks("file", "key", &texts(&["c", "d"])));
    assert!(!known.lacks("file", "other", &texts(&["c"])));
    assert!(!known.lacks("other", "key", &texts(&["c"])));
}

#[test]
fn what_is_known_is_bounded() {
    let known = Vocabularies::default();
    let bytes_max = known.account.bytes_max();
    let hashes = u32::try_from(bytes_max / 16).unwrap();
    for file in 0..20 {
        known.put(&format!("{file}"), "key", (0..hashes).collect());
        assert!(known.bytes() <= bytes_max);
    }
}
