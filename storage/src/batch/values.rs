//! One column of a batch as its decoder left it, and how such columns of many batches become one Arrow array.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

use super::spots::{Dense, Spots};
use super::strings::Strings;
use super::text;

/// Values of one column.
#[derive(Debug, Clone)]
pub enum Values {
    /// An array, ready.
    Array(ArrayRef),
    /// Null in every row.
    Null,
    /// Numbers of strings in the batch's [`Strings`]; `Dictionary(Int32, Utf8)` as an array.
    Text(Spots<u32>),
    /// `Int32`.
    Int32(Spots<i32>),
    /// `Int64`.
    Int64(Spots<i64>),
    /// `Float64`.
    Double(Spots<f64>),
    /// `Boolean`.
    Bool(Spots<bool>),
}

impl Values {
    /// True where no row has a value.
    pub(crate) fn is_all_null(&self) -> bool {
        match self {
            Self::Array(array) => array.logical_null_count() == array.len(),
            Self::Null => true,
            Self::Text(spots) => spots.is_empty(),
            Self::Int32(spots) => spots.is_empty(),
            Self::Int64(spots) => spots.is_empty(),
            Self::Double(spots) => spots.is_empty(),
            Self::Bool(spots) => spots.is_empty(),
        }
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Array(array) => array.get_array_memory_size(),
            Self::Null => 0,
            Self::Text(spots) => spots.bytes(),
            Self::Int32(spots) => spots.bytes(),
            Self::Int64(spots) => spots.bytes(),
            Self::Double(spots) => spots.bytes(),
            Self::Bool(spots) => spots.bytes(),
        }
    }
}

/// A column's values in one batch; `None` where the batch does not have the column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) values: Option<&'a Values>,
    pub(crate) strings: &'a Arc<Strings>,
    pub(crate) rows: usize,
}

/// The parts, one after the other, as one array of `data_type`.
pub(crate) fn merge(parts: &[Part<'_>], data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match data_type {
        DataType::Dictionary(_, _) => Arc::new(text::merge(parts)),
        DataType::Int32 => merge_numbers::<Int32Type>(parts, |values| match values {
            Values::Int32(spots) => Some(spots),
            _ => None,
        }),
        DataType::Int64 => merge_numbers::<Int64Type>(parts, |values| match values {
            Values::Int64(spots) => Some(spots),
            _ => None,
        }),
        DataType::Float64 => merge_numbers::<Float64Type>(parts, |values| match values {
            Values::Double(spots) => Some(spots),
            _ => None,
        }),
        DataType::Boolean => merge_bools(parts),
        _ => return merge_arrays(parts, data_type),
    })
}

fn rows(parts: &[Part<'_>]) -> usize {
    parts.iter().map(|part| part.rows).sum()
}

fn merge_numbers<P: ArrowPrimitiveType>(
    parts: &[Part<'_>],
    spots: impl Fn(&Values) -> Option<&Spots<P::Native>>,
) -> ArrayRef {
    if let [Part { values: Some(Values::Array(array)), .. }] = parts {
        return Arc::clone(array);
    }
    let mut dense = Dense::<P::Native>::new(rows(parts));
    let mut first = 0;
    for part in parts {
        if let Some(values) = part.values {
            if let Some(spots) = spots(values) {
                dense.write(first, spots, |value| value);
            } else if let Values::Array(array) = values {
                let array = array.as_primitive::<P>();
                write_valid(first, array, |row| array.value(row), &mut dense);
            }
        }
        first += part.rows;
    }
    let (values, nulls) = dense.finish();
    Arc::new(PrimitiveArray::<P>::new(ScalarBuffer::from(values), nulls))
}

fn merge_bools(parts: &[Part<'_>]) -> ArrayRef {
    let mut dense = Dense::<bool>::new(rows(parts));
    let mut first = 0;
    for part in parts {
        match part.values {
            Some(Values::Bool(spots)) => dense.write(first, spots, |truth| truth),
            Some(Values::Array(array)) => {
                let array = array.as_boolean();
                write_valid(first, array, |row| array.value(row), &mut dense);
            }
            _ => {}
        }
        first += part.rows;
    }
    let (values, nulls) = dense.finish();
    Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
}

fn write_valid<T: Copy + Default>(
    first: usize,
    array: &dyn Array,
    value: impl Fn(usize) -> T,
    dense: &mut Dense<T>,
) {
    for row in 0..array.len() {
        if array.is_valid(row) {
            dense.set(first + row, value(row));
        }
    }
}

fn merge_arrays(parts: &[Part<'_>], data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let arrays: Vec<ArrayRef> = parts
        .iter()
        .map(|part| match part.values {
            Some(Values::Array(array)) => Arc::clone(array),
            _ => new_null_array(data_type, part.rows),
        })
        .collect();
    match arrays.as_slice() {
        [] => Ok(new_null_array(data_type, 0)),
        [array] => Ok(Arc::clone(array)),
        arrays => {
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            arrow::compute::concat(&arrays)
        }
    }
}
