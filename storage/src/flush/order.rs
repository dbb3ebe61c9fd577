//! The order of rows in files: one file a date, sorted by service, name and start.
use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::{Int32Type, Int64Type};
use chrono::NaiveDate;

use super::resolve::Resolved;
use crate::file::date_of;
use crate::file::writer::{FileRows, ROW_GROUP_ROWS};

/// The rows of one date in file order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DateRows {
    pub(crate) date: NaiveDate,
    pub(crate) rows: Vec<u32>,
}

impl DateRows {
    /// One row of each distinct trace.
    pub(crate) fn first_rows(&self, resolved: &Resolved) -> impl Iterator<Item = u32> {
        let mut seen = vec![false; resolved.root.len()];
        self.rows.iter().copied().filter(move |row| {
            let trace = resolved.trace[*row as usize] as usize;
            !std::mem::replace(&mut seen[trace], true)
        })
    }

    /// Distinct traces.
    pub(crate) fn traces(&self, resolved: &Resolved) -> usize {
        self.first_rows(resolved).count()
    }

    /// The file as the writer wants it.
    pub(crate) fn file_rows(&self, resolved: &Resolved) -> FileRows {
        FileRows {
            row_groups: self
                .rows
                .chunks(ROW_GROUP_ROWS)
                .map(|rows| UInt32Array::from(rows.to_vec()))
                .collect(),
            traces: self.traces(resolved) as u64,
        }
    }
}

/// Sorts all rows; dates ascending. `service` and `name` are dictionaries.
pub(crate) fn sort(start: &ArrayRef, service: &ArrayRef, name: &ArrayRef) -> Vec<DateRows> {
    let starts = start.as_primitive::<Int64Type>().values();
    let (services, names) = (ranks(service), ranks(name));
    let mut order: Vec<SortKey> = (0u32..)
        .zip(starts)
        .zip(services.iter().zip(&names))
        .map(|((row, start), (service, name))| SortKey {
            date: date_of(*start),
            text: (u64::from(*service) << 32) | u64::from(*name),
            start: *start,
            row,
        })
        .collect();
    order.sort_unstable();
    order
        .chunk_by(|a, b| a.date == b.date)
        .map(|keys| DateRows { date: keys[0].date, rows: keys.iter().map(|key| key.row).collect() })
        .collect()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    date: NaiveDate,
    text: u64,
    start: i64,
    row: u32,
}

/// For each row the place of its value among the sorted values; 0 for null.
fn ranks(column: &ArrayRef) -> Vec<u32> {
    let column = column.as_dictionary::<Int32Type>();
    let values = column.values().as_string::<i32>();
    let mut sorted: Vec<usize> = (0..values.len()).collect();
    sorted.sort_unstable_by_key(|index| values.value(*index));
    let mut rank = vec![0; values.len()];
    for (place, index) in (1u32..).zip(sorted) {
        rank[index] = place;
    }
    column
        .keys()
        .iter()
        .map(|key| key.and_then(|key| usize::try_from(key).ok()).map_or(0, |key| rank[key]))
        .collect()
}
