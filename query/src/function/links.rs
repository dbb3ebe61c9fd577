//! Links with their ids as lower-case hex, as SQL presents them.
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use storage::schema::link_fields;

use crate::function::text::hex_array;

fn presented_fields() -> Fields {
    let present = |field: &FieldRef| match field.data_type() {
        DataType::FixedSizeBinary(_) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8))
        }
        _ => Arc::clone(field),
    };
    link_fields().iter().map(present).collect()
}

/// The type of SQL's `links`.
pub(crate) fn links_type() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Struct(presented_fields()), false)))
}

/// `(stored links)` -> links with ids as hex.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Links {
    signature: Signature,
}

impl Links {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Links {
    fn name(&self) -> &'static str {
        "links_with_hex"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(links_type())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), links_type(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(links) = args.args.first() else { return exec_err!("links are missing") };
        let links = links.to_array(args.number_rows)?;
        let Some(links) = links.as_list_opt::<i32>() else {
            return exec_err!("links are a list, not {}", links.data_type());
        };
        Ok(ColumnarValue::Array(Arc::new(present(links)?)))
    }
}

fn present(links: &ListArray) -> Result<ListArray> {
    let Some(stored) = links.values().as_struct_opt() else {
        return exec_err!("a link is a struct, not {}", links.values().data_type());
    };
    let fields = presented_fields();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
    for field in &fields {
        let Some(column) = stored.column_by_name(field.name()) else {
            return exec_err!("links have no {}", field.name());
        };
        columns.push(match column.data_type() {
            DataType::FixedSizeBinary(_) => cast(&hex_array(column)?, field.data_type())?,
            _ => cast(column, field.data_type())?,
        });
    }
    let values = StructArray::try_new(fields.clone(), columns, stored.nulls().cloned())?;
    let element = Arc::new(Field::new("element", DataType::Struct(fields), false));
    let offsets = links.offsets().clone();
    Ok(ListArray::try_new(element, offsets, Arc::new(values), links.nulls().cloned())?)
}
