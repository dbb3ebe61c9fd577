//! Attribute columns under construction, and which type of column a value asks for.
use storage::schema::AttributeType;

use super::column::{Sparse, SparseText};
use crate::decode::sink::Value;
use crate::decode::text;

/// Values of one attribute column.
#[derive(Debug)]
pub(super) enum Data {
    Text(SparseText),
    Int(Sparse<i64>),
    Double(Sparse<f64>),
    Bool(Sparse<bool>),
}

impl Data {
    pub(super) fn new(kind: AttributeType) -> Self {
        match kind {
            AttributeType::String => Self::Text(SparseText::default()),
            AttributeType::Int => Self::Int(Sparse::default()),
            AttributeType::Double => Self::Double(Sparse::default()),
            AttributeType::Bool => Self::Bool(Sparse::default()),
        }
    }
}

/// A resource attribute that waits for the number of the resource's spans.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar {
    Key(i32),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Data {
    /// Stores a value of the column's type for one row; false where the type differs.
    #[inline]
    pub(super) fn push(&mut self, row: u32, value: Value<'_>, limit: usize) -> bool {
        match (self, value) {
            (Self::Text(column), Value::Text(text)) => {
                column.push(row, row + 1, &text::fit(text, limit));
            }
            (Self::Int(column), Value::Int(number)) => column.push(row, row + 1, number),
            (Self::Double(column), Value::Double(number)) => column.push(row, row + 1, number),
            (Self::Bool(column), Value::Bool(truth)) => column.push(row, row + 1, truth),
            _ => return false,
        }
        true
    }

    pub(super) fn scalar(&mut self, value: Value<'_>, limit: usize) -> Option<Scalar> {
        match (self, value) {
            (Self::Text(column), Value::Text(text)) => {
                Some(Scalar::Key(column.interner.intern(&text::fit(text, limit))))
            }
            (Self::Int(_), Value::Int(number)) => Some(Scalar::Int(number)),
            (Self::Double(_), Value::Double(number)) => Some(Scalar::Double(number)),
            (Self::Bool(_), Value::Bool(truth)) => Some(Scalar::Bool(truth)),
            _ => None,
        }
    }

    pub(super) fn push_scalar(&mut self, from: u32, until: u32, scalar: Scalar) {
        match (self, scalar) {
            (Self::Text(column), Scalar::Key(key)) => column.keys.push(from, until, key),
            (Self::Int(column), Scalar::Int(number)) => column.push(from, until, number),
            (Self::Double(column), Scalar::Double(number)) => column.push(from, until, number),
            (Self::Bool(column), Scalar::Bool(truth)) => column.push(from, until, truth),
            _ => {}
        }
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
