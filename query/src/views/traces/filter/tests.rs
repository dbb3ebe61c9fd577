use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_expr::expressions::{binary, col, lit};

use super::*;

#[test]
fn conditions_tell_the_least_that_is_wanted() {
    let number = |name: &str| Field::new(name, DataType::Int64, false);
    let schema = Schema::new(vec![number("duration_nano"), number("spans")]);
    let make = |left: Arc<dyn PhysicalExpr>, op, right| binary(left, op, right, &schema).unwrap();
    let duration = || col("duration_nano", &schema).unwrap();
    let longer = |than: i64| make(duration(), Operator::Gt, lit(than));
    let other = || make(col("spans", &schema).unwrap(), Operator::Gt, lit(7_i64));
    let check = |condition: Arc<dyn PhysicalExpr>, expected: Option<i64>| {
        assert_eq!(least(&condition, "duration_nano"), expected, "{condition}");
    };
    check(longer(5), Some(6));
    check(make(lit(5_i64), Operator::Lt, duration()), Some(6));
    check(longer(i64::MAX), None);
    check(make(duration(), Operator::Eq, lit(5_i64)), Some(5));
    check(make(lit(5_i64), Operator::LtEq, duration()), Some(5));
    check(make(duration(), Operator::Lt, lit(5_i64)), None);
    check(other(), None);
    check(make(other(), Operator::And, longer(5)), Some(6));
    check(make(longer(3), Operator::And, longer(5)), Some(6));
    check(make(longer(3), Operator::Or, longer(5)), Some(4));
    check(make(longer(3), Operator::Or, other()), None);
}
