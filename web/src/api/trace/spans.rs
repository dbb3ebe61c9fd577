//! The rows of one trace with the columns that exports need, under plain Arrow types.
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use query::TracePattern;

use super::super::patches::PatchRow;
use super::super::tree::Node;
use super::absence::Asked;
use crate::{Error, Result};

/// A text column; what is null or absent is empty.
#[derive(Debug)]
pub(super) struct Text(StringArray);

impl Text {
    fn of(find: impl Fn(&str) -> Option<ArrayRef>, name: &str, rows: usize) -> Result<Self> {
        let column = find(name).map(|column| cast(&column, &DataType::Utf8)).transpose();
        let column = column.map_err(|error| Error::Internal(format!("column {name}: {error}")))?;
        Ok(Self(match column {
            Some(column) => column.as_string().clone(),
            None => StringArray::new_null(rows),
        }))
    }

    pub(super) fn get(&self, row: usize) -> &str {
        if self.0.is_null(row) { "" } else { self.0.value(row) }
    }
}

/// A column of whole numbers (times as nanoseconds); what is null or absent is 0.
#[derive(Debug)]
pub(super) struct Number(Int64Array);

impl Number {
    fn of(find: impl Fn(&str) -> Option<ArrayRef>, name: &str, rows: usize) -> Result<Self> {
        let column = find(name).map(|column| cast(&column, &DataType::Int64)).transpose();
        let column = column.map_err(|error| Error::Internal(format!("column {name}: {error}")))?;
        Ok(Self(match column {
            Some(column) => column.as_primitive::<Int64Type>().clone(),
            None => Int64Array::new_null(rows),
        }))
    }

    pub(super) fn get(&self, row: usize) -> i64 {
        if self.0.is_null(row) { 0 } else { self.0.value(row) }
    }
}

/// Events or links: for each row, where its elements stand in the columns.
#[derive(Debug)]
pub(super) struct Elements {
    offsets: Vec<usize>,
    pub(super) time: Number,
    pub(super) name: Text,
    pub(super) trace_id: Text,
    pub(super) span_id: Text,
    pub(super) trace_state: Text,
    pub(super) attributes: Text,
    pub(super) dropped: Number,
    pub(super) flags: Number,
}

impl Elements {
    fn of(batch: &RecordBatch, name: &str) -> Result<Self> {
        let empty = StructArray::new_empty_fields(0, None);
        let list = batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>());
        let (offsets, values) = match list {
            Some(list) => {
                let index = |offset: &i32| usize::try_from(*offset).unwrap_or(0);
                let offsets = list.value_offsets().iter().map(index).collect();
                (offsets, list.values().as_struct_opt().cloned().unwrap_or(empty))
            }
            None => (vec![0; batch.num_rows() + 1], empty),
        };
        let find = |name: &str| values.column_by_name(name).cloned();
        let rows = values.len();
        Ok(Self {
            offsets,
            time: Number::of(find, "time_unix_nano", rows)?,
            name: Text::of(find, "name", rows)?,
            trace_id: Text::of(find, "trace_id", rows)?,
            span_id: Text::of(find, "span_id", rows)?,
            trace_state: Text::of(find, "trace_state", rows)?,
            attributes: Text::of(find, "attributes", rows)?,
            dropped: Number::of(find, "dropped_attributes_count", rows)?,
            flags: Number::of(find, "flags", rows)?,
        })
    }

    pub(super) fn of_row(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row]..self.offsets[row + 1]
    }
}

/// All rows.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) batch: RecordBatch,
    pub(super) trace_id: Text,
    pub(super) span_id: Text,
    pub(super) parent: Text,
    pub(super) trace_state: Text,
    pub(super) service: Text,
    pub(super) name: Text,
    pub(super) kind: Text,
    pub(super) status: Text,
    pub(super) status_message: Text,
    pub(super) start: Number,
    pub(super) duration: Number,
    pub(super) flags: Number,
    pub(super) attributes: Text,
    pub(super) resource: Text,
    pub(super) scope: Text,
    pub(super) dropped_attributes: Number,
    pub(super) dropped_events: Number,
    pub(super) dropped_links: Number,
    pub(super) events: Elements,
    pub(super) links: Elements,
    /// What is in force about the trace; in the columns already where it corrects them.
    pub(super) patches: Vec<PatchRow>,
    /// Who knows why parents are missing.
    pub(super) asked: Asked,
    /// The pattern that the trace is of, where all of its spans are here.
    pub(super) pattern: Option<TracePattern>,
}

impl Spans {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self> {
        let find = |name: &str| batch.column_by_name(name).cloned();
        let text = |name: &str| Text::of(find, name, batch.num_rows());
        let number = |name: &str| Number::of(find, name, batch.num_rows());
        Ok(Self {
            trace_id: text("trace_id")?,
            span_id: text("span_id")?,
            parent: text("parent_span_id")?,
            trace_state: text("trace_state")?,
            service: text("service")?,
            name: text("name")?,
            kind: text("kind")?,
            status: text("status")?,
            status_message: text("status_message")?,
            start: number("start_time_unix_nano")?,
            duration: number("duration_nano")?,
            flags: number("flags")?,
            attributes: text("attributes")?,
            resource: text("resource")?,
            scope: text("scope")?,
            dropped_attributes: number("dropped_attributes_count")?,
            dropped_events: number("dropped_events_count")?,
            dropped_links: number("dropped_links_count")?,
            events: Elements::of(batch, "events")?,
            links: Elements::of(batch, "links")?,
            patches: Vec::new(),
            pattern: None,
            asked: Asked::default(),
            batch: batch.clone(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    pub(super) fn node(&self, row: usize) -> Node<'_> {
        let parent = self.parent.get(row);
        Node {
            id: self.span_id.get(row),
            parent: (!parent.is_empty()).then_some(parent),
            start: self.start.get(row),
            duration: self.duration.get(row),
            is_callee: matches!(self.kind.get(row), "SERVER" | "CONSUMER"),
        }
    }

    pub(super) fn end(&self, row: usize) -> i64 {
        self.start.get(row).saturating_add(self.duration.get(row))
    }
}
