//! The SQL aggregate `histogram(value)`: how many values lie in each base-2 exponential bucket.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, Int64Builder, ListArray, ListBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use storage::rollup::Histogram;

use super::rows::{bounds_of, merged_of, row_of_bucket};

/// `histogram(value)` and `histogram(value, rows)`: a list of `{low, high, count}`, ascending, of the buckets in use:
/// `low < value <= high`, `rows` of them from each power of two to the next (1, 2, 4, 8, 16, 32 or 64, the default).
/// What is not above zero lies in (0, 0); NULLs are left out.
pub(crate) fn histogram() -> AggregateUDF {
    AggregateUDF::new_from_impl(HistogramOf {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HistogramOf {
    signature: Signature,
}

impl AggregateUDFImpl for HistogramOf {
    fn name(&self) -> &str {
        "histogram"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (value, rows) = match types {
            [value] => (value, None),
            [value, rows] => (value, Some(rows)),
            _ => return plan_err!("histogram takes a value and perhaps rows: histogram(value, 4)"),
        };
        if !value.is_null() && !value.is_numeric() {
            return plan_err!("histogram takes numbers, not {value}");
        }
        if rows.is_some_and(|rows| !rows.is_integer()) {
            return plan_err!("{ROWS}");
        }
        Ok(vec![DataType::Int64; types.len()])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(list_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |what: &str| {
            let numbers = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
            Arc::new(Field::new(format!("{}[{what}]", args.name), numbers, true))
        };
        Ok(vec![field("buckets"), field("counts")])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("histogram has no DISTINCT form");
        }
        let merged = match args.exprs.get(1) {
            None => Some(1),
            Some(rows) => rows.downcast_ref::<Literal>().and_then(|rows| match rows.value() {
                ScalarValue::Int64(Some(rows)) => merged_of(*rows),
                _ => None,
            }),
        };
        let Some(merged) = merged else { return plan_err!("{ROWS}") };
        Ok(Box::new(Counts { merged, values: Histogram::default() }))
    }
}

const ROWS: &str =
    "histogram's second argument is the number of rows a doubling: 1, 2, 4, 8, 16, 32 or 64";

fn fields() -> Fields {
    let whole = |name: &str| Field::new(name, DataType::Int64, false);
    vec![whole("low"), whole("high"), whole("count")].into()
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

fn list_type() -> DataType {
    DataType::List(item())
}

/// Values by bucket, of which a row holds so many.
#[derive(Debug)]
struct Counts {
    merged: u16,
    values: Histogram,
}

impl Counts {
    /// How many values each row holds, of those that hold some.
    fn rows(&self) -> Vec<(u16, i64)> {
        let buckets = self.values.buckets();
        let row = |bucket: &(u16, i64)| row_of_bucket(bucket.0, self.merged);
        let rows = buckets.chunk_by(|a, b| row(a) == row(b));
        rows.map(|own| (row(&own[0]), own.iter().map(|(_, count)| count).sum())).collect()
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Int64Type>();
        match values.null_count() {
            0 => values.values().iter().for_each(|value| self.values.add(*value)),
            _ => values.iter().flatten().for_each(|value| self.values.add(value)),
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let rows = self.rows();
        let bounds = || rows.iter().map(|(row, _)| bounds_of(*row, self.merged));
        let lows = Int64Array::from_iter_values(bounds().map(|(low, _)| low));
        let highs = Int64Array::from_iter_values(bounds().map(|(_, high)| high));
        let counts = Int64Array::from_iter_values(rows.iter().map(|(_, count)| *count));
        let columns: Vec<ArrayRef> = vec![Arc::new(lows), Arc::new(highs), Arc::new(counts)];
        let rows = StructArray::try_new(fields(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths([rows.len()]);
        let list = ListArray::try_new(item(), offsets, Arc::new(rows), None)?;
        Ok(ScalarValue::List(Arc::new(list)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |numbers: &mut dyn Iterator<Item = i64>| {
            let mut list = ListBuilder::new(Int64Builder::new());
            numbers.for_each(|number| list.values().append_value(number));
            list.append(true);
            ScalarValue::List(Arc::new(list.finish()))
        };
        let buckets = std::mem::take(&mut self.values).buckets();
        let numbers = list(&mut buckets.iter().map(|(bucket, _)| i64::from(*bucket)));
        let counts = list(&mut buckets.iter().map(|(_, count)| *count));
        Ok(vec![numbers, counts])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (buckets, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for (buckets, counts) in buckets.iter().flatten().zip(counts.iter().flatten()) {
            let buckets = buckets.as_primitive::<Int64Type>().iter().flatten();
            let counts = counts.as_primitive::<Int64Type>().iter().flatten();
            for (bucket, count) in buckets.zip(counts) {
                self.values.add_count(u16::try_from(bucket).unwrap_or(u16::MAX), count);
            }
        }
        Ok(())
    }
}
