//! Which rows of a file can satisfy a filter, by the dictionaries of its columns.
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns, split_conjunction};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::chosen::Chosen;
use super::like::Like;
use super::pages::{self, Wanted};
use super::reader::Reader;

/// A condition on one column whose dictionary may decide it.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(super) expr: Arc<dyn PhysicalExpr>,
    /// That column alone.
    schema: SchemaRef,
    /// The same where it is such a pattern.
    like: Option<Like>,
    holds_for_null: OnceLock<bool>,
}

impl Condition {
    /// `filter` over the columns of `table`, where it is such a condition.
    pub(crate) fn of(filter: &Arc<dyn PhysicalExpr>, table: &Schema) -> Option<Self> {
        Self::on(filter, table, |kind| {
            matches!(kind, DataType::Utf8View | DataType::FixedSizeBinary(16))
        })
    }

    /// `filter`, where it is one on a column of whole numbers.
    pub(super) fn of_integers(filter: &Arc<dyn PhysicalExpr>, table: &Schema) -> Option<Self> {
        Self::on(filter, table, |kind| *kind == DataType::Int64)
    }

    /// `filter`, where it is one that never changes, on one column of a type that `is_told`.
    fn on(
        filter: &Arc<dyn PhysicalExpr>,
        table: &Schema,
        is_told: impl Fn(&DataType) -> bool,
    ) -> Option<Self> {
        let columns = collect_columns(filter);
        let mut columns = columns.iter();
        let (column, None) = (columns.next()?, columns.next()) else { return None };
        let field = table.field_with_name(column.name()).ok()?;
        if !is_told(field.data_type()) || is_changing(filter) {
            return None;
        }
        let schema = Arc::new(Schema::new(vec![field.clone()]));
        let expr = reassign_expr_columns(Arc::clone(filter), &schema).ok()?;
        let like = Like::of(&expr);
        Some(Self { expr, schema, like, holds_for_null: OnceLock::new() })
    }

    /// The column.
    pub(crate) fn column(&self) -> &str {
        self.schema.field(0).name()
    }

    /// By place of `values`, whether it holds.
    pub(crate) fn holds(&self, values: ArrayRef) -> Result<Vec<bool>> {
        if let (Some(like), Some(texts)) = (&self.like, values.as_string_view_opt()) {
            return Ok(texts
                .iter()
                .map(|text| text.is_some_and(|text| like.holds(text)))
                .collect());
        }
        let rows = values.len();
        // The column is nullable to the table, or has no nulls.
        let schema = match values.null_count() {
            0 => Arc::clone(&self.schema),
            _ => {
                let field = self.schema.field(0).clone().with_nullable(true);
                Arc::new(Schema::new(vec![field]))
            }
        };
        let batch = RecordBatch::try_new(schema, vec![values])?;
        let held = self.expr.evaluate(&batch)?.into_array(rows)?;
        Ok(held.as_boolean().iter().map(|held| held == Some(true)).collect())
    }

    pub(super) fn holds_for_null(&self) -> Result<bool> {
        if let Some(known) = self.holds_for_null.get() {
            return Ok(*known);
        }
        let null = new_null_array(self.schema.field(0).data_type(), 1);
        let holds = self.holds(null)? == [true];
        Ok(*self.holds_for_null.get_or_init(|| holds))
    }

    pub(super) fn wanted(&self, values: &ArrayRef) -> Result<Wanted> {
        Ok(Wanted { by_key: self.holds(Arc::clone(values))?, null: self.holds_for_null()? })
    }
}

/// The parts of `filter`: on texts, and on whole numbers. `None` where it has others.
pub(super) fn conditions(
    filter: Option<Arc<dyn PhysicalExpr>>,
    stored: &Schema,
) -> Option<(Vec<Condition>, Vec<Condition>)> {
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    for part in filter.iter().flat_map(split_conjunction) {
        match Condition::of(part, stored) {
            Some(condition) => texts.push(condition),
            None => numbers.push(Condition::of_integers(part, stored)?),
        }
    }
    Some((texts, numbers))
}

