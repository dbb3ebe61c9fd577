//! Exact nearest-rank quantiles: a plain function for views, and the SQL aggregate `quantile(value, p)`.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, ListBuilder,
    PrimitiveBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;

/// Element number ceil(p * n) (1-based) of the sorted values; `None` where there are none.
pub(crate) fn nearest_rank(sorted: &[i64], p: f64) -> Option<i64> {
    sorted.get(rank(sorted.len(), p)?).copied()
}

/// The 0-based position of the nearest rank among `values` values; `None` of nothing.
pub(crate) fn rank_of(values: i64, p: f64) -> Option<i64> {
    i64::try_from(rank(usize::try_from(values).ok()?, p)?).ok()
}

/// The 0-based position of the nearest rank.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=n")]
pub(crate) fn rank(values: usize, p: f64) -> Option<usize> {
    // 0.95 * 20 is 19.000000000000004 or so in floats: without the slack, the rank would be one too high.
    let exact = p * values as f64;
    let rank = (exact - exact.abs() * 1e-12).ceil() as usize;
    Some(rank.clamp(1, values.max(1)) - 1).filter(|_| values > 0)
}

/// As [`nearest_rank`], of values in any order, in linear time; reorders them.
pub(crate) fn select(values: &mut [i64], p: f64) -> Option<i64> {
    let rank = rank(values.len(), p)?;
    Some(*values.select_nth_unstable(rank).1)
}

/// The SQL aggregate `quantile(value, p)`: integers give BIGINT, other numbers DOUBLE; NULLs are skipped; `p` is a
/// literal between 0 and 1. Keeps every value in memory, counted against the query's limit.
pub(crate) fn quantile() -> AggregateUDF {
    AggregateUDF::new_from_impl(Quantile {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantile {
    signature: Signature,
}

impl AggregateUDFImpl for Quantile {
    fn name(&self) -> &str {
        "quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [value, _] = types else {
            return plan_err!(
                "quantile takes two arguments: quantile(value, p), p between 0 and 1"
            );
        };
        let value = match value {
            DataType::Null => DataType::Int64,
            // Sums and counts beyond BIGINT keep their size, not their last digits.
            DataType::UInt64 => DataType::Float64,
            whole if whole.is_integer() => DataType::Int64,
            number if number.is_numeric() => DataType::Float64,
            other => return plan_err!("quantile takes numbers, not {other}"),
        };
        Ok(vec![value, DataType::Float64])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format!("{}[values]", args.name);
        Ok(vec![Arc::new(Field::new(name, state_type(), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { values: Vec::new(), shape: Shape::of(&args)? }))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { groups: Vec::new(), bytes: 0, shape: Shape::of(&args)? }))
    }
}

fn state_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))
}

/// What one call asks for.
#[derive(Debug, Clone, Copy)]
struct Shape {
    p: f64,
    float: bool,
}

impl Shape {
    fn of(args: &AccumulatorArgs) -> Result<Self> {
        if args.is_distinct {
            return plan_err!("quantile has no DISTINCT form");
        }
        let literal = args.exprs.get(1).and_then(|p| p.downcast_ref::<Literal>());
        let p = match literal.map(Literal::value) {
            Some(ScalarValue::Float64(Some(p))) if (0.0..=1.0).contains(p) => *p,
            _ => return plan_err!("quantile's second argument is a number between 0 and 1"),
        };
        Ok(Self { p, float: args.return_type() == &DataType::Float64 })
    }

    /// Values as integers of the same order.
    fn keys(&self, values: &ArrayRef) -> Int64Array {
        if self.float {
            let floats = values.as_primitive::<Float64Type>();
            return floats.unary(|value| order_key(value.to_bits().cast_signed()));
        }
        values.as_primitive::<Int64Type>().clone()
    }

    fn array(&self, keys: Vec<Option<i64>>) -> ArrayRef {
        if self.float {
            let floats = keys.into_iter().map(|key| key.map(from_key));
            return Arc::new(floats.collect::<Float64Array>());
        }
        Arc::new(Int64Array::from(keys))
    }
}

/// Bits of a float <-> an integer that sorts as [`f64::total_cmp`] does (its own inverse).
fn order_key(bits: i64) -> i64 {
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

fn from_key(key: i64) -> f64 {
    f64::from_bits(order_key(key).cast_unsigned())
}

/// The only group of a query without GROUP BY.
#[derive(Debug)]
struct One {
    values: Vec<i64>,
    shape: Shape,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(self.shape.keys(&values[0]).iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let answer = select(&mut self.values, self.shape.p);
        ScalarValue::try_from_array(&self.shape.array(vec![answer]), 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<i64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let lists = lists(vec![std::mem::take(&mut self.values)]);
        Ok(vec![ScalarValue::List(Arc::new(lists))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.values.extend(list.as_primitive::<Int64Type>().iter().flatten());
        }
        Ok(())
    }
}

/// All groups of a GROUP BY.
#[derive(Debug)]
struct Groups {
    groups: Vec<Vec<i64>>,
    /// Bytes that the groups' values occupy, kept up to date: `size` is asked after every batch.
    bytes: usize,
    shape: Shape,
}

impl Groups {
    fn push(&mut self, group: usize, value: i64) {
        let values = &mut self.groups[group];
        let before = values.capacity();
        values.push(value);
        self.bytes += (values.capacity() - before) * size_of::<i64>();
    }

    fn take(&mut self, emit: EmitTo) -> Vec<Vec<i64>> {
        let taken = emit.take_needed(&mut self.groups);
        let freed: usize = taken.iter().map(|values| values.capacity() * size_of::<i64>()).sum();
        self.bytes -= freed;
        taken
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.groups.resize_with(total, Vec::new);
        let keys = self.shape.keys(&values[0]);
        for (row, group) in groups.iter().enumerate() {
            if keys.is_valid(row) && kept(filter, row) {
                self.push(*group, keys.value(row));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let p = self.shape.p;
        let answers = self.take(emit).iter_mut().map(|values| select(values, p)).collect();
        Ok(self.shape.array(answers))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(lists(self.take(emit)))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.groups.resize_with(total, Vec::new);
        for (list, group) in states[0].as_list::<i32>().iter().zip(groups) {
            for value in list.iter().flat_map(|list| list.as_primitive::<Int64Type>()).flatten() {
                self.push(*group, value);
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let keys = self.shape.keys(&values[0]);
        let rows = keys.iter().enumerate();
        let single = rows.map(|(row, key)| key.filter(|_| kept(filter, row)).into_iter().collect());
        Ok(vec![Arc::new(lists(single.collect()))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.capacity() * size_of::<Vec<i64>>() + self.bytes
    }
}

fn kept(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

fn lists(groups: Vec<Vec<i64>>) -> ListArray {
    let mut lists = ListBuilder::new(PrimitiveBuilder::<Int64Type>::new());
    for values in groups {
        lists.values().append_slice(&values);
        lists.append(true);
    }
    lists.finish()
}

#[cfg(test)]
mod tests;
