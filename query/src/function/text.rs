//! `hex(binary)` and `duration_text(nanoseconds)`.
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

/// `hex(binary)`: two lower-case digits a byte.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hex {
    signature: Signature,
}

impl Hex {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Hex {
    fn name(&self) -> &'static str {
        "hex"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [
                DataType::FixedSizeBinary(_)
                | DataType::Binary
                | DataType::BinaryView
                | DataType::Null,
            ] => Ok(DataType::Utf8View),
            _ => {
                exec_err!("hex takes binary; for numbers use to_hex, for text encode(text, 'hex')")
            }
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(bytes) = args.args.first() else { return exec_err!("hex takes one argument") };
        let bytes = bytes.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(hex_array(&bytes)?)))
    }
}

/// Binary values as lower-case hex.
pub(crate) fn hex_array(bytes: &ArrayRef) -> Result<StringViewArray> {
    let mut out = StringViewBuilder::with_capacity(bytes.len());
    let mut digits = String::new();
    let mut push = |value: Option<&[u8]>| match value {
        Some(value) => {
            digits.clear();
            push_hex(&mut digits, value);
            out.append_value(&digits);
        }
        None => out.append_null(),
    };
    match bytes.data_type() {
        DataType::FixedSizeBinary(_) => bytes.as_fixed_size_binary().iter().for_each(&mut push),
        DataType::Binary => bytes.as_binary::<i32>().iter().for_each(&mut push),
        DataType::BinaryView => bytes.as_binary_view().iter().for_each(&mut push),
        DataType::Null => (0..bytes.len()).for_each(|_| push(None)),
        other => return exec_err!("hex takes binary, not {other}"),
    }
    Ok(out.finish())
}

/// Appends two lower-case digits for each byte.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// `duration_text(nanoseconds)`: the number with the unit that people would choose, `1.5ms`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DurationText {
    signature: Signature,
}

impl DurationText {
    pub(crate) fn new() -> Self {
        let int = TypeSignature::Exact(vec![DataType::Int64]);
        Self { signature: Signature::new(int, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DurationText {
    fn name(&self) -> &'static str {
        "duration_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(nanos) = args.args.first() else {
            return exec_err!("duration_text takes nanoseconds");
        };
        let nanos = nanos.to_array(args.number_rows)?;
        let Some(nanos) = nanos.as_primitive_opt::<Int64Type>() else {
            return exec_err!("duration_text takes whole nanoseconds");
        };
        let texts: StringViewArray = nanos.iter().map(|nanos| nanos.map(duration_text)).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

/// Three significant digits and a unit.
pub(crate) fn duration_text(nanos: i64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(60_000_000_000, "min"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| size >= *unit) else {
        return format!("{nanos}ns");
    };
    let (whole, rest) = (size / unit, size % unit);
    let decimals: u32 = match whole {
        0..=9 => 2,
        10..=99 => 1,
        _ => 0,
    };
    if decimals == 0 {
        return format!("{sign}{whole}{name}");
    }
    let fraction = rest / (unit / 10_u64.pow(decimals));
    let digits = format!("{fraction:0width$}", width = decimals as usize);
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{digits}{name}")
}

#[cfg(test)]
mod tests;
