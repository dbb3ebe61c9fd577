//! Arrow columns as PostgreSQL's values, in text or binary.
//!
//! A column is first cast to one of the few types below, so that each value is written by one match. Times have
//! microseconds there: the nanoseconds below are cut off (`start_time_unix_nano` keeps them).
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch,
    StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::output::{ColumnHead, count};
use super::types;
use crate::encode::{Cells, text};

/// Between 1970 and 2000, where PostgreSQL's time begins.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The head of a column; `format` is 1 for binary.
pub(super) fn head(field: &Field, format: i16) -> ColumnHead {
    let oid = types::of_field(field);
    ColumnHead { name: field.name().clone(), oid, size: types::size(oid), format }
}

/// A batch whose rows can be written.
pub(super) struct Rows<'a> {
    columns: Vec<Column<'a>>,
}

impl<'a> Rows<'a> {
    /// Prepares the columns of `batch`; `heads` say type and format of each.
    ///
    /// # Errors
    /// A column has a type that cannot be written: a mistake of ours.
    pub(super) fn of(batch: &'a RecordBatch, heads: &[ColumnHead]) -> Result<Self, ArrowError> {
        let schema = batch.schema_ref();
        let columns =
            schema.fields().iter().zip(batch.columns()).zip(heads).map(
                |((field, column), head)| Column::of(field, column, (head.oid, head.format == 1)),
            );
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// Writes what follows the length of a DataRow.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        count(out, self.columns.len());
        self.columns.iter().for_each(|column| column.write(row, out));
    }
}

struct Column<'a> {
    nulls: Option<NullBuffer>,
    is_binary: bool,
    values: Values<'a>,
}

