//! PostgreSQL's types: the object ids of what we return and take.
use arrow::datatypes::{DataType, Field};

use crate::function::META_JSON;

/// `boolean`
pub const BOOL: u32 = 16;
/// `bytea`
pub const BYTEA: u32 = 17;
/// `bigint`
pub const INT8: u32 = 20;
/// `smallint`
pub const INT2: u32 = 21;
/// `integer`
pub const INT4: u32 = 23;
/// `text`
pub const TEXT: u32 = 25;
/// `oid`
pub const OID: u32 = 26;
/// `json`
pub const JSON: u32 = 114;
/// `real`
pub const FLOAT4: u32 = 700;
/// `double precision`
pub const FLOAT8: u32 = 701;
/// A literal without a type.
pub const UNKNOWN: u32 = 705;
/// `boolean[]`
pub const BOOL_ARRAY: u32 = 1000;
/// `bigint[]`
pub const INT8_ARRAY: u32 = 1016;
/// `text[]`
pub const TEXT_ARRAY: u32 = 1009;
/// `double precision[]`
pub const FLOAT8_ARRAY: u32 = 1022;
/// `date`
pub const DATE: u32 = 1082;
/// `time`
pub const TIME: u32 = 1083;
/// `timestamp`
pub const TIMESTAMP: u32 = 1114;
/// `timestamp with time zone`
pub const TIMESTAMPTZ: u32 = 1184;
/// `numeric`
pub const NUMERIC: u32 = 1700;

/// The type of a column in an answer.
pub fn of_field(field: &Field) -> u32 {
    let is_json = field.metadata().get(META_JSON).is_some_and(|value| value == "true");
    match of(field.data_type()) {
        TEXT if is_json => JSON,
        other => other,
    }
}

/// The type of values of `data_type`.
pub fn of(data_type: &DataType) -> u32 {
    match data_type {
        DataType::Boolean => BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => INT2,
        DataType::Int32 | DataType::UInt16 => INT4,
        DataType::Int64 | DataType::UInt32 => INT8,
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => NUMERIC,
        DataType::Float16 | DataType::Float32 => FLOAT4,
        DataType::Float64 => FLOAT8,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => BYTEA,
        DataType::Date32 | DataType::Date64 => DATE,
        DataType::Time32(_) | DataType::Time64(_) => TIME,
        DataType::Timestamp(_, None) => TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => TIMESTAMPTZ,
        DataType::Dictionary(_, values) => of(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            of_list(item.data_type())
        }
        DataType::Struct(_) | DataType::Map(..) => JSON,
        // Texts; intervals and durations as text, too.
        _ => TEXT,
    }
}

/// Lists of simple values are arrays, all others JSON.
fn of_list(item: &DataType) -> u32 {
    match of(item) {
        BOOL => BOOL_ARRAY,
        INT2 | INT4 | INT8 => INT8_ARRAY,
        FLOAT4 | FLOAT8 => FLOAT8_ARRAY,
        TEXT => TEXT_ARRAY,
        _ => JSON,
    }
}

/// The type of an array's elements.
pub fn element(oid: u32) -> Option<u32> {
    match oid {
        BOOL_ARRAY => Some(BOOL),
        1005 | 1007 | INT8_ARRAY => Some(INT8),
        1021 | FLOAT8_ARRAY => Some(FLOAT8),
        TEXT_ARRAY | 1015 => Some(TEXT),
        _ => None,
    }
}

/// Bytes of a value; -1 where they differ.
pub fn size(oid: u32) -> i16 {
    match oid {
        BOOL => 1,
        INT2 => 2,
        INT4 | FLOAT4 | DATE => 4,
        INT8 | FLOAT8 | TIME | TIMESTAMP | TIMESTAMPTZ => 8,
        _ => -1,
    }
}

/// A type as `pg_type` lists it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) oid: u32,
    /// Its short name.
    pub(super) name: &'static str,
    /// Its name in SQL, as `format_type` says it.
    pub(super) sql: &'static str,
    /// `B` boolean, `N` number, `S` text, `D` time, `A` array, `U` other.
    pub(super) category: &'static str,
}

const fn named(oid: u32, name: &'static str, sql: &'static str, category: &'static str) -> Named {
    Named { oid, name, sql, category }
}

/// All types that a client can meet here.
pub(super) const ALL: &[Named] = &[
    named(BOOL, "bool", "boolean", "B"),
    named(BYTEA, "bytea", "bytea", "U"),
    named(18, "char", "\"char\"", "S"),
    named(19, "name", "name", "S"),
    named(INT8, "int8", "bigint", "N"),
    named(INT2, "int2", "smallint", "N"),
    named(INT4, "int4", "integer", "N"),
    named(TEXT, "text", "text", "S"),
    named(OID, "oid", "oid", "N"),
    named(JSON, "json", "json", "U"),
    named(FLOAT4, "float4", "real", "N"),
    named(FLOAT8, "float8", "double precision", "N"),
    named(UNKNOWN, "unknown", "unknown", "X"),
    named(BOOL_ARRAY, "_bool", "boolean[]", "A"),
    named(TEXT_ARRAY, "_text", "text[]", "A"),
    named(INT8_ARRAY, "_int8", "bigint[]", "A"),
    named(FLOAT8_ARRAY, "_float8", "double precision[]", "A"),
    named(1043, "varchar", "character varying", "S"),
    named(DATE, "date", "date", "D"),
    named(TIME, "time", "time without time zone", "D"),
    named(TIMESTAMP, "timestamp", "timestamp without time zone", "D"),
    named(TIMESTAMPTZ, "timestamptz", "timestamp with time zone", "D"),
    named(1186, "interval", "interval", "T"),
    named(NUMERIC, "numeric", "numeric", "N"),
    named(2205, "regclass", "regclass", "N"),
    named(2950, "uuid", "uuid", "U"),
];

/// The type with that number.
pub(super) fn by_oid(oid: i64) -> Option<&'static Named> {
    ALL.iter().find(|named| i64::from(named.oid) == oid)
}
