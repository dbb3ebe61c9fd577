//! Functions that clients call while they look around. Most have one answer here.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::{DATABASE, PG_CATALOG, PUBLIC, tables, types};

/// What a function gives.
#[derive(Debug, Clone, Copy)]
enum Gives {
    Text(&'static str),
    Is(bool),
    Number(i64),
    NoText,
    NoNumber,
    Schemas,
    /// Of one row's arguments.
    TextOf(fn(&[ScalarValue]) -> Option<String>),
    NumberOf(fn(&[ScalarValue]) -> Option<i64>),
    IsOf(fn(&[ScalarValue]) -> Option<bool>),
}

/// All functions. Those that may be written without parentheses stand in [`BARE`], too.
const FUNCTIONS: &[(&str, Gives)] = &[
    (
        "version",
        Gives::Text(concat!("PostgreSQL 15.0, as spoken by Spanlake ", env!("CARGO_PKG_VERSION"))),
    ),
    ("current_database", Gives::Text(DATABASE)),
    ("current_catalog", Gives::Text(DATABASE)),
    ("current_schema", Gives::Text(PUBLIC)),
    ("current_schemas", Gives::Schemas),
    ("current_user", Gives::Text(DATABASE)),
    ("session_user", Gives::Text(DATABASE)),
    ("current_role", Gives::Text(DATABASE)),
    ("current_setting", Gives::TextOf(setting)),
    ("set_config", Gives::TextOf(|row| text(row, 1))),
    ("pg_get_userbyid", Gives::Text(DATABASE)),
    ("pg_encoding_to_char", Gives::Text("UTF8")),
    ("pg_backend_pid", Gives::Number(1)),
    ("pg_my_temp_schema", Gives::Number(0)),
    ("txid_current", Gives::Number(1)),
    ("pg_is_in_recovery", Gives::Is(false)),
    ("pg_is_other_temp_schema", Gives::Is(false)),
    ("pg_relation_is_publishable", Gives::Is(false)),
    ("pg_table_is_visible", Gives::Is(true)),
    ("pg_type_is_visible", Gives::Is(true)),
    ("pg_function_is_visible", Gives::Is(true)),
    ("has_table_privilege", Gives::IsOf(may)),
    ("has_any_column_privilege", Gives::IsOf(may)),
    ("has_column_privilege", Gives::IsOf(may)),
    ("has_schema_privilege", Gives::IsOf(may)),
    ("has_database_privilege", Gives::IsOf(may)),
    ("pg_has_role", Gives::Is(true)),
    ("pg_get_expr", Gives::NoText),
    ("pg_get_constraintdef", Gives::NoText),
    ("pg_get_indexdef", Gives::NoText),
    ("pg_get_viewdef", Gives::NoText),
    ("pg_get_partkeydef", Gives::NoText),
    ("pg_get_ruledef", Gives::NoText),
    ("pg_get_triggerdef", Gives::NoText),
    ("pg_get_functiondef", Gives::NoText),
    ("pg_get_serial_sequence", Gives::NoText),
    ("obj_description", Gives::NoText),
    ("col_description", Gives::NoText),
    ("shobj_description", Gives::NoText),
    ("pg_tablespace_location", Gives::NoText),
    ("pg_table_size", Gives::NoNumber),
    ("pg_relation_size", Gives::NoNumber),
    ("pg_total_relation_size", Gives::NoNumber),
    ("pg_indexes_size", Gives::NoNumber),
    ("pg_database_size", Gives::NoNumber),
    ("pg_size_pretty", Gives::NoText),
    ("array_upper", Gives::NoNumber),
    ("array_lower", Gives::NoNumber),
    ("format_type", Gives::TextOf(format_type)),
    ("quote_ident", Gives::TextOf(|row| text(row, 0).map(|name| quoted(&name)))),
    ("to_regclass", Gives::NumberOf(|row| tables::oid_of(&text(row, 0)?))),
    ("to_regtype", Gives::NumberOf(|row| type_of(&text(row, 0)?))),
    ("spanlake_table_name", Gives::TextOf(|row| tables::name_of(number(row, 0)?))),
];

/// Functions that SQL also writes without parentheses, where they look like columns.
const BARE: &[&str] = &["current_schema", "current_role"];

/// Names too common to show that a statement means the catalogue.
const COMMON: &[&str] = &["array_upper", "array_lower", "set_config"];

pub(super) fn has(name: &str) -> bool {
    names().any(|known| known == name)
}

/// True where `name` is a function also when it is written like a column.
pub(super) fn is_bare(name: &str) -> bool {
    BARE.contains(&name)
}

/// Names that show that a statement means the catalogue.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name).filter(|name| !COMMON.contains(name))
}

