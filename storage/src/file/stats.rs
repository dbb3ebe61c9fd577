//! What the Delta log says about a file: rows, smallest and largest values, nulls; made from the Parquet footer.
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::schema::column;
use crate::time::TimeRange;

/// Columns with statistics: those that engines prune by.
const COLUMNS: &[&str] = &[
    column::START,
    column::DURATION,
    column::SERVICE,
    column::NAME,
    column::KIND,
    column::STATUS,
    column::CALLER_SERVICE,
    column::ROOT_SERVICE,
    column::ROOT_NAME,
    column::RECEIVED,
];
/// Longer strings are cut; the largest is then rounded up.
const TEXT_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Bound {
    Number(i64),
    Text(String),
}

impl Bound {
    fn into_json(self) -> Value {
        match self {
            Self::Number(number) => number.into(),
            Self::Text(text) => text.into(),
        }
    }
}

/// The `stats` JSON of an `add` action (Delta protocol, "Per-file Statistics").
pub(crate) fn to_json(metadata: &ParquetMetaData) -> String {
    let rows = metadata.file_metadata().num_rows();
    let (mut smallest, mut largest, mut nulls) = (Map::new(), Map::new(), Map::new());
    let schema = metadata.file_metadata().schema_descr();
    for name in COLUMNS {
        let Some(leaf) = schema.columns().iter().position(|leaf| leaf.path().string() == *name)
        else {
            nulls.insert((*name).into(), rows.into());
            continue;
        };
        let Some(summary) = summarize(metadata, leaf) else { continue };
        nulls.insert((*name).into(), summary.nulls.into());
        if let (Some(low), Some(high)) = (summary.low, summary.high) {
            smallest.insert((*name).into(), low.into_json());
            largest.insert((*name).into(), high.into_json());
        }
    }
    json!({ "numRecords": rows, "tightBounds": true, "minValues": smallest, "maxValues": largest, "nullCount": nulls })
        .to_string()
}

struct Summary {
    low: Option<Bound>,
    high: Option<Bound>,
    nulls: u64,
}

/// Over all row groups; `None` where one has no statistics.
fn summarize(metadata: &ParquetMetaData, leaf: usize) -> Option<Summary> {
    let mut summary = Summary { low: None, high: None, nulls: 0 };
    for row_group in metadata.row_groups() {
        let chunk = row_group.column(leaf);
        let statistics = chunk.statistics()?;
        let nulls = statistics.null_count_opt()?;
        summary.nulls += nulls;
        if nulls == u64::try_from(chunk.num_values()).ok()? {
            continue;
        }
        let (low, high) = bounds(statistics)?;
        summary.low = Some(summary.low.filter(|other| *other <= low).unwrap_or(low));
        summary.high = Some(summary.high.filter(|other| *other >= high).unwrap_or(high));
    }
    Some(summary)
}

fn bounds(statistics: &Statistics) -> Option<(Bound, Bound)> {
    match statistics {
        Statistics::Int64(values) => {
            Some((Bound::Number(*values.min_opt()?), Bound::Number(*values.max_opt()?)))
        }
        Statistics::ByteArray(values) => {
            let low = std::str::from_utf8(values.min_bytes_opt()?).ok()?;
            let high = std::str::from_utf8(values.max_bytes_opt()?).ok()?;
            Some((Bound::Text(cut(low).into()), Bound::Text(cut_up(high)?)))
        }
        _ => None,
    }
}

/// At most [`TEXT_BYTES_MAX`] bytes: not larger than `text`.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// At most [`TEXT_BYTES_MAX`] bytes and a little: not smaller than `text`. `None` where nothing larger exists.
fn cut_up(text: &str) -> Option<String> {
    let head = cut(text);
    if head.len() == text.len() {
        return Some(text.into());
    }
    let mut characters: Vec<char> = head.chars().collect();
    while let Some(last) = characters.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// What our own pruning needs from a `stats` JSON, ours or another engine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileStats {
    pub(crate) rows: u64,
    pub(crate) start: Option<TimeRange>,
    pub(crate) services: Option<(String, String)>,
}

/// Reads a `stats` JSON; `None` where it does not even say how many rows there are.
pub(crate) fn parse(stats: &str) -> Option<FileStats> {
    let stats: Value = serde_json::from_str(stats).ok()?;
    let bound = |side: &str, name: &str| stats.get(side).and_then(|values| values.get(name));
    let number = |side: &str| bound(side, column::START).and_then(Value::as_i64);
    let text = |side: &str| bound(side, column::SERVICE).and_then(Value::as_str).map(str::to_owned);
    let start = number("minValues").zip(number("maxValues"));
    Some(FileStats {
        rows: stats.get("numRecords")?.as_u64()?,
        start: start.map(|(from, last)| TimeRange { from, until: last.saturating_add(1) }),
        services: text("minValues").zip(text("maxValues")),
    })
}
