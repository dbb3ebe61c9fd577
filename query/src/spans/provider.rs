//! `spans` as DataFusion's table: filters and columns asked for -> scans of files and hot batches -> SQL's columns.
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, conjunction_opt, reassign_expr_columns};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::union::UnionExec;
use storage::schema::column as c;
use storage::{Snapshot, SpanBatch, TimeRange};

use crate::spans::Tables;
use crate::spans::columns::{Columns, stored};
use crate::spans::files::Files;
use crate::spans::hot::HotExec;
use crate::spans::known::Known;
use crate::spans::nothing::NothingExec;
use crate::spans::prune::prune;
use crate::spans::translate;

/// Which columns a scan shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Those of SQL `spans`.
    Presented,
    /// Those that are stored, with read types.
    Stored,
}

/// The spans of one snapshot that start within a range.
#[derive(Debug, Clone)]
pub(crate) struct SpansTable {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) columns: Arc<Columns>,
    pub(super) known: Arc<Known>,
    pub(super) range: TimeRange,
    pub(super) shape: Shape,
}

impl SpansTable {
    /// The same columns and range of the spans of `tables`; `None` where these have other columns.
    pub(crate) fn over(&self, tables: &Tables) -> Option<Self> {
        let columns = tables.column_sets();
        let is_known = columns.into_iter().any(|columns| Arc::ptr_eq(columns, &self.columns));
        is_known.then(|| Self { snapshot: Arc::clone(&tables.snapshot), ..self.clone() })
    }

    /// Plans a scan: `projection` counts columns of the table's own schema, `filters` are over them.
    pub(crate) fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = self.physical_filters(state, filters)?;
        let schema = self.schema();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let Some(made_of) = self.made_of(wanted)? else {
            return self.scan_stored(state, wanted, &filters, limit);
        };
        let scan = self.scan_stored(state, &needed(&made_of), &filters, limit)?;
        present(made_of, scan)
    }

    /// How SQL's columns are made of stored ones, and which of these they need.
    pub(crate) fn presented(&self) -> Result<(Vec<ProjectionExpr>, Vec<usize>)> {
        let physical = self.columns.physical()?.iter().zip(self.columns.presented.fields());
        let made_of = physical.map(|(expr, field)| ProjectionExpr {
            expr: Arc::clone(expr),
            alias: field.name().clone(),
        });
        let made_of: Vec<_> = made_of.collect();
        let needed = needed(&made_of);
        Ok((made_of, needed))
    }

    /// The stored columns at `needed`, as they are stored, of the rows for which `filter` over stored columns holds.
    pub(crate) fn stored_rows(
        &self,
        state: &dyn Session,
        needed: &[usize],
        filter: Expr,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = state.create_physical_expr(filter, &self.columns.stored_names)?;
        self.scan_stored(state, needed, &[filter], None)
    }

    /// The stored columns, `date` last.
    pub(crate) fn stored_schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.stored)
    }

    /// `filters` over the table's own columns as conditions over stored ones.
    pub(crate) fn physical_filters(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        let mut parts = range_filters(self.range);
        for filter in filters {
            match self.shape {
                Shape::Presented => parts.extend(translate::conjuncts(&self.columns, filter)?),
                Shape::Stored => parts.push(translate::as_shown(&self.columns, filter)?),
            }
        }
        let names = &self.columns.stored_names;
        parts.into_iter().map(|part| state.create_physical_expr(part, names)).collect()
    }

    /// How the wanted columns are made of stored ones; `None` where they are stored ones.
    fn made_of(&self, wanted: &[usize]) -> Result<Option<Vec<ProjectionExpr>>> {
        if self.shape == Shape::Stored {
            return self.made_of_stored(wanted);
        }
        let physical = self.columns.physical()?;
        let made = wanted.iter().map(|index| ProjectionExpr {
            expr: Arc::clone(&physical[*index]),
            alias: self.columns.presented.field(*index).name().clone(),
        });
        Ok(Some(made.collect()))
    }

    /// Stored columns, of which some are shown otherwise.
    fn made_of_stored(&self, wanted: &[usize]) -> Result<Option<Vec<ProjectionExpr>>> {
        let stored = &self.columns.stored;
        let shown = |index: &usize| self.columns.shown_as(stored.field(*index).name());
        if wanted.iter().all(|index| shown(index).is_none()) {
            return Ok(None);
        }
        let physical = self.columns.physical()?;
        let made = wanted.iter().map(|index| {
            let alias = stored.field(*index).name().clone();
            let expr: Arc<dyn PhysicalExpr> = match shown(index) {
                Some((presented, _)) => Arc::clone(&physical[presented]),
                None => Arc::new(Column::new(&alias, *index)),
            };
            ProjectionExpr { expr, alias }
        });
        Ok(Some(made.collect()))
    }

    /// Files and hot batches, in the stored columns at `projection`.
    fn scan_stored(
        &self,
        state: &dyn Session,
        projection: &[usize],
        filters: &[Arc<dyn PhysicalExpr>],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let stored = &self.columns.stored;
        let predicate = conjunction_opt(filters.iter().map(Arc::clone));
        let projected = Arc::new(stored.project(projection)?);
        let mut scans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        let (files, pruned) = prune(&self.snapshot.files, self.range, predicate.as_ref(), stored)?;
        if !files.is_empty() {
            let object_store = Arc::clone(&self.snapshot.object_store);
            let known = Arc::clone(&self.known);
            let files = Files { files, pruned, stored, object_store, known };
            scans.push(files.scan(state, projection, filters, limit)?);
        }
        let hot = self.hot();
        if !hot.is_empty() {
            let partitions = state.config().target_partitions();
            let hot =
                HotExec::new(&hot, Arc::clone(&projected), predicate.as_ref(), stored, partitions)?;
            scans.push(Arc::new(hot));
        }
        match scans.len() {
            0 => Ok(Arc::new(NothingExec::new(projected, pruned))),
            1 => Ok(scans.remove(0)),
            _ => UnionExec::try_new(scans),
        }
    }

    fn hot(&self) -> Vec<Arc<SpanBatch>> {
        let batches = self.snapshot.hot.iter();
        batches
            .filter(|batch| batch.rows() > 0 && batch.start().overlaps(&self.range))
            .map(Arc::clone)
            .collect()
    }
}