/// The functions for a session.
pub(super) fn all() -> Vec<ScalarUDF> {
    FUNCTIONS.iter().map(|(name, gives)| ScalarUDF::from(Known::new(name, *gives))).collect()
}

#[derive(Debug)]
struct Known {
    name: &'static str,
    gives: Gives,
    signature: Signature,
}

// Its name says all about it.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Known {}

impl std::hash::Hash for Known {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Known {
    fn new(name: &'static str, gives: Gives) -> Self {
        let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        Self { name, gives, signature: Signature::one_of(any, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for Known {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.gives {
            Gives::Text(_) | Gives::NoText | Gives::TextOf(_) => DataType::Utf8,
            Gives::Is(_) | Gives::IsOf(_) => DataType::Boolean,
            Gives::Number(_) | Gives::NoNumber | Gives::NumberOf(_) => DataType::Int64,
            Gives::Schemas => DataType::new_list(DataType::Utf8, true),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = match self.gives {
            Gives::Text(text) => ScalarValue::from(text),
            Gives::Is(yes) => ScalarValue::from(yes),
            Gives::Number(number) => ScalarValue::from(number),
            Gives::NoText => ScalarValue::Utf8(None),
            Gives::NoNumber => ScalarValue::Int64(None),
            Gives::Schemas => {
                let names = [PG_CATALOG, PUBLIC].map(ScalarValue::from);
                ScalarValue::List(ScalarValue::new_list_nullable(&names, &DataType::Utf8))
            }
            of_row => return of_rows(of_row, &args),
        };
        Ok(ColumnarValue::Scalar(scalar))
    }
}

/// Row by row: the catalogue's tables are small.
fn of_rows(gives: Gives, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let arrays: Vec<ArrayRef> = ColumnarValue::values_to_arrays(&args.args)?;
    let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if is_scalar { 1 } else { args.number_rows };
    let mut results = Vec::with_capacity(rows);
    for row in 0..rows {
        let values = arrays.iter().map(|array| ScalarValue::try_from_array(array, row));
        let values = values.collect::<Result<Vec<_>>>()?;
        results.push(match gives {
            Gives::NumberOf(of) => ScalarValue::Int64(of(&values)),
            Gives::IsOf(of) => ScalarValue::Boolean(of(&values)),
            Gives::TextOf(of) => ScalarValue::Utf8(of(&values)),
            _ => ScalarValue::Null,
        });
    }
    match (is_scalar, results.pop()) {
        (true, Some(one)) => Ok(ColumnarValue::Scalar(one)),
        (_, last) => {
            results.extend(last);
            if results.is_empty() {
                let none = arrow::array::new_empty_array(&args.return_field.data_type().clone());
                return Ok(ColumnarValue::Array(none));
            }
            Ok(ColumnarValue::Array(ScalarValue::iter_to_array(results)?))
        }
    }
}

fn text(row: &[ScalarValue], index: usize) -> Option<String> {
    let value = row.get(index)?;
    match value.try_as_str() {
        Some(text) => text.map(str::to_owned),
        None => (!value.is_null()).then(|| value.to_string()),
    }
}

fn number(row: &[ScalarValue], index: usize) -> Option<i64> {
    text(row, index)?.parse().ok()
}

/// Reading is allowed, all else is not.
fn may(row: &[ScalarValue]) -> Option<bool> {
    let wanted = text(row, row.len().checked_sub(1)?)?.to_ascii_uppercase();
    Some(["SELECT", "USAGE", "CONNECT"].iter().any(|allowed| wanted.contains(allowed)))
}

fn format_type(row: &[ScalarValue]) -> Option<String> {
    Some(types::by_oid(number(row, 0)?).map_or("???", |named| named.sql).to_owned())
}

fn type_of(name: &str) -> Option<i64> {
    let name = name.rsplit('.').next()?.trim_matches('"');
    let found = types::ALL.iter().find(|named| named.name == name || named.sql == name);
    found.map(|named| i64::from(named.oid))
}

fn setting(row: &[ScalarValue]) -> Option<String> {
    let value = match text(row, 0)?.to_ascii_lowercase().as_str() {
        "server_version" => "15.0",
        "server_version_num" => "150000",
        "search_path" => "public",
        "timezone" => "UTC",
        "server_encoding" | "client_encoding" => "UTF8",
        "max_index_keys" => "32",
        "standard_conforming_strings" | "transaction_read_only" => "on",
        "transaction_isolation" => "read committed",
        _ => return None,
    };
    Some(value.to_owned())
}

/// A name with quotes where it needs them.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if starts_plain && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}
