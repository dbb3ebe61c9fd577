//! Nested values, lists and maps, as JSON.
use super::{Any, read_any, read_pair, wrong_type};
use crate::Config;
use crate::decode::sink::Value;
use crate::decode::text;
use crate::decode::wire::{Field, Fields, Malformed};

/// Writes a value as JSON; true where something was cut. What is nested deeper than `depth` becomes `null`; what a list
/// or map holds beyond `value_bytes_max` in all becomes one [`text::CUT_MARK`].
pub(super) fn render(
    any: Any<'_>,
    config: &Config,
    depth: usize,
    json: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    match any {
        Any::Plain(value) => {
            text::value(json, value, config.value_bytes_max);
            Ok(value.is_cut(config.value_bytes_max))
        }
        _ if depth == 0 => {
            json.extend_from_slice(b"null");
            Ok(true)
        }
        Any::Array(message) => render_array(message, config, depth - 1, json),
        Any::Map(message) => render_map(message, config, depth - 1, json),
    }
}

fn render_array(
    message: &[u8],
    config: &Config,
    depth: usize,
    json: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    json.push(b'[');
    let start = json.len();
    let (mut cut, mut full) = (false, false);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(_)) if full => {}
            (1, Field::Bytes(any)) => {
                if json.len() > start {
                    json.push(b',');
                }
                full = json.len() > config.value_bytes_max;
                if full {
                    text::string(json, text::CUT_MARK.as_bytes());
                    continue;
                }
                let mut value = Any::Plain(Value::Empty);
                read_any(any, &mut value)?;
                cut |= render(value, config, depth, json)?;
            }
            (1, _) => return wrong_type("array_value"),
            _ => {}
        }
    }
    json.push(b']');
    Ok(cut || full)
}

fn render_map(
    message: &[u8],
    config: &Config,
    depth: usize,
    json: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    let mut keys: Vec<&[u8]> = Vec::new();
    json.push(b'{');
    let (mut cut, mut full) = (false, false);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(_)) if full => {}
            (1, Field::Bytes(pair)) => {
                let (key, value) = read_pair(pair)?;
                if keys.contains(&key) {
                    continue;
                }
                if !keys.is_empty() {
                    json.push(b',');
                }
                full = keys.len() >= config.attributes_max || json.len() > config.value_bytes_max;
                if full {
                    json.extend_from_slice(text::CUT_ENTRY.as_bytes());
                    continue;
                }
                keys.push(key);
                text::string(json, key);
                json.push(b':');
                cut |= render(value, config, depth, json)?;
            }
            (1, _) => return wrong_type("kvlist_value"),
            _ => {}
        }
    }
    json.push(b'}');
    Ok(cut || full)
}
