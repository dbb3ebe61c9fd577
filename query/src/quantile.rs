//! Exact nearest-rank quantiles: a plain function for views, and the SQL aggregate `quantile(value, p)`.
//!
//! Several quantiles of the same values are computed together ([`together`]): the values are kept and handed on once.
pub(crate) mod together;
pub(crate) mod values;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanArray, Float64Array, Int64Array,
    StructArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use values::Values;

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

/// The nearest ranks `ps` of `values`, which get another order.
pub(crate) fn nearest_ranks<T: Ord + Copy + Into<i64>>(
    values: &mut [T],
    ps: &[f64],
) -> Vec<Option<i64>> {
    let ranks: Vec<Option<usize>> = ps.iter().map(|p| rank(values.len(), *p)).collect();
    let mut rising: Vec<usize> = ranks.iter().copied().flatten().collect();
    rising.sort_unstable();
    // What lies above one rank is all that the next has to look at.
    let mut done = 0;
    for rank in rising {
        if rank >= done {
            values[done..].select_nth_unstable(rank - done);
            done = rank + 1;
        }
    }
    ranks.into_iter().map(|rank| rank.map(|rank| values[rank].into())).collect()
}

/// The SQL aggregate `quantile(value, p)`: integers give BIGINT, other numbers DOUBLE; NULLs are skipped; `p` is a
/// literal between 0 and 1. Keeps every value in memory, counted against the query's limit; quantiles by time of chosen
/// spans need not (`spans::direct`).
pub(crate) fn quantile() -> AggregateUDF {
    AggregateUDF::new_from_impl(Quantile {
        signature: Signature::user_defined(Volatility::Immutable),
        is_one: true,
    })
}

/// `quantiles(value, p, p, ...)`: a struct with the fields `"0"`, `"1"`, ... Plans have it, users do not.
fn several() -> AggregateUDF {
    AggregateUDF::new_from_impl(Quantile {
        signature: Signature::user_defined(Volatility::Immutable),
        is_one: false,
    })
}

