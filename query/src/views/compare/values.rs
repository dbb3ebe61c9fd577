//! Reads the spans of both sides and counts what they carry.
use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, ident};
use futures::StreamExt;
use storage::TimeRange;
use storage::schema::{AttributeColumns, AttributeScope, column};
use xxhash_rust::xxh3::xxh3_64;

use super::leaves::Parents;
use super::sides::{SELECTED, Sides, flags};
use super::tally::{One, Tally};
use super::times::Times;
use super::{Compare, Scope};
use crate::function::json;
use crate::spans::columns::ATTRIBUTES_REST;
use crate::views::load::{Source, trace_filter, window};
use crate::views::read::{doubles, ids, integers, named, text, texts};

/// Columns of every span that are compared.
const FIELDS: [&str; 5] =
    [column::SERVICE, column::NAME, column::KIND, column::STATUS, column::SCOPE_NAME];

/// Columns to read: where each attribute lies.
struct Layout {
    /// Scope, name and column.
    columns: Vec<(Scope, String, String)>,
    /// The column with the JSON of attributes without a column.
    rest: &'static str,
}

impl Layout {
    fn of(known: &AttributeColumns, rest: &'static str) -> Self {
        let own = known.as_slice().iter().filter(|own| own.scope == AttributeScope::Span);
        let own = own.map(|own| (Scope::Attribute, own.key.clone(), own.column.clone()));
        let fields = FIELDS.map(|field| (Scope::Field, field.to_owned(), field.to_owned()));
        Self { columns: fields.into_iter().chain(own).collect(), rest }
    }

    fn names(&self) -> Vec<&str> {
        let columns = self.columns.iter().map(|(_, _, column)| column.as_str());
        columns.chain([self.rest, column::RESOURCE]).collect()
    }

    /// Counts what the spans at the rows of `ones` carry.
    fn add(&self, batch: &RecordBatch, ones: &[(usize, One)], tally: &mut Tally) -> Result<()> {
        if ones.is_empty() {
            return Ok(());
        }
        for (scope, key, column) in &self.columns {
            let values = named(batch, column)?;
            if values.null_count() < values.len() {
                let attribute = tally.attribute(*scope, key);
                if !tally.is_given_up(attribute) {
                    add_column(values, ones, (tally, attribute))?;
                }
            }
        }
        add_rest(&texts(batch, self.rest)?, ones, tally);
        add_resources(&texts(batch, column::RESOURCE)?, ones, tally);
        tally.trim();
        Ok(())
    }
}

/// Counts values of the spans of `sides`, which a trace has once however many of its spans have them.
pub(crate) async fn read_traces(
    source: &Source,
    range: TimeRange,
    mut sides: Sides,
) -> Result<(Tally, Option<Parents>)> {
    let is_one_kind = sides.is_one_kind();
    let mut tally = Tally::of_traces(&mut sides);
    let layout = Layout::of(&source.tables.snapshot.columns, column::ATTRIBUTES);
    let mut names = layout.names();
    names.extend([column::TRACE_ID, column::SPAN_ID, column::PARENT_SPAN_ID, column::DURATION]);
    let held = sides.traces.capacity() * 24;
    let parents = match is_one_kind {
        true => Parents::of(source, range, &sides, held).await?,
        false => None,
    };
    let held = held + parents.as_ref().map_or(0, Parents::bytes);
    let only = trace_filter(sides.traces.keys().copied());
    let mut batches = source.scan(window(range), &names, only)?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let traces = ids(named(&batch, column::TRACE_ID)?)?;
        let spans = ids(named(&batch, column::SPAN_ID)?)?;
        let above = ids(named(&batch, column::PARENT_SPAN_ID)?)?;
        let durations = integers(&batch, column::DURATION)?;
        let one = |row: usize| {
            let trace = traces.value(row);
            let index = *sides.traces.get(trace)?;
            // A root's duration is what traces are chosen by.
            let leaves = parents.as_ref().filter(|_| above.is_valid(row));
            let is_leaf = leaves.is_some_and(|parents| parents.is_leaf(trace, spans.value(row)));
            let leaf_nano = is_leaf.then(|| durations.value(row));
            let selected = tally.is_selected(index);
            Some((row, One { index, selected, leaf_nano, weight: 1.0, trace: 0 }))
        };
        let ones: Vec<(usize, One)> = (0..batch.num_rows()).filter_map(one).collect();
        layout.add(&batch, &ones, &mut tally)?;
        source.hold(held + tally.bytes())?;
    }
    Ok((tally, parents))
}

