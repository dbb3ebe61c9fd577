//! Row objects, written straight from Arrow columns.
//!
//! 64-bit integers are numbers, times RFC 3339 with nanoseconds, binary hex, NaN and infinities null. Columns
//! whose field says `spanlake.json` = `true` hold JSON text and are nested as they are.
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::Encode;
use super::cells::{Cells, write_string};
use crate::Error;

/// JSON and NDJSON.
pub(super) struct Rows {
    schema: SchemaRef,
    /// `Some` in NDJSON: the request that a failure is told of.
    request_id: Option<String>,
    is_first: bool,
}

impl Rows {
    pub(super) fn array(schema: &SchemaRef) -> Self {
        Self { schema: SchemaRef::clone(schema), request_id: None, is_first: true }
    }

    pub(super) fn lines(schema: &SchemaRef, request_id: String) -> Self {
        Self { schema: SchemaRef::clone(schema), request_id: Some(request_id), is_first: true }
    }
}

impl Encode for Rows {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.request_id.is_none() {
            out.push(b'[');
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let objects = Objects::with_schema(&self.schema, batch)?;
        for row in 0..batch.num_rows() {
            if self.request_id.is_none() {
                out.extend_from_slice(if self.is_first { b"\n" } else { b",\n" });
                self.is_first = false;
            }
            objects.write(row, out);
            if self.request_id.is_some() {
                out.push(b'\n');
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.request_id.is_none() {
            out.extend_from_slice(if self.is_first { b"]\n" } else { b"\n]\n" });
        }
        Ok(())
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        if let Some(request_id) = &self.request_id
            && serde_json::to_writer(&mut *out, &error.refusal(request_id)).is_ok()
        {
            out.push(b'\n');
        }
    }
}

/// The rows of one batch as objects, in the order of its columns.
pub(crate) struct Objects<'a> {
    members: Vec<Member<'a>>,
}

/// `"name":` and what follows it.
pub(super) struct Member<'a> {
    key: Vec<u8>,
    cells: Cells<'a>,
}

impl<'a> Objects<'a> {
    /// Prepares `batch`.
    ///
    /// # Errors
    /// A column has a type that cannot be written.
    pub(crate) fn new(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        Self::with_schema(batch.schema_ref(), batch)
    }

    fn with_schema(schema: &Schema, batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        Ok(Self { members: members(schema.fields().iter().map(AsRef::as_ref), batch.columns())? })
    }

    /// Appends row `row`.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        write_members(&self.members, row, out);
    }
}

pub(super) fn members<'a, 'f>(
    fields: impl Iterator<Item = &'f Field>,
    columns: &'a [ArrayRef],
) -> Result<Vec<Member<'a>>, ArrowError> {
    let member = |(index, (field, column)): (usize, (&Field, &'a ArrayRef))| {
        let mut key = Vec::with_capacity(field.name().len() + 4);
        key.push(if index == 0 { b'{' } else { b',' });
        write_string(field.name(), &mut key);
        key.push(b':');
        Ok(Member { key, cells: Cells::of(field, column)? })
    };
    fields.zip(columns).enumerate().map(member).collect()
}

pub(super) fn write_members(members: &[Member<'_>], row: usize, out: &mut Vec<u8>) {
    if members.is_empty() {
        out.push(b'{');
    }
    for member in members {
        out.extend_from_slice(&member.key);
        member.cells.write(row, out);
    }
    out.push(b'}');
}