/// True where it is one of these, whose state is the bytes of the values.
pub(crate) fn is_quantile(function: &AggregateUDF) -> bool {
    function.inner().as_ref().is::<Quantile>()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantile {
    signature: Signature,
    /// One quantile, not a struct of several.
    is_one: bool,
}

/// What `quantiles` returns for `count` quantiles of values of type `value`.
fn fields_of(value: &DataType, count: usize) -> Fields {
    (0..count).map(|place| Field::new(place.to_string(), value.clone(), true)).collect()
}

impl AggregateUDFImpl for Quantile {
    fn name(&self) -> &str {
        if self.is_one { "quantile" } else { "quantiles" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Some((value, ps)) = types.split_first().filter(|(_, ps)| !self.is_one || ps.len() == 1)
        else {
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
        Ok(std::iter::once(value).chain(ps.iter().map(|_| DataType::Float64)).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match self.is_one {
            true => types[0].clone(),
            false => DataType::Struct(fields_of(&types[0], types.len() - 1)),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format!("{}[values]", args.name);
        Ok(vec![Arc::new(Field::new(name, DataType::BinaryView, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { values: Values::default(), shape: Shape::of(&args)? }))
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

/// What one call asks for.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    ps: Vec<f64>,
    float: bool,
    /// One quantile, not a struct of several.
    is_one: bool,
}

impl Shape {
    fn of(args: &AccumulatorArgs) -> Result<Self> {
        if args.is_distinct {
            return plan_err!("quantile has no DISTINCT form");
        }
        Self::new(args.exprs, args.return_type())
    }

    /// Of a call with these arguments, which returns `returned`.
    pub(crate) fn new(exprs: &[Arc<dyn PhysicalExpr>], returned: &DataType) -> Result<Self> {
        let p = |expr: &Arc<dyn PhysicalExpr>| match expr.downcast_ref::<Literal>()?.value() {
            ScalarValue::Float64(Some(p)) if (0.0..=1.0).contains(p) => Some(*p),
            _ => None,
        };
        let ps: Option<Vec<f64>> = exprs.iter().skip(1).map(p).collect();
        let Some(ps) = ps.filter(|ps| !ps.is_empty()) else {
            return plan_err!("quantile's second argument is a number between 0 and 1");
        };
        let is_one = !matches!(returned, DataType::Struct(_));
        let value = match returned {
            DataType::Struct(fields) => fields.first().map(|field| field.data_type()),
            one => Some(one),
        };
        Ok(Self { ps, float: value == Some(&DataType::Float64), is_one })
    }

    /// The quantiles of `values`, which get another order.
    fn select<T: Ord + Copy + Into<i64>>(&self, values: &mut [T]) -> Vec<Option<i64>> {
        nearest_ranks(values, &self.ps)
    }

    /// The quantiles of `values`, which get another order.
    pub(crate) fn of_values(&self, values: &mut Values) -> Vec<Option<i64>> {
        values.select(self)
    }

    /// By quantile, the place (from 0) among so many sorted values.
    pub(crate) fn ranks(&self, values: usize) -> Vec<Option<usize>> {
        self.ps.iter().map(|p| rank(values, *p)).collect()
    }

    /// Values as integers of the same order.
    fn keys(&self, values: &ArrayRef) -> Int64Array {
        if self.float {
            let floats = values.as_primitive::<Float64Type>();
            return floats.unary(|value| order_key(value.to_bits().cast_signed()));
        }
        values.as_primitive::<Int64Type>().clone()
    }

    /// The answers of groups, one after the other, as SQL shows them.
    pub(crate) fn answers(&self, groups: &[Vec<Option<i64>>]) -> ArrayRef {
        let column = |place: usize| {
            self.array(groups.iter().map(|group| group.get(place).copied().flatten()).collect())
        };
        if self.is_one {
            return column(0);
        }
        let kind = if self.float { DataType::Float64 } else { DataType::Int64 };
        let fields = fields_of(&kind, self.ps.len());
        let columns = (0..self.ps.len()).map(column).collect();
        Arc::new(StructArray::new(fields, columns, None))
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
    values: Values,
    shape: Shape,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let keys = self.shape.keys(&values[0]);
        match keys.null_count() {
            0 => self.values.extend(keys.values()),
            _ => keys.iter().flatten().for_each(|key| self.values.push(key)),
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let answers = self.values.select(&self.shape);
        ScalarValue::try_from_array(&self.shape.answers(&[answers]), 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = std::mem::take(&mut self.values);
        Ok(vec![ScalarValue::BinaryView(Some(bytes_of(&values)?))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary_view().iter().flatten() {
            self.values.add_bytes(bytes);
        }
        Ok(())
    }
}

/// All groups of a GROUP BY.
#[derive(Debug)]
struct Groups {
    groups: Vec<Values>,
    /// Bytes that the groups' values occupy, kept up to date: `size` is asked after every batch.
    bytes: usize,
    shape: Shape,
}

impl Groups {
    fn add(&mut self, group: usize, add: impl FnOnce(&mut Values)) {
        let values = &mut self.groups[group];
        let before = values.bytes();
        add(values);
        self.bytes += values.bytes() - before;
    }

    fn take(&mut self, emit: EmitTo) -> Vec<Values> {
        let taken = emit.take_needed(&mut self.groups);
        let freed: usize = taken.iter().map(Values::bytes).sum();
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
        self.groups.resize_with(total, Values::default);
        let keys = self.shape.keys(&values[0]);
        let is_whole = keys.null_count() == 0 && filter.is_none();
        let mut row = 0;
        // Files are sorted by time within an operation: rows of one group lie together, mostly.
        for run in groups.chunk_by(|a, b| is_whole && a == b) {
            if is_whole || (keys.is_valid(row) && kept(filter, row)) {
                let values = &keys.values()[row..row + run.len()];
                self.add(run[0], |own| own.extend(values));
            }
            row += run.len();
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let mut groups = self.take(emit);
        let answers: Vec<_> = groups.iter_mut().map(|values| values.select(&self.shape)).collect();
        Ok(self.shape.answers(&answers))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.take(emit);
        let mut states = BinaryViewBuilder::with_capacity(groups.len());
        for values in groups {
            states.append_value(bytes_of(&values)?);
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.groups.resize_with(total, Values::default);
        for (bytes, group) in states[0].as_binary_view().iter().zip(groups) {
            // A state has no NULLs: they were skipped before.
            if let Some(bytes) = bytes {
                self.add(*group, |own| own.add_bytes(bytes));
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
        let mut single = BinaryViewBuilder::with_capacity(keys.len());
        for (row, key) in keys.iter().enumerate() {
            let mut values = Values::default();
            if let Some(key) = key.filter(|_| kept(filter, row)) {
                values.push(key);
            }
            single.append_value(bytes_of(&values)?);
        }
        Ok(vec![Arc::new(single.finish())])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.capacity() * size_of::<Values>() + self.bytes
    }
}

fn kept(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

fn bytes_of(values: &Values) -> Result<Vec<u8>> {
    values.to_bytes().ok_or_else(|| {
        let words = format!("quantile of {} values in one group are too many", values.len());
        crate::Error::new(storage::Kind::TooLarge, words).into()
    })
}

#[cfg(test)]
mod tests;