/// The stored numbers that `shown` and conditions need, and `shown` over these; `None` where others are needed.
pub(super) fn over_numbers(
    shown: &[Arc<dyn PhysicalExpr>],
    numbers: &[Condition],
    stored: &Schema,
) -> Option<(SchemaRef, Vec<Arc<dyn PhysicalExpr>>)> {
    let mut names: Vec<String> =
        numbers.iter().map(|condition| condition.column().to_owned()).collect();
    for column in shown.iter().flat_map(collect_columns) {
        names.push(column.name().to_owned());
    }
    names.sort_unstable();
    names.dedup();
    let fields: Option<Vec<_>> = names
        .iter()
        .map(|name| stored.field_with_name(name).ok())
        .map(|field| field.filter(|field| *field.data_type() == DataType::Int64).cloned())
        .collect();
    let columns = Arc::new(Schema::new(fields?));
    let shown: Option<Vec<_>> =
        shown.iter().map(|expr| reassign_expr_columns(Arc::clone(expr), &columns).ok()).collect();
    Some((columns, shown?))
}

/// True where `filter` may say another thing later.
pub(super) fn is_changing(filter: &Arc<dyn PhysicalExpr>) -> bool {
    let changes = filter.exists(|expr| {
        Ok(expr.is_volatile_node() || expr.downcast_ref::<DynamicFilterPhysicalExpr>().is_some())
    });
    changes.unwrap_or(true)
}

/// What to read of one row group.
#[derive(Debug, Clone)]
pub(super) enum Rows {
    All,
    None,
    Some(RowSelection),
}

/// The rows of a row group, of the file at `path`, for which all `conditions` hold, as ranges that rise; `None` where
/// dictionaries do not tell it.
///
/// # Errors
/// The file is damaged, or cannot be read.
pub(super) async fn exactly(
    (path, chosen): (&str, &Chosen),
    (reader, row_group): (&mut Reader, &RowGroupMetaData),
    conditions: &[Condition],
) -> Result<Option<Vec<Range<usize>>>> {
    let all = usize::try_from(row_group.num_rows()).unwrap_or(usize::MAX);
    let whole = 0..all;
    let mut ranges = vec![whole];
    for condition in conditions {
        let Some((_, chunk)) = chunk_of(row_group, condition.column()) else {
            if condition.holds_for_null()? {
                continue;
            }
            return Ok(Some(Vec::new()));
        };
        if chunk.dictionary_page_offset().is_none() {
            return Ok(None);
        }
        if let Some(known) = chosen.find((path, chunk), condition) {
            ranges = common(&ranges, &known);
            continue;
        }
        let (start, length) = chunk.byte_range();
        let bytes = reader.get_bytes(start..start.saturating_add(length)).await?;
        let decide = |values: &ArrayRef| condition.wanted(values);
        let Some(found) = pages::rows(bytes, chunk, all, decide)? else { return Ok(None) };
        chosen.put((path, chunk), condition, &found);
        ranges = common(&ranges, &found);
    }
    Ok(Some(ranges))
}

/// What two lists of rising ranges have in common.
pub(super) fn common(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (a, b) = (near(a, b), near(b, a));
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::new();
    while let (Some(one), Some(other)) = (a.peek(), b.peek()) {
        let range = one.start.max(other.start)..one.end.min(other.end);
        if !range.is_empty() {
            both.push(range);
        }
        if one.end <= other.end {
            a.next()
        } else {
            b.next()
        };
    }
    both
}

/// How many rows there are in all.
pub(super) fn length(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(ExactSizeIterator::len).sum()
}

/// Those of `ranges` that do not lie before or behind all of `others`: of the rows of a page few are of many.
fn near<'a>(ranges: &'a [Range<usize>], others: &[Range<usize>]) -> &'a [Range<usize>] {
    let (Some(first), Some(last)) = (others.first(), others.last()) else { return &[] };
    let from = ranges.partition_point(|range| range.end <= first.start);
    let until = ranges.partition_point(|range| range.start < last.end);
    ranges.get(from..until).unwrap_or_default()
}

/// The chunk of the column `name`, and its place.
pub(super) fn chunk_of<'a>(
    row_group: &'a RowGroupMetaData,
    name: &str,
) -> Option<(usize, &'a ColumnChunkMetaData)> {
    let is_it =
        |chunk: &ColumnChunkMetaData| matches!(chunk.column_path().parts(), [own] if own == name);
    row_group.columns().iter().enumerate().find(|(_, chunk)| is_it(chunk))
}

#[cfg(test)]
mod tests;
