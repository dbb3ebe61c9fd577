//! CSV by RFC 4180 (lines end in CR LF as it asks).
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::Encode;
use super::cells::Cells;

pub(super) struct Csv {
    schema: SchemaRef,
    formula_guard: bool,
    cell: Vec<u8>,
}

impl Csv {
    pub(super) fn new(schema: &SchemaRef, formula_guard: bool) -> Self {
        Self { schema: SchemaRef::clone(schema), formula_guard, cell: Vec::new() }
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) {
        let starts_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if self.formula_guard && starts_formula {
            write_quoted(&[b"'", text.as_bytes()].concat(), out);
        } else {
            write_quoted(text.as_bytes(), out);
        }
    }
}

impl Encode for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        for (index, field) in self.schema.fields().iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.text(field.name(), out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let fields = self.schema.fields().iter().zip(batch.columns());
        let columns: Vec<Cells<'_>> =
            fields.map(|(field, column)| Cells::of(field, column)).collect::<Result<_, _>>()?;
        let mut cell = std::mem::take(&mut self.cell);
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if column.is_null(row) {
                    continue;
                }
                if let Some(text) = column.text(row) {
                    self.text(text, out);
                    continue;
                }
                cell.clear();
                column.write_bare(row, &mut cell);
                write_quoted(&cell, out);
            }
            out.extend_from_slice(b"\r\n");
        }
        self.cell = cell;
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }
}

/// Quotes where needed; an empty text is quoted, so that it differs from null.
fn write_quoted(cell: &[u8], out: &mut Vec<u8>) {
    let is_plain = !cell.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if is_plain && !cell.is_empty() {
        return out.extend_from_slice(cell);
    }
    out.push(b'"');
    for byte in cell {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
