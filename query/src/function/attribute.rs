//! `attribute(json, key)`: one value out of a JSON object, as text or as another type where nothing gets lost.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, StringViewArray,
    StringViewBuilder,
};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::function::json::{self, Key};

/// The type that a value is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum As {
    /// Every value has a text.
    Text,
    /// Whole numbers.
    Int,
    /// Numbers.
    Double,
    /// True or false.
    Bool,
}

impl As {
    pub(crate) const ALL: [Self; 4] = [Self::Text, Self::Int, Self::Double, Self::Bool];

    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Text => "attribute",
            Self::Int => "attribute_int",
            Self::Double => "attribute_double",
            Self::Bool => "attribute_bool",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// The function for one type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribute {
    kind: As,
    signature: Signature,
}

impl Attribute {
    pub(crate) fn new(kind: As) -> Self {
        let text = || DataType::Utf8View;
        Self { kind, signature: Signature::exact(vec![text(), text()], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Attribute {
    fn name(&self) -> &str {
        self.kind.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.kind.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, key] = args.args.as_slice() else {
            return exec_err!("{} takes a JSON object and a key", self.name());
        };
        let objects = json.to_array(args.number_rows)?;
        let Some(objects) = objects.as_string_view_opt() else {
            return exec_err!("{} reads JSON text", self.name());
        };
        let values = match key {
            ColumnarValue::Scalar(key) => match key.try_as_str().flatten() {
                Some(key) => read(objects, &Key::new(key), self.kind),
                None => {
                    ScalarValue::try_from(self.kind.data_type())?.to_array_of_size(objects.len())?
                }
            },
            ColumnarValue::Array(keys) => read_each(objects, keys, self.kind)?,
        };
        Ok(ColumnarValue::Array(values))
    }
}

/// The value of `key` in each object. Equal neighbours (a resource, after the sort) are read once.
fn read(objects: &StringViewArray, key: &Key<'_>, kind: As) -> ArrayRef {
    let mut last: Option<(u128, Option<&str>)> = None;
    let found = objects.iter().zip(objects.views()).map(|(object, view)| {
        let object = object?;
        if let Some((known, value)) = last
            && known == *view
        {
            return value;
        }
        let value = key.find(object);
        last = Some((*view, value));
        value
    });
    collect(found, kind)
}

fn read_each(objects: &StringViewArray, keys: &ArrayRef, kind: As) -> Result<ArrayRef> {
    let Some(keys) = keys.as_string_view_opt() else {
        return exec_err!("{} takes a text as key", kind.function());
    };
    let found = objects.iter().zip(keys).map(|(object, key)| Key::new(key?).find(object?));
    Ok(collect(found, kind))
}

fn collect<'a>(values: impl Iterator<Item = Option<&'a str>>, kind: As) -> ArrayRef {
    match kind {
        As::Text => {
            let mut out = StringViewBuilder::new();
            values.for_each(|value| out.append_option(value.and_then(json::text)));
            Arc::new(out.finish())
        }
        As::Int => {
            let mut out = Int64Builder::new();
            values.for_each(|value| out.append_option(value.and_then(json::int)));
            Arc::new(out.finish())
        }
        As::Double => {
            let mut out = Float64Builder::new();
            values.for_each(|value| out.append_option(value.and_then(json::double)));
            Arc::new(out.finish())
        }
        As::Bool => {
            let mut out = BooleanBuilder::new();
            values.for_each(|value| out.append_option(value.and_then(json::bool)));
            Arc::new(out.finish())
        }
    }
}
