//! Functions whose results can be much larger than their arguments, with a limit on what one call makes:
//! memory of results is not counted by the query's pool, and a few nested calls could ask for all there is.
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

/// What one call for one batch of rows may make.
const RESULT_BYTES_MAX: usize = 64 << 20;

/// How large a function's results are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Growth {
    /// About as large as all arguments together.
    Sum,
    /// The text as often as the second argument says.
    Times,
    /// As long as the second argument says.
    Length,
    /// At worst the replacement (the third argument) at each byte of the text.
    Replacement,
}

/// `inner`, refused where its result would be too large.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl Bounded {
    pub(crate) fn new(inner: Arc<ScalarUDF>, growth: Growth) -> Self {
        Self { inner, growth }
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = if args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_))) {
            1
        } else {
            args.number_rows
        };
        if result_bytes(self.growth, &args.args, rows)? > RESULT_BYTES_MAX {
            return exec_err!(
                "{} would make more than {RESULT_BYTES_MAX} bytes at once; make its arguments smaller",
                self.name()
            );
        }
        self.inner.invoke_with_args(args)
    }
}

/// At least what the result of one call occupies.
fn result_bytes(growth: Growth, args: &[ColumnarValue], rows: usize) -> Result<usize> {
    let arrays = |args: &[ColumnarValue]| -> Result<Vec<(ArrayRef, usize)>> {
        args.iter()
            .map(|arg| match arg {
                ColumnarValue::Array(array) => Ok((Arc::clone(array), 1)),
                ColumnarValue::Scalar(value) => Ok((value.to_array()?, rows)),
            })
            .collect()
    };
    let arrays = arrays(args)?;
    let size = |at: usize| arrays.get(at).map_or(0, |(array, times)| bytes(array) * times);
    let largest = |at: usize| arrays.get(at).map_or(0, |(array, _)| largest_int(array));
    Ok(match growth {
        Growth::Sum => (0..arrays.len()).map(size).fold(0, usize::saturating_add),
        Growth::Times => size(0).saturating_mul(largest(1)),
        Growth::Length => rows.saturating_mul(largest(1)),
        Growth::Replacement => {
            let replacement = arrays.get(2).map_or(0, |(array, _)| longest(array));
            size(0).saturating_add(rows).saturating_mul(replacement.max(1))
        }
    })
}

/// Bytes of the values, without what views share.
fn bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().lengths().map(|length| length as usize).sum(),
        _ => array.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
    }
}

fn longest(array: &ArrayRef) -> usize {
    let longest = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().flatten().map(str::len).max(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().flatten().map(str::len).max(),
        DataType::Utf8View => array.as_string_view().iter().flatten().map(str::len).max(),
        _ => None,
    };
    longest.unwrap_or_default()
}

fn largest_int(array: &ArrayRef) -> usize {
    let Some(counts) = array.as_primitive_opt::<Int64Type>() else { return usize::MAX };
    let largest = counts.iter().flatten().max().unwrap_or_default().max(0);
    usize::try_from(largest).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
