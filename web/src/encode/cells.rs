//! One Arrow column as JSON values: its type is looked at once, its cells are then written one by one.
use arrow::array::{
    Array, AsArray, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray,
    LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Field, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::de::IgnoredAny;

use super::json::{Member, members, write_members};
use super::text;

/// Field metadata of columns whose text is JSON.
const META_JSON: &str = "spanlake.json";

/// A column whose cells can be written.
pub(crate) struct Cells<'a> {
    nulls: Option<NullBuffer>,
    values: Values<'a>,
}

/// Text of any of Arrow's three layouts.
#[derive(Clone, Copy)]
enum Texts<'a> {
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    fn of(column: &'a dyn Array) -> Option<Self> {
        match column.data_type() {
            DataType::Utf8 => Some(Self::Utf8(column.as_string())),
            DataType::LargeUtf8 => Some(Self::Large(column.as_string())),
            DataType::Utf8View => Some(Self::View(column.as_string_view())),
            _ => None,
        }
    }

    fn value(self, row: usize) -> &'a str {
        match self {
            Self::Utf8(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
        }
    }
}

enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Signed(Box<dyn Fn(usize) -> i64 + 'a>),
    Unsigned(Box<dyn Fn(usize) -> u64 + 'a>),
    Float64(&'a [f64]),
    Float32(&'a [f32]),
    /// With how many units make a second.
    Timestamp(&'a [i64], i64),
    Date(&'a [i32]),
    Text(Texts<'a>),
    Json(Texts<'a>),
    Binary(Box<dyn Fn(usize) -> &'a [u8] + 'a>),
    /// Keys, and the values that they choose from.
    Dictionary(Vec<usize>, Box<Cells<'a>>),
    /// Where each row's elements start and end.
    List(Box<dyn Fn(usize) -> (usize, usize) + 'a>, Box<Cells<'a>>),
    Struct(Vec<Member<'a>>),
    Other(ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    /// Prepares a column.
    ///
    /// # Errors
    /// Its type cannot be written.
    pub(crate) fn of(field: &Field, column: &'a dyn Array) -> Result<Self, ArrowError> {
        let values = match Texts::of(column) {
            Some(texts) if is_json(field) => Values::Json(texts),
            Some(texts) => Values::Text(texts),
            None => match column.data_type() {
                DataType::Dictionary(_, _) => dictionary(field, column)?,
                _ => nested(column)?.map_or_else(|| plain(column), Ok)?,
            },
        };
        Ok(Self { nulls: column.logical_nulls(), values })
    }

    /// True where the cell is null, or a number that JSON cannot say (NaN, infinities).
    pub(crate) fn is_null(&self, row: usize) -> bool {
        let is_finite = match &self.values {
            Values::Float64(values) => values[row].is_finite(),
            Values::Float32(values) => values[row].is_finite(),
            _ => true,
        };
        !is_finite || self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The cell's text, where the column is text (JSON text included).
    pub(super) fn text(&self, row: usize) -> Option<&'a str> {
        match &self.values {
            Values::Text(texts) | Values::Json(texts) => Some(texts.value(row)),
            Values::Dictionary(keys, values) => values.text(keys[row]),
            _ => None,
        }
    }

    /// Appends the cell as JSON.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match &self.values {
            Values::Text(texts) => write_string(texts.value(row), out),
            Values::Json(texts) => write_json(texts.value(row), out),
            Values::Dictionary(keys, values) => values.write(keys[row], out),
            Values::Other(formatter) => write_string(&formatter.value(row).to_string(), out),
            Values::Timestamp(..) | Values::Date(_) | Values::Binary(_) => {
                out.push(b'"');
                self.write_bare(row, out);
                out.push(b'"');
            }
            _ => self.write_bare(row, out),
        }
    }

    /// Appends the cell as it stands in CSV: without quotes, lists and structs as JSON.
    pub(crate) fn write_bare(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Null => out.extend_from_slice(b"null"),
            Values::Boolean(array) => {
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
            }
            Values::Signed(value) => {
                out.extend_from_slice(itoa::Buffer::new().format(value(row)).as_bytes());
            }
            Values::Unsigned(value) => {
                out.extend_from_slice(itoa::Buffer::new().format(value(row)).as_bytes());
            }
            Values::Float64(values) => {
                out.extend_from_slice(ryu::Buffer::new().format(values[row]).as_bytes());
            }
            Values::Float32(values) => {
                out.extend_from_slice(ryu::Buffer::new().format(values[row]).as_bytes());
            }
            Values::Timestamp(values, per_second) => {
                text::timestamp_of(values[row], *per_second, out);
            }
            Values::Date(values) => text::date(i64::from(values[row]), out),
            Values::Text(texts) | Values::Json(texts) => {
                out.extend_from_slice(texts.value(row).as_bytes());
            }
            Values::Binary(value) => text::hex(value(row), out),
            Values::Dictionary(keys, values) => values.write_bare(keys[row], out),
            Values::List(bounds, elements) => write_list(bounds(row), elements, out),
            Values::Struct(members) => write_members(members, row, out),
            Values::Other(formatter) => {
                out.extend_from_slice(formatter.value(row).to_string().as_bytes());
            }
        }
    }
}

fn is_json(field: &Field) -> bool {
    field.metadata().get(META_JSON).is_some_and(|value| value == "true")
}

fn dictionary<'a>(field: &Field, column: &'a dyn Array) -> Result<Values<'a>, ArrowError> {
    let dictionary = column.as_any_dictionary();
    let keys = if dictionary.values().is_empty() {
        vec![0; column.len()]
    } else {
        dictionary.normalized_keys()
    };
    let values = Cells::of(field, dictionary.values().as_ref())?;
    Ok(Values::Dictionary(keys, Box::new(values)))
}

/// Lists, structs and maps (a list of their entries); `None` for all other types.
fn nested(column: &dyn Array) -> Result<Option<Values<'_>>, ArrowError> {
    match column.data_type() {
        DataType::List(field) => {
            let array = column.as_list::<i32>();
            list(array.value_offsets(), field, array.values().as_ref()).map(Some)
        }
        DataType::LargeList(field) => {
            let array = column.as_list::<i64>();
            list(array.value_offsets(), field, array.values().as_ref()).map(Some)
        }
        DataType::FixedSizeList(field, _) => {
            let array = column.as_fixed_size_list();
            let bounds = |row| (index(array.value_offset(row)), index(array.value_offset(row + 1)));
            let elements = Cells::of(field, array.values().as_ref())?;
            Ok(Some(Values::List(Box::new(bounds), Box::new(elements))))
        }
        DataType::Map(field, _) => {
            let array = column.as_map();
            list(array.value_offsets(), field, array.entries()).map(Some)
        }
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            Ok(Some(Values::Struct(members(fields.iter().map(AsRef::as_ref), columns)?)))
        }
        _ => Ok(None),
    }
}

fn list<'a, O: Copy + TryInto<usize>>(
    offsets: &'a [O],
    field: &Field,
    elements: &'a dyn Array,
) -> Result<Values<'a>, ArrowError> {
    let bounds = |row: usize| (index(offsets[row]), index(offsets[row + 1]));
    Ok(Values::List(Box::new(bounds), Box::new(Cells::of(field, elements)?)))
}

fn index<T: TryInto<usize>>(offset: T) -> usize {
    offset.try_into().unwrap_or(0)
}

fn plain(column: &dyn Array) -> Result<Values<'_>, ArrowError> {
    Ok(match column.data_type() {
        DataType::Null => Values::Null,
        DataType::Boolean => Values::Boolean(column.as_boolean()),
        DataType::Int8 => signed::<Int8Type>(column),
        DataType::Int16 => signed::<Int16Type>(column),
        DataType::Int32 => signed::<Int32Type>(column),
        DataType::Int64 => signed::<Int64Type>(column),
        DataType::UInt8 => unsigned::<UInt8Type>(column),
        DataType::UInt16 => unsigned::<UInt16Type>(column),
        DataType::UInt32 => unsigned::<UInt32Type>(column),
        DataType::UInt64 => unsigned::<UInt64Type>(column),
        DataType::Float32 => Values::Float32(column.as_primitive::<Float32Type>().values()),
        DataType::Float64 => Values::Float64(column.as_primitive::<Float64Type>().values()),
        DataType::Timestamp(unit, _) => timestamp(column, *unit),
        DataType::Date32 => Values::Date(column.as_primitive::<Date32Type>().values()),
        DataType::FixedSizeBinary(_) => {
            let array: &FixedSizeBinaryArray = column.as_fixed_size_binary();
            Values::Binary(Box::new(move |row| array.value(row)))
        }
        DataType::Binary => {
            let array: &BinaryArray = column.as_binary();
            Values::Binary(Box::new(move |row| array.value(row)))
        }
        DataType::LargeBinary => {
            let array: &LargeBinaryArray = column.as_binary();
            Values::Binary(Box::new(move |row| array.value(row)))
        }
        DataType::BinaryView => {
            let array: &BinaryViewArray = column.as_binary_view();
            Values::Binary(Box::new(move |row| array.value(row)))
        }
        _ => Values::Other(ArrayFormatter::try_new(column, &FORMAT)?),
    })
}

