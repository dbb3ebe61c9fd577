//! Attribute columns under construction, and which type of column a value asks for.
use storage::batch::{Interning, Values};
use storage::schema::AttributeType;

use super::buffers::{Sparse, Text};
use crate::decode::sink::Value;
use crate::decode::text;

/// A resource attribute that waits for the number of the resource's spans.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar {
    Text(u32),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// Values of one attribute column.
#[derive(Debug)]
pub(super) enum Data {
    Text(Text),
    Int(Sparse<i64>),
    Double(Sparse<f64>),
    Bool(Sparse<bool>),
}

impl Data {
    pub(super) fn new(kind: AttributeType) -> Self {
        match kind {
            AttributeType::String => Self::Text(Text::default()),
            AttributeType::Int => Self::Int(Sparse::default()),
            AttributeType::Double => Self::Double(Sparse::default()),
            AttributeType::Bool => Self::Bool(Sparse::default()),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Text(column) => column.spots.clear(),
            Self::Int(column) => column.clear(),
            Self::Double(column) => column.clear(),
            Self::Bool(column) => column.clear(),
        }
    }

    /// Stores a value of the column's type for one row; false where the type differs.
    #[inline]
    pub(super) fn push(
        &mut self,
        strings: &mut Interning<'_>,
        row: u32,
        value: Value<'_>,
        limit: usize,
    ) -> bool {
        match (self, value) {
            (Self::Text(column), Value::Text(text)) => {
                column.push(strings, row, &text::fit(text, limit));
            }
            (Self::Int(column), Value::Int(number)) => column.push(row, number),
            (Self::Double(column), Value::Double(number)) => column.push(row, number),
            (Self::Bool(column), Value::Bool(truth)) => column.push(row, truth),
            _ => return false,
        }
        true
    }

    /// The value as one that a whole resource shares; `None` where it has another type than the column.
    pub(super) fn scalar(
        &mut self,
        strings: &mut Interning<'_>,
        value: Value<'_>,
        limit: usize,
    ) -> Option<Scalar> {
        match (self, value) {
            (Self::Text(column), Value::Text(text)) => {
                Some(Scalar::Text(column.intern(strings, &text::fit(text, limit))))
            }
            (Self::Int(_), Value::Int(number)) => Some(Scalar::Int(number)),
            (Self::Double(_), Value::Double(number)) => Some(Scalar::Double(number)),
            (Self::Bool(_), Value::Bool(truth)) => Some(Scalar::Bool(truth)),
            _ => None,
        }
    }

    pub(super) fn push_scalar(&mut self, from: u32, until: u32, scalar: Scalar) {
        match (self, scalar) {
            (Self::Text(column), Scalar::Text(number)) => {
                column.spots.push_run(from, until, number);
            }
            (Self::Int(column), Scalar::Int(number)) => column.push_run(from, until, number),
            (Self::Double(column), Scalar::Double(number)) => column.push_run(from, until, number),
            (Self::Bool(column), Scalar::Bool(truth)) => column.push_run(from, until, truth),
            _ => {}
        }
    }

    /// The column; `None` where no row has a value.
    pub(super) fn values(&self, rows: u32) -> Option<Values> {
        Some(match self {
            Self::Text(column) if !column.spots.is_empty() => column.values(rows),
            Self::Int(column) if !column.is_empty() => Values::Int64(column.spots(rows)),
            Self::Double(column) if !column.is_empty() => Values::Double(column.spots(rows)),
            Self::Bool(column) if !column.is_empty() => Values::Bool(column.spots(rows)),
            _ => return None,
        })
    }
}

/// How a value in the JSON is counted. A list, map or bytes count only beside a column, where readers must know of
/// them: as a type that is not the column's, so that nothing tries to move them there.
#[inline]
pub(super) fn rest_type(column: Option<AttributeType>, value: Value<'_>) -> Option<AttributeType> {
    column_type(value).or_else(|| match column? {
        AttributeType::String => Some(AttributeType::Int),
        _ => Some(AttributeType::String),
    })
}

/// The column type that could hold the value.
#[inline]
pub(super) fn column_type(value: Value<'_>) -> Option<AttributeType> {
    match value {
        Value::Text(_) => Some(AttributeType::String),
        Value::Int(_) => Some(AttributeType::Int),
        Value::Double(_) => Some(AttributeType::Double),
        Value::Bool(_) => Some(AttributeType::Bool),
        Value::Empty | Value::Bytes(_) | Value::Json(_) | Value::CutJson(_) => None,
    }
}
