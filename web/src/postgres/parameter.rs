//! Parameters of prepared statements: bytes in text or binary -> values for `$1`, `$2`, ...
use arrow::datatypes::DataType;
use query::ScalarValue;

use super::refusal::Refusal;
use super::types;

const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Reads one value of the type `oid`, sent as text (`format` 0) or binary (1); null where there are no bytes.
/// `wanted` is the type that the statement needs, for clients that leave the type open.
///
/// # Errors
/// The bytes are no value of that type.
pub(super) fn read(
    bytes: Option<&[u8]>,
    format: i16,
    oid: u32,
    wanted: &DataType,
) -> Result<ScalarValue, Refusal> {
    let target = types::of_parameter(oid).unwrap_or_else(|| wanted.clone());
    let Some(bytes) = bytes else {
        return ScalarValue::try_from(&target).map_err(|_| wrong(oid));
    };
    match format {
        0 => from_text(bytes, &target, oid),
        1 => {
            let oid = if matches!(oid, 0 | types::UNKNOWN) { types::of(wanted) } else { oid };
            from_binary(bytes, oid).ok_or_else(|| wrong(oid))
        }
        other => Err(Refusal::new("22023", format!("there is no format {other}"))),
    }
}

fn wrong(oid: u32) -> Refusal {
    Refusal::new("22P03", format!("a parameter is no value of the type {oid}"))
}

fn from_text(bytes: &[u8], target: &DataType, oid: u32) -> Result<ScalarValue, Refusal> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Refusal::new("22021", "a parameter is not UTF-8"))?;
    let words = || {
        let text: String = text.chars().take(60).collect();
        Refusal::new("22P02", format!("the parameter {text:?} is no value of the type {target}"))
    };
    match target {
        DataType::Boolean => match text.to_ascii_lowercase().as_str() {
            "t" | "true" | "yes" | "on" | "1" => Ok(ScalarValue::Boolean(Some(true))),
            "f" | "false" | "no" | "off" | "0" => Ok(ScalarValue::Boolean(Some(false))),
            _ => Err(words()),
        },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            Ok(ScalarValue::from(text))
        }
        // A whole number of a client's decimal type stays one.
        DataType::Float64 if oid == types::NUMERIC && text.parse::<i64>().is_ok() => {
            Ok(ScalarValue::Int64(text.parse().ok()))
        }
        DataType::Binary => {
            let digits = text.strip_prefix("\\x").ok_or_else(words)?;
            Ok(ScalarValue::Binary(Some(hex::decode(digits).map_err(|_| words())?)))
        }
        DataType::List(item) => array(text, item.data_type()).ok_or_else(words),
        // An attribute's value, for one: the engine compares by the text.
        other if other.is_nested() => Ok(ScalarValue::from(text)),
        other => ScalarValue::try_from_string(text.to_owned(), other).map_err(|_| words()),
    }
}

/// `{1,NULL,"a \"b\""}` of one dimension.
fn array(text: &str, item: &DataType) -> Option<ScalarValue> {
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut values = Vec::new();
    let mut rest = inside.chars().peekable();
    while rest.peek().is_some() {
        let is_quoted = rest.next_if_eq(&'"').is_some();
        let mut element = String::new();
        loop {
            match rest.next() {
                Some('\\') => element.push(rest.next()?),
                Some('"') if is_quoted => break,
                Some(',') if !is_quoted => break,
                Some('{' | '}') if !is_quoted => return None,
                Some(c) => element.push(c),
                None if is_quoted => return None,
                None => break,
            }
        }
        if is_quoted && !matches!(rest.next(), Some(',') | None) {
            return None;
        }
        let is_null = !is_quoted && element.eq_ignore_ascii_case("null");
        values.push(match is_null {
            true => ScalarValue::try_from(item).ok()?,
            false => from_text(element.as_bytes(), item, 0).ok()?,
        });
    }
    Some(ScalarValue::List(ScalarValue::new_list_nullable(&values, item)))
}

