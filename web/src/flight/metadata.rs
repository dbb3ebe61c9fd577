//! What clients ask about the server: its tables, and what it can do.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Int32Array, RecordBatch, StringArray,
    StructArray, UInt32Array, UnionArray, new_empty_array,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, UnionFields, UnionMode};
use arrow::error::ArrowError;
use query::Answer;

use super::messages::{GetDbSchemas, GetTables};
use super::{Shared, ipc};
use crate::api::answer::{collect, of_batch};
use crate::{Error, Result};

/// What the tables of `information_schema` call these.
const TABLE: &str = "TABLE";
const TABLE_FUNCTION: &str = "TABLE FUNCTION";

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// The columns of `CommandGetCatalogs`.
pub(super) fn catalogs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![text("catalog_name", false)]))
}

/// The columns of `CommandGetDbSchemas`.
pub(super) fn schemas_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![text("catalog_name", true), text("db_schema_name", false)]))
}

/// The columns of `CommandGetTableTypes`.
pub(super) fn table_types_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![text("table_type", false)]))
}

/// The columns of `CommandGetTables`.
pub(super) fn tables_schema(include_schema: bool) -> SchemaRef {
    let mut fields = vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("table_type", false),
    ];
    if include_schema {
        fields.push(Field::new("table_schema", DataType::Binary, false));
    }
    Arc::new(Schema::new(fields))
}

/// The columns of `CommandGetPrimaryKeys`; there are none here.
pub(super) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("key_name", true),
    ]))
}

/// The columns of `CommandGetExportedKeys`, `CommandGetImportedKeys` and `CommandGetCrossReference`; there are none here.
pub(super) fn foreign_keys_schema() -> SchemaRef {
    let side = |prefix: &str| {
        [
            ("catalog_name", true),
            ("db_schema_name", true),
            ("table_name", false),
            ("column_name", false),
        ]
        .map(|(name, nullable)| text(&format!("{prefix}_{name}"), nullable))
    };
    let mut fields = [side("pk"), side("fk")].concat();
    fields.push(Field::new("key_sequence", DataType::Int32, false));
    fields.push(text("fk_key_name", true));
    fields.push(text("pk_key_name", true));
    fields.push(Field::new("update_rule", DataType::UInt8, false));
    fields.push(Field::new("delete_rule", DataType::UInt8, false));
    Arc::new(Schema::new(fields))
}

/// An answer without a row.
pub(super) fn nothing(schema: SchemaRef) -> Answer {
    of_batch(RecordBatch::new_empty(schema))
}

fn texts(values: Vec<String>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn answer(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Answer, ArrowError> {
    Ok(of_batch(RecordBatch::try_new(schema, columns)?))
}

/// The one catalog.
pub(super) async fn catalogs(shared: &Shared) -> Result<Answer> {
    let mut names: Vec<String> =
        listed(shared).await?.into_iter().map(|table| table.catalog).collect();
    names.dedup();
    answer(catalogs_schema(), vec![texts(names)]).map_err(broken)
}

/// The one schema, if it is wanted.
pub(super) async fn schemas(shared: &Shared, wanted: &GetDbSchemas) -> Result<Answer> {
    let mut found: Vec<(String, String)> = listed(shared)
        .await?
        .into_iter()
        .filter(|table| wanted.catalog.as_ref().is_none_or(|catalog| *catalog == table.catalog))
        .filter(|table| fits(wanted.db_schema_filter_pattern.as_ref(), &table.schema))
        .map(|table| (table.catalog, table.schema))
        .collect();
    found.dedup();
    let (catalogs, schemas) = found.into_iter().unzip();
    answer(schemas_schema(), vec![texts(catalogs), texts(schemas)]).map_err(broken)
}

/// Kinds of tables.
pub(super) fn table_types() -> Result<Answer> {
    let kinds = vec![TABLE.to_owned(), TABLE_FUNCTION.to_owned()];
    answer(table_types_schema(), vec![texts(kinds)]).map_err(broken)
}

/// The tables that are wanted.
pub(super) async fn tables(shared: &Shared, wanted: &GetTables) -> Result<Answer> {
    let found: Vec<Table> = listed(shared)
        .await?
        .into_iter()
        .filter(|table| wanted.catalog.as_ref().is_none_or(|catalog| *catalog == table.catalog))
        .filter(|table| fits(wanted.db_schema_filter_pattern.as_ref(), &table.schema))
        .filter(|table| fits(wanted.table_name_filter_pattern.as_ref(), &table.name))
        .filter(|table| wanted.table_types.is_empty() || wanted.table_types.contains(&table.kind))
        .collect();
    let column =
        |of: fn(&Table) -> &String| texts(found.iter().map(|table| of(table).clone()).collect());
    let mut columns = vec![
        column(|table| &table.catalog),
        column(|table| &table.schema),
        column(|table| &table.name),
        column(|table| &table.kind),
    ];
    if wanted.include_schema {
        let mut schemas = BinaryBuilder::new();
        for table in &found {
            let call = if table.kind == TABLE { "" } else { "()" };
            let sql = format!("SELECT * FROM {}{call}", table.name);
            // Functions that need arguments have no columns without them.
            let described = shared.engine.describe(&sql, Vec::new()).await;
            let schema = described.map_or_else(|_| Arc::new(Schema::empty()), |found| found.schema);
            schemas.append_value(ipc::answer_schema(&schema).map_err(broken)?);
        }
        columns.push(Arc::new(schemas.finish()));
    }
    answer(tables_schema(wanted.include_schema), columns).map_err(broken)
}

fn broken(error: ArrowError) -> Error {
    Error::Internal(format!("metadata: {error}"))
}

struct Table {
    catalog: String,
    schema: String,
    name: String,
    kind: String,
}

/// All tables, as `information_schema` tells them.
async fn listed(shared: &Shared) -> Result<Vec<Table>> {
    let sql = "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables \
               ORDER BY 1, 2, 3";
    let rows = collect(shared.engine.sql(sql, Vec::new()).await?).await?;
    let rows = arrow::compute::cast(
        &StructArray::from(rows),
        &DataType::Struct(Fields::from(
            ["catalog", "schema", "name", "kind"].map(|name| text(name, true)).to_vec(),
        )),
    )
    .map_err(broken)?;
    let rows = rows.as_struct();
    let cell =
        |column: usize, row: usize| rows.column(column).as_string::<i32>().value(row).to_owned();
    let table = |row| {
        let kind = cell(3, row);
        let kind = if kind == "BASE TABLE" { TABLE.to_owned() } else { kind };
        Table { catalog: cell(0, row), schema: cell(1, row), name: cell(2, row), kind }
    };
    Ok((0..rows.len()).map(table).collect())
}

/// SQL's LIKE; everything fits where there is no pattern.
fn fits(pattern: Option<&String>, text: &str) -> bool {
    pattern.is_none_or(|pattern| like(pattern.as_bytes(), text.as_bytes()))
}

/// `%` is any text, `_` one byte. Goes back to the last `%` only, so that no pattern takes long.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'%') => {
                retry = Some((at + 1, in_text));
                at += 1;
            }
            Some(b'_') => (at, in_text) = (at + 1, in_text + 1),
            Some(byte) if *byte == text[in_text] => (at, in_text) = (at + 1, in_text + 1),
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (at, in_text) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'%')
}

