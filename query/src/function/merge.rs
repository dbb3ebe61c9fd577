//! All attributes of a span as one JSON object, and the instrumentation scope as another.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringViewArray,
    StringViewBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::function::json::{push_comma, push_double, push_members, push_string};
use crate::spans::columns::json_metadata;

/// `(rest JSON, column, column, ...)` -> one object: the columns that have a value under their attributes' own names,
/// then the rest. A key lies either in its column or in the rest, so none comes twice.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Merge {
    keys: Vec<String>,
    signature: Signature,
}

impl Merge {
    pub(crate) fn new(keys: Vec<String>) -> Self {
        Self { keys, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Merge {
    fn name(&self) -> &'static str {
        "merged_attributes"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(json_field(self.name()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some((rest, columns)) = arrays.split_first() else {
            return exec_err!("{} takes JSON and columns", self.name());
        };
        let rest = text_of(rest)?;
        let mut values = Vec::new();
        for (key, column) in self.keys.iter().zip(columns) {
            // Most columns are empty for most files: they cost nothing further.
            if column.null_count() < column.len() {
                let mut name = String::new();
                push_string(&mut name, key);
                values.push((name, Values::of(column)?));
            }
        }
        let mut out = StringViewBuilder::with_capacity(rest.len());
        let mut object = String::new();
        for row in 0..rest.len() {
            object.clear();
            object.push('{');
            for (name, column) in &values {
                column.push_member(&mut object, name, row);
            }
            if rest.is_valid(row) {
                push_members(&mut object, rest.value(row));
            }
            object.push('}');
            out.append_value(&object);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

/// A column of attribute values.
enum Values<'a> {
    Text(&'a StringViewArray),
    Int(&'a Int64Array),
    Double(&'a Float64Array),
    Bool(&'a BooleanArray),
}

impl<'a> Values<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Int64 => Self::Int(column.as_primitive::<Int64Type>()),
            DataType::Float64 => Self::Double(column.as_primitive::<Float64Type>()),
            DataType::Boolean => Self::Bool(column.as_boolean()),
            _ => Self::Text(text_of(column)?),
        })
    }

    fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::Text(values) => values.is_valid(row),
            Self::Int(values) => values.is_valid(row),
            Self::Double(values) => values.is_valid(row),
            Self::Bool(values) => values.is_valid(row),
        }
    }

    /// Appends `name` (quoted) and the value at `row`, where there is one.
    fn push_member(&self, object: &mut String, name: &str, row: usize) {
        use std::fmt::Write;
        if !self.is_valid(row) {
            return;
        }
        push_comma(object);
        object.push_str(name);
        object.push(':');
        match self {
            Self::Text(values) => push_string(object, values.value(row)),
            Self::Double(values) => push_double(object, values.value(row)),
            Self::Bool(values) => object.push_str(if values.value(row) { "true" } else { "false" }),
            // Writing to a string cannot fail.
            Self::Int(values) => drop(write!(object, "{}", values.value(row))),
        }
    }
}

/// `(scope name, version, attributes JSON)` -> `{"name":..,"version":..,"attributes":{..}}`, absent parts left out.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    signature: Signature,
}

impl Scope {
    pub(crate) fn new() -> Self {
        let texts = vec![DataType::Utf8View, DataType::Utf8View, DataType::Utf8View];
        Self { signature: Signature::exact(texts, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Scope {
    fn name(&self) -> &'static str {
        "scope_object"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(json_field(self.name()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [name, version, attributes] = arrays.as_slice() else {
            return exec_err!("{} takes name, version and attributes", self.name());
        };
        let (name, version) = (text_of(name)?, text_of(version)?);
        let attributes = text_of(attributes)?;
        let mut out = StringViewBuilder::with_capacity(name.len()).with_deduplicate_strings();
        let mut object = String::new();
        for row in 0..name.len() {
            object.clear();
            object.push('{');
            for (key, texts) in [("\"name\":", name), ("\"version\":", version)] {
                if texts.is_valid(row) {
                    push_comma(&mut object);
                    object.push_str(key);
                    push_string(&mut object, texts.value(row));
                }
            }
            if attributes.is_valid(row) {
                push_comma(&mut object);
                object.push_str("\"attributes\":");
                object.push_str(attributes.value(row));
            }
            object.push('}');
            out.append_value(&object);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

fn json_field(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::Utf8View, false).with_metadata(json_metadata()))
}

fn text_of(array: &ArrayRef) -> Result<&StringViewArray> {
    match array.as_string_view_opt() {
        Some(texts) => Ok(texts),
        None => exec_err!("expected text, found {}", array.data_type()),
    }
}
