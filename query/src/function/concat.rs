//! `text || text`, with the limit that [`super::bounded`] gives to `concat`.
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// Null where either text is, unlike `concat`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Concat {
    signature: Signature,
}

impl Concat {
    pub(crate) fn new() -> Self {
        let texts = vec![DataType::Utf8View, DataType::Utf8View];
        Self { signature: Signature::exact(texts, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &'static str {
        "concat_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (Some(left), Some(right)) = (
            arrays.first().and_then(|array| array.as_string_view_opt()),
            arrays.get(1).and_then(|array| array.as_string_view_opt()),
        ) else {
            return exec_err!("|| joins two texts");
        };
        let mut out = StringViewBuilder::with_capacity(left.len());
        let mut joined = String::new();
        for (left, right) in left.iter().zip(right) {
            let (Some(left), Some(right)) = (left, right) else {
                out.append_null();
                continue;
            };
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            out.append_value(&joined);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}
