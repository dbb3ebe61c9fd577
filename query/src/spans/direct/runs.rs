//! Rows that are grouped by time: what belongs to one group mostly lies together, so that groups are found by looking at
//! the ends of pieces, and no number is touched.
//!
//! Whatever the order of rows is, the answer is the same; it only costs more where runs are short.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef, TimeUnit, TimestampNanosecondType};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::sort_properties::SortProperties;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use crate::quantile::{self, Shape};

/// In pieces of so many rows of rising times, the first and the last tell whether all are of one group.
const PIECE_ROWS: usize = 16;

/// How rows are grouped, and what is made of a group.
#[derive(Debug)]
pub(super) struct Runs {
    /// Never falls where the time does not; over `time_alone`.
    group: Arc<dyn PhysicalExpr>,
    /// Place of the column that it is made of.
    time: usize,
    /// That column.
    time_alone: SchemaRef,
    /// What quantiles are asked of.
    values: Vec<Arc<dyn PhysicalExpr>>,
    /// Which ones, of each.
    pub(super) shapes: Vec<Shape>,
}

/// What a group has in common; `None` where that is NULL.
pub(super) type Key = Option<i64>;

impl Runs {
    /// What `aggregate` does; `None` where that is something else.
    pub(super) fn of(aggregate: &AggregateExec) -> Option<Self> {
        let input = aggregate.input_schema();
        let by = aggregate.group_expr();
        let [(group, _)] = by.expr() else { return None };
        let is_first = matches!(aggregate.mode(), AggregateMode::Partial | AggregateMode::Single);
        if !is_first || !by.is_single() || aggregate.limit_options().is_some() {
            return None;
        }
        let columns = collect_columns(group);
        let (Some(column), 1) = (columns.iter().next(), columns.len()) else { return None };
        let is_whole = |kind: &DataType| {
            matches!(kind, DataType::Int64 | DataType::Timestamp(TimeUnit::Nanosecond, _))
        };
        let time = input.field(column.index());
        if !is_whole(time.data_type())
            || time.is_nullable()
            || !is_whole(&group.data_type(&input).ok()?)
            || !never_falls(group, column, &input)
        {
            return None;
        }
        let mut values = Vec::with_capacity(aggregate.aggr_expr().len());
        let mut shapes = Vec::with_capacity(values.capacity());
        for (call, filter) in aggregate.aggr_expr().iter().zip(aggregate.filter_expr()) {
            let arguments = call.expressions();
            let value = Arc::clone(arguments.first()?);
            let is_plain = filter.is_none() && !call.is_distinct() && call.order_bys().is_empty();
            let is_number = value.data_type(&input).ok()? == DataType::Int64;
            if !is_plain
                || !is_number
                || value.nullable(&input).ok()?
                || !quantile::is_quantile(call.fun())
            {
                return None;
            }
            shapes.push(Shape::new(&arguments, call.field().data_type()).ok()?);
            values.push(value);
        }
        if values.is_empty() {
            return None;
        }
        let time_alone = Arc::new(Schema::new(vec![time.clone()]));
        let group = reassign_expr_columns(Arc::clone(group), &time_alone).ok()?;
        Some(Self { group, time: column.index(), time_alone, values, shapes })
    }

    /// Hands `visit` the runs of `rows`: their group, and their values of the quantiles at a place.
    ///
    /// # Errors
    /// An expression fails.
    pub(super) fn each(
        &self,
        rows: &RecordBatch,
        mut visit: impl FnMut(Key, usize, &[i64]),
    ) -> Result<()> {
        let Some(times) = whole(rows.column(self.time)) else {
            return internal_err!("{} is no time", self.group);
        };
        let runs = self.runs(rows, times)?;
        for (place, value) in self.values.iter().enumerate() {
            let column = value.evaluate(rows)?.into_array(rows.num_rows())?;
            let values = column.as_primitive::<Int64Type>().values();
            runs.iter().for_each(|run| visit(run.key, place, &values[run.rows.clone()]));
        }
        Ok(())
    }

    /// What is grouped by, and what is asked of.
    pub(super) fn exprs(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        std::iter::once(&self.group).chain(&self.values)
    }

