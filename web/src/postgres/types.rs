//! Types of parameters; those of answers are the catalogue's, too.
use arrow::datatypes::{DataType, TimeUnit};
pub(super) use query::catalogue::types::*;

/// The Arrow type of a parameter that the client calls `oid`; `None` where it leaves that to us.
pub(super) fn of_parameter(oid: u32) -> Option<DataType> {
    let nanos =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into));
    let list = |item| DataType::new_list(item, true);
    Some(match oid {
        BOOL => DataType::Boolean,
        INT2 | INT4 | INT8 | OID => DataType::Int64,
        FLOAT4 | FLOAT8 | NUMERIC => DataType::Float64,
        BYTEA => DataType::Binary,
        DATE => DataType::Date32,
        TIMESTAMP => nanos(None),
        TIMESTAMPTZ => nanos(Some("UTC")),
        0 | UNKNOWN => return None,
        other => match element(other) {
            Some(BOOL) => list(DataType::Boolean),
            Some(INT8) => list(DataType::Int64),
            Some(FLOAT8) => list(DataType::Float64),
            Some(_) => list(DataType::Utf8),
            None => DataType::Utf8,
        },
    })
}