/// A value of `CommandGetSqlInfo`.
enum Info {
    Text(String),
    Is(bool),
    Number(i32),
}

/// What the server is and can, by the numbers of `SqlInfo` in `FlightSql.proto`.
fn infos(version: &str) -> Vec<(u32, Info)> {
    vec![
        (0, Info::Text("Spanlake".to_owned())),
        (1, Info::Text(version.to_owned())),
        (2, Info::Text("1.3".to_owned())),
        // Reads only; SQL, no Substrait; no transactions, no cancelling by name (ending the stream does it).
        (3, Info::Is(true)),
        (4, Info::Is(true)),
        (5, Info::Is(false)),
        (8, Info::Number(0)),
        (9, Info::Is(false)),
        // Neither catalogs, schemas nor tables can be made.
        (500, Info::Is(false)),
        (501, Info::Is(false)),
        (502, Info::Is(false)),
        // Names are folded to lower case, in quotes they are as written.
        (503, Info::Number(3)),
        (504, Info::Text("\"".to_owned())),
        (505, Info::Number(1)),
    ]
}

/// The union of `CommandGetSqlInfo`'s values; type ids in the order of the specification.
fn union_fields() -> UnionFields {
    let number = |name: &str, kind| Field::new(name, kind, true);
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    let entries = Fields::from(vec![
        Field::new("keys", DataType::Int32, false),
        Field::new("values", list(DataType::Int32), true),
    ]);
    let map =
        DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false);
    let fields = [
        ("string_value", DataType::Utf8),
        ("bool_value", DataType::Boolean),
        ("bigint_value", DataType::Int64),
        ("int32_bitmask", DataType::Int32),
        ("string_list", list(DataType::Utf8)),
        ("int32_to_int32_list_map", map),
    ];
    (0..).zip(fields.map(|(name, kind)| Arc::new(number(name, kind)))).collect()
}

/// The columns of `CommandGetSqlInfo`.
pub(super) fn sql_info_schema() -> SchemaRef {
    let value = DataType::Union(union_fields(), UnionMode::Dense);
    Arc::new(Schema::new(vec![
        Field::new("info_name", DataType::UInt32, false),
        Field::new("value", value, false),
    ]))
}

/// What is `wanted` of the server's abilities; all where nothing is named.
pub(super) fn sql_info(version: &str, wanted: &[u32]) -> Result<Answer> {
    sql_info_rows(version, wanted).map(of_batch).map_err(broken)
}

fn sql_info_rows(version: &str, wanted: &[u32]) -> Result<RecordBatch, ArrowError> {
    let (mut names, mut kinds, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    let (mut texts, mut bools, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = |kind: i8, taken: usize| {
        kinds.push(kind);
        offsets.push(i32::try_from(taken).unwrap_or(0));
    };
    for (name, info) in infos(version) {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        names.push(name);
        match info {
            Info::Text(text) => {
                place(0, texts.len());
                texts.push(text);
            }
            Info::Is(yes) => {
                place(1, bools.len());
                bools.push(yes);
            }
            Info::Number(number) => {
                place(3, numbers.len());
                numbers.push(number);
            }
        }
    }
    let fields = union_fields();
    let children = fields.iter().map(|(kind, field)| -> ArrayRef {
        match kind {
            0 => Arc::new(StringArray::from(texts.clone())),
            1 => Arc::new(BooleanArray::from(bools.clone())),
            3 => Arc::new(Int32Array::from(numbers.clone())),
            _ => new_empty_array(field.data_type()),
        }
    });
    let children: Vec<ArrayRef> = children.collect();
    let offsets = Some(ScalarBuffer::from(offsets));
    let union = UnionArray::try_new(fields, ScalarBuffer::<i8>::from(kinds), offsets, children)?;
    RecordBatch::try_new(
        sql_info_schema(),
        vec![Arc::new(UInt32Array::from(names)), Arc::new(union)],
    )
}

#[cfg(test)]
mod tests;
