//! The table's columns as the Delta log declares them, and back.
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::schema::{AttributeColumns, META_KEY, column};

/// The `schemaString` of a table with these attribute columns. All columns are nullable: a file lacks those that are
/// null throughout.
pub(crate) fn to_delta(columns: &AttributeColumns) -> String {
    let mut fields = vec![delta_field(column::DATE, &json!("date"), &json!({}))];
    for field in columns.schema().fields() {
        fields.push(delta_field(
            field.name(),
            &delta_type(field.data_type()),
            &json!(field.metadata()),
        ));
    }
    json!({ "type": "struct", "fields": fields }).to_string()
}

fn delta_field(name: &str, data_type: &Value, metadata: &Value) -> Value {
    json!({ "name": name, "type": data_type, "nullable": true, "metadata": metadata })
}

fn delta_type(data_type: &DataType) -> Value {
    match data_type {
        DataType::FixedSizeBinary(_) => "binary".into(),
        DataType::Int64 => "long".into(),
        DataType::Int32 => "integer".into(),
        DataType::Float64 => "double".into(),
        DataType::Boolean => "boolean".into(),
        DataType::List(element) => json!({
            "type": "array",
            "elementType": delta_type(element.data_type()),
            "containsNull": true,
        }),
        DataType::Struct(fields) => {
            let fields: Vec<Value> = fields
                .iter()
                .map(|field| delta_field(field.name(), &delta_type(field.data_type()), &json!({})))
                .collect();
            json!({ "type": "struct", "fields": fields })
        }
        _ => "string".into(),
    }
}

/// The attribute columns that a `schemaString` declares, in its order.
pub(crate) fn attribute_columns(schema_string: &str) -> Result<AttributeColumns> {
    let damaged =
        || Error::Corrupt { path: "_delta_log".into(), detail: "schema unreadable".into() };
    let schema: Value = serde_json::from_str(schema_string).map_err(|_| damaged())?;
    let declared = schema.get("fields").and_then(Value::as_array).ok_or_else(damaged)?;
    let fields: Vec<Field> = declared.iter().filter_map(attribute_field).collect();
    Ok(AttributeColumns::from_schema(&Schema::new(fields)))
}

fn attribute_field(declared: &Value) -> Option<Field> {
    let metadata = declared.get("metadata")?.as_object()?;
    metadata.get(META_KEY)?;
    let data_type = match declared.get("type")?.as_str()? {
        "long" => DataType::Int64,
        "double" => DataType::Float64,
        "boolean" => DataType::Boolean,
        _ => DataType::Utf8,
    };
    let metadata = metadata
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    Some(Field::new(declared.get("name")?.as_str()?, data_type, true).with_metadata(metadata))
}