/// Decimals, intervals, durations, times of day, unions: as arrow prints them.
const FORMAT: FormatOptions<'static> = FormatOptions::new();

fn signed<T>(column: &dyn Array) -> Values<'_>
where
    T: ArrowPrimitiveType,
    i64: From<T::Native>,
{
    let values = column.as_primitive::<T>().values();
    Values::Signed(Box::new(move |row| i64::from(values[row])))
}

fn unsigned<T>(column: &dyn Array) -> Values<'_>
where
    T: ArrowPrimitiveType,
    u64: From<T::Native>,
{
    let values = column.as_primitive::<T>().values();
    Values::Unsigned(Box::new(move |row| u64::from(values[row])))
}

fn timestamp(column: &dyn Array, unit: TimeUnit) -> Values<'_> {
    match unit {
        TimeUnit::Second => {
            Values::Timestamp(column.as_primitive::<TimestampSecondType>().values(), 1)
        }
        TimeUnit::Millisecond => {
            Values::Timestamp(column.as_primitive::<TimestampMillisecondType>().values(), 1_000)
        }
        TimeUnit::Microsecond => {
            Values::Timestamp(column.as_primitive::<TimestampMicrosecondType>().values(), 1_000_000)
        }
        TimeUnit::Nanosecond => Values::Timestamp(
            column.as_primitive::<TimestampNanosecondType>().values(),
            1_000_000_000,
        ),
    }
}

fn write_list((from, until): (usize, usize), elements: &Cells<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    for row in from..until {
        if row > from {
            out.push(b',');
        }
        elements.write(row, out);
    }
    out.push(b']');
}

/// JSON text as it is; as a string where it is not JSON after all, or would break a line of NDJSON.
fn write_json(text: &str, out: &mut Vec<u8>) {
    let is_line = !text.bytes().any(|byte| byte == b'\n' || byte == b'\r');
    if is_line && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_string(text, out);
    }
}

/// A JSON string with its quotes.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// The inside of a JSON string: runs without special bytes are copied whole.
fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                out.extend_from_slice(b"\\u00");
                text::hex(&[*other], out);
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
}