enum Values<'a> {
    Bool(BooleanArray),
    Int2(PrimitiveArray<Int16Type>),
    Int4(PrimitiveArray<Int32Type>),
    Int8(PrimitiveArray<Int64Type>),
    Float4(PrimitiveArray<Float32Type>),
    Float8(PrimitiveArray<Float64Type>),
    /// Decimal digits.
    Numeric(StringViewArray),
    Text(StringViewArray),
    Bytes(BinaryArray),
    Date(PrimitiveArray<Date32Type>),
    Time(PrimitiveArray<Time64MicrosecondType>),
    /// Whether it has a zone; then it is UTC.
    Timestamp(PrimitiveArray<TimestampMicrosecondType>, bool),
    /// Elements with their type.
    List(ListArray, Box<Column<'static>>, u32),
    /// As JSON, or however arrow prints it.
    Other(Cells<'a>),
}

impl<'a> Column<'a> {
    fn of(
        field: &Field,
        column: &'a ArrayRef,
        (oid, is_binary): (u32, bool),
    ) -> Result<Self, ArrowError> {
        let values = match simple(column, oid)? {
            Some(values) => values,
            None => match types::element(oid) {
                Some(element) => list(column, element, is_binary)?,
                None => Values::Other(Cells::of(field, column.as_ref())?),
            },
        };
        Ok(Self { nulls: column.logical_nulls(), is_binary, values })
    }

    /// A value with its length before it; -1 for null.
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(&(-1_i32).to_be_bytes());
        }
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        if self.is_binary {
            self.write_binary(row, out)
        } else {
            self.write_text(row, out)
        }
        let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn write_text(&self, row: usize, out: &mut Vec<u8>) {
        let integer = |value: i64, out: &mut Vec<u8>| {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        };
        match &self.values {
            Values::Bool(array) => out.push(if array.value(row) { b't' } else { b'f' }),
            Values::Int2(array) => integer(i64::from(array.value(row)), out),
            Values::Int4(array) => integer(i64::from(array.value(row)), out),
            Values::Int8(array) => integer(array.value(row), out),
            Values::Float4(array) => {
                let value = array.value(row);
                float(f64::from(value), ryu::Buffer::new().format(value), out);
            }
            Values::Float8(array) => {
                let value = array.value(row);
                float(value, ryu::Buffer::new().format(value), out);
            }
            Values::Numeric(array) | Values::Text(array) => {
                out.extend_from_slice(array.value(row).as_bytes());
            }
            Values::Bytes(array) => {
                out.extend_from_slice(b"\\x");
                text::hex(array.value(row), out);
            }
            Values::Date(array) => text::date(i64::from(array.value(row)), out),
            Values::Time(array) => time(array.value(row), out),
            Values::Timestamp(array, has_zone) => {
                let micros = array.value(row);
                text::date(micros.div_euclid(86_400 * MICROS_PER_SECOND), out);
                out.push(b' ');
                time(micros.rem_euclid(86_400 * MICROS_PER_SECOND), out);
                out.extend_from_slice(if *has_zone { b"+00" } else { b"" });
            }
            Values::List(array, elements, _) => list_text(array, elements, row, out),
            Values::Other(cells) => cells.write_bare(row, out),
        }
    }

    fn write_binary(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Bool(array) => out.push(u8::from(array.value(row))),
            Values::Int2(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Values::Int4(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Values::Int8(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Values::Float4(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Values::Float8(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Values::Numeric(array) => numeric(array.value(row), out),
            Values::Bytes(array) => out.extend_from_slice(array.value(row)),
            Values::Date(array) => {
                let days = array.value(row).saturating_sub(EPOCH_DAYS);
                out.extend_from_slice(&days.to_be_bytes());
            }
            Values::Time(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Values::Timestamp(array, _) => {
                let micros = array.value(row).saturating_sub(EPOCH_MICROS);
                out.extend_from_slice(&micros.to_be_bytes());
            }
            Values::List(array, elements, oid) => list_binary((array, elements, *oid), row, out),
            Values::Text(_) | Values::Other(_) => self.write_text(row, out),
        }
    }
}

/// `column` as the one Arrow type that stands for `oid`; `None` for arrays and JSON.
fn simple<'a>(column: &ArrayRef, oid: u32) -> Result<Option<Values<'a>>, ArrowError> {
    let cast_to = |to: &DataType| -> Result<ArrayRef, ArrowError> { cast(column, to) };
    let micros =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let printed = match column.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    };
    let is_text = matches!(
        printed,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
    );
    Ok(Some(match oid {
        types::BOOL => Values::Bool(cast_to(&DataType::Boolean)?.as_boolean().clone()),
        types::INT2 => Values::Int2(cast_to(&DataType::Int16)?.as_primitive().clone()),
        types::INT4 => Values::Int4(cast_to(&DataType::Int32)?.as_primitive().clone()),
        types::INT8 => Values::Int8(cast_to(&DataType::Int64)?.as_primitive().clone()),
        types::FLOAT4 => Values::Float4(cast_to(&DataType::Float32)?.as_primitive().clone()),
        types::FLOAT8 => Values::Float8(cast_to(&DataType::Float64)?.as_primitive().clone()),
        types::NUMERIC => Values::Numeric(cast_to(&DataType::Utf8View)?.as_string_view().clone()),
        types::BYTEA => Values::Bytes(cast_to(&DataType::Binary)?.as_binary().clone()),
        types::DATE => Values::Date(cast_to(&DataType::Date32)?.as_primitive().clone()),
        types::TIME => {
            let to = DataType::Time64(TimeUnit::Microsecond);
            Values::Time(cast_to(&to)?.as_primitive().clone())
        }
        types::TIMESTAMP => {
            Values::Timestamp(cast_to(&micros(None))?.as_primitive().clone(), false)
        }
        types::TIMESTAMPTZ => {
            Values::Timestamp(cast_to(&micros(Some("UTC")))?.as_primitive().clone(), true)
        }
        types::TEXT | types::JSON if is_text => {
            Values::Text(cast_to(&DataType::Utf8View)?.as_string_view().clone())
        }
        _ => return Ok(None),
    }))
}

fn list<'a>(column: &ArrayRef, element: u32, is_binary: bool) -> Result<Values<'a>, ArrowError> {
    let item = types::of_parameter(element).unwrap_or(DataType::Utf8);
    let list = cast(column, &DataType::new_list(item, true))?.as_list::<i32>().clone();
    let values = simple(list.values(), element)?
        .ok_or_else(|| ArrowError::CastError(format!("no array of {element}")))?;
    let nulls = list.values().logical_nulls();
    let elements = Column { nulls, is_binary, values };
    Ok(Values::List(list, Box::new(elements), element))
}

/// The elements of one row's list.
fn bounds(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offset = |at: usize| usize::try_from(list.value_offsets()[at]).unwrap_or(0);
    offset(row)..offset(row + 1)
}

/// `{1,NULL,"a \"b\""}`.
fn list_text(list: &ListArray, elements: &Column<'_>, row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut cell = Vec::new();
    for (index, element) in bounds(list, row).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if elements.is_null(element) {
            out.extend_from_slice(b"NULL");
            continue;
        }
        cell.clear();
        elements.write_text(element, &mut cell);
        if !matches!(elements.values, Values::Text(_)) {
            out.extend_from_slice(&cell);
            continue;
        }
        out.push(b'"');
        for byte in &cell {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b'}');
}

/// Dimensions, whether there are nulls, the elements' type, their number from 1, the elements.
fn list_binary(
    (list, elements, oid): (&ListArray, &Column<'_>, u32),
    row: usize,
    out: &mut Vec<u8>,
) {
    let bounds = bounds(list, row);
    let has_nulls = bounds.clone().any(|element| elements.is_null(element));
    let int = |value: i32, out: &mut Vec<u8>| out.extend_from_slice(&value.to_be_bytes());
    int(i32::from(!bounds.is_empty()), out);
    int(i32::from(has_nulls), out);
    out.extend_from_slice(&oid.to_be_bytes());
    if bounds.is_empty() {
        return;
    }
    int(i32::try_from(bounds.len()).unwrap_or(i32::MAX), out);
    int(1, out);
    bounds.for_each(|element| elements.write(element, out));
}

/// `printed` as PostgreSQL has it: `1`, not `1.0`; `Infinity`, not `inf`.
fn float(value: f64, printed: &str, out: &mut Vec<u8>) {
    let printed = match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => printed.strip_suffix(".0").unwrap_or(printed),
    };
    out.extend_from_slice(printed.as_bytes());
}

/// `10:00:00.123456` of microseconds since midnight.
fn time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let (seconds, micros) = (seconds % 60, micros.rem_euclid(MICROS_PER_SECOND));
    let printed = format!("{hours:02}:{minutes:02}:{seconds:02}.{micros:06}");
    out.extend_from_slice(printed.as_bytes());
}

/// Groups of four decimal digits, as `numeric_send` has them; of text like `-12.50`.
fn numeric(printed: &str, out: &mut Vec<u8>) {
    const GROUP: usize = 4;
    let (is_negative, digits) = match printed.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, printed),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padded = format!(
        "{}{whole}{fraction}{}",
        "0".repeat((GROUP - whole.len() % GROUP) % GROUP),
        "0".repeat((GROUP - fraction.len() % GROUP) % GROUP)
    );
    let groups: Vec<u16> = padded
        .as_bytes()
        .chunks(GROUP)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit & 15)))
        .collect();
    let weight = i16::try_from(whole.len().div_ceil(GROUP)).unwrap_or(1) - 1;
    count(out, groups.len());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&(if is_negative { 0x4000_u16 } else { 0 }).to_be_bytes());
    count(out, fraction.len());
    groups.iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
}

#[cfg(test)]
mod tests;