    /// Rows that follow one another and are of one group.
    fn runs(&self, rows: &RecordBatch, times: &[i64]) -> Result<Vec<Run>> {
        // Both ends of pieces whose times rise.
        let ends = Places::of(times, |piece| match piece.is_sorted() {
            true => Look::Ends,
            false => Look::Nowhere,
        });
        let keys = self.keys(rows, &ends)?;
        let mut keys = keys.chunks_exact(2);
        // Of a piece that is of one group, which.
        let one = ends.looks.iter().map(|look| match look {
            Look::Ends => keys.next().filter(|ends| ends[0] == ends[1]).map(|ends| ends[0]),
            _ => None,
        });
        let one: Vec<Option<Key>> = one.collect();
        // Every row of the others.
        let mut all = one.iter();
        let places = Places::of(times, |_| match all.next() {
            Some(Some(_)) => Look::Nowhere,
            _ => Look::Everywhere,
        });
        let keys = self.keys(rows, &places)?;
        let mut keys = keys.into_iter();
        let mut runs: Vec<Run> = Vec::new();
        let mut push = |rows: Range<usize>, key: Key| match runs.last_mut() {
            Some(last) if last.key == key && last.rows.end == rows.start => {
                last.rows.end = rows.end
            }
            _ => runs.push(Run { key, rows }),
        };
        for (own, (_, rows)) in one.into_iter().zip(places.pieces()) {
            match own {
                Some(key) => push(rows, key),
                None => rows.for_each(|row| push(row..row + 1, keys.next().unwrap_or_default())),
            }
        }
        Ok(runs)
    }

    /// The groups of the rows at `places`.
    fn keys(&self, rows: &RecordBatch, places: &Places) -> Result<Vec<Key>> {
        let groups = self.groups(rows, &places.rows)?;
        match whole(&groups) {
            Some(keys) if groups.null_count() == 0 => Ok(keys.iter().copied().map(Some).collect()),
            Some(keys) => {
                let keys = keys.iter().enumerate();
                Ok(keys.map(|(row, key)| groups.is_valid(row).then_some(*key)).collect())
            }
            None => internal_err!("{} gives no times", self.group),
        }
    }

    /// The same as SQL shows them.
    fn groups(&self, rows: &RecordBatch, places: &UInt32Array) -> Result<ArrayRef> {
        let times = take(rows.column(self.time), places, None)?;
        let times = RecordBatch::try_new(Arc::clone(&self.time_alone), vec![times])?;
        self.group.evaluate(&times)?.into_array(times.num_rows())
    }
}

/// Which rows of a piece are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Nowhere,
    /// At the first and the last, which may be the same.
    Ends,
    Everywhere,
}

/// Rows that are looked at.
struct Places {
    rows: UInt32Array,
    /// By piece.
    looks: Vec<Look>,
    all: usize,
}

impl Places {
    fn of(times: &[i64], look: impl FnMut(&[i64]) -> Look) -> Self {
        let looks: Vec<Look> = times.chunks(PIECE_ROWS).map(look).collect();
        let mut places = Self { rows: Vec::<u32>::new().into(), looks, all: times.len() };
        let mut rows = Vec::new();
        for (look, piece) in places.pieces() {
            match look {
                Look::Nowhere => {}
                Look::Ends => rows.extend([piece.start, piece.end - 1]),
                Look::Everywhere => rows.extend(piece),
            }
        }
        places.rows = rows.into_iter().map(|row| u32::try_from(row).unwrap_or(u32::MAX)).collect();
        places
    }

    fn pieces(&self) -> impl Iterator<Item = (Look, Range<usize>)> {
        let starts = (0..self.all).step_by(PIECE_ROWS);
        let pieces = starts.map(|from| from..(from + PIECE_ROWS).min(self.all));
        self.looks.iter().copied().zip(pieces)
    }
}

/// Rows of one group that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    key: Key,
    rows: Range<usize>,
}

/// The numbers of a column of whole numbers or times.
fn whole(column: &ArrayRef) -> Option<&[i64]> {
    let numbers = column.as_primitive_opt::<Int64Type>().map(|numbers| &numbers.values()[..]);
    let times = || column.as_primitive_opt::<TimestampNanosecondType>();
    numbers.or_else(|| times().map(|times| &times.values()[..]))
}

/// True where `expr` certainly does not fall while `column` rises.
fn never_falls(expr: &Arc<dyn PhysicalExpr>, column: &Column, schema: &SchemaRef) -> bool {
    let rising = SortOptions { descending: false, nulls_first: false };
    let column: Arc<dyn PhysicalExpr> = Arc::new(column.clone());
    let order = [PhysicalSortExpr::new(column, rising)];
    let known = EquivalenceProperties::new_with_orderings(Arc::clone(schema), [order]);
    let told = known.get_expr_properties(Arc::clone(expr)).sort_properties;
    matches!(told, SortProperties::Ordered(options) if !options.descending)
}