/// The range as conditions on the stored start; none for all of time.
fn range_filters(range: TimeRange) -> Vec<Expr> {
    let mut filters = Vec::new();
    if range.from > i64::MIN {
        filters.push(stored(c::START).gt_eq(lit(range.from)));
    }
    if range.until < i64::MAX {
        filters.push(stored(c::START).lt(lit(range.until)));
    }
    filters
}

/// The stored columns that some expressions read.
fn needed(made_of: &[ProjectionExpr]) -> Vec<usize> {
    let columns = made_of.iter().flat_map(|made_of| collect_columns(&made_of.expr));
    let mut needed: Vec<usize> = columns.map(|column| column.index()).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// `made_of` over the columns that `scan` gives.
pub(crate) fn present(
    made_of: Vec<ProjectionExpr>,
    scan: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema: Arc<Schema> = scan.schema();
    let mut exprs = Vec::with_capacity(made_of.len());
    for ProjectionExpr { expr, alias } in made_of {
        exprs.push(ProjectionExpr { expr: reassign_expr_columns(expr, &schema)?, alias });
    }
    Ok(Arc::new(ProjectionExec::try_new(exprs, scan)?))
}

#[async_trait]
impl TableProvider for SpansTable {
    fn schema(&self) -> SchemaRef {
        match self.shape {
            Shape::Presented => Arc::clone(&self.columns.presented),
            Shape::Stored => Arc::clone(&self.columns.stored),
        }
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let decide = |filter: &&Expr| match self.shape {
            Shape::Presented if !translate::is_decidable(&self.columns, filter) => {
                TableProviderFilterPushDown::Unsupported
            }
            Shape::Stored if filter.is_volatile() => TableProviderFilterPushDown::Unsupported,
            _ => TableProviderFilterPushDown::Exact,
        };
        Ok(filters.iter().map(decide).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.plan(state, projection, filters, limit)
    }
}
