//! The SQL aggregate `histogram(value)`: how many values lie in each base-2 exponential bucket.
use std::collections::BTreeMap;
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

use super::rows::{PER_DOUBLING_MAX, bounds_of, merged_of, row_of};

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
        Ok(vec![field("rows"), field("counts")])
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
        Ok(Box::new(Counts { merged, counts: BTreeMap::new() }))
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

/// Values by the number of their row.
#[derive(Debug)]
struct Counts {
    merged: u16,
    counts: BTreeMap<u16, i64>,
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
            *self.counts.entry(row_of(value, self.merged)).or_default() += 1;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let bounds = || self.counts.keys().map(|row| bounds_of(*row, self.merged));
        let lows = Int64Array::from_iter_values(bounds().map(|(low, _)| low));
        let highs = Int64Array::from_iter_values(bounds().map(|(_, high)| high));
        let counts = Int64Array::from_iter_values(self.counts.values().copied());
        let columns: Vec<ArrayRef> = vec![Arc::new(lows), Arc::new(highs), Arc::new(counts)];
        let rows = StructArray::try_new(fields(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths([rows.len()]);
        let list = ListArray::try_new(item(), offsets, Arc::new(rows), None)?;
        Ok(ScalarValue::List(Arc::new(list)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.len() * 2 * size_of::<(u16, i64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |numbers: &mut dyn Iterator<Item = i64>| {
            let mut list = ListBuilder::new(Int64Builder::new());
            numbers.for_each(|number| list.values().append_value(number));
            list.append(true);
            ScalarValue::List(Arc::new(list.finish()))
        };
        let rows = list(&mut self.counts.keys().map(|row| i64::from(*row)));
        let counts = list(&mut self.counts.values().copied());
        self.counts.clear();
        Ok(vec![rows, counts])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (rows, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for (rows, counts) in rows.iter().flatten().zip(counts.iter().flatten()) {
            let rows = rows.as_primitive::<Int64Type>().iter().flatten();
            let counts = counts.as_primitive::<Int64Type>().iter().flatten();
            for (row, count) in rows.zip(counts) {
                let row = u16::try_from(row).unwrap_or(PER_DOUBLING_MAX);
                *self.counts.entry(row).or_default() += count;
            }
        }
        Ok(())
    }
}