fn from_binary(bytes: &[u8], oid: u32) -> Option<ScalarValue> {
    Some(match oid {
        types::BOOL => ScalarValue::Boolean(Some(<[u8; 1]>::try_from(bytes).ok()? != [0])),
        types::INT2 => ScalarValue::Int64(Some(i16::from_be_bytes(bytes.try_into().ok()?).into())),
        types::INT4 => ScalarValue::Int64(Some(i32::from_be_bytes(bytes.try_into().ok()?).into())),
        types::OID => ScalarValue::Int64(Some(u32::from_be_bytes(bytes.try_into().ok()?).into())),
        types::INT8 => ScalarValue::Int64(Some(i64::from_be_bytes(bytes.try_into().ok()?))),
        types::FLOAT4 => {
            ScalarValue::Float64(Some(f32::from_be_bytes(bytes.try_into().ok()?).into()))
        }
        types::FLOAT8 => ScalarValue::Float64(Some(f64::from_be_bytes(bytes.try_into().ok()?))),
        types::BYTEA => ScalarValue::Binary(Some(bytes.to_vec())),
        types::DATE => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH_DAYS)?;
            ScalarValue::Date32(Some(days))
        }
        types::TIMESTAMP | types::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH_MICROS)?;
            let zone = (oid == types::TIMESTAMPTZ).then(|| "UTC".into());
            ScalarValue::TimestampNanosecond(Some(micros.checked_mul(1_000)?), zone)
        }
        types::NUMERIC => numeric(bytes)?,
        array if types::element(array).is_some() => binary_array(bytes)?,
        _ => ScalarValue::from(std::str::from_utf8(bytes).ok()?),
    })
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An array of one dimension at most.
fn binary_array(bytes: &[u8]) -> Option<ScalarValue> {
    let dimensions = i32_at(bytes, 0)?;
    let element = i32_at(bytes, 8)?.cast_unsigned();
    let item = types::of_parameter(element)?;
    let length = match dimensions {
        0 => 0,
        1 => i32_at(bytes, 12)?,
        _ => return None,
    };
    let (mut values, mut at) = (Vec::new(), 20);
    for _ in 0..length {
        let bytes_of = i32_at(bytes, at)?;
        at += 4;
        let Ok(size) = usize::try_from(bytes_of) else {
            values.push(ScalarValue::try_from(&item).ok()?);
            continue;
        };
        values.push(from_binary(bytes.get(at..at.checked_add(size)?)?, element)?);
        at += size;
    }
    Some(ScalarValue::List(ScalarValue::new_list_nullable(&values, &item)))
}

/// Groups of four decimal digits; the value is a whole number where there is no fraction, else a double.
fn numeric(bytes: &[u8]) -> Option<ScalarValue> {
    let number = |at: usize| Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let (groups, weight, sign, scale) = (number(0)?, number(2)?, number(4)?, number(6)?);
    if !matches!(sign, 0 | 0x4000) {
        return Some(ScalarValue::Float64(Some(f64::NAN)));
    }
    let mut sum = 0.0_f64;
    let mut whole = Some(0_i64);
    for index in 0..groups {
        let group = number(8 + 2 * usize::try_from(index).ok()?)?;
        let power = i32::from(weight) - i32::from(index);
        sum += f64::from(group) * 10_f64.powi(4 * power);
        let scaled = || {
            let factor = 10_000_i64.checked_pow(u32::try_from(power).ok()?)?;
            i64::from(group).checked_mul(factor)
        };
        whole = whole.zip(scaled()).and_then(|(all, group)| all.checked_add(group));
    }
    let is_negative = sign != 0;
    Some(match whole.filter(|_| scale == 0) {
        Some(whole) => ScalarValue::Int64(Some(if is_negative { -whole } else { whole })),
        None => ScalarValue::Float64(Some(if is_negative { -sum } else { sum })),
    })
}

#[cfg(test)]
mod tests;
