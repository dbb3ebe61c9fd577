use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_expr::expressions::{col, lit};
use proptest::prelude::*;

use super::*;

fn expr(pattern: &str, negated: bool) -> (Arc<dyn PhysicalExpr>, Arc<Schema>) {
    let schema = Arc::new(Schema::new(vec![Field::new("key", DataType::Utf8View, true)]));
    let pattern = lit(ScalarValue::Utf8View(Some(pattern.to_owned())));
    let key = col("key", &schema).unwrap();
    (Arc::new(LikeExpr::new(negated, false, key, pattern)), schema)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_holds_for_what_the_stock_function_finds(
        pattern in "[aé_]{0,4}_[aé_]{0,3}%?",
        texts in prop::collection::vec("[aé\n_%]{0,8}", 1..20),
        negated in any::<bool>(),
    ) {
        let (expr, schema) = expr(&pattern, negated);
        let own = Like::of(&expr).unwrap();
        let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts));
        let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
        let held = expr.evaluate(&batch).unwrap().into_array(texts.len()).unwrap();
        for (row, text) in texts.iter().enumerate() {
            prop_assert_eq!(own.holds(text), held.as_boolean().value(row), "{} {}", pattern, text);
        }
    }
}

#[test]
fn other_patterns_are_left_to_the_stock_function() {
    for pattern in ["a%", "a", "%a_", "a%_", "a\\_b", "_\\%"] {
        assert!(Like::of(&expr(pattern, false).0).is_none(), "{pattern}");
    }
    let (plain, _) = expr("a_", false);
    assert!(Like::of(&plain).is_some());
    let like = plain.downcast_ref::<LikeExpr>().unwrap();
    let (key, pattern) = (Arc::clone(like.expr()), Arc::clone(like.pattern()));
    let either_case: Arc<dyn PhysicalExpr> = Arc::new(LikeExpr::new(false, true, key, pattern));
    assert!(Like::of(&either_case).is_none());
}