/// Counts values of the spans on the two sides of `compare`.
pub(crate) async fn read_spans(
    source: &Source,
    compare: &Compare,
    times: &mut Times,
) -> Result<Tally> {
    let mut tally = Tally::of_spans();
    let frame = source.tables.spans(&source.context, compare.range)?;
    let (selection, either) = compare.conditions(&frame)?;
    let frame = match either {
        Some(either) => frame.filter(either)?,
        None => frame,
    };
    let layout = Layout::of(&source.tables.snapshot.columns, ATTRIBUTES_REST);
    let mut columns: Vec<Expr> = layout.names().into_iter().map(ident).collect();
    columns.extend([column::TRACE_ID, column::START, column::WEIGHT].map(ident));
    columns.push(selection.alias(SELECTED));
    let mut batches = frame.select(columns)?.execute_stream().await?;
    let mut index = 0u32;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let starts = integers(&batch, column::START)?;
        let weights = doubles(&batch, column::WEIGHT)?;
        let traces = texts(&batch, column::TRACE_ID)?;
        let selected = flags(named(&batch, SELECTED)?)?;
        let mut ones = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let (selected, weight) = (selected.value(row), weights.value(row));
            let trace = if weight > 1.0 { xxh3_64(traces.value(row).as_bytes()) } else { 0 };
            let one = One { index, selected, leaf_nano: None, weight, trace };
            times.add(starts.value(row), one.selected);
            tally.add_span(one.selected);
            ones.push((row, one));
            index = index.wrapping_add(1);
        }
        layout.add(&batch, &ones, &mut tally)?;
        source.hold(tally.bytes())?;
    }
    Ok(tally)
}

/// Counts a column's values.
fn add_column(
    values: &ArrayRef,
    ones: &[(usize, One)],
    (tally, attribute): (&mut Tally, usize),
) -> Result<()> {
    match values.data_type() {
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            each(values, ones, |row| values.value(row), (tally, attribute));
        }
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>();
            each(values, ones, |row| values.value(row), (tally, attribute));
        }
        DataType::Boolean => {
            let values = values.as_boolean();
            each(values, ones, |row| values.value(row), (tally, attribute));
        }
        _ => {
            let values = text(values)?;
            // Equal views of one array are equal texts, and files are sorted: it is mostly the last one.
            let mut last = None;
            for (row, one) in ones.iter().filter(|(row, _)| values.is_valid(*row)) {
                let view = values.views()[*row];
                let value = match last {
                    Some((same, value)) if same == view => value,
                    _ => tally.value(attribute, values.value(*row)),
                };
                last = Some((view, value));
                tally.add(attribute, value, *one);
            }
        }
    }
    Ok(())
}

/// The same of values that have to be written as text first.
fn each<T: PartialEq + Copy + ToString>(
    values: &dyn Array,
    ones: &[(usize, One)],
    value_at: impl Fn(usize) -> T,
    (tally, attribute): (&mut Tally, usize),
) {
    let mut last = None;
    for (row, one) in ones.iter().filter(|(row, _)| values.is_valid(*row)) {
        let value = value_at(*row);
        let position = match last {
            Some((same, position)) if same == value => position,
            _ => tally.value(attribute, &value.to_string()),
        };
        last = Some((value, position));
        tally.add(attribute, position, *one);
    }
}

fn add_rest(rest: &StringViewArray, ones: &[(usize, One)], tally: &mut Tally) {
    for (row, one) in ones.iter().filter(|(row, _)| rest.is_valid(*row)) {
        json::each_member(rest.value(*row), |key, value| {
            if let Some(value) = plain(value) {
                let attribute = tally.attribute(Scope::Attribute, &key);
                if tally.is_given_up(attribute) {
                    return;
                }
                let value = tally.value(attribute, &value);
                tally.add(attribute, value, *one);
            }
        });
    }
}

/// A value of the JSON as it would stand in a column: 5.0 and 5 are one value.
pub(crate) fn plain(value: &str) -> Option<Cow<'_, str>> {
    let is_number = value.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number && value.contains(['.', 'e', 'E']) {
        return json::double(value).map(|number| number.to_string().into());
    }
    json::text(value)
}

fn add_resources(resources: &StringViewArray, ones: &[(usize, One)], tally: &mut Tally) {
    let mut last = None;
    for (row, one) in ones.iter().filter(|(row, _)| resources.is_valid(*row)) {
        let view = resources.views()[*row];
        let resource = match last {
            Some((same, resource)) if same == view => resource,
            _ => tally.resource(resources.value(*row)),
        };
        last = Some((view, resource));
        tally.add_resource(resource, *one);
    }
}
