//! Aligned columns for people: values as they are stored, units untouched.
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::Encode;
use super::cells::Cells;

/// Rows whose widths are looked at before the first is printed; later ones may be wider.
const ROWS_MEASURED: usize = 1_000;

pub(super) struct Table {
    schema: SchemaRef,
    waiting: Vec<Vec<String>>,
    columns: Option<Vec<Column>>,
    rows: u64,
}

#[derive(Clone, Copy)]
struct Column {
    width: usize,
    is_number: bool,
}

impl Table {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { schema: SchemaRef::clone(schema), waiting: Vec::new(), columns: None, rows: 0 }
    }

    fn header(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| printable(field.name().as_bytes())).collect()
    }

    /// Prints what waits, measuring it first where nothing was printed yet.
    fn print(&mut self, out: &mut Vec<u8>) {
        let waiting = std::mem::take(&mut self.waiting);
        if self.columns.is_none() {
            let header = self.header();
            let columns = self.measure(&header, &waiting);
            line(&columns, &header, out);
            let rules: Vec<String> = columns.iter().map(|c| "-".repeat(c.width)).collect();
            line(&columns, &rules, out);
            self.columns = Some(columns);
        }
        let columns = self.columns.as_deref().unwrap_or_default();
        for row in &waiting {
            line(columns, row, out);
        }
    }

    fn measure(&self, header: &[String], rows: &[Vec<String>]) -> Vec<Column> {
        let numbers = self.schema.fields().iter().map(|field| field.data_type().is_numeric());
        let width = |index: usize| {
            let cells = rows.iter().map(Vec::as_slice).chain([header]);
            cells.map(|row| row[index].chars().count()).max().unwrap_or(0)
        };
        numbers
            .enumerate()
            .map(|(index, is_number)| Column { width: width(index), is_number })
            .collect()
    }
}

impl Encode for Table {
    fn begin(&mut self, _out: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let fields = self.schema.fields().iter().zip(batch.columns());
        let columns: Vec<Cells<'_>> =
            fields.map(|(field, column)| Cells::of(field, column)).collect::<Result<_, _>>()?;
        let mut bytes = Vec::new();
        for row in 0..batch.num_rows() {
            let cell = |column: &Cells<'_>| {
                bytes.clear();
                if !column.is_null(row) {
                    column.write_bare(row, &mut bytes);
                }
                printable(&bytes)
            };
            self.waiting.push(columns.iter().map(cell).collect());
            self.rows += 1;
        }
        if self.columns.is_some() || self.waiting.len() >= ROWS_MEASURED {
            self.print(out);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.print(out);
        let word = if self.rows == 1 { "row" } else { "rows" };
        out.extend_from_slice(format!("({} {word})\n", self.rows).as_bytes());
        Ok(())
    }
}

fn line(columns: &[Column], cells: &[String], out: &mut Vec<u8>) {
    let start = out.len();
    for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"  ");
        }
        let padding = column.width.saturating_sub(cell.chars().count());
        if column.is_number {
            out.resize(out.len() + padding, b' ');
        }
        out.extend_from_slice(cell.as_bytes());
        if !column.is_number {
            out.resize(out.len() + padding, b' ');
        }
    }
    while out.len() > start && out.last() == Some(&b' ') {
        out.pop();
    }
    out.push(b'\n');
}

/// Control characters would let stored text drive the terminal: they are shown as escapes.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.chars().any(char::is_control) {
        return text.into_owned();
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escape).collect()
}
